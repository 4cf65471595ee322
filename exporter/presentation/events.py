"""The events of the log: one line for each thing that happens to a monitor, an alert, an incident or a notification.

The text of a line is constant and the rest are fields, so that JSON logs can be searched by them. Each event is in
docs/log.md; a test compares. A new event is a member of LogEvent, its fields, and a row there.
"""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from exporter.core.clock import SECOND, Clock, SystemClock
from exporter.presentation.moments import rfc3339

log = logging.getLogger("exporter.events")

PERIOD = 10 * SECOND
LINES = 200
"""Lines of one event in a period. The others are counted: 100,000 monitors that change at once must not wait for the
log, and a reader could not read them."""
MAX_NAMES = 10
"""Names in one field; more are counted by another one."""


class LogEvent(StrEnum):
    STATUS_CHANGED = "status changed"
    ALERT_FIRING = "alert firing"
    ALERT_HELD = "alert held"
    ALERT_RELEASED = "alert released"
    ALERT_RESOLVED = "alert resolved"
    INCIDENT_OPENED = "incident opened"
    INCIDENT_UPDATED = "incident updated"
    INCIDENT_ACKNOWLEDGED = "incident acknowledged"
    INCIDENT_RESOLVED = "incident resolved"
    MONITOR_ADDED = "monitor added"
    MONITOR_CHANGED = "monitor changed"
    MONITOR_REMOVED = "monitor removed"
    MONITOR_PAUSED = "monitor paused"
    MONITOR_RESUMED = "monitor resumed"
    MAINTENANCE_STARTED = "maintenance started"
    MAINTENANCE_ENDED = "maintenance ended"
    NOTIFICATION_DELIVERED = "notification delivered"
    NOTIFICATION_FAILED = "notification failed"
    NOTIFICATION_GIVEN_UP = "notification given up"
    EVENTS_OMITTED = "events omitted"


_NOTIFICATION = ("notifier", "key", "notification", "attempts", "alerts", "monitor", "alert", "rule")
FIELDS: Mapping[LogEvent, tuple[str, ...]] = {
    LogEvent.STATUS_CHANGED: ("monitor", "status", "previous", "reason", "at"),
    LogEvent.ALERT_FIRING: ("monitor", "rule", "alert", "severity", "status", "reason", "incident", "at"),
    LogEvent.ALERT_HELD: ("monitor", "rule", "alert", "held_by", "at", "until"),
    LogEvent.ALERT_RELEASED: ("monitor", "rule", "alert", "at"),
    LogEvent.ALERT_RESOLVED: ("monitor", "rule", "alert", "severity", "reason", "incident", "at"),
    LogEvent.INCIDENT_OPENED: ("monitor", "incident", "severity", "title", "at"),
    LogEvent.INCIDENT_UPDATED: ("monitor", "incident", "state", "author", "at"),
    LogEvent.INCIDENT_ACKNOWLEDGED: ("monitor", "incident", "author", "at"),
    LogEvent.INCIDENT_RESOLVED: ("monitor", "incident", "author", "at"),
    LogEvent.MONITOR_ADDED: ("monitor", "provisioned"),
    LogEvent.MONITOR_CHANGED: ("monitor", "provisioned"),
    LogEvent.MONITOR_REMOVED: ("monitor", "provisioned"),
    LogEvent.MONITOR_PAUSED: ("monitor",),
    LogEvent.MONITOR_RESUMED: ("monitor",),
    LogEvent.MAINTENANCE_STARTED: ("maintenance", "at", "until"),
    LogEvent.MAINTENANCE_ENDED: ("maintenance", "at"),
    LogEvent.NOTIFICATION_DELIVERED: (*_NOTIFICATION, "answer"),
    LogEvent.NOTIFICATION_FAILED: (*_NOTIFICATION, "reason", "error"),
    LogEvent.NOTIFICATION_GIVEN_UP: (*_NOTIFICATION, "reason", "error"),
    LogEvent.EVENTS_OMITTED: ("omitted", "count", "by_status"),
}
"""What a line of the event may have beside its text; a field without a value is left out."""
_LEVELS = {LogEvent.NOTIFICATION_FAILED: logging.WARNING, LogEvent.NOTIFICATION_GIVEN_UP: logging.ERROR}
_MOMENTS = ("at", "until")
"""Given as Unix time in milliseconds, written in RFC 3339."""


class EventLog:
    """Any thread may call it."""

    def __init__(self, clock: Clock | None = None, lines: int = LINES) -> None:
        self._clock = clock or SystemClock()
        self._lines = lines
        self._lock = threading.Lock()
        self._period: int | None = None
        """When it began, by the steady clock."""
        self._written: Counter[LogEvent] = Counter()
        self._omitted: dict[LogEvent, Counter[str]] = {}

    def record(self, event: LogEvent, **fields: object) -> None:
        """Writes a line, or counts it when there were too many of its kind in this period."""
        with self._lock:
            due = self._summaries()
            self._written[event] += 1
            omitted = self._written[event] > self._lines
            if omitted:
                self._omitted.setdefault(event, Counter())[str(fields.get("status", ""))] += 1
        self._write_summaries(due)
        if not omitted:
            _write(event, fields)

    def flush(self) -> None:
        """To be called every so often: writes what was counted, once the period is over."""
        with self._lock:
            due = self._summaries()
        self._write_summaries(due)

    def close(self) -> None:
        """Writes what was counted."""
        with self._lock:
            due, self._omitted, self._period = self._omitted, {}, None
        self._write_summaries(due)

    def _summaries(self) -> Mapping[LogEvent, Counter[str]]:
        now = self._clock.monotonic()
        if self._period is not None and now - self._period < PERIOD:
            return {}
        due, self._omitted, self._period = self._omitted, {}, now
        self._written.clear()
        return due

    @staticmethod
    def _write_summaries(due: Mapping[LogEvent, Counter[str]]) -> None:
        for event, counts in due.items():
            by_status = ", ".join(f"{status} {count}" for status, count in counts.most_common() if status)
            _write(LogEvent.EVENTS_OMITTED, {"omitted": event.value, "count": counts.total(), "by_status": by_status})


def some(names: list[str]) -> str:
    """The first of them, as one field."""
    return ",".join(list(dict.fromkeys(names))[:MAX_NAMES])


def _write(event: LogEvent, fields: Mapping[str, object]) -> None:
    unknown = fields.keys() - set(FIELDS[event])
    assert not unknown, f"not in FIELDS: {unknown}"
    extra = {}
    for name, value in fields.items():
        if value is not None and value != "":
            shown = rfc3339(value) if name in _MOMENTS and isinstance(value, int) else value
            extra[name] = shown.value if isinstance(shown, StrEnum) else shown
    log.log(_LEVELS.get(event, logging.INFO), event.value, extra=extra)
