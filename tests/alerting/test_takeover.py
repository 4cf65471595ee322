"""Alerts rest on the database: the fleet of a process that takes over may not know what others wrote last."""

import pytest

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.clock import HOUR, MINUTE
from exporter.core.heartbeat import Kind
from tests.alerting.test_evaluator import Scripted
from tests.conftest import ManualClock
from tests.support.replica import Replica

RULE = AlertRule(name="down", notify=("ops",), repeat_every=HOUR)


@pytest.fixture
def stale(replica: Replica, other: Replica) -> Replica:
    """A process that does not know what `replica` has found since."""
    replica.watch(RULE)
    other.watch(RULE)
    replica.add("job")
    replica.beat("job")
    replica.evaluator.evaluate_due()
    other.refresh()
    return other


def take_over(stale: Replica, clock: ManualClock) -> None:
    clock.advance(MINUTE)
    stale.evaluator.evaluate_due()
    assert stale.lease.held


def test_what_is_down_in_the_database_alone_is_alerted_of(replica: Replica, stale: Replica, clock: ManualClock) -> None:
    replica.watch()  # it has read another configuration, without the rule
    replica.beat("job", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "failed")
    assert stale.status("job") == ("UP", "on_time")
    take_over(stale, clock)
    assert stale.open_alerts() == ["down"]


def test_what_is_up_in_the_database_alone_is_not(replica: Replica, stale: Replica, clock: ManualClock) -> None:
    replica.watch()
    replica.beat("job", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    stale.refresh()
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert stale.status("job") == ("DOWN", "failed")
    take_over(stale, clock)
    assert list(stale.alerts.recent()) == []


def test_a_monitor_that_the_fleet_does_not_know_keeps_its_alert(
    replica: Replica, stale: Replica, clock: ManualClock
) -> None:
    replica.add("new")
    replica.beat("new", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    assert stale.fleet.get("new") is None
    take_over(stale, clock)
    assert stale.open_alerts() == ["down"]


def test_a_monitor_that_the_fleet_does_not_know_is_alerted_of(
    replica: Replica, stale: Replica, clock: ManualClock
) -> None:
    replica.add("new")
    take_over(stale, clock)
    replica.beat("new", Kind.FAILURE)
    stale.evaluator.evaluate_due()
    assert stale.open_alerts() == ["down"]


def test_a_monitor_that_the_fleet_does_not_know_comes_due(replica: Replica, stale: Replica, clock: ManualClock) -> None:
    rule = AlertRule(name="long", trigger_after=10 * MINUTE)
    replica.watch(rule)
    stale.watch(rule)
    replica.add("new")
    replica.beat("new", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    take_over(stale, clock)
    assert stale.open_alerts() == []
    clock.advance(10 * MINUTE)
    stale.evaluator.evaluate_due()
    assert stale.open_alerts() == ["long"]


def test_a_monitor_that_was_given_another_label_elsewhere(replica: Replica, stale: Replica, clock: ManualClock) -> None:
    rule = AlertRule(name="team", selector=Selector(labels=(("team", "red"),)))
    replica.watch(rule)
    stale.watch(rule)
    replica.add("new", labels=(("team", "blue"),))
    stale.refresh()
    replica.execute("UPDATE monitors SET labels = '[[\"team\", \"red\"]]' WHERE tag = 'new'")
    replica.refresh()
    replica.beat("new", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    assert replica.open_alerts() == ["team"]
    take_over(stale, clock)
    assert stale.open_alerts() == ["team"]


def test_reminders_say_what_the_database_says(replica: Replica, stale: Replica, clock: ManualClock) -> None:
    replica.beat("job", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    replica.channel(Scripted()).work()
    replica.monitors.set_paused("job", True)
    replica.evaluator.evaluate_due()
    assert replica.history.transitions([1], 0)[1][-1].status.value == "PAUSED"
    clock.advance(HOUR)
    take_over(stale, clock)
    assert stale.status("job") == ("UP", "on_time")
    assert {one.event for one in stale.notifications.recent(limit=10)} == {"TRIGGERED"}
    (alert,) = stale.alerts.recent(step=AlertState.TRIGGERED)
    assert stale.alerts.next_repeat_at() == clock.now() + HOUR, alert
