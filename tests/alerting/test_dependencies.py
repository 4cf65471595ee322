"""Alerts of monitors whose parents are in trouble: held, folded into the parent's message, and never lost."""

from typing import Any

import pytest

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Calendar
from exporter.core.heartbeat import Kind
from exporter.core.maintenance import Window
from exporter.core.monitor import Monitor
from exporter.core.status import Reason
from exporter.fleet.loader import load
from exporter.presentation.describe import headline, plain_text
from tests.alerting.test_evaluator import Scripted, pass_time, recovers
from tests.conftest import START
from tests.support.replica import Replica

DOWN = AlertRule(name="down", notify=("ops",), create_incident=True)
"""Of monitors that miss after ten minutes, DEGRADED after five."""


def family(replica: Replica, *children: str, rules: tuple[AlertRule, ...] = (DOWN,), **options: Any) -> None:
    """A parent `db`, and children that depend on it; all reported at the start."""
    replica.watch(*rules, group_wait=0)
    replica.add("db")
    for child in children or ("web",):
        replica.add(child, **{"depends_on": ("db",), **options})
    for tag in ("db", *(children or ("web",))):
        replica.beat(tag)
    replica.evaluator.evaluate_due()


def told(replica: Replica, name: str = "ops") -> list[tuple[str, list[str]]]:
    """What is pending for the notifier is delivered; what that was."""
    ops = Scripted()
    channel = replica.channel(ops, name)
    channel.work()
    channel.work()
    return ops.told()


def suppressed(replica: Replica) -> list[str]:
    return [watched.monitor.tag for watched in replica.fleet if replica.fleet.suppressed_by(watched.monitor.tag)]


def sees(replica: Replica, tag: str) -> None:
    """The fleet takes over what has changed of a monitor."""
    watched = replica.fleet.get(tag)
    assert watched is not None
    found = load(replica.db, [watched.id])
    replica.fleet.update(found, [] if found else [watched.id])


def until_late(replica: Replica) -> None:
    """All are late at once; the parent's and the child's alerts come together, five minutes later."""
    pass_time(replica, 5 * MINUTE + 1)


def test_a_child_that_misses_with_its_parent_is_folded_into_the_parents_message(replica: Replica) -> None:
    family(replica, "web", "worker", "cron", "api")
    until_late(replica)
    assert suppressed(replica) == ["api", "cron", "web", "worker"]
    pass_time(replica, 5 * MINUTE)
    ops = Scripted()
    replica.channel(ops).work()
    (message,) = ops.got
    assert [facts.tag for facts in message.alerts] == ["db"]
    assert (message.first.dependents, message.first.dependent_names) == (4, ("api", "cron", "web"))
    assert headline(message) == "DOWN: db, missed, no success for 10 min, and 4 monitors that depend on it"
    assert "all are late too, and their alerts are held: api, cron, web and 1 more" in plain_text(message)
    for _ in range(30):
        pass_time(replica, 30 * MINUTE)
        assert told(replica) == []
    assert {alert.step for alert in replica.alerts.recent()} == {AlertState.TRIGGERED}


def test_a_message_that_comes_first_says_what_depends_on_the_parent(replica: Replica) -> None:
    family(replica, "web", "worker")
    replica.beat("db", Kind.FAILURE, exit_code=1)
    replica.evaluator.evaluate_due()
    ops = Scripted()
    replica.channel(ops).work()
    assert headline(ops.got[0]) == "DOWN: db, failed, exit code 1"
    assert "2 monitors depend on it; alerts of their silence are held meanwhile" in plain_text(ops.got[0])


def test_all_recover_and_only_the_parent_is_spoken_of(replica: Replica) -> None:
    family(replica, "web", "worker")
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    for tag in ("db", "web", "worker"):
        recovers(replica, tag)
    assert told(replica) == [("RESOLVED", ["db"])]
    assert suppressed(replica) == []
    pass_time(replica, HOUR - 1)


