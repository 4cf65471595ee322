"""Which runs a log shows, and the quantiles of how long they took."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.runtimes import MIN_RUNS, Runtimes, quantile, run_durations, runtimes_of
from tests.core.test_status import T, heartbeats

DURATIONS = st.lists(st.integers(0, 10**9), min_size=2, max_size=150)


@st.composite
def measured(draw: st.DrawFn) -> list[Heartbeat]:
    """Heartbeats of which some senders measured their runs."""
    return [
        beat._replace(duration=draw(st.none() | st.integers(0, 10**7)))
        if beat.kind in (Kind.SUCCESS, Kind.FAILURE)
        else beat
        for beat in draw(heartbeats())
    ]


@given(measured(), st.none() | st.integers(1, 1000))
def test_the_last_run_is_that_of_the_state_after_each_heartbeat(
    beats: list[Heartbeat], max_runtime: int | None
) -> None:
    for end in range(len(beats) + 1):
        durations = run_durations(beats[:end], max_runtime)
        last = apply(NO_HEARTBEATS, beats[:end], max_runtime).last_duration
        assert (durations[-1] if durations else None) == last


@given(DURATIONS)
def test_quantiles_are_those_of_the_statistics_module(durations: list[int]) -> None:
    ordered = sorted(durations)
    twentieths = statistics.quantiles(ordered, n=20, method="inclusive")
    assert abs(quantile(ordered, 0.5) - statistics.median(ordered)) <= 0.5
    assert abs(quantile(ordered, 0.95) - twentieths[18]) <= 0.51


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_every_quantile_of_one_run_is_its_duration(duration: int, share: float) -> None:
    assert quantile([duration], share) == duration


def test_runs_are_shown_from_ten_on() -> None:
    beats = [Heartbeat(Kind.SUCCESS, T + number, duration=1000 * number) for number in range(1, MIN_RUNS + 1)]
    assert runtimes_of(beats, 77) == Runtimes(77, 10, 5500, 9550)
    assert runtimes_of(beats, 77).shown
    assert not runtimes_of(beats[:-1], 77).shown


def test_starts_measured_ends_failures_and_overlaps_count_and_a_cut_log_invents_nothing() -> None:
    beats = [
        Heartbeat(Kind.SUCCESS, T, "of a start that the log has forgotten"),
        Heartbeat(Kind.START, T + 1, "a"),
        Heartbeat(Kind.START, T + 2, "b"),
        Heartbeat(Kind.LOG, T + 3, "a"),
        Heartbeat(Kind.FAILURE, T + 11, "a"),
        Heartbeat(Kind.SUCCESS, T + 22, "b", duration=500),
        Heartbeat(Kind.SUCCESS, T + 30),
    ]
    assert run_durations(beats) == [10, 500]
    assert runtimes_of(beats[:1], 1) == Runtimes(1, 0)
