"""Status: one pure function of (monitor, its heartbeat state, now). Nothing else decides it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.core.calendar.schedule import next_tick
from exporter.core.exclusions import EVERYTHING_COUNTS, Exclusions
from exporter.core.heartbeat import HeartbeatState, Kind
from exporter.core.monitor import Monitor

_MAX_FORGIVEN = 1000
"""Blackouts and windows that the search for a tick goes through; maintenance may cover every tick there is."""


class Status(StrEnum):
    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"
    NO_DATA = "NO_DATA"
    PAUSED = "PAUSED"
    MAINTENANCE = "MAINTENANCE"


class Reason(StrEnum):
    """Why a monitor has its status. A new reason is a line here, its rule below, and a line in docs/metrics.md."""

    ON_TIME = "on_time"
    LATE = "late"
    MISSED = "missed"
    FAILED = "failed"
    OVERRUN = "overrun"
    FAILING = "failing"
    TOO_SHORT = "too_short"
    NEVER_RECEIVED = "never_received"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A monitor's status at a moment."""

    status: Status
    reason: Reason
    next_change_at: int | None
    """The first millisecond at which the status or its reason differs if nothing more arrives; None is never."""


def due_at(monitor: Monitor, state: HeartbeatState, exclusions: Exclusions = EVERYTHING_COUNTS) -> int | None:
    """The moment from which lateness counts; None before the first success or tolerated failure.

    With a schedule the first tick that the last success does not serve and that is not forgiven; with `every` that long
    after the last success; with neither, the last success. A tolerated failure counts as a success.
    """
    tolerated = is_tolerated(monitor, state)
    served_at = state.last_failure_at if tolerated else state.last_success_at
    if served_at is None:
        return None
    if monitor.schedule is not None:
        began_at = state.outcome_started_at if tolerated or state.last_outcome is Kind.SUCCESS else None
        tick = _first_unserved(monitor, monitor.schedule, served_at, began_at)
        for _ in range(_MAX_FORGIVEN):
            exclusion = exclusions.exclusion_at(tick)
            if exclusion is None:
                break
            tick = next_tick(monitor.schedule, monitor.timezone, exclusion.end - 1)
        return exclusions.arrival_of(tick)
    if monitor.every is None:
        return served_at
    due = served_at + monitor.every
    for _ in range(_MAX_FORGIVEN):
        exclusion = exclusions.exclusion_at(due)
        if exclusion is None:
            break
        due = exclusion.end + monitor.every  # the one that was due may have come unnoticed, up to the last moment
    return exclusions.arrival_of(due)


def is_tolerated(monitor: Monitor, state: HeartbeatState) -> bool:
    """Whether the last outcome is a failure that leaves the monitor DEGRADED."""
    return state.last_outcome is Kind.FAILURE and 0 < state.consecutive_failures <= monitor.failure_tolerance


def _first_unserved(monitor: Monitor, schedule: str, served_at: int, began_at: int | None) -> int:
    """The first tick that an outcome at `served_at` does not serve: it serves all up to its moment, and the one that
    follows it by at most min(`early`, half of the gap to the tick before). Its run must not have begun earlier than
    that, if it is known when it began.
    """
    tick = next_tick(schedule, monitor.timezone, served_at)
    lead = tick - (served_at if began_at is None else min(began_at, served_at))
    # At most half of the gap: no other tick lies within twice the lead.
    if lead <= monitor.early and next_tick(schedule, monitor.timezone, tick - 2 * lead) == tick:
        return next_tick(schedule, monitor.timezone, tick)
    return tick


def evaluate(
    monitor: Monitor, state: HeartbeatState, now: int, exclusions: Exclusions = EVERYTHING_COUNTS
) -> Evaluation:
    """The status of `monitor` at `now`; the first rule that applies decides."""
    if monitor.paused:
        return Evaluation(Status.PAUSED, Reason.PAUSED, None)
    window = exclusions.maintenance(now)
    if window is not None:
        return Evaluation(Status.MAINTENANCE, Reason.MAINTENANCE, window.end)
    verdict = _evaluate(monitor, state, now, exclusions)
    window_at = exclusions.next_maintenance(now)
    if window_at is None:
        return verdict
    return replace(verdict, next_change_at=_earlier(window_at, verdict.next_change_at))


def _evaluate(monitor: Monitor, state: HeartbeatState, now: int, exclusions: Exclusions) -> Evaluation:
    """While nothing is excused."""
    if state.last_outcome is None:
        return Evaluation(Status.NO_DATA, Reason.NEVER_RECEIVED, None)
    tolerated = is_tolerated(monitor, state)
    if state.last_outcome is Kind.FAILURE and not tolerated:
        return Evaluation(Status.DOWN, Reason.FAILED, None)
    overrun_at = _overrun_at(monitor, state, now, exclusions)
    if overrun_at is not None and now >= overrun_at:
        return Evaluation(Status.DOWN, Reason.OVERRUN, None)
    due = due_at(monitor, state, exclusions)
    assert due is not None, "a last outcome comes with its moment"
    missed_at = exclusions.deadline(due, monitor.down_after + 1, now)
    if now >= missed_at:
        return Evaluation(Status.DOWN, Reason.MISSED, overrun_at)
    if tolerated:  # DEGRADED whether it is late or not
        return Evaluation(Status.DEGRADED, Reason.FAILING, _earlier(missed_at, overrun_at))
    late_at = exclusions.deadline(due, monitor.degraded_after + 1, now)
    if now >= late_at:
        return Evaluation(Status.DEGRADED, Reason.LATE, _earlier(missed_at, overrun_at))
    if _is_too_short(monitor, state):
        return Evaluation(Status.DEGRADED, Reason.TOO_SHORT, _earlier(late_at, overrun_at))
    return Evaluation(Status.UP, Reason.ON_TIME, _earlier(late_at, overrun_at))


def _is_too_short(monitor: Monitor, state: HeartbeatState) -> bool:
    """Of a last outcome that is a success."""
    took = state.outcome_duration
    return monitor.min_runtime is not None and took is not None and took < monitor.min_runtime


def _overrun_at(monitor: Monitor, state: HeartbeatState, now: int, exclusions: Exclusions) -> int | None:
    if monitor.max_runtime is None or not state.runs:
        return None
    return min(exclusions.deadline(run.started_at, monitor.max_runtime + 1, now) for run in state.runs)


def _earlier(moment: int, other: int | None) -> int:
    return moment if other is None else min(moment, other)
