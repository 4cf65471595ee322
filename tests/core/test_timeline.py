"""History is what it would have been if somebody had looked all the time."""

from itertools import pairwise

from hypothesis import given

from exporter.core.clock import MINUTE
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status, evaluate
from exporter.core.timeline import CurrentStatus, changes
from tests.core.test_status import T, heartbeats, monitors

NEW = CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, T - 100 * 3_600_000)


@given(monitors(), heartbeats())
def test_the_last_change_is_what_evaluate_says(monitor: Monitor, beats: list[Heartbeat]) -> None:
    until = T + 100 * 3_600_000
    found = [NEW, *changes(monitor, NO_HEARTBEATS, NEW, NEW.since, until, beats)]
    now = evaluate(monitor, apply(NO_HEARTBEATS, beats, monitor.max_runtime), until)
    assert (found[-1].status, found[-1].reason) == (now.status, now.reason)
    assert all(a.since <= b.since for a, b in pairwise(found))
    assert all((a.status, a.reason) != (b.status, b.reason) for a, b in pairwise(found))


@given(monitors(), heartbeats())
def test_looking_late_finds_the_same_as_looking_often(monitor: Monitor, beats: list[Heartbeat]) -> None:
    until = T + 60 * 3_600_000
    at_once = list(changes(monitor, NO_HEARTBEATS, NEW, NEW.since, until, beats))
    step_by_step, current, state, since = [], NEW, NO_HEARTBEATS, NEW.since
    for moment in sorted({*range(T - 48 * 3_600_000, until, 7 * 3_600_000), until}):
        arrived = [beat for beat in beats if since < beat.received_at <= moment]
        for change in changes(monitor, state, current, since, moment, arrived):
            current = change
            step_by_step.append(change)
        state, since = apply(state, arrived, monitor.max_runtime), moment
    assert step_by_step == at_once


def test_a_stall_of_twenty_minutes_leaves_both_steps_in_history() -> None:
    monitor = Monitor(tag="job")
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    found = list(changes(monitor, state, CurrentStatus(Status.UP, Reason.ON_TIME, T), T, T + 20 * MINUTE))
    assert found == [
        CurrentStatus(Status.DEGRADED, Reason.LATE, T + 5 * MINUTE + 1),
        CurrentStatus(Status.DOWN, Reason.MISSED, T + 10 * MINUTE + 1),
    ]


def test_a_late_success_that_came_before_anybody_looked_does_not_hide_the_lateness() -> None:
    monitor = Monitor(tag="job")
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    late = Heartbeat(Kind.SUCCESS, T + 7 * MINUTE)
    found = list(changes(monitor, state, CurrentStatus(Status.UP, Reason.ON_TIME, T), T, T + 8 * MINUTE, [late]))
    assert found == [
        CurrentStatus(Status.DEGRADED, Reason.LATE, T + 5 * MINUTE + 1),
        CurrentStatus(Status.UP, Reason.ON_TIME, T + 7 * MINUTE),
    ]
