"""Every transition exactly once, at the right moment, by one of all processes."""

from typing import Any

import pytest

from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.heartbeat import Kind
from exporter.core.telemetry import Silent
from exporter.evaluation.evaluator import Evaluator
from exporter.storage.repositories import leases
from exporter.storage.repositories.leases import LeaseLost
from tests.conftest import START, ManualClock
from tests.support.replica import Replica


def test_a_day_in_the_life(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    assert replica.status("job") == ("NO_DATA", "never_received")
    clock.advance(MINUTE)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    clock.advance(5 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    clock.advance(1)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DEGRADED", "late")
    clock.advance(5 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")
    clock.advance(HOUR)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert replica.past("job") == [
        ("NO_DATA", START),
        ("UP", START + MINUTE),
        ("DEGRADED", START + 6 * MINUTE + 1),
        ("DOWN", START + 11 * MINUTE + 1),
        ("UP", START + 71 * MINUTE + 1),
    ]


def test_beats_of_an_up_monitor_leave_its_deadline_alone_and_it_is_found_anyway(
    replica: Replica, clock: ManualClock
) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    for _ in range(20):
        clock.advance(MINUTE)
        replica.beat("job")
        replica.evaluator.evaluate_due()
        assert replica.status("job") == ("UP", "on_time")
    clock.advance(5 * MINUTE + 1)
    replica.evaluator.evaluate_due()
    assert replica.past("job")[-1] == ("DEGRADED", START + 25 * MINUTE + 1)


def test_a_stall_changes_nothing_in_history(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(7 * MINUTE)
    replica.beat("job")  # late, and nobody has looked yet
    clock.advance(30 * MINUTE)
    replica.beat("job", Kind.FAILURE)
    clock.advance(MINUTE)
    replica.beat("job")
    clock.advance(MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.past("job") == [
        ("NO_DATA", START),
        ("UP", START),
        ("DEGRADED", START + 5 * MINUTE + 1),
        ("UP", START + 7 * MINUTE),
        ("DEGRADED", START + 12 * MINUTE + 1),
        ("DOWN", START + 17 * MINUTE + 1),
        ("UP", START + 38 * MINUTE),
    ]
    assert replica.status("job") == ("UP", "on_time")


def test_a_stall_longer_than_the_log_makes_up_nothing(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    replica.execute("DELETE FROM heartbeats")
    clock.advance(7 * MINUTE)
    replica.beat("job", Kind.LOG)
    clock.advance(SECOND)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DEGRADED", "late")


def test_failure_overrun_pause(replica: Replica, clock: ManualClock) -> None:
    replica.add("job", max_runtime=MINUTE)
    replica.beat("job", Kind.SUCCESS)
    replica.evaluator.evaluate_due()
    replica.beat("job", Kind.START, rid="a")
    replica.evaluator.evaluate_due()
    clock.advance(MINUTE + 1)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "overrun")
    replica.monitors.set_paused("job", True)
    replica.refresh()
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("PAUSED", "paused")
    replica.beat("job", Kind.SUCCESS, rid="a")
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("PAUSED", "paused")
    replica.monitors.set_paused("job", False)
    replica.refresh()
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    replica.beat("job", Kind.FAILURE, exit_code=3)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "failed")


def test_evaluation_cron_changes_only_at_ticks(replica: Replica, clock: ManualClock) -> None:
    clock.wall = 1_790_000_400_000  # 13:40:00
    tick = 5 * MINUTE
    replica.add("job", evaluation_cron="*/5 * * * *")
    replica.evaluator.evaluate_due()
    clock.advance(MINUTE)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("NO_DATA", "never_received")
    clock.advance(4 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    assert replica.past("job")[-1] == ("UP", 1_790_000_460_000)
    replica.beat("job", Kind.FAILURE)
    clock.advance(MINUTE)
    replica.beat("job")
    clock.advance(tick - MINUTE)
    replica.evaluator.evaluate_due()
    assert [status for status, _ in replica.past("job")] == ["NO_DATA", "UP"]
    clock.advance(3 * tick)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")
    assert replica.past("job")[-2:] == [("DEGRADED", 1_790_001_060_001), ("DOWN", 1_790_001_360_001)]
    replica.monitors.set_paused("job", True)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("PAUSED", "paused")


def test_two_processes_write_every_transition_once(replica: Replica, other: Replica, clock: ManualClock) -> None:
    for number in range(20):
        replica.add(f"job{number}")
    other.refresh()
    for number in range(20):
        other.beat(f"job{number}")
    for _ in range(40):
        replica.evaluator.evaluate_due()
        other.evaluator.evaluate_due()
        clock.advance(20 * SECOND)
    assert replica.lease.held != other.lease.held
    for number in range(20):
        assert [status for status, _ in replica.past(f"job{number}")] == ["NO_DATA", "UP", "DEGRADED", "DOWN"]


def test_a_dead_holder_is_succeeded_and_fenced_out(replica: Replica, other: Replica, clock: ManualClock) -> None:
    replica.add("job")
    other.refresh()
    assert replica.lease.hold()
    assert not other.lease.hold()
    clock.advance(leases.DURATION)
    assert other.lease.hold()
    replica.beat("job")
    due = replica.evaluations.due(clock.now(), 10)
    with pytest.raises(LeaseLost):
        replica.evaluator._evaluate(due, clock.now())
    assert replica.past("job") == [("NO_DATA", START)]
    assert not replica.lease.hold()
    other.evaluator.evaluate_due()
    assert [status for status, _ in replica.past("job")] == ["NO_DATA", "UP"]
    other.lease.release()
    assert replica.lease.hold()


def test_a_lease_does_not_outlive_its_holder_by_a_clock_step(
    replica: Replica, other: Replica, clock: ManualClock
) -> None:
    assert replica.lease.hold()
    clock.step(-HOUR)
    clock.steady += leases.DURATION
    assert other.lease.hold()


def test_a_heartbeat_between_judgement_and_writing_wins(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(11 * MINUTE)
    due = replica.evaluations.due(clock.now(), 10)
    save = replica.evaluator._save

    def beaten(*arguments: Any) -> None:
        replica.beat("job")
        save(*arguments)

    replica.evaluator._save = beaten  # type: ignore[method-assign]
    replica.evaluator._evaluate(due, clock.now())
    replica.evaluator._save = save  # type: ignore[method-assign]
    assert replica.status("job") == ("UP", "on_time")
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    assert [status for status, _ in replica.past("job")] == ["NO_DATA", "UP", "DEGRADED", "DOWN", "UP"]


def test_one_bad_monitor_stops_nobody_else(replica: Replica, clock: ManualClock) -> None:
    replica.add("bad", schedule="0 3 * * *")
    replica.add("good")
    replica.execute("UPDATE monitors SET schedule = 'nonsense' WHERE tag = 'bad'")
    replica.beat("bad")
    replica.beat("good")
    replica.evaluator.evaluate_due()
    assert replica.status("good") == ("UP", "on_time")
    assert replica.status("bad") == ("NO_DATA", "never_received")
    assert replica.evaluations.due(clock.now(), 10) == []
    assert len(replica.evaluations.due(clock.now() + HOUR, 10)) == 2


def test_a_removed_monitor_is_never_due_again(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None
    replica.monitors.remove("job")
    replica.beat("job")  # one that was on its way
    replica.evaluator.evaluate_due()
    assert replica.evaluations.due(clock.now() + HOUR, 10) == []


def test_a_clock_set_back_an_hour_delays_nothing(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.step(-HOUR)
    clock.advance(SECOND)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    clock.advance(11 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "while it did not run"])
def test_a_clock_set_back_between_two_heartbeats(replica: Replica, clock: ManualClock, noticed: bool) -> None:
    """Deadlines are those of the new time from the next heartbeat on, and history makes up nothing."""
    replica.add("job")
    replica.add("ticked", evaluation_cron="* * * * *")
    for tag in ("job", "ticked"):
        replica.beat(tag)
    clock.advance(MINUTE)
    replica.evaluator.evaluate_due()
    clock.step(-HOUR)
    if noticed:
        replica.evaluator.evaluate_due()
    clock.advance(MINUTE)
    for tag in ("job", "ticked"):
        replica.beat(tag)
    replica.evaluator.evaluate_due()
    clock.advance(6 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == replica.status("ticked") == ("DEGRADED", "late")
    clock.advance(6 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == replica.status("ticked") == ("DOWN", "missed")
    for tag in ("job", "ticked"):
        replica.beat(tag)
    clock.advance(MINUTE)
    replica.evaluator.evaluate_due()
    for tag in ("job", "ticked"):
        assert replica.status(tag) == ("UP", "on_time")
        assert [status for status, _ in replica.past(tag)] == ["NO_DATA", "UP", "DEGRADED", "DOWN", "UP"]


def test_a_burst_of_deadlines(replica: Replica, clock: ManualClock) -> None:
    from exporter.core.monitor import Monitor

    replica.monitors.provision([(Monitor(tag=f"job{n}"), b"d" * 32) for n in range(1700)])
    replica.refresh()
    assert replica.evaluator.evaluate_due() == 1700
    for watched in replica.fleet:
        assert watched.current.status.value == "NO_DATA"


class Frontier(Silent):
    """Keeps up to which moment all was evaluated."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def evaluated_until(self, at: float) -> None:
        self.told.append(at)


def test_only_what_is_evaluated_to_the_end_is_said_to_be(
    replica: Replica, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontier = Frontier()
    for size in ("FIRST_BATCH", "MAX_BATCH"):
        monkeypatch.setattr(f"exporter.evaluation.pace.{size}", 2)
    evaluator = Evaluator(replica.db, replica.evaluations, replica.history, replica.lease, clock, frontier)
    for tag in ("a", "b", "c"):
        replica.add(tag)
        replica.beat(tag)
    evaluator.evaluate_due()
    assert frontier.told == [clock.now() / SECOND]
    clock.advance(HOUR)
    held = replica.lease.hold
    answers = iter([True, False])
    monkeypatch.setattr(replica.lease, "hold", lambda: held() and next(answers))
    assert evaluator.evaluate_due() == 2  # the lease went before the third
    assert len(frontier.told) == 1
    monkeypatch.setattr(replica.lease, "hold", held)
    evaluator.evaluate_due()
    assert frontier.told[1:] == [clock.now() / SECOND]


def test_who_holds_no_lease_evaluates_nothing(replica: Replica, other: Replica, clock: ManualClock) -> None:
    frontier = Frontier()
    replica.evaluator.evaluate_due()
    Evaluator(other.db, other.evaluations, other.history, other.lease, clock, frontier).evaluate_due()
    assert frontier.told == []
