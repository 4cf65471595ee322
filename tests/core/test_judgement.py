"""Early runs, tolerated failures, intervals and runs that are too short: the fast function equals the slow reading."""

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Exclusions
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, merged
from exporter.core.status import Evaluation, Reason, Status, due_at, evaluate
from tests.core.test_status import T
from tests.support.judgement import judged

THREE = T - T % DAY + 3 * HOUR
"""03:00 UTC of the day of T."""
CLOSE = st.sampled_from([0, 1, -1, 30 * SECOND, -30 * SECOND, -MINUTE, -MINUTE - 1, 1 - MINUTE, -2 * MINUTE])
NEAR = st.builds(
    lambda tick, off: THREE + tick * 5 * MINUTE + off, st.integers(-4, 8), CLOSE | st.integers(-3 * MINUTE, 3 * MINUTE)
)


@st.composite
def monitors(draw: st.DrawFn) -> Monitor:
    schedule = draw(st.sampled_from([None, "0 3 * * *", "*/5 * * * *", "*/2 * * * *", "* * * * *", "0,1,30 3 * * *"]))
    degraded = draw(st.sampled_from([0, MINUTE, 5 * MINUTE]))
    min_runtime = draw(st.none() | st.sampled_from([SECOND, MINUTE]))
    return Monitor(
        tag="job",
        schedule=schedule,
        timezone=draw(st.sampled_from(["UTC", "UTC", "Europe/Berlin"])),
        every=draw(st.none() | st.sampled_from([MINUTE, HOUR])) if schedule is None else None,
        early=draw(st.sampled_from([0, 1, 20 * SECOND, MINUTE, MINUTE, 2 * MINUTE, HOUR])),
        failure_tolerance=draw(st.sampled_from([0, 0, 1, 2, 50])),
        degraded_after=degraded,
        down_after=degraded + draw(st.sampled_from([1, MINUTE, 5 * MINUTE])),
        min_runtime=min_runtime,
        max_runtime=draw(st.none() | st.sampled_from([MINUTE, 7 * MINUTE])),
    )


@st.composite
def heartbeats(draw: st.DrawFn) -> list[Heartbeat]:
    return [
        Heartbeat(
            draw(st.sampled_from([Kind.SUCCESS, Kind.SUCCESS, Kind.FAILURE, Kind.FAILURE, Kind.START, Kind.LOG])),
            at,
            draw(st.sampled_from(["", "", "a", "b"])),
            duration=draw(st.none() | st.none() | st.sampled_from([1, SECOND, MINUTE])),
        )
        for at in sorted(draw(st.lists(NEAR, max_size=8)))
    ]


BLACKOUTS = st.just(()) | st.lists(
    st.builds(lambda start, length: Span(start, start + length), NEAR, st.integers(1, 20 * MINUTE)), max_size=3
).map(merged)


@given(monitors(), heartbeats(), st.integers(0, 2 * HOUR) | st.sampled_from([0, DAY]), BLACKOUTS)
def test_status_is_what_the_rules_say(
    monitor: Monitor, beats: list[Heartbeat], later: int, blackouts: tuple[Span, ...]
) -> None:
    state, exclusions = apply(NO_HEARTBEATS, beats, monitor.max_runtime), Exclusions(blackouts)
    now = (beats[-1].received_at if beats else THREE) + later
    while True:
        verdict = evaluate(monitor, state, now, exclusions)
        assert (verdict.status, verdict.reason) == judged(monitor, beats, now, blackouts)
        change_at = verdict.next_change_at
        if change_at is None:
            break
        assert change_at > now
        for moment in (change_at - 1, now + (change_at - now) // 2):
            assert judged(monitor, beats, moment, blackouts) == (verdict.status, verdict.reason)
        assert judged(monitor, beats, change_at, blackouts) != (verdict.status, verdict.reason)
        now = change_at
    assert judged(monitor, beats, now + 100 * DAY, blackouts) == (verdict.status, verdict.reason)


NIGHTLY = Monitor(tag="job", schedule="0 3 * * *")


def due_after(monitor: Monitor, *beats: Heartbeat) -> int:
    due = due_at(monitor, apply(NO_HEARTBEATS, beats))
    assert due is not None
    return due


@given(st.integers(0, 2 * HOUR), st.integers(0, 2 * HOUR), st.sampled_from(["0 3 * * *", "*/5 * * * *", "*/1 * * * *"]))
@example(MINUTE, MINUTE, "0 3 * * *")
@example(30 * SECOND, MINUTE, "* * * * *")
@example(30 * SECOND + 1, MINUTE, "* * * * *")
def test_a_success_serves_at_most_one_tick_that_follows_it(lead: int, early: int, schedule: str) -> None:
    monitor, at = Monitor(tag="job", schedule=schedule, early=early), THREE - lead
    tick = next_tick(schedule, "UTC", at)
    assert due_after(monitor, Heartbeat(Kind.SUCCESS, at)) in (tick, next_tick(schedule, "UTC", tick))


def test_half_a_minute_early_is_not_missed_at_three() -> None:
    early = Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND)
    state = apply(NO_HEARTBEATS, [early])
    assert due_at(NIGHTLY, state) == THREE + DAY
    assert evaluate(NIGHTLY, state, THREE + HOUR).status is Status.UP
    assert due_after(NIGHTLY, Heartbeat(Kind.SUCCESS, THREE - MINUTE)) == THREE + DAY
    assert due_after(NIGHTLY, Heartbeat(Kind.SUCCESS, THREE - MINUTE - 1)) == THREE
    assert due_after(Monitor(tag="job", schedule="0 3 * * *", early=0), Heartbeat(Kind.SUCCESS, THREE - 1)) == THREE


