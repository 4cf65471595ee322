"""Evaluates one monitor: its transitions since its last evaluation, and when to evaluate it again. Pure."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from exporter.core.alerts.alert import Observation
from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import SECOND
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.order import moment, started_before
from exporter.core.preview import at_ticks
from exporter.core.spans import covering
from exporter.core.status import evaluate
from exporter.core.timeline import CurrentStatus, changes
from exporter.evaluation.outcomes import Due, Outcome
from exporter.storage.repositories.history import Transition

MAX_TICKS = 1000
"""Ticks of `evaluation_cron` looked at after a stall; older ones are passed over."""

AHEAD = 2 * SECOND
"""A heartbeat may be stamped so much later than the evaluation that finds it; one later still was stamped by a clock
that is or was ahead."""


def starts_from(watched: FleetMonitor, due: Due, now: int) -> int:
    """The moment from which the past of this monitor matters: heartbeats after it have to be replayed. Never one before
    that up to which it was evaluated: what was written of the time until then stays, whatever became known later.
    """
    evaluated_at = min(due.evaluated_at, now)
    return evaluated_at if watched.monitor.evaluation_cron is not None else max(due.since, evaluated_at)


def evaluate_monitor(watched: FleetMonitor, due: Due, log: Sequence[Heartbeat], now: int) -> Outcome:
    """`log` is what is kept of the monitor's heartbeats, in the order of receipt; it is needed only if any came after
    `starts_from`. When it does not lead to the present state, that one stands for the past as well.
    """
    monitor, since = watched.monitor, starts_from(watched, due, now)
    state, beats = watched.state, _arrived(log, since, now)
    if beats:
        earlier = _earlier_state(monitor, state, log[: -len(beats)], beats)
        if earlier is not None and _alike(monitor, apply(earlier, beats, monitor.max_runtime), state):
            state = earlier
        else:
            beats, since = (), now
    if at_ticks(monitor, watched.current):
        return _at_ticks(watched, due, state, beats, since, now)
    current = watched.current
    transitions: list[Transition] = []
    for change in changes(monitor, state, current, since, now, beats, watched.exclusions):
        if change.status is not current.status:
            transitions.append(Transition(change.since, change.status, change.reason, now))
        current = change
    observations = [Observation(transition.at, transition.status, transition.reason) for transition in transitions]
    return _outcome(watched, due, current, transitions, now, _next_evaluation(watched, now), observations)


def _arrived(log: Sequence[Heartbeat], since: int, now: int) -> Sequence[Heartbeat]:
    """The end of `log` that came after `since`; nothing if it reaches into the future, which cannot be evaluated."""
    if not log or log[-1].received_at > now + AHEAD:
        return ()
    return log[bisect_right(log, since, key=moment) :]


def _earlier_state(
    monitor: Monitor, state: HeartbeatState, past: Sequence[Heartbeat], beats: Sequence[Heartbeat]
) -> HeartbeatState | None:
    """The state after `past` and before `beats`, which are all that is kept of the log that led to `state`; None if the
    log does not say enough.
    """
    runs = started_before(state.runs, (*past, *beats))
    earlier = apply(HeartbeatState(runs=runs), past, monitor.max_runtime)
    if len(past) + len(beats) == state.received:
        return earlier
    if earlier.last_outcome is None:
        return None
    if earlier.last_success_at is None and earlier.consecutive_failures <= monitor.failure_tolerance:
        # Failures before the log count too.
        if any(beat.kind is Kind.SUCCESS for beat in beats):
            return None
        failures = sum(beat.kind is Kind.FAILURE for beat in beats)
        return earlier._replace(consecutive_failures=state.consecutive_failures - failures)
    return earlier


def _alike(monitor: Monitor, state: HeartbeatState, other: HeartbeatState) -> bool:
    """Whether the status is worked out from both in the same way."""
    return (
        (monitor.max_runtime is None or state.runs == other.runs)
        and (state.last_outcome, state.last_success_at) == (other.last_outcome, other.last_success_at)
        and (monitor.schedule is None or state.outcome_started_at == other.outcome_started_at)
        and (monitor.min_runtime is None or state.outcome_duration == other.outcome_duration)
        and (not monitor.failure_tolerance or _failures_of(state) == _failures_of(other))
    )


def _failures_of(state: HeartbeatState) -> tuple[int, int | None]:
    return state.consecutive_failures, state.last_failure_at


def _at_ticks(
    watched: FleetMonitor, due: Due, state: HeartbeatState, beats: Sequence[Heartbeat], since: int, now: int
) -> Outcome:
    """With `evaluation_cron`, what happened between two ticks shows only in what the later one finds."""
    monitor = watched.monitor
    current, evaluated_at = watched.current, min(due.evaluated_at, now)
    transitions: list[Transition] = []
    observations: list[Observation] = []
    for tick in _ticks(watched, evaluated_at, now):
        arrived = [beat for beat in beats if since < beat.received_at <= tick]
        changed = list(changes(monitor, state, current, min(since, tick), tick, arrived, watched.exclusions))
        state, since, evaluated_at = apply(state, arrived, monitor.max_runtime), tick, tick
        if changed and changed[-1].status is current.status:
            current = CurrentStatus(current.status, changed[-1].reason, current.since)
        elif changed:
            current = changed[-1]
            transitions.append(Transition(current.since, current.status, current.reason, tick))
        observations.append(Observation(tick, current.status, current.reason))
    return _outcome(watched, due, current, transitions, evaluated_at, _next_evaluation(watched, now), observations)


def _ticks(watched: FleetMonitor, after: int, until: int) -> list[int]:
    """The ticks of `evaluation_cron` after one moment and up to another, the last MAX_TICKS of them.

    A tick inside a blackout is skipped: it changes neither the status nor the count of an alert.
    """
    monitor, blackouts = watched.monitor, watched.exclusions.blackouts
    assert monitor.evaluation_cron is not None
    ticks: deque[int] = deque(maxlen=MAX_TICKS)
    tick = next_tick(monitor.evaluation_cron, monitor.timezone, after)
    while tick <= until:
        away = covering(blackouts, tick)
        if away is None:
            ticks.append(tick)
        tick = next_tick(monitor.evaluation_cron, monitor.timezone, tick if away is None else away.end - 1)
    return list(ticks)


def _next_evaluation(watched: FleetMonitor, now: int) -> int | None:
    monitor = watched.monitor
    if monitor.evaluation_cron is not None and not monitor.paused:
        return next_tick(monitor.evaluation_cron, monitor.timezone, now)
    return evaluate(monitor, watched.state, now, watched.exclusions).next_change_at


def _outcome(
    watched: FleetMonitor,
    due: Due,
    current: CurrentStatus,
    transitions: Sequence[Transition],
    evaluated_at: int,
    next_evaluation_at: int | None,
    observations: Sequence[Observation],
) -> Outcome:
    return Outcome(
        due,
        watched,
        watched.state.received,
        watched.current,
        current,
        transitions,
        evaluated_at,
        next_evaluation_at,
        observations,
    )
