"""Suppression: while a monitor that it depends on is in trouble, a late monitor's alerts are held.

    not suppressed ──late, and a parent in trouble──▶ suppressed ──no parent in trouble──▶ waiting for its release
    waiting for its release ──a parent in trouble again, the first time──▶ suppressed
    waiting for its release ──the moment of release──▶ released ──no longer late──▶ not suppressed

A parent suppresses over any number of levels. The state of each suppressed monitor is a row of the database, so every
process goes on with what another one began.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import DAY
from exporter.core.dependencies.graph import DependencyGraph
from exporter.core.errors import InvalidValue
from exporter.core.monitor import Monitor
from exporter.core.status import Reason

MAX_SUPPRESSION = DAY
"""No alert is held for longer."""
SUPPRESSING = frozenset((Reason.LATE, Reason.MISSED, Reason.FAILED, Reason.OVERRUN, Reason.MAINTENANCE))
"""Of a parent: why its children are not expected to report."""
HELD = frozenset((Reason.LATE, Reason.MISSED, Reason.OVERRUN))
"""Of a child: what may have the parent's trouble as its cause. A failure that a job reports is never held."""


class ParentTrouble(Enum):
    """What the monitors that one depends on are in, all together."""

    NONE = "none"
    PLANNED = "planned"
    """All of those that suppress are in MAINTENANCE."""
    UNPLANNED = "unplanned"


@dataclass(frozen=True, slots=True)
class Suppression:
    """Of one monitor that is late. Moments are Unix time in milliseconds."""

    since: int
    unplanned_since: int | None = None
    """Since when a parent is in trouble that is not in MAINTENANCE, of which people expect a message; None when all
    that are in trouble are in MAINTENANCE, or all are well.
    """
    release_at: int | None = None
    """When its alerts are released; None while a parent is in trouble."""
    restarted: bool = False
    """Whether a parent was in trouble again after all were well."""
    released: bool = False
    """Its alerts are held no more; this stays until the monitor is no longer late."""
    cause_id: int | None = None
    """The number of the monitor whose message reports it: the most distant one that suppresses it."""

    @property
    def next_at(self) -> int | None:
        """When it changes if nothing else happens."""
        if self.released:
            return None
        longest = self.since + MAX_SUPPRESSION
        return longest if self.release_at is None else min(longest, self.release_at)


@dataclass(frozen=True, slots=True)
class Suppressions:
    """Of all monitors, as of one number of a counter in the database."""

    by_monitor: Mapping[int, Suppression]
    revision: int


NO_SUPPRESSIONS = Suppressions({}, -1)


def advance(
    suppression: Suppression | None,
    monitor: Monitor,
    last_success_at: int | None,
    *,
    late: bool,
    trouble: ParentTrouble,
    at: int,
) -> Suppression | None:
    """What becomes of it at the moment `at`; None when the monitor is not suppressed.

    `late`: whether the monitor's reason is one of HELD. `trouble`: that of the monitors that it depends on.
    """
    if not late:
        return None
    unplanned = trouble is ParentTrouble.UNPLANNED
    if suppression is None:
        if trouble is ParentTrouble.NONE:
            return None
        return Suppression(at, at if unplanned else None)
    if suppression.released:
        return suppression
    if suppression.next_at is not None and at >= suppression.next_at:
        return replace(suppression, released=True)
    if unplanned is not (suppression.unplanned_since is not None):
        suppression = replace(suppression, unplanned_since=at if unplanned else None)
    if trouble is not ParentTrouble.NONE:
        if suppression.release_at is not None and not suppression.restarted:
            return replace(suppression, release_at=None, restarted=True)
        return suppression
    if suppression.release_at is None:
        release_at = min(release_moment(monitor, last_success_at, at), suppression.since + MAX_SUPPRESSION)
        return replace(suppression, release_at=release_at)
    return suppression


def release_moment(monitor: Monitor, last_success_at: int | None, well_at: int) -> int:
    """When the alerts of a monitor are released that is still late, if the last parent has been well since `well_at`:
    `release_after` after its next deadline, which is taken to be at most `down_after` away.
    """
    deadline = _next_expected(monitor, last_success_at, well_at) + monitor.degraded_after
    return min(max(deadline, well_at), well_at + monitor.down_after) + monitor.release_after


def _next_expected(monitor: Monitor, last_success_at: int | None, after: int) -> int:
    """When the next success should come: with neither schedule nor interval at any time, so by `degraded_after`."""
    if monitor.schedule is not None:
        try:
            return next_tick(monitor.schedule, monitor.timezone, after)
        except InvalidValue:  # it never ticks again
            return after
    if monitor.every is not None and last_success_at is not None and last_success_at <= after:
        return after + monitor.every - (after - last_success_at) % monitor.every
    return after


class Trouble:
    """Which monitors suppress others, worked out from the reasons of all monitors that are part of the graph."""

    def __init__(self, graph: DependencyGraph, reasons: Mapping[str, Reason]) -> None:
        """`reasons` by tag; one that is not there suppresses nothing."""
        self._graph = graph
        self._reasons = reasons
        self._known: dict[str, tuple[str, ...]] = {}

    def causes(self, tag: str) -> tuple[str, ...]:
        """The monitors that suppress `tag`, over any number of levels, the nearest first."""
        causes = self._known.get(tag)
        if causes is None:
            reasons = self._reasons
            causes = self._known[tag] = tuple(
                ancestor for ancestor in self._graph.ancestors(tag) if reasons.get(ancestor) in SUPPRESSING
            )
        return causes

    def of(self, tag: str) -> ParentTrouble:
        """What those are in."""
        causes = self.causes(tag)
        if not causes:
            return ParentTrouble.NONE
        planned = all(self._reasons.get(cause) is Reason.MAINTENANCE for cause in causes)
        return ParentTrouble.PLANNED if planned else ParentTrouble.UNPLANNED


def message_window(parent: Monitor, child: Monitor) -> int:
    """How long an alert of `child` waits for a message about `parent` to its notifier, in milliseconds."""
    return max(parent.down_after - parent.degraded_after, child.release_after)
