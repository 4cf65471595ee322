"""How far every rule has come with every monitor that is not well."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import EXCLUDED, fn

from exporter.core.alerts.alert import Observation, RuleState
from exporter.core.status import Reason, Status
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.rows import chunks
from exporter.storage.tables import PROGRESS_COLUMNS


@dataclass(frozen=True, slots=True)
class Tracked:
    """One rule's progress with one monitor."""

    monitor_id: int
    rule: str
    fingerprint: str
    """Of the rule by which it was counted: an edited rule does not go on with what its former self counted."""
    progress: RuleState
    next_at: int | None
    """When it changes if nothing else happens."""
    alert_id: int | None = None
    """Of the alert that is on."""


class AlertProgress:
    """Queries, and writes for use inside a transaction; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database
        progress = database.tables.alert_progress
        kept = PROGRESS_COLUMNS[2:]
        self._keep = Prepared(
            database,
            progress.insert(**{column: param(column) for column in PROGRESS_COLUMNS}).on_conflict(
                conflict_target=[progress.monitor_id, progress.rule],
                update={getattr(progress, column): getattr(EXCLUDED, column) for column in kept},
            ),
        )
        self._drop = Prepared(
            database,
            progress.delete().where((progress.monitor_id == param("monitor_id")) & (progress.rule == param("rule"))),
        )

    def tracked(self, monitor_ids: Sequence[int] | None = None) -> list[Tracked]:
        """Of these monitors, or of all."""
        table = self._db.tables.alert_progress
        query = table.select(*(getattr(table, column) for column in PROGRESS_COLUMNS))
        with self._db.read("read alert progress"):
            if monitor_ids is None:
                return [_tracked(row) for row in query.tuples()]
            return [
                _tracked(row)
                for chunk in chunks(monitor_ids)
                for row in query.where(table.monitor_id.in_(chunk)).tuples()
            ]

    def due(self, now: int, limit: int) -> list[Tracked]:
        """Those that change by `now` with nothing else happening, the longest due first.

        A monitor whose own evaluation is due is left out: what it finds comes first.
        """
        table, states = self._db.tables.alert_progress, self._db.tables.states
        query = (
            table.select(*(getattr(table, column) for column in PROGRESS_COLUMNS))
            .join(states, on=(states.monitor_id == table.monitor_id))
            .where((table.next_at <= now) & (states.next_evaluation_at.is_null() | (states.next_evaluation_at > now)))
            .order_by(table.next_at)
            .limit(limit)
        )
        with self._db.read("find due alerts"):
            return [_tracked(row) for row in query.tuples()]

    def next_due(self) -> int | None:
        """When the next of them changes with nothing else happening; None when none ever does."""
        progress = self._db.tables.alert_progress
        with self._db.read("find next due alert"):
            moment = next(iter(progress.select(fn.MIN(progress.next_at)).tuples()))[0]
        return None if moment is None else int(moment)

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`. What was counted in a future that is gone
        is counted on from here; what began before goes by the new clock, so that nothing triggers too early.
        """
        progress = self._db.tables.alert_progress
        change = {"at": progress.at - by, "next_at": progress.next_at - by}
        progress.update(**change).where(progress.at > now).execute()

    def keep(self, transaction: Transaction, tracked: Iterable[Tracked]) -> None:
        transaction.execute_many(self._keep, [self._keep.row(_progress_row(item)) for item in tracked])

    def drop(self, transaction: Transaction, keys: Iterable[tuple[int, str]]) -> None:
        """Keys are (monitor id, rule)."""
        transaction.execute_many(
            self._drop, [self._drop.row({"monitor_id": monitor_id, "rule": rule}) for monitor_id, rule in keys]
        )


def _tracked(row: Sequence[Any]) -> Tracked:
    monitor_id, rule, fingerprint, triggered, elapsed, evaluations, at, status, reason, next_at, alert_id = row
    seen = Observation(at, Status(status), Reason(reason))
    progress = RuleState(bool(triggered), elapsed, evaluations, seen)
    return Tracked(monitor_id, rule, fingerprint, progress, next_at, alert_id)


def _progress_row(tracked: Tracked) -> Mapping[str, Any]:
    progress, seen = tracked.progress, tracked.progress.seen
    return {
        "monitor_id": tracked.monitor_id,
        "rule": tracked.rule,
        "fingerprint": tracked.fingerprint,
        "triggered": progress.triggered,
        "gained": progress.elapsed,
        "evaluations": progress.evaluations,
        "at": seen.at,
        "status": seen.status.value,
        "reason": seen.reason.value,
        "next_at": tracked.next_at,
        "alert_id": tracked.alert_id,
    }
