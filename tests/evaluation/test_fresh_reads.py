"""A process shows the status that follows from what it acknowledged, and the evaluator writes the same."""

from collections.abc import Sequence

import pytest

from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.timeline import CurrentStatus
from exporter.metrics.exposition.negotiation import Format
from exporter.metrics.exposition.renderer import Exposition
from tests.conftest import ManualClock
from tests.support.replica import Replica


def watched(replica: Replica, tag: str = "job") -> FleetMonitor:
    found = replica.fleet.get(tag)
    assert found is not None
    return found


def shown(replica: Replica, tag: str = "job") -> str:
    return watched(replica, tag).shown.status.value


def evaluate(replica: Replica) -> CurrentStatus:
    """What the evaluator writes is what was shown before."""
    before = watched(replica).shown
    replica.evaluator.evaluate_due()
    assert watched(replica).current == before
    assert watched(replica).preview is None
    return before


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([Kind.SUCCESS], "UP"),
        ([Kind.FAILURE], "DOWN"),
        ([Kind.START], "NO_DATA"),
        ([Kind.SUCCESS, Kind.FAILURE], "DOWN"),
        ([Kind.FAILURE, Kind.SUCCESS], "UP"),
        ([Kind.SUCCESS, Kind.START], "UP"),
    ],
)
def test_the_first_heartbeats_of_a_monitor(
    replica: Replica, clock: ManualClock, kinds: Sequence[Kind], status: str
) -> None:
    replica.add("job", max_runtime=MINUTE)
    replica.evaluator.evaluate_due()
    for kind in kinds:
        clock.advance(3)
        replica.beat("job", kind)
    assert shown(replica) == status
    evaluate(replica)


def test_a_day_of_failures_recoveries_and_overruns(replica: Replica, clock: ManualClock) -> None:
    replica.add("job", max_runtime=MINUTE)
    replica.beat("job")
    assert (shown(replica), replica.status("job")[0]) == ("UP", "NO_DATA")
    evaluate(replica)
    for kind, wait, status in (
        (Kind.FAILURE, 10, "DOWN"),
        (Kind.LOG, 10, "DOWN"),
        (Kind.SUCCESS, 10, "UP"),
        (Kind.START, 1, "UP"),
        (Kind.SUCCESS, 2 * MINUTE, "UP"),  # it overran, and the evaluator looked
        (Kind.SUCCESS, 6 * MINUTE, "UP"),  # it was late
        (Kind.FAILURE, HOUR, "DOWN"),  # it was missed
        (Kind.SUCCESS, 1, "UP"),
    ):
        clock.advance(wait)
        replica.evaluator.evaluate_due()
        replica.beat("job", kind)
        assert shown(replica) == status, kind
        evaluate(replica)


def test_tolerated_failures_and_runs_that_are_too_short(replica: Replica, clock: ManualClock) -> None:
    replica.add("job", failure_tolerance=2, min_runtime=MINUTE)
    for kind, wait, reason in (
        (Kind.FAILURE, 1, "failing"),
        (Kind.SUCCESS, SECOND, "on_time"),
        (Kind.FAILURE, SECOND, "failing"),
        (Kind.FAILURE, SECOND, "failing"),
        (Kind.FAILURE, SECOND, "failed"),
        (Kind.START, SECOND, "failed"),
        (Kind.SUCCESS, SECOND, "too_short"),
        (Kind.START, SECOND, "too_short"),
        (Kind.SUCCESS, MINUTE, "on_time"),
        (Kind.START, SECOND, "on_time"),
        (Kind.SUCCESS, SECOND, "too_short"),  # it was UP before
        (Kind.FAILURE, SECOND, "failing"),
    ):
        clock.advance(wait)
        replica.beat("job", kind)
        assert watched(replica).shown.reason == reason
        evaluate(replica)
    clock.advance(10 * MINUTE + 1)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")


