"""Any interleaving of the commits of several processes leaves what the order of receipt leaves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import MINUTE, SECOND
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply
from exporter.core.monitor import Monitor
from exporter.core.order import in_order
from exporter.core.status import Status, evaluate
from exporter.fleet.loader import load
from exporter.recording.statements import Pending
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import START, ManualClock
from tests.support.replica import Replica

STEP = 700
"""Milliseconds between two heartbeats: thresholds lie between their multiples."""


class Pair:
    """Two processes on one database."""

    def __init__(self, url: str, **options: object) -> None:
        self.clock = ManualClock()
        self.one, self.two = Replica(url, self.clock, "one"), Replica(url, self.clock, "two")
        self.one.add("job", **options)
        self.two.refresh()
        self.one.watch(AlertRule(name="down", notify=("ops",)))

    @property
    def monitor(self) -> Monitor:
        watched = self.one.fleet.get("job")
        assert watched is not None
        return watched.monitor

    def commit(self, replica: Replica, beats: Sequence[Heartbeat]) -> None:
        watched = replica.fleet.get("job")
        assert watched is not None
        replica.recorder._commit([Pending(watched, beat) for beat in beats])

    def follow(self) -> None:
        """As the followers and recorders of both do by themselves."""
        for replica in (self.one, self.two):
            replica.recorder._reload(replica.follower._changed())

    def state(self) -> HeartbeatState:
        """The same in the database and in both fleets."""
        self.follow()
        (found,) = load(self.one.db)
        for replica in (self.one, self.two):
            watched = replica.fleet.get("job")
            assert watched is not None
            assert watched.state == found.state
        return found.state

    def evaluate(self) -> None:
        self.one.evaluator.evaluate_due()

    def alerts(self) -> list[tuple[object, ...]]:
        return sorted(
            (alert.rule, alert.triggered_at, alert.resolved_at or 0) for alert in self.one.alerts.recent(limit=1000)
        )

    def close(self) -> None:
        self.one.db.close()
        self.two.db.close()


@contextmanager
def pair(url: str, **options: object) -> Iterator[Pair]:
    made = Pair(url, **options)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def both(url: str) -> Iterator[Pair]:
    with pair(url, degraded_after=2 * MINUTE, down_after=4 * MINUTE, max_runtime=MINUTE) as made:
        yield made


Commit = tuple[int, Sequence[Heartbeat]]
"""Which of the two processes, and its group."""


@st.composite
def interleavings(draw: st.DrawFn) -> list[Commit]:
    """In any order of commits: each process takes heartbeats in order, but one of them may stand still meanwhile."""
    kinds = st.sampled_from([*Kind, Kind.START, Kind.SUCCESS])
    rids, codes = st.sampled_from(["", "", "a", "b"]), st.none() | st.integers(1, 3)
    durations = st.none() | st.none() | st.integers(1, 3)  # of the sender
    moments = draw(st.lists(st.integers(0, 12), max_size=9).map(sorted))
    lanes: tuple[list[Heartbeat], list[Heartbeat]] = ([], [])
    for moment in moments:
        beat = Heartbeat(draw(kinds), START + STEP * moment, draw(rids), draw(codes), "", draw(durations))
        lanes[draw(st.integers(0, 1))].append(beat)
    commits: list[Commit] = []
    while lanes[0] or lanes[1]:
        process = draw(st.integers(0, 1)) if lanes[0] and lanes[1] else int(not lanes[0])
        size = draw(st.integers(1, 3))
        commits.append((process, lanes[process][:size]))
        del lanes[process][:size]
    return commits


def in_turn(commits: Sequence[Commit]) -> list[Commit]:
    """One heartbeat after the other, in the order of receipt."""
    return [(0, [beat]) for beat in in_order(beat for _, group in commits for beat in group)]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Callable[[Path], str]) -> Callable[[], str]:
    """Makes the URL of another database, at each call."""
    numbers = iter(range(10_000))
    if request.param == "sqlite":
        return lambda: migrated_file(tmp_path / f"{next(numbers)}.db")
    server = request.getfixturevalue("postgres")
    return lambda: str(server.create("migrated"))


OPTIONS = st.fixed_dictionaries(
    {
        "degraded_after": st.just(2 * STEP + 50),
        "down_after": st.just(4 * STEP + 50),
        "max_runtime": st.none() | st.just(3 * STEP + 50),
        "evaluation_cron": st.none() | st.just("* * * * *"),
        "schedule": st.none() | st.none() | st.just("* * * * *"),
        "failure_tolerance": st.sampled_from([0, 0, 1, 2]),
        "min_runtime": st.none() | st.just(2 * STEP),
    }
)


def test_states_transitions_and_alerts_are_those_of_the_order_of_receipt(
    fresh: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    """The evaluator looks when all is committed. It finds what it would have found if it had looked all the time."""
    many = 60 if "sqlite" in request.node.name else 12

    @settings(max_examples=many)
    @given(interleavings(), OPTIONS)
    def check(commits: list[Commit], options: dict[str, object]) -> None:
        found = []
        for order in (commits, in_turn(commits)):
            with pair(fresh(), **options) as both:
                both.evaluate()
                for process, group in order:
                    both.commit((both.one, both.two)[process], group)
                state = both.state()
                assert state == apply(NO_HEARTBEATS, in_order(b for _, g in order for b in g), options["max_runtime"])
                for _ in range(2):
                    both.clock.advance(MINUTE)
                    both.evaluate()
                both.follow()
                found.append((both.one.status("job"), both.two.status("job"), both.one.past("job"), both.alerts()))
        assert found[0] == found[1]

    check()


def test_wherever_the_evaluator_looks_nothing_is_written_twice_and_the_end_is_right(
    fresh: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    """What has been written of the time up to an evaluation stays, whatever is committed after it."""
    many = 100 if "sqlite" in request.node.name else 20

    @settings(max_examples=many)
    @given(interleavings(), OPTIONS, st.data())
    def check(commits: list[Commit], options: dict[str, object], data: st.DataObject) -> None:
        with pair(fresh(), **options) as both:
            beats = in_order(beat for _, group in commits for beat in group)
            for process, group in commits:
                both.clock.wall = max(both.clock.wall, group[-1].received_at)
                both.commit((both.one, both.two)[process], group)
                if data.draw(st.booleans()):
                    both.clock.advance(data.draw(st.sampled_from([0, 1, STEP, 5 * STEP])))
                    both.evaluate()
            for _ in range(2):
                both.clock.advance(MINUTE)
                both.evaluate()
            state = both.state()
            assert state == apply(NO_HEARTBEATS, beats, options["max_runtime"])  # type: ignore[arg-type]
            now = evaluate(both.monitor, state, both.clock.now())
            assert both.one.status("job") == both.two.status("job") == (now.status.value, now.reason.value)
            past = both.one.past("job")
            assert [at for _, at in past] == sorted(at for _, at in past)
            assert all(status != after for (status, _), (after, _) in pairwise(past))
            assert past[-1][0] == now.status.value
            alerts = both.alerts()
            assert len({began for _, began, _ in alerts}) == len(alerts)
            assert sum(not ended for _, _, ended in alerts) == (now.status is Status.DOWN)

    check()


# ── examples ─────────────────────────────────────────────────────────────────────────────────────────────────────


def beat(kind: Kind, after: int, rid: str = "", exit_code: int | None = None) -> Heartbeat:
    """One that was received so many seconds after the start of the test."""
    return Heartbeat(kind, START + after * SECOND, rid, exit_code)


def test_a_process_that_stood_still_sets_nothing_back(both: Pair) -> None:
    """It took a heartbeat before the others did, and commits it after all of them."""
    stalled = [beat(Kind.SUCCESS, 1)]
    for second in range(2, 300, 30):
        both.clock.wall = START + second * SECOND
        both.commit(both.two, [beat(Kind.SUCCESS, second)])
        both.evaluate()
    both.commit(both.one, stalled)
    both.evaluate()
    both.clock.advance(MINUTE)
    both.evaluate()
    assert both.state().last_success_at == START + 272 * SECOND
    assert [status for status, _ in both.one.past("job")] == ["NO_DATA", "UP"]
    assert both.alerts() == []


def test_a_failure_that_is_committed_after_a_later_success(both: Pair) -> None:
    both.commit(both.two, [beat(Kind.SUCCESS, 0)])
    both.evaluate()
    both.clock.advance(11 * SECOND)
    both.commit(both.two, [beat(Kind.SUCCESS, 11)])
    both.clock.advance(SECOND)
    both.evaluate()
    both.commit(both.one, [beat(Kind.FAILURE, 10, exit_code=3)])
    both.evaluate()
    state = both.state()
    assert (state.last_outcome, state.last_exit_code, state.failures) == (Kind.SUCCESS, 0, 1)
    assert both.one.status("job") == ("UP", "on_time")
    # It did fail, for a second, and nobody had looked since.
    assert both.one.past("job") == [
        ("NO_DATA", START),
        ("UP", START),
        ("DOWN", START + 10 * SECOND),
        ("UP", START + 11 * SECOND),
    ]


def test_a_success_that_is_committed_after_its_monitor_was_found_down_ends_that_at_once(both: Pair) -> None:
    both.commit(both.two, [beat(Kind.SUCCESS, 0)])
    both.evaluate()
    both.clock.advance(5 * MINUTE)
    both.evaluate()
    assert both.one.status("job") == ("DOWN", "missed")
    both.commit(both.one, [beat(Kind.SUCCESS, 200)])
    both.evaluate()
    assert both.one.status("job") == ("UP", "on_time")
    for _ in range(3):
        both.commit(both.one, [beat(Kind.LOG, 201)])
        both.evaluate()
    assert both.one.past("job") == [
        ("NO_DATA", START),
        ("UP", START),
        ("DEGRADED", START + 2 * MINUTE + 1),
        ("DOWN", START + 4 * MINUTE + 1),
        ("UP", START + 5 * MINUTE),  # not from before it was looked at
    ]
    assert len(both.alerts()) == 1


@pytest.mark.parametrize("rid", ["", "r"])
def test_a_start_that_is_committed_after_its_end_is_not_an_overrun(both: Pair, rid: str) -> None:
    both.commit(both.two, [beat(Kind.SUCCESS, 30, rid)])
    both.clock.advance(31 * SECOND)
    both.evaluate()
    both.commit(both.one, [beat(Kind.START, 10, rid)])
    assert both.state().last_duration == 20 * SECOND
    assert both.state().runs == ()
    both.clock.advance(MINUTE)
    both.evaluate()
    assert both.one.status("job") == ("UP", "on_time")


def test_a_late_start_leaves_the_earlier_run_open_and_that_is_an_overrun(both: Pair) -> None:
    """The end without a rid belonged to the later start, which is committed last."""
    both.commit(both.two, [beat(Kind.SUCCESS, 0), beat(Kind.START, 1, "a"), beat(Kind.SUCCESS, 30)])
    both.evaluate()
    assert both.state().runs == ()
    both.commit(both.one, [beat(Kind.START, 20)])
    assert both.state().runs == (Run("a", START + SECOND),)
    assert both.state().last_duration == 10 * SECOND
    both.clock.advance(70 * SECOND)
    both.evaluate()
    assert both.one.status("job") == ("DOWN", "overrun")
    assert both.one.past("job")[-1] == ("DOWN", START + SECOND + MINUTE + 1)


def test_a_run_that_began_before_the_log_is_not_forgotten_by_its_judgement(both: Pair) -> None:
    both.commit(both.one, [beat(Kind.SUCCESS, 0), beat(Kind.START, 1, "r")])
    both.evaluate()
    for second in range(2, 40):
        both.commit(both.one, [beat(Kind.LOG, second)])
    Pruner(both.one.db, both.clock).prune(heartbeat_log_size=5, history_retention=MINUTE)
    both.commit(both.one, [beat(Kind.SUCCESS, 50, "other")])
    both.commit(both.one, [beat(Kind.FAILURE, 55, "another")])
    both.commit(both.one, [beat(Kind.SUCCESS, 58, "another")])
    both.clock.advance(61 * SECOND)
    both.evaluate()
    both.clock.advance(MINUTE)
    both.evaluate()
    assert both.one.status("job") == ("DOWN", "overrun")


def test_a_success_between_failures_that_is_committed_after_them_ends_the_count_before_it(both: Pair) -> None:
    """Also before the evaluator has seen the failures."""
    both.commit(both.two, [beat(Kind.SUCCESS, 0)])
    both.evaluate()
    both.commit(both.two, [beat(Kind.FAILURE, 10), beat(Kind.FAILURE, 20)])
    assert both.one.status("job") == ("UP", "on_time")
    both.commit(both.one, [beat(Kind.SUCCESS, 15)])
    assert both.state().consecutive_failures == 1
    both.commit(both.one, [beat(Kind.FAILURE, 5), beat(Kind.FAILURE, 17)])
    assert both.state().consecutive_failures == 2


def test_what_the_job_put_out_last_is_of_the_last_moment(both: Pair) -> None:
    job = both.one.fleet.get("job")
    assert job is not None
    both.commit(both.two, [beat(Kind.FAILURE, 9)._replace(output="later")])
    both.commit(both.one, [beat(Kind.FAILURE, 3)._replace(output="earlier")])
    assert both.one.history.last_outputs([job.id]) == {job.id: "later"}
