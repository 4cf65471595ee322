"""When a monitor's status changed, worked out afterwards: history is right even when nobody looked in time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.core.exclusions import EVERYTHING_COUNTS, Uncounted
from exporter.core.heartbeat import Heartbeat, HeartbeatState, apply
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status, evaluate


@dataclass(frozen=True, slots=True)
class Standing:
    """The status a monitor has, why, and since when."""

    status: Status
    reason: Reason
    since: int
    """Unix time in milliseconds: when this status began, whatever happened to the reason since."""


def changes(
    monitor: Monitor,
    state: HeartbeatState,
    standing: Standing,
    since: int,
    until: int,
    beats: Iterable[Heartbeat] = (),
    uncounted: Uncounted = EVERYTHING_COUNTS,
) -> Iterator[Standing]:
    """Every change of status or reason after `standing`, up to and including the moment `until`.

    `state` is what was known at the moment `since`; `beats` are what arrived after it, in the order received.
    A change of the reason alone keeps the moment at which the status began.
    """
    at = since
    for beat in beats:
        for change in _undisturbed(monitor, state, standing, at, beat.received_at - 1, uncounted):
            yield (standing := change)
        state = apply(state, (beat,), monitor.max_runtime)
        at = max(at, beat.received_at)
    yield from _undisturbed(monitor, state, standing, at, until, uncounted)


def _undisturbed(
    monitor: Monitor, state: HeartbeatState, standing: Standing, at: int, until: int, uncounted: Uncounted
) -> Iterator[Standing]:
    """The changes from `at` to `until` while nothing arrives."""
    moment: int | None = at
    while moment is not None and moment <= max(at, until):
        found = evaluate(monitor, state, moment, uncounted)
        if found.status is not standing.status:
            standing = Standing(found.status, found.reason, moment)
            yield standing
        elif found.reason is not standing.reason:
            standing = Standing(found.status, found.reason, standing.since)
            yield standing
        moment = found.next_change_at
