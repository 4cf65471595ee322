"""The spool: what was acknowledged while the database was away is recorded once, in order, at its own moment."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee
import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind, Run
from exporter.core.job_metrics.model import Push, PushMode
from exporter.core.job_metrics.text import parse_text
from exporter.core.monitor import Monitor
from exporter.core.telemetry import Silent
from exporter.evaluation.evaluator import Evaluator, HeldBack
from exporter.fleet.loader import load
from exporter.recording.recorder import Recorder
from exporter.recording.spool.backlog import Backlog
from exporter.recording.spool.spooler import Spooler
from exporter.recording.statements import Pending
from exporter.storage.database import Database, Transaction
from tests.conftest import START, ManualClock
from tests.support.replica import DEADLINE, Replica

MINUTE = 60_000
MOST = 1 << 28


class Spooling:
    """A replica with a spool, worked step by step on the test's own thread."""

    def __init__(self, replica: Replica, directory: Path) -> None:
        self.replica = replica
        self.clock = replica.clock
        self.settled: list[Pending] = []
        self.backlog = Backlog(directory, replica.clock, MOST, lambda: "database")
        self.spooler = Spooler(replica.db, self.backlog, replica.clock, Silent(), replica.name)
        self.recorder = Recorder(
            replica.db,
            replica.fleet,
            Silent(),
            replica.name,
            on_committed=self.settled.extend,
            spooler=self.spooler,
        )
        self.evaluator = Evaluator(
            replica.db,
            replica.evaluations,
            replica.history,
            replica.lease,
            replica.clock,
            Silent(),
            held_back=lambda: self.spooler.behind,
        )

    def begin(self) -> None:
        """As the recorder's thread begins."""
        self.spooler.open()
        self.catch_up()

    def send(self, *beats: tuple[str, str] | tuple[str, str, Kind]) -> list[str]:
        """One group of (tag, rid); the rids that were acknowledged."""
        for tag, rid, *kind in beats:
            watched = self.replica.fleet.get(tag)
            assert watched is not None
            beat = Heartbeat(kind[0] if kind else Kind.SUCCESS, self.clock.now(), rid)
            assert self.recorder.record(Pending(watched, beat))
        self.settled.clear()
        self.recorder._take()
        return [one.beat.rid for one in self.settled if one.error is None]

    def catch_up(self) -> None:
        """Looks around, and replays all there is."""
        self.recorder.look_around()
        while self.recorder._can_replay():
            self.recorder._catch_up(0)
        self.recorder._read_again()
        while self.recorder._jobs:
            self.recorder._reload(self.recorder._jobs.popleft()[0])

    def die(self) -> None:
        """The kernel closes what a process had open, and nothing else happens."""
        backlog = self.backlog
        for file in (*backlog._files(), *backlog._stuck):
            file.close()
        for descriptor in os.listdir("/proc/self/fd"):
            link = f"/proc/self/fd/{descriptor}"
            if os.path.lexists(link) and os.readlink(link).startswith(f"{backlog.directory}/"):
                os.close(int(descriptor))
        self.replica.db.close()

    def log(self, tag: str = "job") -> list[tuple[str, int]]:
        """(rid, moment) in the order in which they were recorded."""
        beats = self.replica.db.tables.heartbeats
        watched = self.replica.fleet.get(tag)
        assert watched is not None
        query = beats.select(beats.rid, beats.received_at).where(beats.monitor_id == watched.id).order_by(beats.id)
        with self.replica.db.read("look"):
            return list(query.tuples())


@pytest.fixture
def spooling(replica: Replica, tmp_path: Path) -> Iterator[Spooling]:
    replica.add("job")
    replica.add("other")
    spooling = Spooling(replica, tmp_path / "spool")
    spooling.begin()
    yield spooling
    spooling.die()


