"""What a clock that was ahead has left in the database: moments in a future that is gone become the present."""

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import Case

from exporter.core.clock import HOUR, MINUTE
from exporter.core.trusted_clock import NOTABLE
from exporter.storage.database import Database
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.notifications import PENDING
from exporter.storage.delivery.outbox import Outbox
from exporter.storage.ingest_suspicions import IngestSuspicions
from exporter.storage.repositories.alert_progress import AlertProgress
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.maintenances import REVISION as MAINTENANCE_REVISION
from exporter.storage.repositories.monitors import REVISION as MONITOR_REVISION
from exporter.storage.repositories.revisions import hold_revision, next_revision
from exporter.storage.repositories.suppressions import SuppressionTable

SKIPPED = "clock"
"""The kind of a blackout that a clock was set forward over."""
ROWS = 20_000
"""Rows of a log looked at in one transaction."""
ENOUGH = 5
"""So many pieces of a log without any such row, from its newest on, and the rest has none either."""
MAX_PAUSE = HOUR
"""No message waits for longer between two attempts."""
_RECEIVED = ("last_received_at", "last_success_at", "last_failure_at", "last_start_at", "outcome_started_at")
_OF_LOG = ("received_at", "arrived_at")
BECOME_NOW: Mapping[str, Sequence[str]] = {
    "states": (*_RECEIVED, "status_since", "evaluated_at"),
    "transitions": ("at", "observed_at"),
    "monitors": ("created_at", "removed_at"),
    "monitor_secrets": ("created_at",),
    "monitor_tokens": ("created_at",),
    "ping_keys": ("created_at",),
    "maintenances": ("created_at", "ended_at"),
    "alerts": ("triggered_at", "resolved_at", "acknowledged_at"),
    "incidents": ("started_at", "resolved_at", "acknowledged_at", "updated_at"),
    "incident_updates": ("at",),
    "notifications": ("created_at", "ended_at"),
    "clocks": ("measured_at",),
    "job_metrics": ("pushed_at", "failed_at", "deleted_at"),
}
"""Columns of moments, by table. Those of the future become the moment at which that is noticed."""
HANDLED: Mapping[str, Sequence[str]] = {
    **BECOME_NOW,
    "heartbeats": _OF_LOG,
    "states": (*BECOME_NOW["states"], "next_evaluation_at"),
    "runs": ("started_at",),
    "blackouts": ("started_at", "ended_at"),
    "maintenances": (*BECOME_NOW["maintenances"], "starts_at"),
    "leases": ("expires_at",),
    "alert_progress": ("at", "next_at"),
    "alerts": (*BECOME_NOW["alerts"], "next_repeat_at"),
    "notifications": (*BECOME_NOW["notifications"], "next_attempt_at", "expires_at"),
    "notifier_holds": ("since", "until"),
    "held_alerts": ("since", "until", "set_at"),
    "suppressions": ("since", "unplanned_since", "release_at"),
    "ingest_suspicions": ("since", "counted_from", "last_received_at", "until", "returned_at", "ended_at"),
}
"""Every column of a moment that is moved when a clock that was ahead is right again. A test compares this with the
schema.
"""
AT_ONCE = 500
"""Monitors named in one statement."""


