"""Heartbeats that were received and wait for their commit: no status is worked out without them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import MINUTE, SECOND
from exporter.core.errors import StorageConflict, StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.evaluation.gate import GRACE, MAX_GRACE, MAX_WAIT_TO_WRITE, HeldBack
from exporter.recording.statements import Pending
from exporter.storage import database as database_module
from tests.conftest import START, ManualClock
from tests.support.replica import Replica, away

DOWN_AT = START + 10 * MINUTE + 1


@pytest.fixture
def job(replica: Replica) -> Replica:
    """A monitor that is UP, and an evaluator that knows what its recorder holds."""
    replica.evaluator.arrivals = replica.recorder
    replica.add("job", degraded_after=10 * MINUTE, down_after=10 * MINUTE)
    replica.add("other", degraded_after=10 * MINUTE, down_after=10 * MINUTE)
    replica.beat("job")
    replica.beat("other")
    replica.evaluator.evaluate_due()
    return replica


def queue(replica: Replica, tag: str, kind: Kind = Kind.SUCCESS, at: int | None = None) -> Pending:
    """A heartbeat received now, or `at`, that the recorder has not taken."""
    watched = replica.fleet.get(tag)
    assert watched is not None
    pending = Pending(watched, Heartbeat(kind, replica.clock.now() if at is None else at))
    assert replica.recorder.record(pending)
    return pending


def statuses(replica: Replica, tag: str) -> list[str]:
    return [status for status, _ in replica.past(tag)]


def test_a_heartbeat_in_the_queue_is_no_silence(job: Replica, clock: ManualClock) -> None:
    clock.wall = DOWN_AT - 1
    queue(job, "job")
    clock.advance(3 * SECOND)
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    job.recorder._take()
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    assert job.past("other")[-1] == ("DOWN", DOWN_AT)


def test_a_deadline_before_the_first_that_waits_is_found(job: Replica, clock: ManualClock) -> None:
    clock.wall = DOWN_AT + 5
    queue(job, "job")
    queue(job, "other", Kind.LOG)
    clock.advance(3 * SECOND)
    job.evaluator.evaluate_due()
    assert job.past("job")[-1] == job.past("other")[-1] == ("DOWN", DOWN_AT)
    job.recorder._take()
    job.evaluator.evaluate_due()
    assert job.past("job")[-2:] == [("DOWN", DOWN_AT), ("UP", DOWN_AT + 5)]


def test_a_queue_that_is_never_empty_hides_no_silence(job: Replica, clock: ManualClock) -> None:
    clock.wall = DOWN_AT - 100
    for _ in range(20):
        clock.advance(20)
        queue(job, "job", Kind.LOG)
        clock.advance(5)
        job.evaluator.evaluate_due()
        job.recorder._take()
        queue(job, "other", Kind.LOG)
        job.evaluator.evaluate_due()
    assert job.past("job")[-1] == ("DOWN", DOWN_AT)


def test_a_heartbeat_in_the_group_under_way_is_no_silence(
    job: Replica, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wall = DOWN_AT - 1
    queue(job, "job")
    clock.advance(3 * SECOND)
    commit = job.recorder._commit

    def overtaken(batch: Any) -> None:
        assert not job.recorder._queue
        job.evaluator.evaluate_due()
        commit(batch)

    monkeypatch.setattr(job.recorder, "_commit", overtaken)
    job.recorder._take()
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    assert not job.recorder.waiting()


def test_what_is_refused_or_abandoned_is_not_waited_for(job: Replica, clock: ManualClock) -> None:
    clock.wall = DOWN_AT - 1
    queue(job, "job").abandoned = True
    queue(job, "job").error = StorageUnavailable("refused")
    assert not job.recorder.waiting()
    clock.advance(3 * SECOND)
    job.evaluator.evaluate_due()
    assert job.past("job")[-1] == ("DOWN", DOWN_AT)


def test_one_that_is_queued_between_judgement_and_writing(
    job: Replica, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wall = DOWN_AT + 1
    save = job.evaluator._save

    def delayed(*arguments: Any) -> None:
        if not job.recorder._queue:
            queue(job, "job", at=DOWN_AT - 1)
        save(*arguments)

    monkeypatch.setattr(job.evaluator, "_save", delayed)
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    assert job.past("other")[-1] == ("DOWN", DOWN_AT)
    job.recorder._take()
    monkeypatch.undo()
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]


def test_no_alert_comes_due_beyond_the_first_that_waits(job: Replica, clock: ManualClock) -> None:
    job.watch(AlertRule(name="long", trigger_after=MINUTE))
    clock.wall = DOWN_AT
    job.evaluator.evaluate_due()
    clock.wall = DOWN_AT + MINUTE - 10
    queue(job, "job")
    clock.advance(3 * SECOND)
    job.evaluator.evaluate_due()
    assert job.open_alerts() == []
    job.recorder._take()
    job.evaluator.evaluate_due()
    assert [alert.tag for alert in job.alerts.recent()] == ["other"]


def test_the_evaluator_waits_for_the_commit_and_is_woken_by_it(job: Replica, clock: ManualClock) -> None:
    woken = threading.Event()
    job.recorder._wake = woken.set
    clock.wall = DOWN_AT - 1
    queue(job, "job")
    clock.advance(2)
    job.evaluator.evaluate_due()
    assert job.evaluator._until_next() > 0
    assert not woken.is_set()
    job.recorder._work()
    assert woken.is_set()
    woken.clear()
    queue(job, "job")
    job.recorder._work()
    assert not woken.is_set(), "a heartbeat of a monitor that is UP wakes no evaluator"
    job.recorder.announce()
    assert woken.is_set(), "the group was settled before it was announced"


# ── other processes ──────────────────────────────────────────────────────────────────────────────────────────────


class Noticing:
    """Arrivals of a process that has nothing to record."""

    def __init__(self) -> None:
        self.times_away = 0

    def waiting(self) -> dict[int, int]:
        return {}

    def announce(self) -> None: ...

    def absences(self) -> int:
        return self.times_away


@pytest.fixture
def noticing(job: Replica) -> Noticing:
    job.evaluator.arrivals = noticing = Noticing()
    job.evaluator.evaluate_due()
    return noticing


def test_others_commit_first_when_the_database_is_back(
    job: Replica, other: Replica, noticing: Noticing, clock: ManualClock
) -> None:
    clock.wall = DOWN_AT - 1
    other.refresh()
    queue(other, "job")
    clock.advance(3 * SECOND)
    noticing.times_away += 1
    with pytest.raises(HeldBack):
        job.evaluator.evaluate_due()
    other.recorder._take()
    clock.advance(GRACE)
    job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    assert job.past("other")[-1] == ("DOWN", DOWN_AT)


def test_a_database_that_is_slow_for_ever_is_evaluated(job: Replica, noticing: Noticing, clock: ManualClock) -> None:
    clock.wall = DOWN_AT
    for _ in range(MAX_GRACE // 500):
        noticing.times_away += 1
        with pytest.raises(HeldBack):
            job.evaluator.evaluate_due()
        clock.advance(500)
    noticing.times_away += 1
    job.evaluator.evaluate_due()
    assert job.past("job")[-1] == ("DOWN", DOWN_AT)


def test_an_evaluation_that_waited_to_write_is_made_again(
    job: Replica, noticing: Noticing, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wall = DOWN_AT
    write = job.db.write

    @contextmanager
    def waits(operation: str, within: float | None = None) -> Iterator[Any]:
        with write(operation, within) as transaction:
            if operation == "record evaluations":
                clock.advance(MAX_WAIT_TO_WRITE + 1)
            yield transaction

    with monkeypatch.context() as patched:
        patched.setattr(job.db, "write", waits)
        with pytest.raises(HeldBack):
            job.evaluator.evaluate_due()
    assert statuses(job, "job") == ["NO_DATA", "UP"]
    clock.advance(GRACE)
    job.evaluator.evaluate_due()
    assert job.past("job")[-1] == ("DOWN", DOWN_AT)


def test_who_is_held_back_at_a_takeover_takes_over_afterwards(
    job: Replica, other: Replica, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.evaluator.evaluate_due()
    job.lease.release()
    other.refresh()
    other.evaluator.arrivals = noticing = Noticing()
    taken: list[bool] = []
    monkeypatch.setattr(other.engine, "took_over", lambda: taken.append(True))
    noticing.times_away += 1
    with pytest.raises(HeldBack):
        other.evaluator.evaluate_due()
    assert other.lease.held
    assert not taken
    clock.advance(GRACE)
    other.evaluator.evaluate_due()
    other.evaluator.evaluate_due()
    assert taken == [True]


def test_a_database_that_was_away_is_noticed(url: str, replica: Replica) -> None:
    replica.add("job")
    before = replica.db.absences
    with away(url), pytest.raises(StorageUnavailable):
        replica.execute("UPDATE settings SET value = value")
    during = replica.db.absences
    assert during > before
    replica.execute("UPDATE settings SET value = value")
    after = replica.db.absences
    assert after > during
    replica.execute("UPDATE settings SET value = value")
    assert replica.db.absences == after


def test_a_database_that_kept_a_transaction_waiting_was_away(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    monkeypatch.setattr(database_module.time, "monotonic", lambda: moment)
    before = replica.db.absences
    with replica.db.write("test"):
        moment += database_module.AWAY
    assert replica.db.absences == before
    with replica.db.write("test"):
        moment += database_module.AWAY + 0.1
    assert replica.db.absences == before + 1


def test_a_conflict_is_no_absence(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replica.db.absences
    monkeypatch.setattr(replica.db.engine, "conflicts", replica.db.engine.errors)
    with pytest.raises(StorageConflict):
        replica.execute("SELECT nothing FROM nowhere")
    assert replica.db.absences == before