@contextmanager
def away(database: Database) -> Iterator[None]:
    """The database does not answer."""
    real = database._connect

    def fail(writing: bool) -> None:
        raise peewee.OperationalError("it is away")

    database._connect = fail  # type: ignore[method-assign]
    try:
        yield
    finally:
        database._connect = real  # type: ignore[method-assign]


def test_heartbeats_wait_and_are_recorded_in_order_at_their_own_moments(spooling: Spooling) -> None:
    clock = spooling.clock
    assert spooling.send(("job", "a")) == ["a"]
    with away(spooling.replica.db):
        for rid in "bcd":
            clock.advance(MINUTE)
            assert spooling.send(("job", rid), ("other", rid)) == [rid, rid]
            with pytest.raises(StorageUnavailable):
                spooling.recorder.look_around()
        assert spooling.spooler.behind
        assert spooling.backlog.waiting == 6
        notice = spooling.spooler.notice()
        assert notice is not None
        assert "does not answer since Mon 21 Sep 2026, 14:14:20 UTC. 6 heartbeats wait in the spool" in notice
        job = spooling.replica.fleet.get("job")
        assert job is not None
        assert job.state.received == 4
        assert job.state.last_success_at == START + 3 * MINUTE
        clock.advance(MINUTE)
    # The order stays: what comes now goes behind what waits.
    assert spooling.send(("job", "e")) == ["e"]
    assert spooling.backlog.waiting == 7
    spooling.catch_up()
    assert not spooling.spooler.behind
    assert spooling.spooler.notice() is None
    assert spooling.send(("job", "f")) == ["f"]
    assert spooling.log() == [(rid, START + min(number, 4) * MINUTE) for number, rid in enumerate("abcdef")]
    stored = load(spooling.replica.db)
    assert [one.state.received for one in stored] == [6, 3]
    assert job.state == stored[0].state
    assert spooling.spooler.taking_since == START


def test_every_batch_of_a_long_backlog_is_recorded_once(spooling: Spooling) -> None:
    with away(spooling.replica.db):
        for group in range(5):
            assert len(spooling.send(*[("job", f"{group}-{number}") for number in range(700)])) == 700
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == [f"{group}-{number}" for group in range(5) for number in range(700)]
    assert load(spooling.replica.db)[0].state.received == 3500


def test_a_run_may_begin_and_end_in_the_spool(spooling: Spooling) -> None:
    spooling.send(("job", "x", Kind.START))
    with away(spooling.replica.db):
        spooling.clock.advance(7_000)
        spooling.send(("job", "y", Kind.START))
        spooling.clock.advance(1_000)
        spooling.send(("job", "x"))
        job = spooling.replica.fleet.get("job")
        assert job is not None
        assert (job.state.last_duration, [run.rid for run in job.state.runs]) == (8_000, ["y"])
    spooling.catch_up()
    stored = load(spooling.replica.db)[0].state
    assert (stored.last_duration, [run.rid for run in stored.runs]) == (8_000, ["y"])
    spooling.clock.advance(2_000)
    spooling.send(("job", "y"))
    assert load(spooling.replica.db)[0].state.last_duration == 3_000


def test_a_removed_monitor_is_left_out_and_the_others_are_not(
    spooling: Spooling, caplog: pytest.LogCaptureFixture
) -> None:
    with away(spooling.replica.db):
        spooling.send(("job", "a"), ("other", "b"), ("job", "c"))
    spooling.replica.monitors.remove("job")
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log("other")] == ["b"]
    assert spooling.replica.fleet.get("job") is None
    with spooling.replica.db.read("look"):
        assert spooling.replica.db.tables.heartbeats.select().count() == 1
    assert "dropping 2 heartbeats from the spool: the monitor job was removed" in caplog.text


