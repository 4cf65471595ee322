"""Held alerts: firing, written and followed as always, but announced only when no hold is left, and then once."""

from collections.abc import Mapping, Sequence

import pytest

from exporter.alerting.changes import AlertStarted
from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.alerts.held import AlertHold, HoldKind
from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.heartbeat import Kind
from exporter.core.status import Reason, Status
from exporter.storage.database import Transaction
from tests.alerting.test_evaluator import Scripted, pass_time, recovers
from tests.conftest import START
from tests.support.replica import Replica

DOWN = AlertRule(name="down", notify=("ops",), create_incident=True)
GUARD, DEPENDENCY = HoldKind.INGEST_GUARD, HoldKind.DEPENDENCY
MISSED_AT = START + 10 * MINUTE + 1
HOLD = 5 * MINUTE


class Holding:
    """Holds every alert that begins, for so long."""

    def __init__(self, kind: HoldKind = GUARD, length: int = HOLD, notifier: str = "") -> None:
        self.kind, self.length, self.notifier = kind, length, notifier
        self.asked: list[str] = []

    def decide(
        self, transaction: Transaction, started: Sequence[AlertStarted], ids: Mapping[str, int], now: int
    ) -> Mapping[str, Sequence[AlertHold]]:
        assert {alert.uid for alert in started} == ids.keys()
        self.asked += [alert.watched.monitor.tag for alert in started]
        return {alert.uid: [AlertHold(self.kind, now, now + self.length, self.notifier)] for alert in started}


def hold(replica: Replica, *deciders: Holding) -> None:
    replica.writer.holds.deciders = deciders or (Holding(),)


def add(replica: Replica, *tags: str, **options: object) -> None:
    for tag in tags or ("job",):
        replica.add(tag, **options)
        replica.beat(tag)
    replica.evaluator.evaluate_due()


def missed(replica: Replica, *rules: AlertRule) -> None:
    """A monitor whose alert is held since MISSED_AT."""
    replica.watch(*(rules or (DOWN,)))
    if not any(isinstance(decider, Holding) for decider in replica.writer.holds.deciders):
        hold(replica)
    add(replica)
    pass_time(replica, 10 * MINUTE + 1)


def told(replica: Replica, name: str = "ops") -> list[tuple[str, list[str]]]:
    """What is pending for the notifier is delivered; what that was."""
    ops = Scripted()
    channel = replica.channel(ops, name)
    channel.work()
    channel.work()
    return ops.told()


def rows(replica: Replica) -> int:
    return int(replica.execute("SELECT COUNT(*) FROM held_alerts")[0][0])


def test_a_held_alert_fires_and_has_its_incident_and_no_message(replica: Replica) -> None:
    missed(replica)
    (alert,) = replica.alerts.recent()
    assert alert.step is AlertState.TRIGGERED
    assert alert.triggered_at == MISSED_AT
    assert [(one.kind, one.since, one.until) for one in alert.holds] == [(GUARD, MISSED_AT, MISSED_AT + HOLD)]
    assert replica.incidents.count_open() == 1
    assert list(replica.notifications.recent()) == []


def test_it_is_announced_at_its_deadline_and_not_before(replica: Replica) -> None:
    missed(replica)
    assert replica.engine.next_due() == MISSED_AT + HOLD
    pass_time(replica, HOLD - 1)
    assert told(replica) == []
    pass_time(replica, 1)
    ops = Scripted()
    replica.channel(ops).work()
    (message,) = ops.got
    (alert,) = replica.alerts.recent()
    facts = message.first
    assert (facts.alert_id, facts.triggered_at, facts.at) == (alert.uid, MISSED_AT, MISSED_AT + HOLD)
    assert (facts.status, facts.reason, facts.since) == (Status.DOWN, Reason.MISSED, MISSED_AT)
    assert alert.holds == ()
    assert rows(replica) == 0
    pass_time(replica, HOUR)
    assert told(replica) == []
    recovers(replica)
    assert told(replica) == [("RESOLVED", ["job"])]


