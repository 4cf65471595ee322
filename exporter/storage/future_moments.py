"""What a clock that was ahead has left in the database: moments in a future that is gone become the present."""

from typing import Any

from exporter.core.clock import HOUR
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

ROWS = 20_000
"""Rows of a log looked at in one transaction."""
ENOUGH = 5
"""So many pieces of a log without any such row, from its newest on, and the rest has none either."""
MAX_PAUSE = HOUR
"""No message waits for longer between two attempts."""
_RECEIVED = ("last_received_at", "last_success_at", "last_failure_at", "last_start_at", "outcome_started_at")
_STATE = (*_RECEIVED, "status_since", "evaluated_at")
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
                rows = self._now(beats, "received_at", now, piece)
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
        # Every process reads these monitors again: what it holds in memory is of the future too.
        late = now + NOTABLE
        of_the_future = states.select(states.monitor_id).where(
            (states.last_received_at > late) | (states.status_since > late) | (states.evaluated_at > late)
        )
        monitors.update(**{MONITOR_REVISION: next_revision(self._db, MONITOR_REVISION)}).where(
            monitors.id.in_(of_the_future)
        ).execute()
        changed = sum(self._now(states, name, now) for name in _STATE)
        here = monitors.select(monitors.id).where(monitors.removed_at.is_null())
        again = states.next_evaluation_at.is_null() | (states.next_evaluation_at > now)
        states.update(**{"next_evaluation_at": now}).where(again & states.monitor_id.in_(here)).execute()
        changed += self._now(tables.runs, "started_at", now)
        for name in ("at", "observed_at"):
            changed += self._now(tables.transitions, name, now)
        for name in ("created_at", "removed_at"):
            changed += self._now(monitors, name, now)
        leases.update(**{"expires_at": now}).where(leases.expires_at > now + HOUR).execute()
        self._settle_calendar(now)
        return changed + self._settle_alerting(by, now)

    def _settle_calendar(self, now: int) -> None:
        blackouts, windows = self._db.tables.blackouts, self._db.tables.maintenances
        blackouts.update(**{"started_at": now}).where(blackouts.started_at > now).execute()
        blackouts.update(**{"ended_at": now}).where(blackouts.ended_at > now).execute()
        for name in ("created_at", "ended_at"):
            self._now(windows, name, now)
        next_revision(self._db, MAINTENANCE_REVISION)  # every process builds its calendar again

    def _settle_alerting(self, by: int, now: int) -> int:
        tables = self._db.tables
        self._progress.set_back(by, now)
        self._alerts.set_back(by, now)
        self._outbox.set_back(by, now)
        SuppressionTable(self._db).set_back(by, now)
        self._held.set_back(by, now)
        self._suspicions.set_back(by, now)
        messages = tables.notifications
        # A message that began to wait while the clock was ahead has all its time left.
        begun_ahead = (messages.state == PENDING) & (messages.created_at > now)
        messages.update(**{"expires_at": messages.expires_at - by}).where(begun_ahead).execute()
        too_far = (messages.state == PENDING) & (messages.next_attempt_at > now + MAX_PAUSE)
        messages.update(**{"next_attempt_at": now}).where(too_far).execute()
        progress = tables.alert_progress
        ahead = {"next_at": progress.next_at - (progress.at - now), "at": now}
        progress.update(**ahead).where(progress.at > now).execute()
        return sum(
            self._now(table, name, now)
            for table, names in (
                (tables.alerts, ("triggered_at", "resolved_at", "acknowledged_at")),
                (tables.incidents, ("started_at", "resolved_at", "acknowledged_at", "updated_at")),
                (tables.incident_updates, ("at",)),
                (messages, ("created_at", "ended_at")),
            )
            for name in names
        )

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