def test_a_child_that_stays_away_is_announced_when_the_parent_is_well(replica: Replica) -> None:
    family(replica, release_after=2 * MINUTE)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    recovers(replica, "db")
    assert told(replica) == [("RESOLVED", ["db"])]
    # Without a schedule the child may report at any time: by degraded_after, and two minutes more.
    for minute in range(7):
        assert suppressed(replica) == ["web"], minute
        replica.beat("db")
        pass_time(replica, MINUTE)
    assert told(replica) == [("TRIGGERED", ["web"])]
    assert suppressed(replica) == []
    (alert,) = replica.alerts.recent(step=AlertState.TRIGGERED)
    assert alert.triggered_at == START + 10 * MINUTE + 1
    recovers(replica, "web")
    assert told(replica) == [("RESOLVED", ["web"])]


def test_with_no_message_about_the_parent_the_childs_is_sent_in_time(replica: Replica) -> None:
    rule = AlertRule(name="web", notify=("ops",), selector=Selector(tags=("web",)))
    family(replica, rules=(rule,), release_after=3 * MINUTE)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    pass_time(replica, 5 * MINUTE - 1)  # the parent has five minutes from DEGRADED to DOWN
    assert told(replica) == []
    pass_time(replica, 1)
    assert told(replica) == [("TRIGGERED", ["web"])]
    assert suppressed(replica) == ["web"]  # Prometheus, which may have told of the parent, still leaves it out
    pass_time(replica, 2 * DAY)
    assert told(replica) == []
    recovers(replica, "web")
    assert told(replica) == [("RESOLVED", ["web"])]


def test_each_notifier_gets_the_parents_message_or_the_childs(replica: Replica) -> None:
    parent = AlertRule(name="parent", notify=("ops",), selector=Selector(tags=("db",)))
    child = AlertRule(name="child", notify=("ops", "team"), selector=Selector(tags=("web",)))
    family(replica, rules=(parent, child))
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    assert told(replica, "team") == []
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == []
    assert told(replica, "team") == [("TRIGGERED", ["web"])]
    recovers(replica, "web")
    assert told(replica) == []
    assert told(replica, "team") == [("RESOLVED", ["web"])]


def test_several_levels(replica: Replica) -> None:
    replica.watch(DOWN, group_wait=0)
    replica.add("power", degraded_after=MINUTE, down_after=2 * MINUTE)
    replica.add("network", depends_on=("power",))
    replica.add("db", depends_on=("net*",))
    replica.add("web", depends_on=("db",))
    for tag in ("power", "network", "db", "web"):
        replica.beat(tag)
    pass_time(replica, 2 * MINUTE + 1)
    assert told(replica) == [("TRIGGERED", ["power"])]
    pass_time(replica, 8 * MINUTE)
    assert suppressed(replica) == ["db", "network", "web"]
    assert told(replica) == []
    pass_time(replica, 20 * HOUR)
    assert told(replica) == []
    assert replica.incidents.count_open() == 1
    assert len(replica.alerts.recent(incident_id=replica.incidents.recent()[0].id)) == 4
    replica.beat("web")
    replica.beat("db")
    recovers(replica, "power")
    for tag in ("db", "web", "power"):
        replica.beat(tag)
    for _ in range(10):
        for tag in ("db", "web", "power"):
            replica.beat(tag)
        pass_time(replica, MINUTE)
    assert told(replica) == [("RESOLVED", ["power"]), ("TRIGGERED", ["network"])]


def test_a_failure_is_never_held(replica: Replica) -> None:
    family(replica)
    until_late(replica)
    replica.beat("web", Kind.FAILURE, exit_code=3)
    replica.evaluator.evaluate_due()
    assert told(replica) == [("TRIGGERED", ["web"])]
    assert suppressed(replica) == []


def test_a_failure_ends_the_hold(replica: Replica) -> None:
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    replica.beat("web", Kind.FAILURE, exit_code=3)
    replica.evaluator.evaluate_due()
    ops = Scripted()
    replica.channel(ops).work()
    assert [(message.first.tag, message.first.reason) for message in ops.got] == [("web", Reason.FAILED)]


def test_a_failed_parent_suppresses(replica: Replica) -> None:
    family(replica)
    replica.beat("db", Kind.FAILURE, exit_code=1)
    replica.evaluator.evaluate_due()
    assert told(replica) == [("TRIGGERED", ["db"])]
    pass_time(replica, 10 * MINUTE + 1)
    assert suppressed(replica) == ["web"]
    assert told(replica) == []