def test_a_run_that_began_too_early_brings_the_deadline_nearer(replica: Replica, clock: ManualClock) -> None:
    """The success before it had served the tick."""
    replica.add("job", schedule="* * * * *", degraded_after=0, down_after=HOUR)
    tick = next_tick("* * * * *", "UTC", clock.now())
    clock.wall = tick - 50 * SECOND
    replica.beat("job", Kind.START)
    clock.wall = tick - 20 * SECOND
    replica.beat("job", Kind.SUCCESS, rid="other")
    evaluate(replica)
    clock.wall = tick - 10 * SECOND
    replica.beat("job", Kind.SUCCESS)
    evaluate(replica)
    clock.wall = tick + 1
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DEGRADED", "late")


def test_a_plain_success_of_a_monitor_that_is_up_costs_nothing(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(SECOND)
    replica.beat("job")
    assert watched(replica).preview is None


def test_a_heartbeat_that_comes_while_the_evaluator_works(replica: Replica, clock: ManualClock) -> None:
    """It judged an earlier state: its write is refused, or is of the earlier heartbeats alone."""
    replica.add("job")
    replica.beat("job", Kind.FAILURE)
    clock.advance(5)
    one = watched(replica)
    replica.fleet.preview([(one, [Heartbeat(Kind.SUCCESS, clock.now())], None, 0)])
    one.state = one.state._replace(received=2, last_success_at=clock.now(), last_outcome=Kind.SUCCESS)
    replica.evaluator.evaluate_due()
    assert replica.status("job")[0] == "DOWN"
    assert shown(replica) == "UP"


def test_with_evaluation_cron_only_its_ticks_change_what_is_shown(replica: Replica, clock: ManualClock) -> None:
    replica.add("job", evaluation_cron="* * * * *")
    replica.evaluator.evaluate_due()
    replica.beat("job")
    assert (shown(replica), watched(replica).preview) == ("NO_DATA", None)
    clock.advance(MINUTE)
    replica.evaluator.evaluate_due()
    assert shown(replica) == "UP"


def test_a_paused_monitor_stays_paused_and_shows_it_at_once(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(SECOND)
    for paused, status in ((True, "PAUSED"), (False, "UP")):
        replica.monitors.set_paused("job", paused)
        replica.recorder.reload([watched(replica).id])
        replica.recorder._work()
        assert shown(replica) == status
        replica.beat("job")
        assert shown(replica) == status
        evaluate(replica)
        clock.advance(SECOND)


def test_the_process_that_does_not_evaluate_keeps_showing_what_it_acknowledged(
    replica: Replica, other: Replica, clock: ManualClock
) -> None:
    """It reads the monitor again, because another process wrote to it, before the evaluator has seen the heartbeat."""
    replica.add("job")
    replica.evaluator.evaluate_due()
    other.refresh()
    other.beat("job")
    assert shown(other) == "UP"
    replica.beat("job", Kind.LOG)
    other.follower.poll()
    other.recorder._work()
    assert watched(other).state.received == 2
    assert shown(other) == "UP"
    replica.evaluator.evaluate_due()
    other.follower.poll()
    other.recorder._work()
    assert (other.status("job"), watched(other).preview) == (("UP", "on_time"), None)


def test_a_scrape_is_consistent_in_itself(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    exposition = Exposition(replica.fleet, clock)

    def scrape() -> str:
        return b"".join(exposition.render(Format.TEXT)).decode()

    assert 'heartbeat_status{status="NO_DATA",tag="job"} 1.0' in scrape()
    replica.beat("job")
    before = scrape()
    assert 'heartbeat_status{status="UP",tag="job"} 1.0' in before
    assert 'heartbeat_status_reason{reason="on_time",tag="job"} 1.0' in before
    assert 'heartbeat_uptime_ratio{tag="job",window="24h"} 1.0' in before
    replica.evaluator.evaluate_due()
    assert scrape() == before
    clock.advance(HOUR)
    replica.beat("job", Kind.FAILURE)
    failed = scrape()
    assert 'heartbeat_status{status="DOWN",tag="job"} 1.0' in failed
    assert 'heartbeat_uptime_ratio{tag="job",window="24h"} 1.0' in failed
