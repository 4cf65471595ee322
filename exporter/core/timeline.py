"""When a monitor's status changed, computed afterwards: history is right even when the evaluation was late."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.core.exclusions import EVERYTHING_COUNTS, Exclusions
from exporter.core.heartbeat import Heartbeat, HeartbeatState, apply
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status, evaluate


@dataclass(frozen=True, slots=True)
class CurrentStatus:
    """The status a monitor has, why, and since when."""

    status: Status
    reason: Reason
    since: int
    """Unix time in milliseconds: when this status began, whatever happened to the reason since."""


def changes(
    monitor: Monitor,
    state: HeartbeatState,
    current: CurrentStatus,
    since: int,
    until: int,
    beats: Iterable[Heartbeat] = (),
    exclusions: Exclusions = EVERYTHING_COUNTS,
) -> Iterator[CurrentStatus]:
    """Every change of status or reason after `current`, up to and including the moment `until`.

    `state` is what was known at the moment `since`; `beats` are what arrived after it, in the order received.
    A change of the reason alone keeps the moment at which the status began.
    """
    at = since
    for beat in beats:
        for change in _undisturbed(monitor, state, current, at, beat.received_at - 1, exclusions):
            yield (current := change)
        state = apply(state, (beat,), monitor.max_runtime)
        at = max(at, beat.received_at)
    yield from _undisturbed(monitor, state, current, at, until, exclusions)


def _undisturbed(
    monitor: Monitor, state: HeartbeatState, current: CurrentStatus, at: int, until: int, exclusions: Exclusions
) -> Iterator[CurrentStatus]:
    """The changes from `at` to `until` while nothing arrives."""
    moment: int | None = at
    while moment is not None and moment <= max(at, until):
        evaluation = evaluate(monitor, state, moment, exclusions)
        if evaluation.status is not current.status:
            current = CurrentStatus(evaluation.status, evaluation.reason, moment)
            yield current
        elif evaluation.reason is not current.reason:
            current = CurrentStatus(evaluation.status, evaluation.reason, current.since)
            yield current
        moment = evaluation.next_change_at