def test_an_overrun_of_the_parent_suppresses(replica: Replica) -> None:
    family(replica)
    sees(replica, "db")
    replica.execute(
        "UPDATE monitors SET max_runtime = 60000, down_after = 86400000, degraded_after = 86300000 WHERE tag = 'db'"
    )
    sees(replica, "db")
    replica.beat("db", Kind.START)
    pass_time(replica, 2 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    pass_time(replica, 10 * MINUTE)
    assert suppressed(replica) == ["web"]
    assert told(replica) == []


def test_a_parent_that_is_paused_does_not_suppress(replica: Replica) -> None:
    family(replica)
    replica.monitors.set_paused("db", True)
    replica.follower.poll()
    replica.evaluator.evaluate_due()
    pass_time(replica, 10 * MINUTE + 1)
    assert suppressed(replica) == []
    assert told(replica) == [("TRIGGERED", ["web"])]


def test_a_parent_that_is_paused_while_its_child_is_held(replica: Replica) -> None:
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    replica.monitors.set_paused("db", True)
    sees(replica, "db")
    replica.evaluator.evaluate_due()
    pass_time(replica, 10 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["web"])]


def test_a_parent_that_is_removed_while_its_child_is_held(replica: Replica) -> None:
    family(replica, depends_on=("d*",))
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    replica.monitors.remove("db")
    sees(replica, "db")
    pass_time(replica, SECOND)
    assert told(replica) == [("RESOLVED", ["db"])]
    pass_time(replica, 10 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["web"])]
    assert suppressed(replica) == []


def test_the_parent_goes_down_again_once(replica: Replica) -> None:
    """Release would be five minutes and five more after the parent is well; that begins again once."""
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    for episode in range(3):
        recovers(replica, "db")
        pass_time(replica, 4 * MINUTE)
        assert told(replica)[:1] == [("RESOLVED", ["db"])], episode
        replica.beat("db", Kind.FAILURE, exit_code=1)
        replica.evaluator.evaluate_due()
        if episode < 2:
            assert told(replica) == [("TRIGGERED", ["db"])]
            assert suppressed(replica) == ["web"]
        pass_time(replica, MINUTE)
    # Ten minutes after the second recovery, although the parent is down again.
    assert told(replica) == [("TRIGGERED", ["db", "web"])]
    assert suppressed(replica) == []


def test_nothing_is_held_for_more_than_a_day(replica: Replica) -> None:
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    pass_time(replica, DAY - 5 * MINUTE - 1)
    assert told(replica) == []
    pass_time(replica, 1)
    assert told(replica) == [("TRIGGERED", ["web"])]


def test_a_message_about_the_parent_that_is_given_up_counts_no_more(replica: Replica) -> None:
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    (alarm,) = replica.notifications.recent()
    replica.execute(f"UPDATE notifications SET state = 'dead' WHERE id = {alarm.id}")
    pass_time(replica, 5 * MINUTE)
    pass_time(replica, MINUTE)
    assert told(replica) == [("TRIGGERED", ["web"])]


def test_the_childs_alerts_are_part_of_the_parents_incident(replica: Replica) -> None:
    family(replica, "web", "worker")
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    (incident,) = replica.incidents.recent()
    assert incident.tag == "db"
    assert {alert.tag for alert in replica.alerts.recent(incident_id=incident.id)} == {"db", "web", "worker"}
    assert any("web and worker" in update.text for update in replica.incidents.updates([incident.id])[incident.id])
    recovers(replica, "db")
    assert replica.incidents.count_open() == 1
    replica.beat("web")
    recovers(replica, "worker")
    assert replica.incidents.count_open() == 0


def test_an_incident_that_opens_later_adopts_what_waits(replica: Replica) -> None:
    family(replica, degraded_after=MINUTE, down_after=6 * MINUTE)
    pass_time(replica, 5 * MINUTE + 1)
    pass_time(replica, MINUTE)
    assert [alert.tag for alert in replica.alerts.recent()] == ["web"]
    assert replica.incidents.count_open() == 0
    pass_time(replica, 4 * MINUTE)
    (incident,) = replica.incidents.recent()
    assert {alert.tag for alert in replica.alerts.recent(incident_id=incident.id)} == {"db", "web"}