def test_alerts_that_are_released_together_are_one_message(replica: Replica) -> None:
    replica.watch(DOWN, group_wait=10 * SECOND)
    hold(replica)
    add(replica, "a", "b", "c")
    pass_time(replica, 10 * MINUTE + 1)
    pass_time(replica, HOLD)
    assert told(replica) == []
    pass_time(replica, 10 * SECOND)
    assert told(replica) == [("TRIGGERED", ["a", "b", "c"])]


def test_one_that_ends_while_it_is_held_is_never_spoken_of(replica: Replica) -> None:
    missed(replica)
    recovers(replica)
    assert [alert.step for alert in replica.alerts.recent()] == [AlertState.RESOLVED]
    assert rows(replica) == 0
    pass_time(replica, HOUR - 50 * MINUTE)
    assert told(replica) == []
    assert list(replica.notifications.recent()) == []


def test_one_that_began_and_ended_during_a_stall_is_neither(replica: Replica) -> None:
    replica.watch(DOWN)
    hold(replica)
    add(replica)
    replica.clock.advance(20 * MINUTE)
    replica.beat("job")
    replica.evaluator.evaluate_due()
    assert len(replica.alerts.recent(step=AlertState.RESOLVED)) == 1
    assert rows(replica) == 0
    assert list(replica.notifications.recent()) == []


