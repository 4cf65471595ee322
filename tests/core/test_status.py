"""Status is one pure function; these are its laws."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply
from exporter.core.monitor import Monitor
from exporter.core.status import Evaluation, Reason, Status, due_at, evaluate

T = 1_790_000_000_000
MOMENTS = st.integers(T - 48 * HOUR, T + 48 * HOUR)
SCHEDULES = st.sampled_from([None, None, "0 3 * * *", "*/15 * * * *", "30 2 * * 1-5"])


@st.composite
def monitors(draw: st.DrawFn) -> Monitor:
    degraded = draw(st.integers(0, 2 * HOUR))
    schedule = draw(SCHEDULES)
    return Monitor(
        tag="job",
        schedule=schedule,
        every=draw(st.none() | st.integers(1, 2 * HOUR)) if schedule is None else None,
        early=draw(st.sampled_from([0, MINUTE, HOUR])),
        failure_tolerance=draw(st.sampled_from([0, 0, 1, 3])),
        min_runtime=draw(st.none() | st.integers(1, HOUR)),
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])),
        degraded_after=degraded,
        down_after=degraded + draw(st.integers(1, 2 * HOUR)),
        max_runtime=draw(st.none() | st.integers(1, HOUR)),
        paused=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def heartbeats(draw: st.DrawFn) -> list[Heartbeat]:
    moments = sorted(draw(st.lists(MOMENTS, max_size=8)))
    return [
        Heartbeat(
            draw(st.sampled_from(Kind)),
            at,
            draw(st.sampled_from(["", "", "a", "b"])),
            draw(st.none() | st.integers(1, 300)),
            "",
            draw(st.none() | st.none() | st.integers(1, HOUR)),
        )
        for at in moments
    ]


@given(monitors(), heartbeats(), MOMENTS)
def test_nothing_changes_before_next_change_and_something_does_at_it(
    monitor: Monitor, beats: list[Heartbeat], now: int
) -> None:
    state = apply(NO_HEARTBEATS, beats)
    found = evaluate(monitor, state, now)
    if found.next_change_at is None:
        later = evaluate(monitor, state, now + 10_000 * HOUR)
        assert (later.status, later.reason) == (found.status, found.reason)
        return
    assert found.next_change_at > now
    before = evaluate(monitor, state, found.next_change_at - 1)
    at = evaluate(monitor, state, found.next_change_at)
    assert (before.status, before.reason) == (found.status, found.reason)
    assert (at.status, at.reason) != (found.status, found.reason)


@given(monitors(), heartbeats(), MOMENTS, st.integers(0, 100 * HOUR))
def test_time_alone_never_makes_it_better(monitor: Monitor, beats: list[Heartbeat], now: int, later: int) -> None:
    badness = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2}
    state = apply(NO_HEARTBEATS, beats)
    first, second = evaluate(monitor, state, now).status, evaluate(monitor, state, now + later).status
    if first in badness:
        assert badness[second] >= badness[first]
    else:
        assert second is first


@given(monitors(), heartbeats(), MOMENTS)
def test_paused_is_paused_whatever_arrived(monitor: Monitor, beats: list[Heartbeat], now: int) -> None:
    found = evaluate(monitor.with_paused(True), apply(NO_HEARTBEATS, beats), now)
    assert found == Evaluation(Status.PAUSED, Reason.PAUSED, None)


@given(monitors(), heartbeats(), MOMENTS)
def test_a_success_now_is_up(monitor: Monitor, beats: list[Heartbeat], now: int) -> None:
    assume(not monitor.paused)
    monitor = replace(monitor, min_runtime=None)
    assume(all(beat.received_at <= now for beat in beats))
    state = apply(NO_HEARTBEATS, [*beats, Heartbeat(Kind.SUCCESS, now)], monitor.max_runtime)
    assert evaluate(monitor, state, now).status is Status.UP


@given(monitors(), heartbeats(), MOMENTS)
def test_down_after_a_failure_until_a_success(monitor: Monitor, beats: list[Heartbeat], now: int) -> None:
    assume(not monitor.paused)
    monitor = replace(monitor, failure_tolerance=0)
    state = apply(NO_HEARTBEATS, [*beats, Heartbeat(Kind.FAILURE, now)])
    assert evaluate(monitor, state, now + 1000 * HOUR) == Evaluation(Status.DOWN, Reason.FAILED, None)


def test_strictly_greater() -> None:
    monitor, state = Monitor(tag="job"), apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    assert evaluate(monitor, state, T + 5 * MINUTE).status is Status.UP
    assert evaluate(monitor, state, T + 5 * MINUTE + 1).status is Status.DEGRADED
    assert evaluate(monitor, state, T + 10 * MINUTE).status is Status.DEGRADED
    assert evaluate(monitor, state, T + 10 * MINUTE + 1) == Evaluation(Status.DOWN, Reason.MISSED, None)


def test_a_clock_that_steps_back_is_elapsed_zero() -> None:
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    assert evaluate(Monitor(tag="job"), state, T - HOUR).status is Status.UP


def test_never_received_and_logs_alone_are_no_data() -> None:
    monitor = Monitor(tag="job", max_runtime=MINUTE)
    started = apply(NO_HEARTBEATS, [Heartbeat(Kind.LOG, T), Heartbeat(Kind.START, T)])
    assert evaluate(monitor, started, T + HOUR) == Evaluation(Status.NO_DATA, Reason.NEVER_RECEIVED, None)


def test_due_is_the_first_tick_after_the_last_success() -> None:
    monitor = Monitor(tag="job", schedule="0 3 * * *", timezone="Europe/Rome")
    success = 1_790_000_000_000  # 2026-09-21 15:33:20 in Rome
    due = due_at(monitor, HeartbeatState(last_success_at=success))
    assert due == 1_790_038_800_000 + 0  # 2026-09-22 03:00 in Rome
    assert due_at(Monitor(tag="job"), HeartbeatState(last_success_at=success)) == success
    assert due_at(monitor, NO_HEARTBEATS) is None


def test_overrun_until_the_run_ends() -> None:
    monitor = Monitor(tag="job", max_runtime=MINUTE)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T), Heartbeat(Kind.START, T, "a")], MINUTE)
    assert evaluate(monitor, state, T + MINUTE).status is Status.UP
    overrun = evaluate(monitor, state, T + MINUTE + 1)
    assert overrun == Evaluation(Status.DOWN, Reason.OVERRUN, None)
    ended = apply(state, [Heartbeat(Kind.SUCCESS, T + 2 * MINUTE, "a")], MINUTE)
    assert evaluate(monitor, ended, T + 2 * MINUTE).status is Status.UP
    assert ended.last_duration == 2 * MINUTE
    assert ended.runs == ()


def test_a_run_that_died_is_forgiven_by_a_later_success_but_not_before_it_overran() -> None:
    beats = [Heartbeat(Kind.START, T, "dead"), Heartbeat(Kind.START, T + 30 * SECOND, "b")]
    early = apply(NO_HEARTBEATS, [*beats, Heartbeat(Kind.SUCCESS, T + 40 * SECOND, "b")], MINUTE)
    assert early.runs == (Run("dead", T),)
    late = apply(NO_HEARTBEATS, [*beats, Heartbeat(Kind.SUCCESS, T + 2 * MINUTE, "b")], MINUTE)
    assert late.runs == ()
