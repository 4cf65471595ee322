"""Heartbeats are counted exactly, survive, and are forgotten only when they may be."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.errors import SchemaTooNew, StorageUnavailable
from exporter.core.fleet import Fleet, WrongThread
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, Run, apply
from exporter.core.monitor import Monitor
from exporter.core.order import in_order
from exporter.core.status import Reason, Status
from exporter.core.telemetry import Silent
from exporter.core.timeline import CurrentStatus
from exporter.fleet.loader import load
from exporter.recording.recorder import MAX_WAITING, Recorder
from exporter.recording.statements import Pending
from exporter.storage import schema as schema_module
from exporter.storage.database import Database
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.repositories.pruning import Pruner
from exporter.storage.schema import migrate
from tests.conftest import START, ManualClock
from tests.core.test_status import heartbeats
from tests.support.replica import DEADLINE, Replica, away, execute


def test_two_thousand_at_once_are_counted_exactly(replica: Replica) -> None:
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None
    replica.recorder.start()
    gate = threading.Barrier(8)

    def send() -> None:
        gate.wait()
        for _ in range(250):
            assert replica.recorder.record(Pending(watched, Heartbeat(Kind.SUCCESS, START)))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    replica.recorder.stop()
    assert len(replica.settled) == 2000
    assert all(pending.error is None for pending in replica.settled)
    assert watched.state.received == 2000
    assert load(replica.db)[0].state == watched.state


def test_the_database_adds_up_what_the_core_adds_up(tmp_path: Path, migrated_file: Callable[[Path], str]) -> None:
    clock, numbers = ManualClock(), itertools.count()

    @given(st.lists(heartbeats(), max_size=4), st.none() | st.integers(1, 10_000_000))
    def check(groups: list[list[Heartbeat]], max_runtime: int | None) -> None:
        replica = Replica(migrated_file(tmp_path / f"{next(numbers)}.db"), clock)
        replica.add("job", max_runtime=max_runtime)
        watched = replica.fleet.get("job")
        assert watched is not None
        for group in groups:
            if group:
                replica.recorder._commit([Pending(watched, beat) for beat in group])
        wanted = apply(NO_HEARTBEATS, in_order(beat for group in groups for beat in group), max_runtime)
        assert watched.state == wanted
        assert load(replica.db)[0].state == wanted
        replica.db.close()

    check()


def test_counts_of_two_writers_add_up(replica: Replica, other: Replica) -> None:
    replica.add("job")
    other.refresh()
    for _ in range(3):
        replica.beat("job")
        other.beat("job", Kind.FAILURE)
    other.beat("job", Kind.START, rid="r")
    stored = load(replica.db)[0].state
    assert (stored.received, stored.failures, stored.starts) == (7, 3, 1)
    assert stored.runs == (Run("r", START),)


def test_a_run_may_start_here_and_end_there(replica: Replica, other: Replica, clock: ManualClock) -> None:
    replica.add("job")
    other.refresh()
    replica.beat("job", Kind.START, rid="r")
    clock.advance(7_000)
    other.beat("job", Kind.SUCCESS, rid="r")
    assert load(replica.db)[0].state.last_duration == 7_000
    assert load(replica.db)[0].state.runs == ()


def test_what_others_write_is_followed(replica: Replica, other: Replica) -> None:
    replica.add("job")
    replica.recorder.start()
    other.recorder.start()
    assert other.follower.poll() == 1  # the new monitor
    _reloaded(other)
    assert other.fleet.get("job") is not None
    replica.beat("job", Kind.FAILURE)
    assert replica.follower.poll() == 1  # its own definition; the heartbeat is its own
    assert other.follower.poll() == 1
    _reloaded(other)
    watched = other.fleet.get("job")
    assert watched is not None
    assert watched.state.failures == 1
    replica.evaluator.evaluate_due()
    assert other.follower.poll() == 1
    _reloaded(other)
    assert other.status("job") == ("DOWN", "failed")
    replica.monitors.remove("job")
    other.follower.poll()
    _reloaded(other)
    assert other.fleet.get("job") is None
    assert other.follower.poll() == 0
    replica.recorder.stop()
    other.recorder.stop()


def _reloaded(replica: Replica) -> None:
    assert replica.recorder.reload([]).wait(DEADLINE)


def test_too_many_waiting_are_turned_away(replica: Replica) -> None:
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None
    for _ in range(MAX_WAITING):
        assert replica.recorder.record(Pending(watched, Heartbeat(Kind.SUCCESS, START)))
    assert not replica.recorder.record(Pending(watched, Heartbeat(Kind.SUCCESS, START)))


def test_an_abandoned_heartbeat_is_not_recorded(replica: Replica) -> None:
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None
    given_up, kept = Pending(watched, Heartbeat(Kind.SUCCESS, 1)), Pending(watched, Heartbeat(Kind.SUCCESS, 2))
    given_up.abandoned = True
    replica.recorder.record(given_up)
    replica.recorder.record(kept)
    replica.recorder.start()
    replica.recorder.stop()
    assert replica.settled == [kept]
    assert watched.state.received == 1


def test_a_database_that_is_away_refuses_and_recovers(url: str, replica: Replica) -> None:
    replica.add("job")
    with away(url):
        with pytest.raises(StorageUnavailable):
            replica.beat("job")
        assert replica.db.trouble is not None
    replica.beat("job")
    assert replica.db.trouble is None
    watched = replica.fleet.get("job")
    assert watched is not None
    assert watched.state.received == 1
    assert load(replica.db)[0].state.received == 1


def test_a_refused_group_is_settled_with_its_error(tmp_path: Path, clock: ManualClock) -> None:
    database = Database(f"sqlite:///{tmp_path}/gone/none.db")
    fleet, settled = Fleet(), []
    donor = Replica(f"sqlite:///{tmp_path}/donor.db", clock)
    donor.add("job")
    recorder = Recorder(database, fleet, Silent(), "one", on_committed=settled.extend)
    recorder.start()
    donor.db.close()
    watched = donor.fleet.get("job")
    assert watched is not None
    recorder.record(Pending(watched, Heartbeat(Kind.SUCCESS, START)))
    deadline = time.monotonic() + DEADLINE
    while not settled and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    recorder.stop()
    assert isinstance(settled[0].error, StorageUnavailable)
    assert watched.state.received == 0


def test_the_log_keeps_the_newest(replica: Replica, clock: ManualClock) -> None:
    replica.add("busy")
    replica.add("idle")
    pruner = Pruner(replica.db, clock)
    replica.beat("idle")
    for _ in range(30):
        replica.beat("busy", *[Kind.SUCCESS] * 50)
        clock.advance(1000)
    assert pruner.prune(heartbeat_log_size=100, history_retention=1_000_000_000) == 1400
    busy, idle = replica.fleet.get("busy"), replica.fleet.get("idle")
    assert busy is not None
    assert idle is not None
    log = replica.history.heartbeats(busy.id, 1000)
    assert len(log) == 100
    assert log[0].received_at == clock.now() - 1000
    assert len(replica.history.heartbeats(idle.id, 10)) == 1
    assert pruner.prune(100, 1_000_000_000) == 0
    replica.beat("busy")
    assert pruner.prune(100, 1_000_000_000) == 1
    assert load(replica.db)[0].state.received == 1501


def test_each_log_is_pruned_by_itself_however_many_there_are(replica: Replica, clock: ManualClock) -> None:
    beats = {f"job{number:03}": number % 7 for number in range(300)}
    for tag in beats:
        replica.monitors.add(Monitor(tag=tag), b"d" * 32)
    replica.refresh()
    pruner = Pruner(replica.db, clock)
    for tag, count in beats.items():
        for number in range(count):
            replica.beat(tag, rid=str(number))

    def logs() -> dict[str, list[str]]:
        return {one.monitor.tag: [beat.rid for beat in replica.history.heartbeats(one.id, 99)] for one in replica.fleet}

    def newest(kept: int) -> dict[str, list[str]]:
        return {tag: [str(number) for number in reversed(range(count))][:kept] for tag, count in beats.items()}

    assert pruner.prune(4, 1_000_000_000) == sum(max(0, count - 4) for count in beats.values())
    assert logs() == newest(4)
    # Fewer are kept by now; that reaches each log with its next heartbeat, and all of them after a start.
    assert pruner.prune(2, 1_000_000_000) == 0
    Pruner(replica.db, clock).prune(2, 1_000_000_000)
    assert logs() == newest(2)


def test_old_transitions_go_but_the_present_one_stays(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(3_600_000)
    replica.evaluator.evaluate_due()
    assert [status for status, _ in replica.past("job")] == ["NO_DATA", "UP", "DEGRADED", "DOWN"]
    clock.advance(100_000_000)
    Pruner(replica.db, clock).prune(100, 1_000_000)
    assert [status for status, _ in replica.past("job")] == ["DOWN"]


def test_a_removed_monitor_comes_back_with_its_history_until_it_is_forgotten(
    replica: Replica, clock: ManualClock
) -> None:
    replica.add("job")
    replica.beat("job")
    replica.monitors.remove("job")
    replica.add("job", name="Again")
    watched = replica.fleet.get("job")
    assert watched is not None
    assert (watched.monitor.name, watched.state.received) == ("Again", 1)
    replica.monitors.remove("job")
    clock.advance(2_000_000)
    Pruner(replica.db, clock).prune(100, 1_000_000)
    assert load(replica.db) == []
    replica.add("job")
    assert load(replica.db)[0].state == NO_HEARTBEATS


def test_a_newer_schema_is_refused(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    migrate(database)
    assert migrate(database) == []
    execute(database, "INSERT INTO schema_migrations (name, applied) VALUES ('9999_from_the_future', '2030-01-01')")
    with pytest.raises(SchemaTooNew, match="newer version"):
        migrate(database)
    database.close()


def test_migrations_race(empty_url: str) -> None:
    gate, results = threading.Barrier(5), []

    def start() -> None:
        database = Database(empty_url)
        gate.wait()
        results.append(migrate(database))
        database.close()

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    migrations = Path(schema_module.__file__).parent / "migrations"
    all_of_them = sorted(path.stem for path in migrations.glob("0*.py"))
    assert sorted(results) == [[], [], [], [], all_of_them]


def test_provisioning(replica: Replica) -> None:
    from exporter.core.errors import Conflict, NotFound
    from exporter.core.monitor import Monitor

    monitors: Monitors = replica.monitors
    a, b = Monitor(tag="a"), Monitor(tag="b", labels=(("team", "x"),))
    assert monitors.provision([(a, b"1" * 32), (b, b"2" * 32)]) == (2, 0, 0)
    assert monitors.provision([(a, b"1" * 32), (b, b"2" * 32)]) == (0, 0, 0)
    revision, _ = monitors.changed_since(0)
    assert monitors.provision([(a, b"9" * 32)]) == (0, 1, 1)
    assert len(monitors.changed_since(revision)[1]) == 2
    with pytest.raises(Conflict, match="configuration file"):
        monitors.remove("a")
    with pytest.raises(Conflict, match="already"):
        monitors.add(Monitor(tag="a"), b"3" * 32)
    with pytest.raises(NotFound):
        monitors.set_paused("b", True)
    monitors.set_paused("a", True)
    assert monitors.provision([(a, b"9" * 32)]) == (0, 0, 0)
    assert load(replica.db)[0].monitor.paused
    monitors.set_paused("a", False)
    assert not load(replica.db)[0].monitor.paused
    monitors.provision([(Monitor(tag="a", paused=True), b"9" * 32)])
    with pytest.raises(Conflict, match="paused in the configuration"):
        monitors.set_paused("a", False)
    monitors.add(Monitor(tag="mine"), b"4" * 32)
    assert monitors.provision([(Monitor(tag="mine"), b"5" * 32)]) == (0, 1, 1)
    assert [(one.monitor.tag, one.provisioned) for one in load(replica.db)] == [("mine", True)]


def test_while_they_run_only_the_recorder_and_the_evaluator_write_to_the_fleet(replica: Replica) -> None:
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None
    replica.recorder.start()
    replica.evaluator.start()
    try:
        assert replica.recorder.reload([watched.id]).wait(DEADLINE)
        assert replica.recorder.record(Pending(watched, Heartbeat(Kind.SUCCESS, START)))
        until = time.monotonic() + DEADLINE
        while watched.state.received == 0 or watched.current.status is not Status.UP:
            assert time.monotonic() < until
            replica.evaluator.wake()
            time.sleep(0.01)
        with pytest.raises(WrongThread):
            watched.state = NO_HEARTBEATS
        with pytest.raises(WrongThread):
            watched.current = CurrentStatus(Status.DOWN, Reason.MISSED, START)
        with pytest.raises(WrongThread):
            replica.refresh()
    finally:
        replica.evaluator.stop()
        replica.recorder.stop()
    replica.refresh()
    assert watched.current.status is Status.UP
