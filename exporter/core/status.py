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
    """The moment from which lateness counts; None before the first success.

    The last success when there is no schedule, else the first scheduled tick after it that is not forgiven.
    """
    if state.last_success_at is None:
        return None
    if monitor.schedule is None:
        return state.last_success_at
    tick = next_tick(monitor.schedule, monitor.timezone, state.last_success_at)
    for _ in range(_MAX_FORGIVEN):
        exclusion = exclusions.exclusion_at(tick)
        if exclusion is None:
            break
        tick = next_tick(monitor.schedule, monitor.timezone, exclusion.end - 1)
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
    found = _evaluate(monitor, state, now, exclusions)
    window_at = exclusions.next_maintenance(now)
    return found if window_at is None else replace(found, next_change_at=_earlier(window_at, found.next_change_at))


def _evaluate(monitor: Monitor, state: HeartbeatState, now: int, exclusions: Exclusions) -> Evaluation:
    """While nothing is excused."""
    if state.last_outcome is None:
        return Evaluation(Status.NO_DATA, Reason.NEVER_RECEIVED, None)
    if state.last_outcome is Kind.FAILURE:
        return Evaluation(Status.DOWN, Reason.FAILED, None)
    overrun_at = _overrun_at(monitor, state, now, exclusions)
    if overrun_at is not None and now >= overrun_at:
        return Evaluation(Status.DOWN, Reason.OVERRUN, None)
    due = due_at(monitor, state, exclusions)
    assert due is not None, "a last outcome of SUCCESS comes with its moment"
    late_at = exclusions.deadline(due, monitor.degraded_after + 1, now)
    missed_at = exclusions.deadline(due, monitor.down_after + 1, now)
    if now >= missed_at:
        return Evaluation(Status.DOWN, Reason.MISSED, overrun_at)
    if now >= late_at:
        return Evaluation(Status.DEGRADED, Reason.LATE, _earlier(missed_at, overrun_at))
    return Evaluation(Status.UP, Reason.ON_TIME, _earlier(late_at, overrun_at))


def _overrun_at(monitor: Monitor, state: HeartbeatState, now: int, exclusions: Exclusions) -> int | None:
    if monitor.max_runtime is None or not state.runs:
        return None
    return min(exclusions.deadline(run.started_at, monitor.max_runtime + 1, now) for run in state.runs)


def _earlier(moment: int, other: int | None) -> int:
    return moment if other is None else min(moment, other)