def test_at_most_half_of_the_gap_to_the_tick_before() -> None:
    minutely = Monitor(tag="job", schedule="* * * * *")
    assert due_after(minutely, Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND)) == THREE + MINUTE
    assert due_after(minutely, Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND - 1)) == THREE


def test_a_run_that_began_earlier_serves_the_tick_before_it_alone() -> None:
    """A run of yesterday's that took almost a day is no run of today."""
    long = Heartbeat(Kind.START, THREE - 2 * MINUTE), Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND)
    assert due_after(NIGHTLY, *long) == THREE
    short = Heartbeat(Kind.START, THREE - MINUTE), Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND)
    assert due_after(NIGHTLY, *short) == THREE + DAY
    measured = Heartbeat(Kind.SUCCESS, THREE - 30 * SECOND, duration=HOUR)  # no start was seen
    assert due_after(NIGHTLY, measured) == THREE + DAY


def test_a_tolerated_failure_serves_its_tick() -> None:
    monitor = Monitor(tag="job", schedule="0 3 * * *", failure_tolerance=1)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, THREE - DAY), Heartbeat(Kind.FAILURE, THREE - 20 * SECOND)])
    assert due_at(monitor, state) == THREE + DAY
    missed_at = THREE + DAY + 10 * MINUTE + 1
    assert evaluate(monitor, state, THREE + HOUR) == Evaluation(Status.DEGRADED, Reason.FAILING, missed_at)
    # Late as well as failing: DEGRADED both, and failing is the reason.
    assert evaluate(monitor, state, THREE + DAY + 6 * MINUTE) == Evaluation(Status.DEGRADED, Reason.FAILING, missed_at)
    assert evaluate(monitor, state, missed_at) == Evaluation(Status.DOWN, Reason.MISSED, None)
    again = apply(state, [Heartbeat(Kind.FAILURE, THREE + DAY)])
    assert evaluate(monitor, again, THREE + DAY) == Evaluation(Status.DOWN, Reason.FAILED, None)
    well = apply(again, [Heartbeat(Kind.SUCCESS, THREE + DAY + 1), Heartbeat(Kind.FAILURE, THREE + 2 * DAY)])
    assert evaluate(monitor, well, THREE + 2 * DAY).reason is Reason.FAILING


def test_silence_is_immediate_however_many_failures_are_tolerated() -> None:
    monitor = Monitor(tag="job", failure_tolerance=50)
    failed = apply(NO_HEARTBEATS, [Heartbeat(Kind.FAILURE, T)])
    assert evaluate(monitor, failed, T) == Evaluation(Status.DEGRADED, Reason.FAILING, T + 10 * MINUTE + 1)
    assert evaluate(monitor, failed, T + 10 * MINUTE + 1).reason is Reason.MISSED


def test_every_is_counted_from_the_last_success() -> None:
    monitor = Monitor(tag="job", every=HOUR)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    assert due_at(monitor, state) == T + HOUR
    assert evaluate(monitor, state, T) == Evaluation(Status.UP, Reason.ON_TIME, T + HOUR + 5 * MINUTE + 1)
    assert evaluate(monitor, state, T + HOUR + 10 * MINUTE + 1).reason is Reason.MISSED
    assert due_at(monitor, HeartbeatState()) is None


def test_what_is_due_in_an_outage_of_ours_is_forgiven_with_every_too() -> None:
    monitor, away = Monitor(tag="job", every=HOUR), Exclusions((Span(T + 30 * MINUTE, T + 5 * HOUR),))
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    assert due_at(monitor, state, away) == T + 6 * HOUR
    before = Exclusions((Span(T + MINUTE, T + 30 * MINUTE),))
    assert due_at(monitor, state, before) == T + HOUR


def test_too_short_until_a_run_that_is_not() -> None:
    monitor = Monitor(tag="job", min_runtime=MINUTE)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.START, T), Heartbeat(Kind.SUCCESS, T + MINUTE - 1)])
    late_at = T + 6 * MINUTE
    assert evaluate(monitor, state, T + MINUTE) == Evaluation(Status.DEGRADED, Reason.TOO_SHORT, late_at)
    assert evaluate(monitor, state, late_at).reason is Reason.LATE
    long_enough = apply(state, [Heartbeat(Kind.START, T + MINUTE), Heartbeat(Kind.SUCCESS, T + 2 * MINUTE)])
    assert evaluate(monitor, long_enough, T + 2 * MINUTE).status is Status.UP
    unknown = apply(state, [Heartbeat(Kind.SUCCESS, T + 2 * MINUTE)])
    assert evaluate(monitor, unknown, T + 2 * MINUTE).status is Status.UP


def test_the_senders_figure_is_worth_more_than_the_time_since_the_start() -> None:
    monitor = Monitor(tag="job", min_runtime=MINUTE)
    beats = [Heartbeat(Kind.START, T), Heartbeat(Kind.SUCCESS, T + HOUR, duration=SECOND)]
    assert evaluate(monitor, apply(NO_HEARTBEATS, beats), T + HOUR).reason is Reason.TOO_SHORT
    beats = [Heartbeat(Kind.START, T), Heartbeat(Kind.SUCCESS, T + SECOND, duration=HOUR)]
    assert evaluate(monitor, apply(NO_HEARTBEATS, beats), T + SECOND).status is Status.UP
