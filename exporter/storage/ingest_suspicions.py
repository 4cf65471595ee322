"""Suspicions of the ingest guard: when heartbeats seemed not to reach the exporter. Durable, so that a process that
starts or takes over goes on with one.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.core.ingest_guard import Ending, Suspicion
from exporter.storage.database import Database, Transaction

_READ = ("since", "counted_from", "last_received_at", "until", "late", "sample")


@dataclass(frozen=True, slots=True)
class StoredSuspicion:
    """A suspicion, and what became of it."""

    id: int
    suspicion: Suspicion
    alert_id: int | None = None
    """Of the alert that reports it, once there is one."""
    ended_at: int | None = None
    """When nothing was held by it any more."""
    ending: Ending | None = None
    settled: bool = False
    """Whether heartbeats have arrived again since, so that another one may begin."""


class IngestSuspicions:
    """All methods block and raise StorageUnavailable. Those that take a transaction are for use inside it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, transaction: Transaction, suspicion: Suspicion) -> StoredSuspicion:
        table = self._db.tables.ingest_suspicions
        row: dict[str, Any] = {name: getattr(suspicion, name) for name in _READ}
        row["monitor_ids"] = json.dumps([suspicion.late_ids, suspicion.other_ids], separators=(",", ":"))
        return StoredSuspicion(int(table.insert(**row, settled=False).execute()), suspicion)

    def end(
        self, transaction: Transaction, id: int, suspicion: Suspicion, ending: Ending, now: int, returned_at: int | None
    ) -> None:
        """Nothing is held by it any more. Unless it lasted, it is settled, too."""
        table = self._db.tables.ingest_suspicions
        change = {
            "ended_at": now,
            "ending": ending.value,
            "returned_at": returned_at,
            "late": suspicion.late,
            "sample": suspicion.sample,
            "settled": ending is not Ending.LASTED,
        }
        table.update(**change).where(table.id == id).execute()

    def settle(self, transaction: Transaction, id: int, returned_at: int) -> None:
        """Heartbeats arrive again, after all was sent."""
        table = self._db.tables.ingest_suspicions
        table.update(**{"settled": True, "returned_at": returned_at}).where(table.id == id).execute()

    def name_alert(self, transaction: Transaction, id: int, alert_id: int) -> None:
        table = self._db.tables.ingest_suspicions
        table.update(**{"alert_id": alert_id}).where(table.id == id).execute()

    def alert_of(self, id: int) -> int | None:
        """The alert that reports this suspicion, if it was reported."""
        table = self._db.tables.ingest_suspicions
        with self._db.read("read ingest suspicions"):
            return next((row[0] for row in table.select(table.alert_id).where(table.id == id).tuples()), None)

    def reported(self) -> tuple[int, int | None] | None:
        """The id of the suspicion that holds alerts, and that of the alert that reports it, if it was reported."""
        table = self._db.tables.ingest_suspicions
        on = (table.settled == False) & table.ended_at.is_null()  # noqa: E712 - SQL
        query = table.select(table.id, table.alert_id).where(on).order_by(table.id.desc()).limit(1)
        with self._db.read("read ingest suspicions"):
            return next(iter(query.tuples()), None)

    def unsettled(self) -> StoredSuspicion | None:
        """The one that holds alerts, or after which no heartbeat has arrived yet."""
        table = self._db.tables.ingest_suspicions
        return self._newest(table.settled == False)  # noqa: E712 - SQL

    def last_return(self) -> int | None:
        """When heartbeats arrived again after the newest suspicion that is settled."""
        table = self._db.tables.ingest_suspicions
        query = table.select(table.returned_at).where(table.returned_at.is_null(False)).order_by(table.id.desc())
        with self._db.read("read ingest suspicions"):
            return next((int(row[0]) for row in query.limit(1).tuples()), None)

    def current(self) -> Suspicion | None:
        """The one that holds alerts, without its sample."""
        table = self._db.tables.ingest_suspicions
        query = table.select(*(getattr(table, name) for name in _READ)).where(
            (table.settled == False) & table.ended_at.is_null()  # noqa: E712 - SQL
        )
        with self._db.read("read ingest suspicions"):
            return next(
                (_suspicion(row) for row in query.order_by(table.id.desc()).limit(1).tuples()),
                None,
            )

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`. What began in a future that is gone begins
        now, and is as long as before.
        """
        table = self._db.tables.ingest_suspicions
        ahead = table.since > now
        table.update(**{"until": table.until - by, "since": now}).where(ahead).execute()
        for name in ("counted_from", "last_received_at", "returned_at", "ended_at"):
            column = getattr(table, name)
            table.update(**{name: now}).where(column > now).execute()

    def set_forward(self, by: int) -> None:
        """Inside a transaction: the clock was set forward by so much, and no hold ends by that."""
        table = self._db.tables.ingest_suspicions
        table.update(**{"until": table.until + by}).where(table.ended_at.is_null()).execute()

    def _newest(self, condition: Any) -> StoredSuspicion | None:
        table = self._db.tables.ingest_suspicions
        columns = ("id", "alert_id", "ended_at", "ending", "settled", "monitor_ids", *_READ)
        query = table.select(*(getattr(table, name) for name in columns)).where(condition)
        with self._db.read("read ingest suspicions"):
            for id, alert_id, ended_at, ending, settled, ids, *rest in (
                query.order_by(table.id.desc()).limit(1).tuples()
            ):
                late, others = json.loads(ids)
                suspicion = _suspicion(rest, late, others)
                why = Ending(ending) if ending is not None else None
                return StoredSuspicion(id, suspicion, alert_id, ended_at, why, bool(settled))
        return None


def _suspicion(row: Sequence[Any], late: Iterable[int] = (), others: Iterable[int] = ()) -> Suspicion:
    """From _READ."""
    since, counted_from, last_received_at, until, late_count, sample = row
    return Suspicion(
        since, counted_from, last_received_at, until, late_count, sample, late_ids=tuple(late), other_ids=tuple(others)
    )
