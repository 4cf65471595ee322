"""Whatever comes first, the state is as if all heartbeats had been applied in the order of receipt."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply
from exporter.core.order import Log, in_order, include, log_of
from tests.core.test_status import T

RUNTIMES = st.none() | st.integers(1, 20)


@st.composite
def groups(draw: st.DrawFn) -> list[list[Heartbeat]]:
    """Heartbeats in the order in which they are committed, whatever their moments; many share one."""
    beats = st.builds(
        Heartbeat,
        st.sampled_from([*Kind, Kind.START, Kind.SUCCESS]),
        st.integers(T, T + 40),
        st.sampled_from(["", "", "a", "b", "c"]),
        st.none() | st.integers(1, 3),
        st.just(""),
        st.none() | st.none() | st.integers(100, 103),  # of the sender
    )
    return draw(st.lists(st.lists(beats, min_size=1, max_size=4), max_size=6))


def sums(state: HeartbeatState) -> HeartbeatState:
    """What can be added up without the log."""
    return state._replace(
        runs=(), last_duration=None, outcome_started_at=None, outcome_duration=None, consecutive_failures=0
    )


def flat(groups: list[list[Heartbeat]]) -> list[Heartbeat]:
    return [beat for group in groups for beat in in_order(group)]


@given(groups(), RUNTIMES)
def test_any_order_of_commits_gives_the_order_of_receipt(
    groups: list[list[Heartbeat]], max_runtime: int | None
) -> None:
    state, log = NO_HEARTBEATS, list[Heartbeat]()
    for group in groups:
        state = include(state, group, max_runtime, log_of(log, len(log)))
        log += in_order(group)
        assert state == apply(NO_HEARTBEATS, in_order(log), max_runtime)


@given(groups(), RUNTIMES, st.integers(0, 12))
def test_with_a_short_log_all_but_runs_and_durations_is_exact(
    groups: list[list[Heartbeat]], max_runtime: int | None, kept: int
) -> None:
    state, log = NO_HEARTBEATS, list[Heartbeat]()
    for group in groups:
        state = include(state, group, max_runtime, log_of(log[len(log) - min(kept, len(log)) :], len(log)))
        log += in_order(group)
    wanted = apply(NO_HEARTBEATS, in_order(log), max_runtime)
    assert sums(state) == sums(wanted)
    assert (state.consecutive_failures == 0) is (wanted.consecutive_failures == 0)
    starts = {(beat.rid, beat.received_at) for beat in log if beat.kind is Kind.START}
    assert {(run.rid, run.started_at) for run in state.runs} <= starts
    assert len({run.rid for run in state.runs}) == len(state.runs)


@given(groups(), RUNTIMES)
def test_a_log_that_reaches_back_to_the_open_runs_is_enough(
    groups: list[list[Heartbeat]], max_runtime: int | None
) -> None:
    """A past in which every run has ended is not needed, but for its last duration if that becomes the last again."""
    past = [Heartbeat(Kind.START, T - 9, "z"), Heartbeat(Kind.SUCCESS, T - 8, "z"), Heartbeat(Kind.LOG, T - 7)]
    state, log = apply(NO_HEARTBEATS, past, max_runtime), list(past)
    for group in groups:
        state = include(state, group, max_runtime, Log(in_order(log[len(past) :]), T))
        log += in_order(group)
    wanted = apply(NO_HEARTBEATS, in_order(log), max_runtime)
    assert state == wanted or (wanted.last_duration == 1 and state == wanted._replace(last_duration=None))


@given(groups())
def test_without_any_log_no_run_opens_that_may_have_ended(groups: list[list[Heartbeat]]) -> None:
    state, log = NO_HEARTBEATS, list[Heartbeat]()
    for group in groups:
        state = include(state, group)
        log += group
    for run in (run for run in state.runs if run.rid):
        ends = [beat for beat in log if beat.kind in (Kind.SUCCESS, Kind.FAILURE) and beat.rid == run.rid]
        assert all(beat.received_at <= run.started_at for beat in ends)


@given(groups(), st.integers(0, 30), st.none() | st.integers(0, 12))
def test_consecutive_failures_are_exact_with_a_log_that_has_the_last_success(
    groups: list[list[Heartbeat]], since: int, max_runtime: int | None
) -> None:
    state, log = NO_HEARTBEATS, list[Heartbeat]()
    for group in groups:
        last = max((beat.received_at for beat in [*log, *group] if beat.kind is Kind.SUCCESS), default=0)
        kept = in_order(beat for beat in log if beat.received_at >= min(last, T + since))
        state = include(state, group, max_runtime, Log(kept, min(last, T + since)))
        log += in_order(group)
        assert state.consecutive_failures == apply(NO_HEARTBEATS, in_order(log)).consecutive_failures


# ── examples ─────────────────────────────────────────────────────────────────────────────────────────────────────


def late(known: list[Heartbeat], *beats: Heartbeat, max_runtime: int | None = None) -> HeartbeatState:
    """What `beats` make of what is known."""
    return include(apply(NO_HEARTBEATS, known, max_runtime), beats, max_runtime, log_of(known, len(known)))


def test_an_end_that_overtook_its_start_gives_the_duration_and_leaves_no_run_open() -> None:
    for rid in ("", "r"):
        state = late([Heartbeat(Kind.SUCCESS, T + 5_000, rid)], Heartbeat(Kind.START, T, rid), max_runtime=1_000)
        assert (state.runs, state.last_duration, state.starts) == ((), 5_000, 1)


def test_a_failure_that_comes_after_a_later_success_undoes_nothing() -> None:
    state = late([Heartbeat(Kind.SUCCESS, T + 1_000)], Heartbeat(Kind.FAILURE, T, exit_code=3))
    assert (state.last_outcome, state.last_exit_code, state.failures) == (Kind.SUCCESS, 0, 1)
    assert (state.last_failure_at, state.last_received_at) == (T, T + 1_000)


def test_a_success_that_comes_after_a_later_failure_undoes_nothing() -> None:
    state = late([Heartbeat(Kind.FAILURE, T + 1_000, exit_code=3)], Heartbeat(Kind.SUCCESS, T))
    assert (state.last_outcome, state.last_exit_code, state.last_success_at) == (Kind.FAILURE, 3, T)


def test_a_late_start_takes_the_end_that_went_to_an_earlier_one() -> None:
    known = [Heartbeat(Kind.START, T, "a"), Heartbeat(Kind.SUCCESS, T + 10)]
    state = late(known, Heartbeat(Kind.START, T + 4, "b"))
    assert (state.runs, state.last_duration) == ((Run("a", T),), 6)


def test_runs_that_began_before_the_log_stay_open() -> None:
    state = HeartbeatState(9, 0, 2, T + 50, T + 50, None, T, Kind.SUCCESS, 0, runs=(Run("old", T - 99),))
    log = Log([Heartbeat(Kind.SUCCESS, T + 50, "x")], T)
    assert include(state, [Heartbeat(Kind.START, T + 7, "x")], None, log).runs == (Run("old", T - 99),)
    assert include(state, [Heartbeat(Kind.SUCCESS, T + 7, "old")], None, log).runs == ()


def test_the_oldest_of_a_cut_log_only_shows_where_it_is_whole() -> None:
    beats = [Heartbeat(Kind.LOG, T + at) for at in (5, 3, 6, 7, 9, 8, 10, 11)]
    assert log_of(beats, 9) == Log(in_order(beats)[1:], T + 5)
    assert log_of(beats, 8) == Log(in_order(beats), 0)
    assert log_of([], 3) == Log([], None)
