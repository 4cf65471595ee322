"""Forgets what is past keeping, a few hundred rows a transaction, so that ingest never waits for it."""

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import fn

from exporter.core.clock import Clock
from exporter.storage.database import Database
from exporter.storage.snapshot import CHUNK

ROWS = 1000
"""Rows deleted in one transaction: some milliseconds, and heartbeats are committed between two."""


class Pruner:
    """Not thread-safe: one thread calls it. All methods raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._seen = -1

    def prune(self, heartbeats_kept: int, transitions_kept: int) -> int:
        """Deletes what is past keeping and returns how many rows went."""
        deleted = self._prune_logs(heartbeats_kept)
        horizon = self._clock.now() - transitions_kept
        deleted += self._prune_transitions(horizon) + self._prune_alerting(horizon)
        return deleted + self._prune_removed(horizon)

    def _prune_logs(self, kept: int) -> int:
        """Looks for what goes without a lock, so that the lock is held for one statement at a time."""
        beats = self._db.tables.heartbeats
        deleted = 0
        doomed: list[int] = []
        for monitor_id in self._with_new_heartbeats():
            query = beats.select(beats.id).where(beats.monitor_id == monitor_id).order_by(beats.id.desc()).offset(kept)
            with self._db.read("prune"):
                doomed += [row[0] for row in query.tuples()]
            while len(doomed) >= ROWS:
                deleted += self._delete_these(beats, doomed[:ROWS])
                del doomed[:ROWS]
        return deleted + self._delete_these(beats, doomed)

    def _delete_these(self, table: Any, ids: Sequence[int]) -> int:
        if not ids:
            return 0
        with self._db.write("prune"):
            rows: int = table.delete().where(table.id.in_(ids)).execute()
        return rows

    def _with_new_heartbeats(self) -> Iterable[int]:
        beats = self._db.tables.heartbeats
        with self._db.read("prune"):
            newest = int(next(iter(beats.select(fn.MAX(beats.id)).tuples()))[0] or 0)
            query = beats.select(beats.monitor_id).where((beats.id > self._seen) & (beats.id <= newest)).distinct()
            ids = [row[0] for row in query.tuples()]
        self._seen = newest
        return ids

    def _prune_transitions(self, horizon: int) -> int:
        """Each monitor's newest transition stays, whatever its age: it is the status it has."""
        transitions, newer = self._db.tables.transitions, self._db.tables.transitions.alias("newer")
        superseded = fn.EXISTS(
            newer.select(newer.id).where((newer.monitor_id == transitions.monitor_id) & (newer.id > transitions.id))
        )
        return self._delete(transitions, (transitions.at < horizon) & superseded)

    def _prune_alerting(self, horizon: int) -> int:
        """What is over: nothing that is on, open or owed goes, whatever its age."""
        tables = self._db.tables
        alerts, items, messages = tables.alerts, tables.notification_alerts, tables.notifications
        # Who was told of an alert that is still on is owed its end.
        on = (
            items.select(items.id)
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((items.notification_id == messages.id) & alerts.resolved_at.is_null())
        )
        over = (messages.ended_at < horizon) & ~fn.EXISTS(on)
        deleted = self._delete_families(messages, over, items.notification_id)
        incidents, updates = tables.incidents, tables.incident_updates
        deleted += self._delete_families(incidents, incidents.resolved_at < horizon, updates.incident_id)
        return deleted + self._delete(alerts, alerts.resolved_at < horizon)

    def _delete_families(self, parents: Any, condition: Any, child_of: Any) -> int:
        """Parents that meet the condition, each after its children."""
        deleted = 0
        while True:
            with self._db.read("prune"):
                ids = [row[0] for row in parents.select(parents.id).where(condition).limit(CHUNK).tuples()]
            for parent in ids:
                deleted += self._delete(child_of.source, child_of == parent)
            if not ids:
                return deleted
            deleted += self._delete_these(parents, ids)

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
