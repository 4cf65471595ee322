"""Deletes what has expired, a few hundred rows a transaction, so that ingest never waits for it."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from peewee import fn

from exporter.core.clock import Clock
from exporter.storage.database import Bulk, Database, param
from exporter.storage.job_metrics import DELETED_FOR
from exporter.storage.rows import CHUNK

ROWS = 1000
"""Rows deleted in one transaction, about: some milliseconds, and heartbeats are committed between two."""


class Pruner:
    """Not thread-safe: one thread calls it. All methods raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._seen = -1
        self._prepared: _Statements | None = None

    def prune(self, heartbeat_log_size: int, history_retention: int) -> int:
        """Deletes what has expired and returns how many rows that were."""
        deleted = self._prune_logs(heartbeat_log_size)
        horizon = self._clock.now() - history_retention
        deleted += self._prune_transitions(horizon) + self._prune_alerting(horizon)
        blackouts = self._db.tables.blackouts
        deleted += self._delete(blackouts, blackouts.ended_at < horizon)
        suspicions = self._db.tables.ingest_suspicions
        deleted += self._delete(suspicions, suspicions.settled & (suspicions.ended_at < horizon))
        windows = self._db.tables.maintenances
        once_over = windows.rule.is_null() & (windows.starts_at + windows.duration < horizon)
        deleted += self._delete(windows, (windows.ended_at < horizon) | (once_over & ~windows.provisioned))
        return deleted + self._prune_job_metrics() + self._prune_removed(horizon)

    def _prune_logs(self, kept: int) -> int:
        """Looks for what goes without the lock, so that heartbeats wait for the deletions alone."""
        arrived = self._arrived()
        ids = list(arrived)
        at_once = max(1, min(Bulk.MAX_SIZE, ROWS * len(ids) // max(1, sum(arrived.values()))))
        statements = self._statements(kept)
        deleted = 0
        for start in range(0, len(ids), at_once):
            with self._db.read("prune") as reader:
                lasts = set(statements.last_to_go.read(reader, ids[start : start + at_once]))
            bounds = [value for monitor_id, last in lasts if last is not None for value in (monitor_id, last)]
            if bounds:
                with self._db.write("prune") as transaction:
                    deleted += statements.forget.write(transaction, bounds, 2)
        return deleted

    def _arrived(self) -> dict[int, int]:
        """How many heartbeats came since the last time, by monitor."""
        beats = self._db.tables.heartbeats
        with self._db.read("prune"):
            newest = int(next(iter(beats.select(fn.MAX(beats.id)).tuples()))[0] or 0)
            query = (
                beats.select(beats.monitor_id, fn.COUNT(beats.id))
                .where((beats.id > self._seen) & (beats.id <= newest))
                .group_by(beats.monitor_id)
            )
            counts = dict(query.tuples())
        self._seen = newest
        return counts

    def _statements(self, kept: int) -> "_Statements":
        if self._prepared is None or self._prepared.kept != kept:
            self._prepared = _Statements(self._db, kept)
        return self._prepared

    def _prune_transitions(self, horizon: int) -> int:
        """Each monitor's newest transition up to the horizon stays: it is the status that it had there."""
        transitions, newer = self._db.tables.transitions, self._db.tables.transitions.alias("newer")
        superseded = fn.EXISTS(
            newer.select(newer.id).where(
                (newer.monitor_id == transitions.monitor_id) & (newer.id > transitions.id) & (newer.at <= horizon)
            )
        )
        return self._delete(transitions, (transitions.at < horizon) & superseded)

    def _prune_alerting(self, horizon: int) -> int:
        """Ended alerts, incidents and messages: nothing that is firing, open or pending is deleted at any age."""
        tables = self._db.tables
        alerts, items, messages = tables.alerts, tables.notification_alerts, tables.notifications
        # A notifier that delivered an alert that still fires will get its end.
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
                for table in (tables.states, tables.runs, tables.runtimes, tables.job_metrics):
                    table.delete().where(table.monitor_id == monitor_id).execute()
                tables.monitors.delete().where(tables.monitors.id == monitor_id).execute()
        return deleted + len(ids)

    def _prune_job_metrics(self) -> int:
        """What is left of groups that were deleted, once every process has seen it."""
        groups, horizon, deleted = self._db.tables.job_metrics, self._clock.now() - DELETED_FOR, 0
        with self._db.read("prune"):
            over = groups.select(groups.monitor_id, groups.digest).where(groups.deleted_at < horizon).limit(ROWS)
            keys = list(over.tuples())
        for start in range(0, len(keys), CHUNK):
            with self._db.write("prune"):
                for monitor_id, digest in keys[start : start + CHUNK]:
                    key = (groups.monitor_id == monitor_id) & (groups.digest == digest)
                    deleted += groups.delete().where(key & (groups.deleted_at < horizon)).execute()
        return deleted

    def _delete_these(self, table: Any, ids: Sequence[int]) -> int:
        with self._db.write("prune"):
            rows: int = table.delete().where(table.id.in_(ids)).execute()
        return rows

    def _delete(self, table: Any, condition: Any) -> int:
        deleted = 0
        while True:
            with self._db.write("prune"):
                some = table.select(table.id).where(condition).order_by(table.id).limit(ROWS)
                rows: int = table.delete().where(table.id.in_(some)).execute()
            deleted += rows
            if rows < ROWS:
                return deleted


class _Statements:
    """Each for many monitors at a time, built once: under load as many rows go as come, and what that costs is taken
    from the heartbeats. Built for each monitor separately, it cost a twentieth of them.
    """

    def __init__(self, database: Database, kept: int) -> None:
        self.kept = kept
        beats, states = database.tables.heartbeats, database.tables.states
        beyond = (
            beats.select(beats.id)
            .where(beats.monitor_id == states.monitor_id)
            .order_by(beats.id.desc())
            .limit(1)
            .offset(kept)
        )
        self.last_to_go = Bulk(
            database,
            lambda ids: states.select(states.monitor_id, beyond).where(
                states.monitor_id.in_([param("monitor_id")] * ids)
            ),
        )
        """(monitor, id of the newest heartbeat that is one too many, or None)"""
        self.forget = Bulk(
            database,
            lambda monitors: beats.delete().where(
                reduce(
                    or_,
                    [(beats.monitor_id == param("monitor_id")) & (beats.id <= param("id")) for _ in range(monitors)],
                )
            ),
        )
