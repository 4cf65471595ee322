"""What does not count against a monitor: blackouts, in which no heartbeat could be recorded, and maintenance."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from exporter.core.clock import DAY
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, covering, merged, moment_after

_MAX_SPAN = 366 * DAY
"""Windows that adjoin one another without end are read for a year at a time."""


class Maintenance(Protocol):
    """A window, once or recurring, for some monitors. Compared by identity or by value, and hashable."""

    def applies_to(self, monitor: Monitor) -> bool: ...

    def tags(self) -> frozenset[str] | None:
        """The only tags it may apply to; None when every monitor has to be asked."""
        ...

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Its windows that overlap the time from `start` up to `end`, whole, in order."""
        ...

    def next_start(self, after: int) -> int | None:
        """When its next window begins after that moment; None if none ever does."""
        ...


@dataclass(frozen=True, eq=False)
class Exclusions:
    """What does not count against one monitor, and against all others that have the same maintenance."""

    blackouts: tuple[Span, ...] = ()
    """Merged."""
    maintenances: tuple[Maintenance, ...] = ()
    unreachable: tuple[Span, ...] = ()
    """Merged. Time in which heartbeats did not reach the exporter: it stops lateness and runs, and forgives no tick."""

    def maintenance(self, at: int) -> Span | None:
        """The window in which the moment `at` lies, with whatever windows join on at its end."""
        if not self.maintenances:
            return None
        current, end = None, at
        while True:
            longer = covering(self._windows(at, end + 1), at)
            if longer is None or longer == current or longer.length > _MAX_SPAN:
                return longer
            current, end = longer, longer.end

    def next_maintenance(self, after: int) -> int | None:
        """When the next window begins after that moment."""
        starts = (window.next_start(after) for window in self.maintenances)
        return min((start for start in starts if start is not None), default=None)

    def exclusion_at(self, at: int) -> Span | None:
        """The blackout or window in which the moment `at` lies: what was expected then is forgiven."""
        return covering(self.blackouts, at) or self.maintenance(at)

    def arrival_of(self, due: int) -> int:
        """The moment from which an expectation of the moment `due` counts: what was expected while heartbeats did not
        reach the exporter is expected when they do again.
        """
        span = covering(self.unreachable, due) if self.unreachable else None
        return due if span is None else span.end

    def deadline(self, start: int, length: int, now: int) -> int:
        """When so much time has passed since `start` that counts, as far as is known at the moment `now`: windows that
        have not begun by then are left out.
        """
        spans = self._stopped
        if self.maintenances:
            spans = merged((*spans, *self._windows(start, now + 1)))
        return moment_after(start, length, spans)

    @cached_property
    def _stopped(self) -> tuple[Span, ...]:
        return merged((*self.blackouts, *self.unreachable)) if self.unreachable else self.blackouts

    def _windows(self, start: int, end: int) -> tuple[Span, ...]:
        return merged(span for window in self.maintenances for span in window.spans(start, end))


EVERYTHING_COUNTS = Exclusions()


@dataclass(frozen=True, eq=False)
class Calendar:
    """All blackouts and all maintenance, as they were known at one moment; replaced when that changes."""

    blackouts: tuple[Span, ...] = ()
    """Merged."""
    maintenances: tuple[Maintenance, ...] = ()
    forgives: bool = True
    """Whether blackouts are forgiven: `after_outage` says so."""
    skipped: tuple[Span, ...] = ()
    """Merged. What a clock was set forward over: it never was, and counts for nothing, whatever `after_outage` is."""
    unreachable: tuple[Span, ...] = ()
    """Merged. Time in which heartbeats did not reach the exporter, which was there."""
    _made: dict[tuple[Maintenance, ...], Exclusions] = field(default_factory=dict, repr=False)

    @cached_property
    def away(self) -> tuple[Span, ...]:
        """Merged. All time in which no heartbeat could be recorded, for whatever reason."""
        return merged((*self.blackouts, *self.unreachable)) if self.unreachable else self.blackouts

    def of(self, monitor: Monitor) -> Exclusions:
        """The same object for all monitors with the same maintenance."""
        if not self.maintenances:
            return self._plain
        named, others = self._by_tag
        # Pauses of single monitors pile up, and are looked at for every monitor whenever one is added.
        asked = (*others, *named.get(monitor.tag, ()))
        chosen = tuple(window for window in asked if window.applies_to(monitor))
        if not chosen:
            return self._plain
        return self._made.setdefault(chosen, Exclusions(self._plain.blackouts, chosen, self._plain.unreachable))

    @cached_property
    def _by_tag(self) -> tuple[dict[str, list[Maintenance]], list[Maintenance]]:
        """By the only tags that they may apply to, and those that every monitor is asked for."""
        named: dict[str, list[Maintenance]] = {}
        others: list[Maintenance] = []
        for window in self.maintenances:
            tags = window.tags()
            if tags is None:
                others.append(window)
            for tag in tags or ():
                named.setdefault(tag, []).append(window)
        return named, others

    @cached_property
    def _plain(self) -> Exclusions:
        if not self.forgives:
            return Exclusions(self.skipped)
        return Exclusions(merged((*self.blackouts, *self.skipped)), unreachable=self.unreachable)