def test_no_false_alarm_and_every_change_at_its_moment(spooling: Spooling) -> None:
    """Degraded after 5 minutes, down after 10. Nobody is judged before the spool is empty."""
    clock = spooling.clock
    spooling.send(("job", "a"), ("other", "a"))
    spooling.evaluator.evaluate_due()
    with away(spooling.replica.db):
        for _ in range(5):
            clock.advance(4 * MINUTE)
            spooling.send(("job", "on-time"))
        clock.advance(1000)
        spooling.send(("other", "broken", Kind.FAILURE))
        clock.advance(1000)
        spooling.send(("other", "mended"))
        clock.advance(1000)
        with pytest.raises(HeldBack):
            spooling.evaluator.evaluate_due()
    with pytest.raises(HeldBack):
        spooling.evaluator.evaluate_due()
    spooling.catch_up()
    spooling.evaluator.evaluate_due()
    assert spooling.replica.past("job") == [("NO_DATA", START), ("UP", START)]
    late, missed = START + 5 * MINUTE + 1, START + 10 * MINUTE + 1
    broken = START + 20 * MINUTE + 1000
    assert spooling.replica.past("other") == [
        ("NO_DATA", START),
        ("UP", START),
        ("DEGRADED", late),
        ("DOWN", missed),
        ("UP", broken + 1000),
    ]
    clock.advance(11 * MINUTE)
    spooling.evaluator.evaluate_due()
    assert spooling.replica.past("job")[-1] == ("DOWN", START + 20 * MINUTE + 10 * MINUTE + 1)


