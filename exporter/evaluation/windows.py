"""Maintenance windows that start and end: the log says so at the moment."""

from exporter.core.exclusions import Calendar
from exporter.core.maintenance import Window
from exporter.core.spans import covering
from exporter.presentation.events import EventLog, LogEvent


class MaintenanceWatch:
    """Belongs to the evaluator's thread."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._calendar: Calendar | None = None
        self._running: dict[str, int] | None = None
        """Name → when the window that runs started; None before the first look."""
        self._next: int | None = None
        """When the first of them starts or ends, as far as the calendar says."""

    def look(self, calendar: Calendar, now: int) -> None:
        """Costs nothing until a window starts or ends, or another calendar is in force."""
        if calendar is self._calendar and (self._next is None or now < self._next):
            return
        running, moments = {}, []
        for window in calendar.maintenances:
            if not isinstance(window, Window):
                continue
            span = covering(window.spans(now, now + 1), now)
            if span is not None:
                running[window.name] = span.start
                moments.append(span.end)
                if self._running is not None and self._running.get(window.name) != span.start:
                    self._events.record(
                        LogEvent.MAINTENANCE_STARTED, maintenance=window.name, at=span.start, until=span.end
                    )
            start = window.next_start(now)
            if start is not None:
                moments.append(start)
        for name in (self._running or {}).keys() - running.keys():
            self._events.record(LogEvent.MAINTENANCE_ENDED, maintenance=name, at=now)
        self._calendar, self._running, self._next = calendar, running, min(moments, default=None)

    def forget(self) -> None:
        """Another process evaluates from now on, and logs."""
        self._calendar, self._running = None, None