def test_without_an_incident_of_the_parent_the_child_opens_its_own_when_it_is_announced(replica: Replica) -> None:
    rule = AlertRule(name="web", notify=("ops",), create_incident=True, selector=Selector(tags=("web",)))
    family(replica, rules=(rule,))
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert replica.incidents.count_open() == 0
    pass_time(replica, 5 * MINUTE)
    (incident,) = replica.incidents.recent()
    assert incident.tag == "web"
    (alert,) = replica.alerts.recent()
    assert alert.incident_id == incident.id
    recovers(replica, "web")
    assert replica.incidents.count_open() == 0


def test_another_process_goes_on(replica: Replica, other: Replica) -> None:
    family(replica)
    until_late(replica)
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    replica.lease.release()
    other.refresh()
    other.watch(DOWN, group_wait=0)
    other.evaluator.evaluate_due()
    assert suppressed(other) == ["web"]
    recovers(other, "db")
    assert told(other) == [("RESOLVED", ["db"])]
    for _ in range(10):
        other.beat("db")
        pass_time(other, MINUTE)
    assert told(other) == [("TRIGGERED", ["web"])]


def test_without_rules_the_monitor_is_suppressed_all_the_same(replica: Replica) -> None:
    family(replica, rules=())
    until_late(replica)
    assert suppressed(replica) == ["web"]
    recovers(replica, "db")
    assert suppressed(replica) == ["web"]
    for _ in range(10):
        replica.beat("db")
        pass_time(replica, MINUTE)
    assert suppressed(replica) == []


def test_a_cycle_at_run_time_has_no_effect_and_is_logged_once(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    replica.watch(DOWN, group_wait=0)
    replica.add("a", depends_on=("b*",))
    replica.monitors.create_for(Monitor(tag="b", depends_on=("a",)), b"d" * 32, "key", 10)
    replica.refresh()
    for tag in ("a", "b"):
        replica.beat(tag)
    pass_time(replica, 10 * MINUTE + 1)
    pass_time(replica, MINUTE)
    assert told(replica) == [("TRIGGERED", ["a", "b"])]
    assert caplog.text.count("a cycle of dependencies has no effect: a → b → a") == 1


class Planned:
    """A calendar with a maintenance window of the parent."""

    def __init__(self, start: int, length: int) -> None:
        self._calendar = Calendar(
            maintenances=(Window(name="w", selector=Selector(tags=("db",)), starts_at=start, duration=length),)
        )

    def refresh(self) -> Calendar:
        return self._calendar


def test_maintenance_of_the_parent_holds_the_child_until_it_ends(replica: Replica) -> None:
    """No message is expected meanwhile; afterwards one is, for as long as the parent may take from late to DOWN."""
    replica.evaluator._calendars = Planned(START + MINUTE, 3 * HOUR)
    family(replica)
    for _ in range(17):
        pass_time(replica, 10 * MINUTE)
    assert replica.status("db") == ("MAINTENANCE", "maintenance")
    assert replica.status("web") == ("DOWN", "missed")
    assert suppressed(replica) == ["web"]
    assert told(replica) == []
    pass_time(replica, 11 * MINUTE + 1)
    assert replica.status("db")[0] == "UP"  # it has had a minute of what it may take
    for _ in range(20):
        replica.beat("db")
        pass_time(replica, MINUTE)
    assert told(replica) == [("TRIGGERED", ["web"])]


def test_a_parent_that_is_late_after_its_maintenance_is_reported_for_both(replica: Replica) -> None:
    replica.evaluator._calendars = Planned(START + MINUTE, 3 * HOUR)
    family(replica)
    for _ in range(19):
        pass_time(replica, 10 * MINUTE)
    assert replica.status("db")[0] == "DEGRADED"
    assert told(replica) == []
    pass_time(replica, 5 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["db"])]
    pass_time(replica, HOUR)
    assert told(replica) == []