class FutureMoments:
    """All methods block and raise StorageUnavailable. They may be repeated: what is not in the future stays."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._progress, self._alerts, self._outbox = AlertProgress(database), Alerts(database), Outbox(database)
        self._held, self._suspicions = HeldAlerts(database), IngestSuspicions(database)

    def settle_log(self, now: int) -> int:
        """Moments of receipt, the newest rows first, in transactions of their own; how many rows were changed."""
        beats = self._db.tables.heartbeats
        changed = without = 0
        with self._db.read("find moments in the future"):
            newest = next(iter(beats.select(beats.id).order_by(beats.id.desc()).limit(1).tuples()), (0,))[0]
        while newest > 0 and without < ENOUGH:
            with self._db.write("settle moments in the future"):
                piece = (beats.id > newest - ROWS) & (beats.id <= newest)
                rows = max(self._now(beats, name, now, piece) for name in _OF_LOG)
            changed += rows
            without = 0 if rows else without + 1
            newest -= ROWS
        return changed

    def settle_wait(self, floor: int, now: int, replica: str) -> int:
        """Moves to `now` what `replica` received while its clock was behind the database's last stamp, and what carries
        that moment, `floor`, for it. In a transaction of its own; returns how many rows of the log were changed.
        """
        tables = self._db.tables
        beats, states, runs, monitors = tables.heartbeats, tables.states, tables.runs, tables.monitors
        with self._db.write("settle what was received behind the clock"):
            hold_revision(self._db, MONITOR_REVISION)
            candidates = states.select(states.monitor_id).where(states.last_received_at == floor)
            received = (beats.received_at == floor) & (beats.replica == replica) & beats.monitor_id.in_(candidates)
            ids = sorted(row[0] for row in beats.select(beats.monitor_id).where(received).distinct().tuples())
            changed: int = beats.update(received_at=now).where(received).execute() if ids else 0
            if ids:  # late ones of that time have moments of their own
                arrived = (beats.arrived_at == floor) & (beats.replica == replica) & beats.monitor_id.in_(candidates)
                beats.update(arrived_at=now).where(arrived).execute()
            for start in range(0, len(ids), AT_ONCE):
                piece = ids[start : start + AT_ONCE]
                for name in _RECEIVED:
                    column = getattr(states, name)
                    states.update(**{name: now}).where(states.monitor_id.in_(piece) & (column == floor)).execute()
                runs.update(started_at=now).where(runs.monitor_id.in_(piece) & (runs.started_at == floor)).execute()
                states.update(next_evaluation_at=now).where(states.monitor_id.in_(piece)).execute()
                # Every process reads these monitors again.
                revision = {MONITOR_REVISION: next_revision(self._db, MONITOR_REVISION)}
                monitors.update(**revision).where(monitors.id.in_(piece)).execute()
        return changed

    def settle(self, by: int, now: int) -> int:
        """Inside a transaction: all others, and has every monitor evaluated again. What is planned for after a while
        keeps its distance from the clock, which was set back by so much. Returns how many moments were changed.
        """
        tables = self._db.tables
        monitors, states, leases = tables.monitors, tables.states, tables.leases
        hold_revision(self._db, MONITOR_REVISION)
        self._db.lock(states.select(states.monitor_id).order_by(states.monitor_id))
        messages = tables.notifications
        # A message that began to wait while the clock was ahead has all its time left.
        begun_ahead = (messages.state == PENDING) & (messages.created_at > now)
        messages.update(**{"expires_at": messages.expires_at - by}).where(begun_ahead).execute()
        # Every process reads these monitors again: what it holds in memory is of the future too.
        late = now + NOTABLE
        of_the_future = states.select(states.monitor_id).where(
            (states.last_received_at > late) | (states.status_since > late) | (states.evaluated_at > late)
        )
        monitors.update(**{MONITOR_REVISION: next_revision(self._db, MONITOR_REVISION)}).where(
            monitors.id.in_(of_the_future)
        ).execute()
        self._settle_windows(by, now)  # by the moments at which they were made
        changed = sum(
            self._now(getattr(tables, table), name, now) for table, names in BECOME_NOW.items() for name in names
        )
        here = monitors.select(monitors.id).where(monitors.removed_at.is_null())
        again = states.next_evaluation_at.is_null() | (states.next_evaluation_at > now)
        states.update(**{"next_evaluation_at": now}).where(again & states.monitor_id.in_(here)).execute()
        # A run keeps its age: its duration would be too short.
        changed += self._back(tables.runs, "started_at", by, now)
        leases.update(**{"expires_at": now}).where(leases.expires_at > now + HOUR).execute()
        self._settle_blackouts(by, now)
        self._settle_plans(by, now)
        return changed

    def _settle_windows(self, by: int, now: int) -> None:
        """A window that was to begin when it was made has begun; others begin when people wanted them to."""
        windows = self._db.tables.maintenances
        age = windows.created_at - windows.starts_at
        at_once = (windows.created_at > now + NOTABLE) & (age >= 0) & (age < MINUTE)
        self._back(windows, "starts_at", by, now, at_once)
        next_revision(self._db, MAINTENANCE_REVISION)  # every process builds its calendar again

    def _settle_blackouts(self, by: int, now: int) -> None:
        """They keep their lengths. Time that a clock was set forward over, and that it is set back over, was lived."""
        blackouts = self._db.tables.blackouts
        skipped = (blackouts.kind == SKIPPED) & (blackouts.ended_at > now)
        blackouts.update(ended_at=blackouts.ended_at - by).where(skipped).execute()
        blackouts.delete().where((blackouts.kind == SKIPPED) & (blackouts.ended_at <= blackouts.started_at)).execute()
        for name in ("started_at", "ended_at"):
            self._back(blackouts, name, by, now)
            blackouts.update(**{name: now}).where(getattr(blackouts, name) > now).execute()
        blackouts.update(ended_at=blackouts.started_at).where(blackouts.ended_at < blackouts.started_at).execute()

    def _settle_plans(self, by: int, now: int) -> None:
        tables = self._db.tables
        self._progress.set_back(by, now)
        self._alerts.set_back(by, now)
        self._outbox.set_back(by, now)
        SuppressionTable(self._db).set_back(by, now)
        self._held.set_back(by, now)
        self._suspicions.set_back(by, now)
        messages = tables.notifications
        too_far = (messages.state == PENDING) & (messages.next_attempt_at > now + MAX_PAUSE)
        messages.update(**{"next_attempt_at": now}).where(too_far).execute()
        progress = tables.alert_progress
        ahead = {"next_at": progress.next_at - (progress.at - now), "at": now}
        progress.update(**ahead).where(progress.at > now).execute()

    def _back(self, table: Any, name: str, by: int, now: int, among: Any = None) -> int:
        """Moves moments of the future back by so much, and to `now` what is in the future even so."""
        column = getattr(table, name)
        ahead = column > now + NOTABLE
        moved = {name: Case(None, [(column - by > now, now)], column - by)}
        rows: int = table.update(**moved).where(ahead if among is None else ahead & among).execute()
        return rows

    def _now(self, table: Any, name: str, now: int, among: Any = None) -> int:
        column = getattr(table, name)
        condition = column > now + NOTABLE
        rows: int = table.update(**{name: now}).where(condition if among is None else condition & among).execute()
        return rows


def shift_plans(database: Database, by: int) -> None:
    """Inside a transaction: the clock was set forward by so much, and no plan comes due by that."""
    messages, alerts = database.tables.notifications, database.tables.alerts
    later = {"next_attempt_at": messages.next_attempt_at + by, "expires_at": messages.expires_at + by}
    messages.update(**later).where(messages.state == PENDING).execute()
    SuppressionTable(database).set_forward(by)
    HeldAlerts(database).set_forward(by)
    IngestSuspicions(database).set_forward(by)
    alerts.update(**{"next_repeat_at": alerts.next_repeat_at + by}).where(
        alerts.next_repeat_at.is_null(False)
    ).execute()
