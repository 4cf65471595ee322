"""Runtimes in the database: computed by the process that holds the lease, read by all of them.

What is written takes the next number of a counter in the same transaction, so that a process that remembers the last
number it saw reads what is new, and every process shows the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import EXCLUDED

from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.order import in_order
from exporter.core.runtimes import Runtimes
from exporter.storage.database import Database, Prepared, Reader, Transaction, param
from exporter.storage.repositories.revisions import next_revision
from exporter.storage.rows import chunks

RUNTIMES_REVISION = "runtimes_revision"
_KINDS = {kind.value: kind for kind in Kind}


class RuntimeTable:
    """Statements; its methods are called inside a reading or a transaction of the database."""

    def __init__(self, database: Database) -> None:
        self._db = database
        beats, table = database.tables.heartbeats, database.tables.runtimes
        self._log = Prepared(
            database,
            beats.select(beats.kind, beats.received_at, beats.rid, beats.duration)
            .where(beats.monitor_id == param("monitor_id"))
            .order_by(beats.id.desc())
            .limit(param("kept")),
        )
        columns = ("monitor_id", "received", "runs", "median", "p95", "revision")
        self._put = Prepared(
            database,
            table.insert(
                [[param(column) for column in columns]], columns=[getattr(table, column) for column in columns]
            ).on_conflict(
                conflict_target=[table.monitor_id],
                update={getattr(table, column): getattr(EXCLUDED, column) for column in columns[1:]},
            ),
        )

    def log(self, reader: Reader, monitor_id: int, kept: int) -> list[Heartbeat]:
        """The newest `kept` heartbeats, in the order of receipt, without exit codes and outputs."""
        rows = list(reader.query(self._log, self._log.row({"monitor_id": monitor_id, "kept": kept})))
        return in_order(Heartbeat(_KINDS[kind], at, rid, None, "", took) for kind, at, rid, took in reversed(rows))

    def received(self, monitor_ids: Sequence[int]) -> dict[int, int]:
        """How many heartbeats each of these monitors has received; removed ones are left out."""
        states = self._db.tables.states
        query = states.select(states.monitor_id, states.received)
        return {
            int(id): int(received)
            for some in chunks(monitor_ids)
            for id, received in query.where(states.monitor_id.in_(some)).tuples()
        }

    def put(self, transaction: Transaction, computed: Mapping[int, Runtimes]) -> None:
        revision = next_revision(self._db, RUNTIMES_REVISION)
        rows = [
            self._put.row({"monitor_id": id, "revision": revision, **runtimes._asdict()})
            for id, runtimes in computed.items()
        ]
        transaction.execute_many(self._put, rows)

    def newest(self) -> int:
        """The last number that was given; 0 before the first."""
        settings = self._db.tables.settings
        query = settings.select(settings.value).where(settings.key == RUNTIMES_REVISION)
        return next((int(row[0]) for row in query.tuples()), 0)

    def since(self, revision: int) -> dict[int, Runtimes]:
        """What was written after the number `revision`, by monitor."""
        return load_runtimes(self._db, self._db.tables.runtimes.revision > revision)


def load_runtimes(database: Database, which: Any) -> dict[int, Runtimes]:
    """Inside a reading or a transaction: those that meet `which`, a condition on `runtimes`."""
    table = database.tables.runtimes
    query = table.select(table.monitor_id, table.received, table.runs, table.median, table.p95)
    return {id: Runtimes(*values) for id, *values in query.where(which).tuples()}
