"""Late heartbeats: they count at the moments that their senders gave, each once."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.heartbeat import NO_HEARTBEATS, Claim, Heartbeat, HeartbeatState, Kind, Run, apply
from exporter.core.order import in_order, log_of, without_strays
from exporter.core.status import Status, evaluate
from exporter.fleet.loader import load
from exporter.ingest.intake import counted_at
from exporter.recording.late import LatePending, late_last
from exporter.recording.statements import Pending
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import START
from tests.recording.test_order import OPTIONS, STEP, fresh, pair
from tests.recording.test_spool import Spooling, away, spooling
from tests.support.replica import DEADLINE, Replica

__all__ = ["fresh", "spooling"]  # fixtures


def pending(replica: Replica, kind: Kind, claimed_at: int | None = None, rid: str = "") -> Pending:
    """One that is received now."""
    watched, now = replica.fleet.get("job"), replica.clock.now()
    assert watched is not None
    if claimed_at is None:
        return Pending(watched, Heartbeat(kind, now, rid))
    counts_at = counted_at(claimed_at, now)
    assert counts_at is not None
    return LatePending(watched, Heartbeat(kind, counts_at, rid), Claim(claimed_at, now))


def send(replica: Replica, kind: Kind, claimed_at: int | None = None, rid: str = "") -> Pending:
    made = pending(replica, kind, claimed_at, rid)
    replica.recorder._commit([made])
    return made


def state(replica: Replica) -> HeartbeatState:
    """The same in the database and in memory."""
    watched = replica.fleet.get("job")
    assert watched is not None
    (stored,) = load(replica.db, [watched.id])
    assert watched.state == stored.state
    return stored.state


def logged(replica: Replica) -> list[tuple[str, int]]:
    """(kind, moment) as pages and the API show it, the first one first."""
    watched = replica.fleet.get("job")
    assert watched is not None
    return [(beat.kind.value, beat.received_at) for beat in replica.history.heartbeats(watched.id, 1000)[::-1]]


# ── any order ────────────────────────────────────────────────────────────────────────────────────────────────────

Sent = tuple[int, Heartbeat, int | None, bool]
"""The process that takes it, the heartbeat at its moment, what its sender says, and whether it is sent twice."""


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Sent]]:
    """Groups in the order of their commits: some heartbeats are sent at once, some later and in any order."""
    kinds = st.sampled_from([*Kind, Kind.START, Kind.SUCCESS])
    rids, codes = st.sampled_from(["", "", "a", "b"]), st.none() | st.integers(1, 3)
    durations = st.none() | st.none() | st.integers(1, 3)
    groups: list[list[Sent]] = []
    claims: set[tuple[Kind, str, int]] = set()
    for number in range(draw(st.integers(1, 9))):
        now = 40 + number
        group: list[Sent] = []
        for _ in range(draw(st.integers(1, 2))):
            kind, rid = draw(kinds), draw(rids)
            late = draw(st.booleans())
            at = START + STEP * draw(st.integers(0, now)) if late else START + STEP * now
            if late and (kind, rid, at) in claims:
                continue
            claims.add((kind, rid, at))
            beat = Heartbeat(kind, at, rid, draw(codes) if kind is Kind.FAILURE else None, "", draw(durations))
            group.append((draw(st.integers(0, 1)), beat, at if late else None, late and draw(st.booleans())))
        groups.append(group)
    return groups


def test_any_order_leaves_what_the_order_of_moments_leaves(
    fresh: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    """State, counts, log and status, wherever the evaluator looks; what it has written meanwhile stays."""
    many = 60 if "sqlite" in request.node.name else 12

    @settings(max_examples=many)
    @given(arrivals(), OPTIONS, st.data())
    def check(groups: list[list[Sent]], options: dict[str, object], data: st.DataObject) -> None:
        with pair(fresh(), **options) as both:
            replicas, looks = (both.one, both.two), data.draw(st.booleans())
            kept: list[Heartbeat] = []
            for number, group in enumerate(groups):
                both.clock.wall = max(both.clock.wall, START + STEP * (40 + number))
                batches: tuple[list[Pending], list[Pending]] = ([], [])
                for process, beat, claimed_at, twice in group:
                    watched = replicas[process].fleet.get("job")
                    assert watched is not None
                    if claimed_at is None:
                        batches[process].append(Pending(watched, beat))
                        kept.append(beat)
                        continue
                    claim = Claim(claimed_at, both.clock.now())
                    batches[process].append(LatePending(watched, beat, claim))
                    kept.append(beat)
                    if twice:
                        other = 1 - process if data.draw(st.booleans()) else process
                        again = replicas[other].fleet.get("job")
                        assert again is not None
                        batches[other].append(LatePending(again, beat, claim))
                order = (0, 1) if data.draw(st.booleans()) else (1, 0)
                if looks:
                    both.evaluate()
                for process in order:
                    if batches[process]:
                        replicas[process].recorder._commit(batches[process])
                if looks and data.draw(st.booleans()):
                    both.evaluate()
            stored = both.state()
            (job,) = load(both.one.db)
            log = in_order(both.one.history.results(job.id, 1000))
            key = lambda beat: (beat.received_at, beat.kind, beat.rid, beat.exit_code or 0, beat.duration or 0)  # noqa: E731
            assert sorted(map(key, log)) == sorted(map(key, kept))
            assert stored == apply(NO_HEARTBEATS, log, options["max_runtime"])  # type: ignore[arg-type]
            for _ in range(3):
                both.clock.advance(MINUTE)
                both.evaluate()
            both.follow()
            now = evaluate(both.monitor, stored, both.clock.now())
            assert both.one.status("job") == both.two.status("job") == (now.status.value, now.reason.value)
            past = both.one.past("job")
            assert [at for _, at in past] == sorted(at for _, at in past)
            assert len({began for _, began, _ in both.alerts()}) == len(both.alerts())
            assert sum(not ended for _, _, ended in both.alerts()) == (now.status is Status.DOWN)

    check()


@pytest.fixture
def job(replica: Replica) -> Replica:
    replica.add("job", degraded_after=2 * MINUTE, down_after=4 * MINUTE, max_runtime=10 * MINUTE)
    replica.clock.advance(10 * HOUR)
    replica.evaluator.evaluate_due()
    return replica


def test_a_run_that_was_reported_late(job: Replica) -> None:
    now = job.clock.now()
    send(job, Kind.SUCCESS)
    send(job, Kind.SUCCESS, now - HOUR, "r")
    send(job, Kind.START, now - HOUR - 90 * SECOND, "r")
    assert state(job).last_duration == 90 * SECOND
    assert state(job).runs == ()
    assert state(job).last_success_at == now
    assert (state(job).received, state(job).starts) == (3, 1)
    assert logged(job) == [("start", now - HOUR - 90 * SECOND), ("success", now - HOUR), ("success", now)]


def test_a_start_whose_run_goes_on_counts_from_its_moment(job: Replica) -> None:
    now = job.clock.now()
    send(job, Kind.SUCCESS, now - 20 * MINUTE)
    send(job, Kind.START, now - 11 * MINUTE, "r")
    job.evaluator.evaluate_due()
    assert state(job).runs == (Run("r", now - 11 * MINUTE),)
    assert job.status("job") == ("DOWN", "overrun")


def test_the_newest_outcome_decides_and_failures_in_a_row_are_counted_at_their_places(job: Replica) -> None:
    now = job.clock.now()
    send(job, Kind.SUCCESS)
    send(job, Kind.FAILURE, now - MINUTE)
    job.evaluator.evaluate_due()
    assert job.status("job") == ("UP", "on_time")
    assert (state(job).failures, state(job).consecutive_failures) == (1, 0)
    job.clock.advance(MINUTE)
    send(job, Kind.FAILURE)
    send(job, Kind.FAILURE, now + SECOND)
    assert state(job).consecutive_failures == 2
    send(job, Kind.SUCCESS, now + 2 * SECOND)
    assert state(job).consecutive_failures == 1
    assert state(job).last_success_at == now + 2 * SECOND
    job.evaluator.evaluate_due()
    assert job.status("job") == ("DOWN", "failed")


def test_what_is_written_stays_and_history_goes_on_from_there(job: Replica) -> None:
    """The job went on while its network was away: the monitor is DOWN, and what is sent later ends that."""
    job.watch(AlertRule(name="down", notify=("ops",)))
    began = job.clock.now()
    send(job, Kind.SUCCESS)
    job.evaluator.evaluate_due()
    for _ in range(20):
        job.clock.advance(MINUTE)
        job.evaluator.evaluate_due()
    assert job.status("job") == ("DOWN", "missed")
    before = list(job.past("job"))
    assert job.open_alerts() == ["down"]
    for minute in range(3, 20, 2):
        send(job, Kind.SUCCESS, began + minute * MINUTE)
        job.evaluator.evaluate_due()
    assert job.status("job") == ("UP", "on_time")
    assert list(job.past("job"))[: len(before)] == before
    assert job.open_alerts() == []
    assert [at for _, at in logged(job)] == [began, *(began + minute * MINUTE for minute in range(3, 20, 2))]
    assert state(job).received == 10


def test_a_late_success_that_is_late_even_so_leaves_the_monitor_down(job: Replica) -> None:
    began = job.clock.now()
    send(job, Kind.SUCCESS)
    for _ in range(61):
        job.evaluator.evaluate_due()
        job.clock.advance(MINUTE)
    send(job, Kind.SUCCESS, began + 30 * MINUTE)
    watched = job.fleet.get("job")
    assert watched is not None
    shown = watched.shown
    job.evaluator.evaluate_due()
    assert job.status("job") == ("DOWN", "missed")
    assert shown == watched.current
    assert list(job.past("job"))[-3:] == [
        ("UP", began + 30 * MINUTE),
        ("DEGRADED", began + 32 * MINUTE + 1),
        ("DOWN", began + 34 * MINUTE + 1),
    ]


@pytest.mark.parametrize("ago", [0, 1, 3, 30])
@pytest.mark.parametrize("kind", [Kind.SUCCESS, Kind.FAILURE, Kind.START])
def test_readers_are_shown_what_follows_at_the_receipt(job: Replica, ago: int, kind: Kind) -> None:
    send(job, Kind.SUCCESS)
    job.evaluator.evaluate_due()
    job.clock.advance(HOUR)
    job.evaluator.evaluate_due()
    for each in (kind, Kind.LOG, kind):
        send(job, each, job.clock.now() - ago * MINUTE, "r")
        watched = job.fleet.get("job")
        assert watched is not None
        shown = watched.shown
        job.recorder._reload([watched.id])  # as when another process has written
        assert watched.shown == shown
        job.evaluator.evaluate_due()
        assert (shown.status, shown.reason) == (watched.current.status, watched.current.reason)
        assert watched.preview is None
        job.clock.advance(SECOND)


def test_alerts_do_not_wait_for_the_moments_of_late_heartbeats(job: Replica) -> None:
    """The evaluation goes up to the receipt of what waits, not up to the moment that its sender gave."""
    job.add("silent", degraded_after=MINUTE, down_after=2 * MINUTE)
    job.watch(AlertRule(name="down", notify=("ops",), failure_threshold=1))
    job.beat("silent")
    send(job, Kind.SUCCESS)
    job.evaluator.evaluate_due()
    job.clock.advance(3 * MINUTE)
    waiting = pending(job, Kind.SUCCESS, job.clock.now() - HOUR)
    job.recorder._queue.append(waiting)
    assert job.recorder.waiting() == {waiting.watched.id: job.clock.now()}
    job.clock.advance(SECOND)
    job.evaluator.evaluate_due()
    assert job.status("silent") == ("DOWN", "missed")
    assert job.status("job") == ("DEGRADED", "late")
    assert job.open_alerts() == ["down"]


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_heartbeat_counts_once(job: Replica) -> None:
    at = job.clock.now() - HOUR
    assert not send(job, Kind.SUCCESS, at, "r").repeated
    job.clock.advance(MINUTE)
    assert send(job, Kind.SUCCESS, at, "r").repeated
    for other in (
        send(job, Kind.START, at, "r"),
        send(job, Kind.SUCCESS, at, "s"),
        send(job, Kind.SUCCESS, at + 1, "r"),
        send(job, Kind.SUCCESS, None, "r"),
    ):
        assert not other.repeated
    assert state(job).received == 5
    assert len(logged(job)) == 5


def test_of_what_is_too_old_or_a_little_ahead_the_given_moment_identifies(job: Replica) -> None:
    """Such a heartbeat counts at another moment each time that it is sent."""
    now = job.clock.now()
    for at in (now - 30 * 24 * HOUR, now + 50 * SECOND):
        assert not send(job, Kind.SUCCESS, at).repeated
        job.clock.advance(SECOND)
        assert send(job, Kind.SUCCESS, at).repeated
    assert logged(job) == [("success", now - 7 * 24 * HOUR), ("success", now + SECOND)]


def test_two_at_once_and_beside_others(job: Replica) -> None:
    at = job.clock.now() - HOUR
    job.add("other")
    group = [pending(job, Kind.SUCCESS, at, "r") for _ in range(3)]
    group.insert(1, pending(job, Kind.SUCCESS))
    group.append(pending(job, Kind.FAILURE, at, "r"))
    job.recorder._commit(group)
    assert [each.repeated for each in group].count(True) == 2
    assert state(job) == apply(NO_HEARTBEATS, [each.beat for each in late_last(group) if not each.repeated])
    assert state(job).received == 3
    alone = [pending(job, Kind.SUCCESS, at, "r"), pending(job, Kind.FAILURE, at, "r")]
    job.recorder._commit(alone)
    assert all(each.repeated for each in alone)
    assert state(job).received == 3


def test_after_a_restart(job: Replica, url: str) -> None:
    at = job.clock.now() - HOUR
    send(job, Kind.SUCCESS, at)
    successor = Replica(url, job.clock, "next")
    try:
        assert send(successor, Kind.SUCCESS, at).repeated
        assert state(successor).received == 1
    finally:
        successor.db.close()


def test_a_heartbeat_that_is_sent_to_two_processes_at_once(job: Replica, other: Replica) -> None:
    """Many times, each time at the same moment."""
    job.follower.poll()
    other.refresh()
    started = job.clock.now()
    barrier = threading.Barrier(2, timeout=10 * DEADLINE)
    new: list[int] = []

    def work(replica: Replica) -> None:
        for number in range(10):
            group = [pending(replica, Kind.SUCCESS, started - number * SECOND - offset) for offset in (1, 0, 2)]
            barrier.wait()
            replica.recorder._commit_despite_conflicts(group)
            new.append(sum(not each.repeated for each in group))
        replica.db.close()

    threads = [threading.Thread(target=work, args=[replica]) for replica in (job, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10 * DEADLINE)
    assert sum(new) == 30
    (stored,) = load(job.db)
    assert stored.state.received == 30
    assert len(logged(job)) == 30


def test_what_the_log_has_forgotten_counts_again(job: Replica) -> None:
    at = job.clock.now() - HOUR
    send(job, Kind.SUCCESS, at)
    for _ in range(5):
        send(job, Kind.SUCCESS)
    Pruner(job.db, job.clock).prune(heartbeat_log_size=5, history_retention=MINUTE)
    assert not send(job, Kind.SUCCESS, at).repeated


def test_through_the_spool(spooling: Spooling, url: str) -> None:
    replica = spooling.replica
    replica.clock.advance(HOUR)
    before, meanwhile = replica.clock.now() - MINUTE, replica.clock.now() - 2 * MINUTE

    def put(kind: Kind, at: int, rid: str = "") -> None:
        made = pending(replica, kind, at, rid)
        spooling.recorder.record(made)
        spooling.recorder._take()
        assert made.error is None

    put(Kind.SUCCESS, before)
    with away(replica.db):
        put(Kind.SUCCESS, before)
        for _ in range(3):
            put(Kind.START, meanwhile, "r")
        put(Kind.SUCCESS, meanwhile + 30 * SECOND, "r")
        spooling.recorder._queue.extend(pending(replica, Kind.LOG, meanwhile) for _ in range(2))
        spooling.recorder._take()
        watched = replica.fleet.get("job")
        assert watched is not None
        assert watched.state.starts == 1
    successor = Spooling(Replica(url, replica.clock, "next"), spooling.backlog.directory)
    spooling.die()
    successor.begin()
    successor.catch_up()
    assert state(successor.replica).received == 4
    assert state(successor.replica).last_duration == 30 * SECOND
    assert [kind for kind, _ in logged(successor.replica)] == ["start", "log", "success", "success"]
    assert send(successor.replica, Kind.START, meanwhile, "r").repeated
    successor.die()


# ── a log that does not reach back ───────────────────────────────────────────────────────────────────────────────


def test_an_old_heartbeat_does_not_make_a_log_reach_back(job: Replica) -> None:
    """Else what lies between it and the log would look as if nothing had come."""
    kept = 20
    for _ in range(60):
        job.clock.advance(30 * SECOND)
        send(job, Kind.SUCCESS)
    job.evaluator.evaluate_due()
    Pruner(job.db, job.clock).prune(heartbeat_log_size=kept, history_retention=HOUR)
    evaluated = job.clock.now()
    send(job, Kind.SUCCESS, evaluated - 2 * HOUR)
    for _ in range(30):  # the evaluator stands still meanwhile
        job.clock.advance(30 * SECOND)
        send(job, Kind.SUCCESS)
        Pruner(job.db, job.clock).prune(heartbeat_log_size=kept, history_retention=HOUR)
        send(job, Kind.SUCCESS, evaluated - 3 * HOUR - job.clock.now() % HOUR)
    job.execute(f"UPDATE states SET next_evaluation_at = {evaluated}")
    job.evaluator.evaluate_due()
    assert [status for status, _ in job.past("job")] == ["NO_DATA", "UP"]


def test_late_heartbeats_among_the_oldest_of_a_log() -> None:
    late = [Heartbeat(Kind.SUCCESS, START + at) for at in range(5)]
    live = [Heartbeat(Kind.SUCCESS, START + HOUR + at) for at in range(15)]
    beats, arrived = [*late, *live], [START + HOUR] * 5 + [None] * 15
    assert log_of(beats, 20, arrived).since == 0
    assert log_of(beats, 21, arrived) == (live, START + HOUR)
    assert without_strays(beats, 20, arrived) == beats
    assert without_strays(beats, 21, arrived) == live
    assert without_strays(live, 21, [None] * 15) == live
    assert log_of([], 3, []).since is None