def test_a_failure_is_never_held(replica: Replica) -> None:
    replica.watch(DOWN)
    hold(replica)
    add(replica)
    replica.beat("job", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    assert told(replica) == [("TRIGGERED", ["job"])]


def test_a_held_alert_whose_job_reports_a_failure_is_announced_at_once(replica: Replica) -> None:
    missed(replica)
    replica.clock.advance(MINUTE)
    replica.beat("job", Kind.FAILURE, exit_code=7)
    replica.evaluator.evaluate_due()
    ops = Scripted()
    replica.channel(ops).work()
    facts = ops.got[0].first
    assert (facts.reason, facts.exit_code, facts.triggered_at) == (Reason.FAILED, 7, MISSED_AT)
    assert rows(replica) == 0
    pass_time(replica, HOUR)
    assert told(replica) == []


def test_two_holds_the_alert_goes_out_when_none_is_left(replica: Replica) -> None:
    hold(replica, Holding(), Holding(DEPENDENCY, 20 * MINUTE))
    missed(replica)
    (alert,) = replica.alerts.recent()
    assert {one.kind for one in alert.holds} == {GUARD, DEPENDENCY}
    pass_time(replica, HOLD)
    assert told(replica) == []
    assert [one.kind for one in replica.alerts.recent()[0].holds] == [DEPENDENCY]
    pass_time(replica, 15 * MINUTE)
    assert told(replica) == [("TRIGGERED", ["job"])]


def test_a_hold_for_one_notifier_does_not_concern_the_other(replica: Replica) -> None:
    hold(replica, Holding(DEPENDENCY, notifier="boss"))
    missed(replica, AlertRule(name="down", notify=("ops", "boss")))
    assert told(replica, "ops") == [("TRIGGERED", ["job"])]
    assert told(replica, "boss") == []
    pass_time(replica, HOLD)
    assert told(replica, "ops") == []
    assert told(replica, "boss") == [("TRIGGERED", ["job"])]
    recovers(replica)
    assert told(replica, "boss") == told(replica, "ops") == [("RESOLVED", ["job"])]


def test_the_notifier_that_never_got_it_gets_no_end_either(replica: Replica) -> None:
    hold(replica, Holding(DEPENDENCY, notifier="boss"))
    missed(replica, AlertRule(name="down", notify=("ops", "boss")))
    assert told(replica, "ops") == [("TRIGGERED", ["job"])]
    recovers(replica)
    assert told(replica, "ops") == [("RESOLVED", ["job"])]
    assert told(replica, "boss") == []


def test_no_reminder_while_it_is_held_and_the_first_one_counts_from_the_release(replica: Replica) -> None:
    hold(replica, Holding(length=2 * HOUR))
    missed(replica, AlertRule(name="down", notify=("ops",), repeat_every=HOUR))
    pass_time(replica, HOUR)
    assert list(replica.notifications.recent()) == []
    pass_time(replica, HOUR)
    assert told(replica) == [("TRIGGERED", ["job"])]
    pass_time(replica, HOUR - 1)
    assert told(replica) == []
    pass_time(replica, 1)
    assert told(replica) == [("REPEATED", ["job"])]


def test_escalation_by_a_second_rule_is_held_too(replica: Replica) -> None:
    missed(replica, DOWN, AlertRule(name="long", notify=("boss",), trigger_after=2 * MINUTE))
    pass_time(replica, 2 * MINUTE)
    assert replica.open_alerts() == ["down", "long"]
    assert told(replica, "boss") == []
    pass_time(replica, HOLD)
    assert told(replica, "boss") == [("TRIGGERED", ["job"])]


def test_an_acknowledged_one_is_announced_but_not_repeated(replica: Replica) -> None:
    missed(replica, AlertRule(name="down", notify=("ops",), repeat_every=HOUR, create_incident=True))
    (alert,) = replica.alerts.recent()
    assert alert.incident_id is not None
    replica.incidents.acknowledge(alert.incident_id, "me")
    pass_time(replica, HOLD)
    assert told(replica) == [("TRIGGERED", ["job"])]
    pass_time(replica, 2 * HOUR)
    assert told(replica) == []


def test_its_rule_is_removed(replica: Replica) -> None:
    missed(replica)
    replica.watch()
    pass_time(replica, 1)
    assert [alert.ending for alert in replica.alerts.recent()] == [ResolveReason.RULE_REMOVED]
    assert rows(replica) == 0
    pass_time(replica, HOUR)
    assert told(replica) == []


def test_its_rule_is_removed_at_the_very_moment_of_the_release(replica: Replica) -> None:
    missed(replica)
    replica.watch()
    pass_time(replica, HOLD)
    assert told(replica) == []
    assert rows(replica) == 0


def test_its_rule_is_changed_and_the_new_alert_is_held_on_its_own(replica: Replica) -> None:
    missed(replica)
    replica.watch(AlertRule(name="down", notify=("boss",), description="another"))
    pass_time(replica, MINUTE)
    assert told(replica, "ops") == told(replica, "boss") == []
    pass_time(replica, HOLD)
    assert told(replica, "ops") == []
    assert told(replica, "boss") == [("TRIGGERED", ["job"])]


def test_its_rule_no_longer_selects_it(replica: Replica) -> None:
    missed(replica)
    replica.watch(AlertRule(name="down", notify=("ops",), selector=Selector(tags=("other",))))
    pass_time(replica, HOLD)
    assert told(replica) == []
    assert rows(replica) == 0


def test_its_monitor_is_removed(replica: Replica) -> None:
    missed(replica)
    replica.monitors.remove("job")
    replica.refresh()
    pass_time(replica, MINUTE)
    assert [alert.ending for alert in replica.alerts.recent()] == [ResolveReason.MONITOR_REMOVED]
    assert rows(replica) == 0
    pass_time(replica, HOUR)
    assert told(replica) == []


def test_its_monitor_is_paused_and_resumed(replica: Replica) -> None:
    """A pause is nothing to be woken up for; after it the alert is announced if nothing has changed."""
    missed(replica)
    replica.monitors.set_paused("job", True)
    pass_time(replica, HOUR)
    assert replica.status("job") == ("PAUSED", "paused")
    assert told(replica) == []
    (alert,) = replica.alerts.recent()
    assert [one.until for one in alert.holds] == [None]
    assert replica.engine.next_due() is None
    replica.monitors.set_paused("job", False)
    pass_time(replica, 1)
    assert replica.status("job") == ("DOWN", "missed")
    assert told(replica) == [("TRIGGERED", ["job"])]
    assert rows(replica) == 0


def test_its_monitor_is_paused_and_then_well(replica: Replica) -> None:
    missed(replica)
    replica.monitors.set_paused("job", True)
    pass_time(replica, HOUR)
    replica.beat("job")
    replica.monitors.set_paused("job", False)
    pass_time(replica, 1)
    assert replica.open_alerts() == []
    assert told(replica) == []
    assert rows(replica) == 0


def test_one_that_waits_for_its_end_is_not_announced(replica: Replica) -> None:
    """The monitor is UP, and the rule wants to see that for a while."""
    missed(replica, AlertRule(name="down", notify=("ops",), resolve_after=30 * MINUTE))
    recovers(replica)
    pass_time(replica, 10 * MINUTE)
    assert replica.open_alerts() == ["down"]
    assert told(replica) == []
    pass_time(replica, MINUTE)  # missed again, before the alert could end
    assert told(replica) == [("TRIGGERED", ["job"])]


def test_one_that_is_evaluated_at_ticks_waits_for_the_tick(replica: Replica) -> None:
    """It has sent a heartbeat since, which only its next evaluation will see."""
    replica.watch(DOWN)
    hold(replica, Holding(length=3 * MINUTE))
    add(replica, evaluation_cron="*/10 * * * *", degraded_after=12 * MINUTE, down_after=15 * MINUTE)
    replica.clock.advance(17 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")
    assert rows(replica) == 1
    replica.beat("job")
    pass_time(replica, 3 * MINUTE)
    assert replica.status("job") == ("DOWN", "missed")
    assert told(replica) == []
    pass_time(replica, 7 * MINUTE)
    assert replica.status("job")[0] == "UP"
    assert rows(replica) == 0
    assert told(replica) == []


def test_a_clock_that_was_ahead_moves_the_deadline(replica: Replica) -> None:
    """What was held since before keeps its deadline; what was held by the clock that was ahead keeps its length."""
    missed(replica)
    later = START + HOUR
    with replica.db.write("test") as transaction:
        (alert,) = replica.alerts.recent()
        held = replica.container.repositories.held_alerts
        held.hold(transaction, [(alert.id, alert.monitor_id, AlertHold(DEPENDENCY, later, later + HOLD))], later)
        replica.engine.clock_set_back(transaction, later - MISSED_AT - MINUTE, MISSED_AT + MINUTE)
    (alert,) = replica.alerts.recent()
    assert {one.kind: (one.since, one.until) for one in alert.holds} == {
        GUARD: (MISSED_AT, MISSED_AT + HOLD),
        DEPENDENCY: (MISSED_AT + MINUTE, MISSED_AT + MINUTE + HOLD),
    }


def test_the_other_process_releases_what_this_one_held(replica: Replica, other: Replica) -> None:
    replica.watch(DOWN)
    other.watch(DOWN)
    hold(replica)
    add(replica)
    other.refresh()
    pass_time(replica, 10 * MINUTE + 1)
    assert rows(replica) == 1
    replica.lease.release()
    pass_time(other, HOLD)
    assert told(other) == [("TRIGGERED", ["job"])]
    assert rows(other) == 0
    pass_time(replica, HOUR)
    assert told(replica) == []


def test_a_release_that_is_undone_is_done_again(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    missed(replica)
    enqueue = replica.outbox.enqueue

    def killed(*arguments: object) -> None:
        enqueue(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(replica.outbox, "enqueue", killed)
    with pytest.raises(KeyboardInterrupt):
        pass_time(replica, HOLD)
    assert rows(replica) == 1
    assert list(replica.notifications.recent()) == []
    monkeypatch.undo()
    pass_time(replica, SECOND)
    assert told(replica) == [("TRIGGERED", ["job"])]


def test_the_board_shows_what_is_held_and_what_is_not_any_more(replica: Replica) -> None:
    board = replica.container.alerting._board
    missed(replica)
    board.poll()
    assert [[one.kind for one in alert.holds] for alert in board.firing.values()] == [[GUARD]]
    pass_time(replica, HOLD)
    board.poll()
    assert [alert.holds for alert in board.firing.values()] == [()]
