"""What heartbeats leave behind, and that adding differences is the same as applying them one by one."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import MAX_OPEN_RUNS, NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply, merge
from tests.core.test_status import T, heartbeats


@given(heartbeats(), st.integers(0, 8), st.none() | st.integers(1, 1000))
def test_merging_a_difference_is_applying_the_heartbeats(
    beats: list[Heartbeat], first: int, max_runtime: int | None
) -> None:
    state = apply(NO_HEARTBEATS, beats[:first], max_runtime)
    delta = apply(HeartbeatState(runs=state.runs), beats[first:], max_runtime)
    assert merge(state, delta) == apply(NO_HEARTBEATS, beats, max_runtime)


@given(heartbeats(), heartbeats())
def test_differences_are_the_same_sum_in_any_order(first: list[Heartbeat], second: list[Heartbeat]) -> None:
    first = [beat._replace(received_at=2 * beat.received_at) for beat in first]  # at one moment, the order decides
    second = [beat._replace(received_at=2 * beat.received_at + 1) for beat in second]
    # What depends on the order of the heartbeats is no sum.
    one, other = (
        apply(NO_HEARTBEATS, beats)._replace(runs=(), last_duration=None, consecutive_failures=0)
        for beats in (first, second)
    )
    assert merge(one, other) == merge(other, one)


@given(heartbeats())
def test_every_heartbeat_is_counted_once(beats: list[Heartbeat]) -> None:
    state = apply(NO_HEARTBEATS, beats)
    assert state.received == len(beats)
    assert state.failures == sum(beat.kind is Kind.FAILURE for beat in beats)
    assert state.starts == sum(beat.kind is Kind.START for beat in beats)


@given(heartbeats())
def test_no_two_open_runs_share_a_rid(beats: list[Heartbeat]) -> None:
    rids = [run.rid for run in apply(NO_HEARTBEATS, beats).runs]
    assert len(rids) == len(set(rids))


def test_overlapping_runs_are_told_apart_by_rid() -> None:
    beats = [
        Heartbeat(Kind.START, T, "a"),
        Heartbeat(Kind.START, T + 1000, "b"),
        Heartbeat(Kind.SUCCESS, T + 5000, "a"),
    ]
    state = apply(NO_HEARTBEATS, beats)
    assert state.last_duration == 5000
    assert state.runs == (Run("b", T + 1000),)


def test_an_end_without_rid_belongs_to_the_latest_start() -> None:
    beats = [Heartbeat(Kind.START, T, "a"), Heartbeat(Kind.START, T + 1000, "b"), Heartbeat(Kind.FAILURE, T + 4000)]
    state = apply(NO_HEARTBEATS, beats)
    assert state.last_duration == 3000
    assert [run.rid for run in state.runs] == ["a"]


def test_an_end_with_an_unknown_rid_ends_no_run() -> None:
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.START, T, "a"), Heartbeat(Kind.SUCCESS, T + 9, "b")])
    assert state.last_duration is None
    assert len(state.runs) == 1


def test_exit_code_is_of_the_last_outcome() -> None:
    failed = apply(NO_HEARTBEATS, [Heartbeat(Kind.FAILURE, T, exit_code=3)])
    assert failed.last_exit_code == 3
    assert apply(failed, [Heartbeat(Kind.LOG, T)]).last_exit_code == 3
    assert apply(failed, [Heartbeat(Kind.FAILURE, T)]).last_exit_code is None
    assert apply(failed, [Heartbeat(Kind.SUCCESS, T)]).last_exit_code == 0


def test_a_start_stamped_by_a_clock_that_was_ahead_gives_no_negative_duration() -> None:
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.START, T), Heartbeat(Kind.SUCCESS, T - 3_600_000)])
    assert state.last_success_at == T - 3_600_000
    assert state.last_duration == 0
    assert state.received == 2


def test_open_runs_are_bounded() -> None:
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.START, T + i, f"r{i}") for i in range(MAX_OPEN_RUNS + 5)])
    assert len(state.runs) == MAX_OPEN_RUNS
    assert state.runs[0].rid == "r5"