def test_an_evaluation_under_way_is_undone_when_heartbeats_are_spooled(
    spooling: Spooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooling.send(("job", "a"))
    spooling.evaluator.evaluate_due()
    spooling.clock.advance(6 * MINUTE)
    evaluate_one = spooling.evaluator._evaluate_monitor

    def slow(*arguments: Any) -> Any:
        outcome = evaluate_one(*arguments)
        with away(spooling.replica.db):
            spooling.send(("job", "b"))
        return outcome

    monkeypatch.setattr(spooling.evaluator, "_evaluate_monitor", slow)
    with pytest.raises(HeldBack):
        spooling.evaluator.evaluate_due()
    assert spooling.replica.past("job") == [("NO_DATA", START), ("UP", START)]


def test_what_others_change_does_not_hide_what_waits(spooling: Spooling) -> None:
    with away(spooling.replica.db):
        spooling.send(("job", "a"))
    job = spooling.replica.fleet.get("job")
    assert job is not None
    spooling.recorder._reload([job.id])
    assert job.state.received == 1
    spooling.replica.monitors.set_paused("job", True)
    spooling.catch_up()
    assert job.monitor.paused
    assert job.state.received == 1


def test_a_spool_that_cannot_be_written_refuses(spooling: Spooling) -> None:
    spooling.backlog.most = 0
    spooling.clock.advance(1000)
    assert spooling.spooler.taking_since == START
    with away(spooling.replica.db):
        assert spooling.send(("job", "a")) == []
        assert isinstance(spooling.settled[0].error, StorageUnavailable)
        assert spooling.spooler.taking_since is None
        spooling.backlog.most = MOST
        spooling.clock.advance(1000)
        assert spooling.send(("job", "b")) == ["b"]
    assert spooling.spooler.taking_since == START + 2000
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == ["b"]


def test_a_database_that_is_back_is_used_again_though_the_spool_is_broken(spooling: Spooling) -> None:
    spooling.backlog.most = 0
    with away(spooling.replica.db):
        assert spooling.send(("job", "a")) == []
    spooling.catch_up()
    assert spooling.send(("job", "b")) == ["b"]


# ── answers that are lost ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def lost_answers(database: Database, operation: str) -> Iterator[None]:
    """Such transactions are committed, and the answer does not arrive."""
    real = database.write

    @contextmanager
    def write(named: str, within: float | None = None) -> Iterator[Transaction]:
        with real(named, within) as transaction:
            yield transaction
            transaction.after_commit.clear()
        if named == operation:
            database.trouble = "the connection was lost"
            raise StorageUnavailable(f"{named}: the connection was lost")

    database.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        database.write = real  # type: ignore[method-assign]


def test_a_commit_whose_answer_is_lost_is_not_repeated(spooling: Spooling) -> None:
    spooling.send(("job", "a"))
    with lost_answers(spooling.replica.db, "record heartbeats"):
        assert spooling.send(("job", "b"), ("job", "c")) == ["b", "c"]
    assert spooling.spooler.behind
    assert spooling.send(("job", "d")) == ["d"]
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == ["a", "b", "c", "d"]
    job = spooling.replica.fleet.get("job")
    assert job is not None
    assert job.state == load(spooling.replica.db)[0].state
    assert job.state.received == 4


def test_a_replay_whose_answer_is_lost_is_not_repeated(spooling: Spooling) -> None:
    with away(spooling.replica.db):
        spooling.send(("job", "a"), ("job", "b"))
    with lost_answers(spooling.replica.db, "replay the spool"):
        spooling.catch_up()
    assert spooling.spooler.behind
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == ["a", "b"]


def test_a_commit_that_is_on_its_way_is_waited_for(spooling: Spooling, other: Replica) -> None:
    """Its answer was given up, and so was its connection: the database may not know that yet."""
    replay = spooling.spooler._replay
    spooling.spooler.next_group()
    with away(spooling.replica.db):
        spooling.send(("job", "a"))
    group = spooling.spooler._number
    replay.ready = True
    recording = threading.Thread(target=lambda: spooling.spooler.catch_up(0))
    with other.db.write("a commit") as transaction:
        replay.mark(transaction, group)
        recording.start()
        recording.join(0.5)
        assert recording.is_alive()
    recording.join(DEADLINE)
    assert not spooling.spooler.behind
    assert spooling.log() == [], "that commit has it, as far as can be told"


def test_what_was_not_taken_ends_the_span_in_which_everything_was(
    spooling: Spooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That span is no blackout; who was answered 503 in it would be held to his time."""
    recorder, clock = spooling.recorder, spooling.clock
    job = spooling.replica.fleet.get("job")
    assert job is not None

    def given_up_later() -> Pending:
        clock.advance(1000)
        pending = Pending(job, Heartbeat(Kind.SUCCESS, clock.now()))
        assert recorder.record(pending)
        return pending

    assert spooling.spooler.taking_since == START
    given_up_later().abandoned = True
    recorder._take()
    assert spooling.spooler.taking_since == START + 1000
    pending = given_up_later()

    def fail(writing: bool) -> None:
        pending.abandoned = True
        raise peewee.OperationalError("it is away")

    monkeypatch.setattr(spooling.replica.db, "_connect", fail)
    recorder._take()
    assert spooling.spooler.taking_since == START + 2000
    assert not spooling.spooler.behind
    monkeypatch.setattr("exporter.recording.recorder.MAX_WAITING", 0)
    clock.advance(1000)
    assert not recorder.record(Pending(job, Heartbeat(Kind.SUCCESS, clock.now())))
    assert spooling.spooler.taking_since == START + 3000


def test_a_file_that_the_disk_does_not_give_back_holds_up_nobody(
    spooling: Spooling, caplog: pytest.LogCaptureFixture
) -> None:
    with away(spooling.replica.db):
        spooling.send(("job", "a"))
    path = spooling.backlog.directory / f"{spooling.backlog.id}.spool"
    os.truncate(path, 20)
    spooling.catch_up()
    assert not spooling.spooler.behind
    assert "cannot replay 1 heartbeats, the spool file is left as it is" in caplog.text
    assert path.exists()
    assert spooling.send(("job", "b")) == ["b"]
    job = spooling.replica.fleet.get("job")
    assert job is not None
    assert job.state.received == 1, "as in the database"


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────


class Crash(BaseException):
    """kill -9, here and now."""


class Crashes:
    """Counts the moments at which a process may die, and dies at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self.left = 0
        for name in ("fsync", "fdatasync", "rename", "ftruncate", "mkdir"):
            monkeypatch.setattr(os, name, self._around(getattr(os, name)))
        self._write = os.write
        monkeypatch.setattr(os, "write", self._torn_write)
        monkeypatch.setattr(Path, "unlink", self._around(Path.unlink))
        real = Database.write

        @contextmanager
        def write(database: Database, operation: str, within: float | None = None) -> Iterator[Transaction]:
            self.moment()
            with real(database, operation, within) as transaction:
                yield transaction
                self.moment()
            self.moment()

        monkeypatch.setattr(Database, "write", write)

    def moment(self) -> None:
        if self.armed:
            if not self.left:
                self.armed = False
                raise Crash
            self.left -= 1

    def _around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.moment()
            found = real(*arguments, **named)
            self.moment()
            return found

        return call

    def _torn_write(self, descriptor: int, content: bytes) -> int:
        if not self.armed:
            return self._write(descriptor, content)
        self.moment()
        half = self._write(descriptor, content[: len(content) // 2])
        self.moment()
        rest = self._write(descriptor, content[half:])
        self.moment()
        return half + rest


def test_a_crash_at_any_moment_loses_nothing_and_repeats_nothing(
    url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = Crashes(monkeypatch)
    first = Replica(url, clock)
    first.add("job")
    first.db.close()
    directory = tmp_path / "spool"
    acknowledged: list[str] = []
    sent: list[str] = []
    number = 0

    def send(spooling: Spooling) -> None:
        nonlocal number
        number += 1
        clock.advance(1000)
        rids = [f"{number}-{place}" for place in "ab"]
        sent.extend(rids)
        acknowledged.extend(spooling.send(*[("job", rid) for rid in rids]))

    def live(spooling: Spooling) -> None:
        """Everything that a process with a spool goes through."""
        spooling.begin()
        send(spooling)
        for _ in range(2):
            with away(spooling.replica.db):
                send(spooling)
                send(spooling)
            spooling.catch_up()
            send(spooling)
        with lost_answers(spooling.replica.db, "record heartbeats"):
            send(spooling)
        with lost_answers(spooling.replica.db, "replay the spool"):
            spooling.catch_up()
        spooling.catch_up()
        with away(spooling.replica.db):
            send(spooling)
        spooling.catch_up()
        spooling.backlog.close()

    moments = 0
    while True:
        spooling = Spooling(Replica(url, clock), directory)
        crashes.left, crashes.armed = moments, True
        try:
            live(spooling)
        except Crash:
            moments += 1
        else:
            break
        finally:
            crashes.armed = False
            spooling.die()
    assert moments > 150
    last = Spooling(Replica(url, clock), directory)
    last.begin()
    last.catch_up()
    last.backlog.close()
    last.catch_up()
    found = last.log()
    rids = [rid for rid, _ in found]
    assert len(rids) == len(set(rids))
    assert [rid for rid in rids if rid in set(acknowledged)] == acknowledged, "all of them, in order"
    assert set(rids) <= set(sent)
    moment_of = {rid: START + 1000 * int(rid.split("-")[0]) for rid in rids}
    assert dict(found) == moment_of
    assert load(last.replica.db)[0].state.received == len(rids)
    assert [path.name for path in directory.iterdir()] == ["owner"]
    spools = last.replica.db.tables.spools
    with last.replica.db.read("look"):
        assert {row[0] for row in spools.select(spools.id).tuples()} <= {last.backlog.id}
    last.die()


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────


def test_a_late_heartbeat_sets_nothing_back(spooling: Spooling, other: Replica) -> None:
    clock = spooling.clock
    spooling.send(("job", "a"))
    spooling.evaluator.evaluate_due()
    with away(spooling.replica.db):
        clock.advance(MINUTE)
        spooling.send(("job", "late", Kind.FAILURE), ("job", "r", Kind.START))
        clock.advance(MINUTE)
        other.refresh()
        other.beat("job", rid="newer")
    spooling.catch_up()
    (state,) = [one.state for one in load(other.db) if one.monitor.tag == "job"]
    assert (state.received, state.failures, state.starts) == (4, 1, 1)
    assert (state.last_success_at, state.last_failure_at) == (START + 2 * MINUTE, START + MINUTE)
    assert state.last_outcome is Kind.SUCCESS
    assert state.last_received_at == START + 2 * MINUTE
    assert state.runs == (Run("r", START + MINUTE),)
    job = spooling.replica.fleet.get("job")
    assert job is not None
    assert job.state == state
    # In the log each is at its own place, and history tells it so.
    assert [beat.rid for beat in other.history.heartbeats(job.id, 10)] == ["newer", "r", "late", "a"]
    spooling.evaluator.evaluate_due()
    assert spooling.replica.past("job") == [
        ("NO_DATA", START),
        ("UP", START),
        ("DOWN", START + MINUTE),
        ("UP", START + 2 * MINUTE),
    ]


def test_a_false_alarm_of_another_process_ends_with_the_replay(spooling: Spooling, other: Replica) -> None:
    """The other one cannot know what waits here. What it has written stays written."""
    clock = spooling.clock
    spooling.send(("job", "a"))
    spooling.evaluator.evaluate_due()
    spooling.replica.lease.release()
    with away(spooling.replica.db):
        clock.advance(9 * MINUTE)
        spooling.send(("job", "b"))
        clock.advance(2 * MINUTE)
        other.refresh()
        other.evaluator.evaluate_due()
        assert other.status("job")[0] == "DOWN"
    spooling.catch_up()
    other.evaluator.evaluate_due()
    other.refresh()
    past = other.past("job")
    assert [status for status, _ in past] == ["NO_DATA", "UP", "DEGRADED", "DOWN", "UP"]
    moments = [at for _, at in past]
    assert moments == sorted(moments)
    assert other.status("job") == ("UP", "on_time")


def test_a_monitor_of_another_database_keeps_its_tag(spooling: Spooling, tmp_path: Path, clock: ManualClock) -> None:
    """A database that was replaced may number its monitors otherwise."""
    with away(spooling.replica.db):
        spooling.send(("job", "a"), ("other", "b"))
    spooling.die()
    fresh = Replica(f"sqlite:///{tmp_path}/fresh.db", clock)
    for tag in ("other", "job"):
        fresh.monitors.add(Monitor(tag=tag), b"d" * 32)
    fresh.refresh()
    heir = Spooling(fresh, tmp_path / "spool")
    heir.begin()
    assert [rid for rid, _ in heir.log("job")] == ["a"]
    assert [rid for rid, _ in heir.log("other")] == ["b"]
    heir.die()


def test_metrics_are_not_spooled_and_their_heartbeats_are(spooling: Spooling) -> None:
    watched = spooling.replica.fleet.get("job")
    assert watched is not None

    def pending(rid: str, **options: bool) -> Pending:
        push = Push(PushMode.REPLACE, (), parse_text("size 1"), **options)
        return Pending(watched, Heartbeat(Kind.SUCCESS, spooling.clock.now(), rid), None, push)

    batch = [pending("kept"), pending("required", required=True), pending("alone", alone=True)]
    with away(spooling.replica.db):
        for one in (*batch, Pending(watched, Heartbeat(Kind.SUCCESS, spooling.clock.now(), "plain"))):
            assert spooling.recorder.record(one)
        spooling.settled.clear()
        spooling.recorder._take()
        assert [one.beat.rid for one in spooling.settled if one.error is None] == ["kept", "plain"]
        assert [one.beat.rid for one in spooling.settled if one.error is not None] == ["required", "alone"]
        assert all(one.push is not None and "does not answer" in (one.push.refusal or "") for one in batch)
        assert spooling.backlog.waiting == 2
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == ["kept", "plain"]
    assert spooling.recorder.record(again := pending("again"))
    spooling.recorder._take()
    assert (again.error, again.push.refusal if again.push is not None else "") == (None, None)
