"""Forgets what is past keeping, a few hundred rows a transaction, so that ingest never waits for it."""

from collections.abc import Iterable
from typing import Any

from peewee import fn

from exporter.core.clock import Clock
from exporter.storage.database import Database

ROWS = 500
"""Rows deleted in one transaction: a few milliseconds, and heartbeats are committed between two."""


class Pruner:
    """Not thread-safe: one thread calls it. All methods raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._seen = -1

    def prune(self, heartbeats_kept: int, transitions_kept: int) -> int:
        """Deletes what is past keeping and returns how many rows went."""
        deleted = sum(self._prune_log(monitor_id, heartbeats_kept) for monitor_id in self._with_new_heartbeats())
        horizon = self._clock.now() - transitions_kept
        return deleted + self._prune_transitions(horizon) + self._prune_removed(horizon)

    def _with_new_heartbeats(self) -> Iterable[int]:
        beats = self._db.tables.heartbeats
        with self._db.read("prune"):
            newest = int(next(iter(beats.select(fn.MAX(beats.id)).tuples()))[0] or 0)
            query = beats.select(beats.monitor_id).where((beats.id > self._seen) & (beats.id <= newest)).distinct()
            ids = [row[0] for row in query.tuples()]
        self._seen = newest
        return ids

    def _prune_log(self, monitor_id: int, kept: int) -> int:
        beats = self._db.tables.heartbeats
        mine = beats.monitor_id == monitor_id
        with self._db.read("prune"):
            last_out = beats.select(beats.id).where(mine).order_by(beats.id.desc()).limit(1).offset(kept)
            cut = next((row[0] for row in last_out.tuples()), None)
        return 0 if cut is None else self._delete(beats, mine & (beats.id <= cut))

    def _prune_transitions(self, horizon: int) -> int:
        """Each monitor's newest transition stays, whatever its age: it is the status it has."""
        transitions, newer = self._db.tables.transitions, self._db.tables.transitions.alias("newer")
        superseded = fn.EXISTS(
            newer.select(newer.id).where((newer.monitor_id == transitions.monitor_id) & (newer.id > transitions.id))
        )
        return self._delete(transitions, (transitions.at < horizon) & superseded)

    def _prune_removed(self, horizon: int) -> int:
        tables = self._db.tables
        with self._db.read("prune"):
            query = tables.monitors.select(tables.monitors.id).where(tables.monitors.removed_at < horizon).limit(ROWS)
            ids = [row[0] for row in query.tuples()]
        deleted = 0
        for monitor_id in ids:
            for table in (tables.heartbeats, tables.transitions):
                # The newest row of all stays until the next round: a follower has to see its number taken.
                newest = table.select(fn.MAX(table.id))
                deleted += self._delete(table, (table.monitor_id == monitor_id) & (table.id < newest))
            with self._db.write("prune"):
                for table in (tables.states, tables.runs):
                    table.delete().where(table.monitor_id == monitor_id).execute()
                tables.monitors.delete().where(tables.monitors.id == monitor_id).execute()
        return deleted + len(ids)

    def _delete(self, table: Any, condition: Any) -> int:
        deleted = 0
        while True:
            with self._db.write("prune"):
                some = table.select(table.id).where(condition).order_by(table.id).limit(ROWS)
                rows: int = table.delete().where(table.id.in_(some)).execute()
            deleted += rows
            if rows < ROWS:
                return deleted
