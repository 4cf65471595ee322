"""Uptime as it is kept: what the evaluator writes, a start reads, others follow, and pruning leaves alone."""

import pytest

from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.heartbeat import Kind
from exporter.core.monitor import Monitor
from exporter.core.status import Status
from exporter.core.uptime import ALWAYS_UP, NOTHING_HAPPENED, Ratios, uptime
from exporter.fleet.loader import load
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import ManualClock
from tests.support.replica import Replica


def of(replica: Replica, tag: str = "job") -> Ratios:
    watched = replica.fleet.get(tag)
    assert watched is not None
    return uptime(watched.past, watched.current.status, replica.clock.now(), replica.fleet.calendar.blackouts)


def fails_for(replica: Replica, milliseconds: int, tag: str = "job") -> None:
    replica.beat(tag, Kind.FAILURE)
    replica.evaluator.evaluate_due()
    replica.clock.advance(milliseconds)
    replica.beat(tag)
    replica.evaluator.evaluate_due()


@pytest.fixture
def job(replica: Replica, clock: ManualClock) -> Replica:
    """A monitor that has been UP for four hours."""
    replica.add("job", degraded_after=1000 * DAY, down_after=2000 * DAY)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(4 * HOUR)
    return replica


def test_what_the_evaluator_writes_is_known_at_once(job: Replica, clock: ManualClock) -> None:
    assert of(job) is ALWAYS_UP
    fails_for(job, HOUR)
    clock.advance(3 * HOUR)
    assert of(job) == pytest.approx((7 / 8,) * 4, abs=1e-6)


def test_a_start_and_another_process_know_the_same(job: Replica, other: Replica, clock: ManualClock) -> None:
    other.refresh()
    other.follower.start_here()
    fails_for(job, HOUR)
    assert other.follower.poll() == 1
    other.recorder.start()
    other.recorder.stop()
    assert of(other) == of(job)
    (loaded,) = load(job.db)
    watched = job.fleet.get("job")
    assert watched is not None
    assert loaded.past == watched.past != NOTHING_HAPPENED
    (unread,) = load(job.db, histories=False)
    assert unread.past == NOTHING_HAPPENED


def test_a_monitor_that_was_paused_once_counts_that_out_when_it_falls(job: Replica, clock: ManualClock) -> None:
    job.monitors.set_paused("job", True)
    job.evaluator.evaluate_due()
    clock.advance(10 * HOUR)
    job.monitors.set_paused("job", False)
    job.evaluator.evaluate_due()
    job.refresh()
    watched = job.fleet.get("job")
    assert watched is not None
    assert watched.past == NOTHING_HAPPENED
    fails_for(job, HOUR)
    assert of(job) == pytest.approx((4 / 5,) * 4, abs=1e-6)


def test_what_pruning_leaves_is_enough_for_90_days(job: Replica, clock: ManualClock) -> None:
    fails_for(job, HOUR)
    clock.advance(60 * DAY)
    fails_for(job, DAY)
    clock.advance(40 * DAY)
    before = of(job)
    Pruner(job.db, clock).prune(100, 90 * DAY)
    job.refresh()
    assert of(job) == before
    assert before[3] == pytest.approx(89 / 90)
    # It stays so for as long as the window slides over what is left.
    for _ in range(5):
        clock.advance(20 * DAY)
        before = of(job)
        Pruner(job.db, clock).prune(100, 90 * DAY)
        job.refresh()
        assert of(job) == before
    assert of(job) is ALWAYS_UP


def test_many_monitors_at_once(replica: Replica, clock: ManualClock) -> None:
    tags = [f"job-{number}" for number in range(450)]
    for tag in tags:
        replica.monitors.add(Monitor(tag=tag, degraded_after=MINUTE, down_after=2 * MINUTE), b"d" * 32)
    replica.refresh()
    replica.beat(tags[0])
    for tag in tags[1:]:
        replica.beat(tag)
    replica.evaluator.evaluate_due()
    clock.advance(4 * MINUTE)
    replica.evaluator.evaluate_due()
    assert {watched.current.status for watched in replica.fleet} == {Status.DOWN}
    assert [of(replica, tag)[0] for tag in tags] == pytest.approx([0.5] * len(tags), abs=1e-4)
