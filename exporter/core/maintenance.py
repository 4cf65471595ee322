"""Maintenance: a window, once or recurring, in which the monitors that it is for neither alarm nor count."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.core.alerts.alert_rule import Selector
from exporter.core.calendar.recurrence import recurrence, trouble_of
from exporter.core.clock import DAY
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, covering, merged

MAX_RECURRING = 31 * DAY
"""Of one window that recurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Implements core.calendar.Maintenance. Moments are Unix time in milliseconds, durations milliseconds."""

    name: str
    selector: Selector
    starts_at: int
    """When it begins, for the first time."""
    duration: int
    """Time that passes, whatever the clocks do meanwhile."""
    rule: str | None = None
    """An RFC 5545 recurrence rule; None is once."""
    timezone: str = "UTC"
    """Of the rule."""
    description: str = ""
    ended_at: int | None = None
    """When it was ended early; before that it counts as it did."""

    def applies_to(self, monitor: Monitor) -> bool:
        return self.selector.matches(monitor)

    def tags(self) -> frozenset[str] | None:
        tags = self.selector.tags
        return frozenset(tags) if tags and not any(set(tag) & set("*?[") for tag in tags) else None

    @property
    def trouble(self) -> str | None:
        """Why its rule, one of an earlier version, cannot be used; it never begins then."""
        return None if self.rule is None else trouble_of(self.rule, self.starts_at, self.timezone)

    def spans(self, start: int, end: int) -> Sequence[Span]:
        if self.trouble is not None:
            return ()
        if self.ended_at is not None:
            end = min(end, self.ended_at)
        if self.rule is None:
            begins: Sequence[int] = (self.starts_at,)
        else:
            begins = recurrence(self.rule, self.starts_at, self.timezone).between(start - self.duration + 1, end)
        whole = (Span(begin, self._until(begin)) for begin in begins)
        return merged(span for span in whole if span.start < end and span.end > start)

    def running(self, now: int) -> Span | None:
        """The occurrence that is in progress at `now`, if there is one."""
        return covering(self.spans(now, now + 1), now)

    def next_start(self, after: int) -> int | None:
        start: int | None
        if self.trouble is not None:
            return None
        if self.rule is None:
            start = self.starts_at if self.starts_at > after else None
        else:
            start = recurrence(self.rule, self.starts_at, self.timezone).after(after)
        return None if start is None or (self.ended_at is not None and start >= self.ended_at) else start

    def over_at(self) -> int | None:
        """The moment from which it has no effect any more; None while that is unknown."""
        if self.ended_at is not None:
            return self.ended_at
        return self.starts_at + self.duration if self.rule is None else None

    def _until(self, begin: int) -> int:
        end = begin + self.duration
        return end if self.ended_at is None else min(end, self.ended_at)
