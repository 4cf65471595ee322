"""From a status to what a notifier is told: each alert once, under one key, whatever happens in between."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pytest

from exporter.config.alert_models import NotifierOptions
from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import AlertRule, Selector, Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.alerts.notification import MAX_HOLD, MAX_WAIT, NotificationState
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.process.threads import Threads
from exporter.core.status import Status
from exporter.core.telemetry import Silent
from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.notifiers.webhook import WebhookNotifier, WebhookOptions
from exporter.presentation.describe import headline
from exporter.presentation.message import AlertSnapshot, Event, Message, Site
from exporter.recording.statements import Pending
from exporter.storage.database import Transaction
from exporter.storage.delivery.outbox import MAX_ALERTS
from exporter.storage.repositories import leases
from exporter.storage.repositories.leases import LeaseLost
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import START, ManualClock
from tests.support.receivers import Receiver
from tests.support.receivers import answer as accept
from tests.support.replica import Replica


class Scripted(Notifier):
    """Answers as it is told to, and remembers what it was given."""

    Options = NotifierOptions

    def __init__(self, *answers: Exception | None) -> None:
        super().__init__(None)
        self.answers = list(answers)
        self.tried: list[Message] = []
        self.got: list[Message] = []
        self.refreshed: list[tuple[Sequence[AlertSnapshot], Sequence[AlertSnapshot]]] = []

    def deliver(self, message: Message) -> str:
        self.tried.append(message)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.got.append(message)
        return "ok"

    def refresh(self, firing: Sequence[AlertSnapshot], resolved: Sequence[AlertSnapshot], site: Site) -> None:
        self.refreshed.append((firing, resolved))

    def told(self) -> list[tuple[str, list[str]]]:
        return [(message.event.value, [facts.tag for facts in message.alerts]) for message in self.got]


def busy(retry_after: float | None = None) -> DeliveryFailed:
    return DeliveryFailed(Failure.SERVER_ERROR, "there answered 500", retry=True, retry_after=retry_after)


REFUSED = DeliveryFailed(Failure.REJECTED, "there answered 404", retry=False)
DOWN = AlertRule(name="down", notify=("ops",))


def pass_time(replica: Replica, milliseconds: int) -> None:
    replica.clock.advance(milliseconds)
    replica.evaluator.evaluate_due()


def goes_down(replica: Replica, tag: str = "job") -> None:
    replica.beat(tag, Kind.FAILURE, exit_code=3)
    replica.evaluator.evaluate_due()


def recovers(replica: Replica, tag: str = "job") -> None:
    replica.beat(tag)
    replica.evaluator.evaluate_due()


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missed_heartbeat_reaches_the_notifier_and_so_does_the_recovery(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job", name="The job", group="g", labels=(("team", "x"),))
    recovers(replica)
    ops = Scripted()
    channel = replica.channel(ops)
    pass_time(replica, 10 * MINUTE)
    channel.work()
    assert ops.got == []
    pass_time(replica, 1)
    channel.work()
    (alarm,) = ops.got
    facts = alarm.first
    assert alarm.event is Event.TRIGGERED
    assert (facts.rule, facts.tag, facts.name, facts.group, facts.labels) == (
        "down",
        "job",
        "The job",
        "g",
        {"team": "x"},
    )
    assert (facts.status, facts.triggered_at, facts.since) == (Status.DOWN, START + 10 * MINUTE + 1, facts.triggered_at)
    assert (facts.last_success_at, facts.due_at, facts.late_by) == (START, START, 10 * MINUTE + 1)
    pass_time(replica, HOUR)
    channel.work()
    assert len(ops.got) == 1
    recovers(replica)
    channel.work()
    recovery = ops.got[1]
    assert recovery.event is Event.RESOLVED
    assert recovery.answers == (alarm.key,)
    assert recovery.unannounced == frozenset()
    assert recovery.first.alert_id == facts.alert_id
    assert recovery.first.lasted == HOUR
    assert recovery.first.ending is ResolveReason.RECOVERED
    assert alarm.key != recovery.key
    assert replica.progress.tracked() == []


def test_thresholds_count_evaluations_and_nothing_triggers_below_them(replica: Replica) -> None:
    replica.watch(AlertRule(name="slow", failure_threshold=3, success_threshold=2))
    replica.add("job")
    goes_down(replica)
    pass_time(replica, 2 * MINUTE - 1)
    assert replica.open_alerts() == []
    pass_time(replica, 1)
    assert replica.open_alerts() == ["slow"]
    recovers(replica)
    pass_time(replica, MINUTE - 1)
    assert replica.open_alerts() == ["slow"]
    pass_time(replica, 1)
    assert replica.open_alerts() == []
    (alert,) = replica.alerts.recent()
    assert (alert.triggered_at, alert.resolved_at) == (START + 2 * MINUTE, START + 3 * MINUTE)


def test_a_job_that_never_ran_is_caught(replica: Replica) -> None:
    replica.watch(AlertRule(name="never", when=(Status.NO_DATA,), trigger_after=HOUR))
    replica.add("job")
    replica.evaluator.evaluate_due()
    pass_time(replica, HOUR - 1)
    assert replica.open_alerts() == []
    pass_time(replica, 1)
    assert replica.open_alerts() == ["never"]
    recovers(replica)
    assert replica.open_alerts() == []


def test_alarm_and_recovery_agree_on_when_it_began(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", trigger_after=HOUR, notify=("ops",)))
    replica.add("job")
    ops = Scripted()
    channel = replica.channel(ops)
    goes_down(replica)
    pass_time(replica, HOUR)
    channel.work()
    pass_time(replica, MINUTE)
    recovers(replica)
    channel.work()
    alarm, recovery = ops.got
    assert alarm.first.since == recovery.first.since == START
    assert headline(recovery) == "Recovered: job was DOWN for 1 h 1 min"


def test_with_evaluation_cron_each_tick_is_counted(replica: Replica, clock: ManualClock) -> None:
    clock.wall = 1_790_000_400_000  # 13:40:00
    replica.watch(AlertRule(name="two", failure_threshold=2, success_threshold=2))
    replica.add("job", evaluation_cron="*/5 * * * *")
    replica.beat("job", Kind.FAILURE)
    pass_time(replica, 5 * MINUTE)
    assert replica.open_alerts() == []
    pass_time(replica, 4 * MINUTE)
    assert replica.open_alerts() == []
    pass_time(replica, MINUTE)
    assert replica.open_alerts() == ["two"]
    replica.beat("job")
    pass_time(replica, 5 * MINUTE)
    assert replica.open_alerts() == ["two"]
    replica.beat("job")
    pass_time(replica, 5 * MINUTE)
    assert replica.open_alerts() == []
    (alert,) = replica.alerts.recent()
    assert (alert.triggered_at, alert.resolved_at) == (clock.wall - 10 * MINUTE, clock.wall)


def test_a_pause_freezes_the_count_and_keeps_the_alert(replica: Replica) -> None:
    replica.watch(AlertRule(name="slow", trigger_after=10 * MINUTE))
    replica.add("job")
    goes_down(replica)
    pass_time(replica, 6 * MINUTE)

    def paused(yes: bool) -> None:
        replica.monitors.set_paused("job", yes)
        replica.refresh()
        replica.evaluator.evaluate_due()

    paused(True)
    pass_time(replica, DAY)
    paused(False)
    assert replica.open_alerts() == []
    pass_time(replica, 4 * MINUTE - 1)
    assert replica.open_alerts() == []
    pass_time(replica, 1)
    assert replica.open_alerts() == ["slow"]
    paused(True)
    pass_time(replica, DAY)
    assert replica.open_alerts() == ["slow"]


def test_a_stall_tells_what_happened_meanwhile_in_one_message(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    recovers(replica)
    replica.clock.advance(30 * MINUTE)
    recovers(replica)
    ops = Scripted()
    replica.channel(ops).work()
    (message,) = ops.got
    assert message.event is Event.RESOLVED
    assert message.unannounced == {message.first.alert_id}
    assert message.first.lasted == 20 * MINUTE - 1


@pytest.mark.parametrize(
    ("after", "ending"),
    [
        ([AlertRule(name="down", notify=("ops",), severity=Severity.INFO)], ResolveReason.RULE_CHANGED),
        ([], ResolveReason.RULE_REMOVED),
        ([AlertRule(name="other")], ResolveReason.RULE_REMOVED),
    ],
)
def test_a_rule_that_is_edited_or_removed_ends_its_alert_visibly(
    replica: Replica, after: list[AlertRule], ending: ResolveReason
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    goes_down(replica)
    ops = Scripted()
    channel = replica.channel(ops)
    channel.work()
    replica.watch(*after)
    pass_time(replica, MINUTE)
    channel.work()
    assert [alert.ending for alert in replica.alerts.recent(step=AlertState.RESOLVED)] == [ending]
    assert ops.got[1].event is Event.RESOLVED
    assert ops.got[1].first.ending is ending
    assert replica.open_alerts() == [rule.name for rule in after]


def test_the_same_rules_after_a_reload_or_a_restart_change_nothing(replica: Replica, other: Replica) -> None:
    slow = AlertRule(name="slow", trigger_after=HOUR)
    for one in (replica, other):
        one.watch(DOWN, slow)
    replica.add("job")
    other.refresh()
    goes_down(replica)
    pass_time(replica, 30 * MINUTE)
    replica.watch(slow, DOWN)
    pass_time(replica, 1)
    replica.lease.release()
    other.refresh()
    other.evaluator.evaluate_due()
    assert other.lease.held
    pass_time(other, 30 * MINUTE - 2)
    assert other.open_alerts() == ["down"]
    pass_time(other, 1)
    assert other.open_alerts() == ["down", "slow"]
    assert len(other.alerts.recent()) == 2


def test_a_monitor_that_is_removed_or_deselected_ends_its_alerts(replica: Replica) -> None:
    replica.watch(DOWN, AlertRule(name="team", selector=Selector(labels=(("team", "x"),))))
    replica.add("job")
    replica.add("gone", labels=(("team", "x"),))
    for tag in ("job", "gone"):
        goes_down(replica, tag)
    assert replica.open_alerts() == ["down", "down", "team"]
    watched = replica.fleet.get("gone")
    assert watched is not None
    replica.monitors.remove("gone")
    pass_time(replica, MINUTE)
    replica.fleet.update(removed=[watched.id])
    pass_time(replica, MINUTE)
    assert replica.open_alerts() == ["down"]
    assert {alert.ending for alert in replica.alerts.recent(step=AlertState.RESOLVED)} == {
        ResolveReason.MONITOR_REMOVED
    }
    replica.monitors.provision([])
    replica.watch(AlertRule(name="down", notify=("ops",), selector=Selector(tags=("x*",))))
    pass_time(replica, MINUTE)
    assert replica.open_alerts() == []


def test_a_new_rule_finds_what_is_wrong_already_and_counts_from_now(replica: Replica) -> None:
    replica.add("job")
    goes_down(replica)
    pass_time(replica, DAY)
    replica.watch(DOWN, AlertRule(name="slow", trigger_after=HOUR))
    pass_time(replica, 0)
    assert replica.open_alerts() == ["down"]
    pass_time(replica, HOUR)
    assert replica.open_alerts() == ["down", "slow"]


# ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_switch_is_one_message(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", notify=("ops", "boss")), group_wait=10 * SECOND)
    tags = [f"job{number:03}" for number in range(500)]
    for tag in tags:
        replica.monitors.add(_monitor(tag), b"d" * 32)
    replica.refresh()
    replica.recorder._commit([Pending(_watched(replica, tag), _beat(replica)) for tag in tags])
    replica.evaluator.evaluate_due()
    pass_time(replica, 10 * MINUTE + 1)
    ops, boss = Scripted(), Scripted()
    channels = [replica.channel(ops), replica.channel(boss, "boss")]
    for channel in channels:
        channel.work()
    assert ops.got == []
    pass_time(replica, 10 * SECOND)
    for channel in channels:
        channel.work()
    for notifier in (ops, boss):
        (message,) = notifier.got
        assert sorted(facts.tag for facts in message.alerts) == tags


def test_more_alerts_than_a_message_holds_make_another(replica: Replica) -> None:
    replica.watch(DOWN)
    count = MAX_ALERTS + 5
    replica.monitors.provision((_monitor(f"job{number}"), b"d" * 32) for number in range(count))
    replica.refresh()
    beats = [Pending(watched, _beat(replica, Kind.FAILURE)) for watched in replica.fleet]
    replica.recorder._commit(beats)
    replica.evaluator.evaluate_due()
    ops = Scripted()
    replica.channel(ops).work()
    assert [len(message.alerts) for message in ops.got] == [MAX_ALERTS, 5]


def test_what_begins_after_the_first_attempt_is_another_message(replica: Replica) -> None:
    replica.watch(DOWN)
    for tag in ("a", "b", "c"):
        replica.add(tag)
    ops = Scripted(busy())
    channel = replica.channel(ops)
    goes_down(replica, "a")
    goes_down(replica, "b")
    channel.work()
    goes_down(replica, "c")
    pass_time(replica, MINUTE)
    channel.work()
    assert sorted(ops.told()) == [("TRIGGERED", ["a", "b"]), ("TRIGGERED", ["c"])]
    assert len({message.key for message in ops.got}) == 2


def test_it_is_tried_again_under_the_same_key_with_growing_pauses(replica: Replica, clock: ManualClock) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(*[busy()] * 12)
    channel = replica.channel(ops)
    goes_down(replica)
    moments = []
    while not ops.got:
        tried = len(ops.tried)
        channel.work()
        if len(ops.tried) > tried:
            moments.append(clock.wall)
        pass_time(replica, SECOND)
    pauses = [late - early for early, late in pairwise(moments)]
    assert len(ops.tried) == 13
    assert len({message.key for message in ops.tried}) == 1
    assert pauses[0] <= 3 * SECOND
    assert max(pauses) <= MAX_WAIT + SECOND
    assert pauses[-1] >= MAX_WAIT // 2


def test_retry_after_is_honoured_for_the_whole_notifier(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("a")
    replica.add("b")
    ops = Scripted(busy(retry_after=120))
    channel = replica.channel(ops)
    goes_down(replica, "a")
    channel.work()
    goes_down(replica, "b")
    pass_time(replica, 119 * SECOND)
    channel.work()
    assert len(ops.tried) == 1
    pass_time(replica, SECOND)
    channel.work()
    assert len(ops.got) == 2


def test_what_is_refused_for_good_is_given_up_at_once_and_can_be_retried(replica: Replica, clock: ManualClock) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(REFUSED)
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    (dead,) = replica.notifications.recent(state=NotificationState.DEAD)
    assert (dead.failure, dead.error, dead.attempts) == ("rejected", "there answered 404", 1)
    assert [(queue.notifier, queue.pending, queue.dead) for queue in replica.notifications.queues()] == [("ops", 0, 1)]
    pass_time(replica, DAY)
    channel.work()
    assert len(ops.tried) == 1
    replica.outbox.retry(dead.id, clock.wall)
    channel.work()
    assert [message.key for message in ops.got] == [dead.key]


def test_after_all_its_time_it_is_given_up(replica: Replica) -> None:
    replica.watch(DOWN, give_up_after=HOUR)
    replica.add("job")
    ops = Scripted(*[busy()] * 1000)
    channel = replica.channel(ops)
    goes_down(replica)
    for _ in range(65):
        pass_time(replica, MINUTE)
        channel.work()
    (dead,) = replica.notifications.recent()
    assert dead.state is NotificationState.DEAD
    assert len(ops.tried) < 60


ASKED_TOO_MUCH = (90_000, 1e12, 1e308, float("inf"), float("nan"), -5.0)


@pytest.mark.parametrize("asked", ASKED_TOO_MUCH)
def test_one_answer_neither_kills_an_alarm_nor_mutes_its_notifier(replica: Replica, asked: float) -> None:
    replica.watch(DOWN)
    replica.add("a")
    replica.add("b")
    ops = Scripted(busy(retry_after=asked))
    channel = replica.channel(ops)
    goes_down(replica, "a")
    channel.work()
    goes_down(replica, "b")
    assert {one.state for one in replica.notifications.recent()} == {NotificationState.PENDING}
    pass_time(replica, MAX_HOLD)
    channel.work()
    assert sorted(ops.told()) == [("TRIGGERED", ["a"]), ("TRIGGERED", ["b"])]


@pytest.mark.parametrize("give_up_after", [SECOND, 10 * MINUTE, HOUR])
def test_it_is_tried_at_the_end_of_its_time_in_spite_of_a_hold(replica: Replica, give_up_after: int) -> None:
    """Looked at every second around the end of a hold, and every 20 s between: an attempt there has no right moment."""
    replica.watch(DOWN, give_up_after=give_up_after)
    replica.add("job")
    ops = Scripted(*[busy(retry_after=1e9)] * 1000)
    channel = replica.channel(ops)
    goes_down(replica)
    began = replica.clock.now()
    moments = []
    while replica.clock.now() < began + give_up_after:
        tried = len(ops.tried)
        channel.work()
        moments += [replica.clock.now() - began] * (len(ops.tried) - tried)
        (one,) = replica.notifications.recent()
        assert one.state is NotificationState.PENDING
        elapsed = replica.clock.now() - began
        near = min(elapsed % MAX_HOLD, -elapsed % MAX_HOLD, give_up_after - elapsed) <= 20 * SECOND
        pass_time(replica, SECOND if near else 20 * SECOND)
    channel.work()
    (one,) = replica.notifications.recent()
    assert one.state is NotificationState.DEAD
    assert one.ended_at == began + give_up_after
    assert moments == list(range(0, give_up_after, MAX_HOLD))
    assert len(ops.tried) == len(moments) + 1


def test_a_last_attempt_that_succeeds_ends_the_hold(replica: Replica) -> None:
    replica.watch(DOWN, give_up_after=MINUTE)
    replica.add("a")
    replica.add("b")
    ops = Scripted(busy(retry_after=900))
    channel = replica.channel(ops)
    goes_down(replica, "a")
    channel.work()
    goes_down(replica, "b")
    assert replica.notifications.holds(replica.clock.now())["ops"].left(replica.clock.now()) == 15 * MINUTE
    pass_time(replica, MINUTE)
    channel.work()
    assert sorted(ops.told()) == [("TRIGGERED", ["a"]), ("TRIGGERED", ["b"])]
    assert replica.notifications.holds(replica.clock.now()) == {}


def test_a_failure_without_a_wish_leaves_the_hold(replica: Replica) -> None:
    replica.watch(DOWN, give_up_after=MINUTE)
    replica.add("a")
    replica.add("b")
    ops = Scripted(busy(retry_after=900), busy(), busy())
    channel = replica.channel(ops)
    goes_down(replica, "a")
    channel.work()
    pass_time(replica, 30 * SECOND)
    goes_down(replica, "b")
    pass_time(replica, 30 * SECOND)
    channel.work()
    assert [[facts.tag for facts in message.alerts] for message in ops.tried] == [["a"], ["a"]]
    assert "ops" in replica.notifications.holds(replica.clock.now())


def test_a_hold_is_shown_and_obeyed_after_a_restart_and_not_by_a_changed_notifier(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(busy(retry_after=600))
    goes_down(replica)
    replica.channel(ops).work()
    (hold,) = replica.notifications.holds(replica.clock.now()).values()
    assert (hold.notifier, hold.left(replica.clock.now()), hold.error) == ("ops", 600 * SECOND, "there answered 500")
    pass_time(replica, 599 * SECOND)
    replica.channel(ops).work()
    assert ops.got == []
    replica.execute(f"UPDATE notifications SET next_attempt_at = {replica.clock.now()}")
    replica.channel(ops).work()
    assert ops.got == []
    replica.channel(ops, changed=True).work()
    assert ops.told() == [("TRIGGERED", ["job"])]
    assert replica.notifications.holds(replica.clock.now()) == {}


def test_a_clock_that_is_set_back_prolongs_no_hold(replica: Replica, clock: ManualClock) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(busy(retry_after=600))
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    clock.step(-HOUR)
    pass_time(replica, 0)
    assert replica.notifications.holds(clock.now())["ops"].left(clock.now()) == 600 * SECOND
    pass_time(replica, 600 * SECOND)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]


@pytest.mark.parametrize("ahead", [2 * DAY, 365 * DAY])
def test_a_clock_that_is_ahead_for_a_moment_gives_up_nothing(replica: Replica, clock: ManualClock, ahead: int) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(*[busy()] * 3)
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    clock.step(ahead)
    for _ in range(6):
        clock.advance(SECOND)
        channel.work()
    assert len(ops.tried) > 1
    assert [one.state for one in replica.notifications.recent()] == [NotificationState.PENDING]
    clock.step(-ahead)
    pass_time(replica, 0)
    for _ in range(10):
        pass_time(replica, MINUTE)
        channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]


def test_who_never_got_the_alarm_gets_no_recovery(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", notify=("ops", "boss")))
    replica.add("job")
    ops, boss = Scripted(REFUSED), Scripted()
    goes_down(replica)
    for notifier, name in ((ops, "ops"), (boss, "boss")):
        replica.channel(notifier, name).work()
    recovers(replica)
    for notifier, name in ((ops, "ops"), (boss, "boss")):
        replica.channel(notifier, name).work()
    assert ops.got == []
    assert boss.told() == [("TRIGGERED", ["job"]), ("RESOLVED", ["job"])]


@pytest.mark.parametrize("tried", [False, True])
def test_a_recovery_that_overtakes_its_alarm_tells_both(replica: Replica, tried: bool) -> None:
    replica.watch(DOWN)
    for tag in ("job", "still"):
        replica.add(tag)
        goes_down(replica, tag)
    ops = Scripted(busy()) if tried else Scripted()
    channel = replica.channel(ops)
    if tried:
        channel.work()
    recovers(replica)
    pass_time(replica, MINUTE)
    channel.work()
    alarm, recovery = sorted(ops.got, key=lambda message: message.event, reverse=True)
    assert (alarm.event, [facts.tag for facts in alarm.alerts]) == (Event.TRIGGERED, ["still"])
    assert (recovery.event, [facts.tag for facts in recovery.alerts]) == (Event.RESOLVED, ["job"])
    assert recovery.unannounced == {recovery.first.alert_id}
    assert recovery.answers == ()


def test_an_end_is_told_before_the_alarm_that_came_after_it(replica: Replica) -> None:
    """Whoever reads RESOLVED last believes that all is well."""
    replica.watch(DOWN, group_wait=10 * SECOND)
    replica.add("job")
    replica.add("another")
    ops = Scripted()
    channel = replica.channel(ops)
    goes_down(replica)
    pass_time(replica, 10 * SECOND)
    channel.work()
    goes_down(replica, "another")
    pass_time(replica, 5 * SECOND)
    recovers(replica)
    pass_time(replica, 1 * SECOND)
    goes_down(replica)  # joins the other one's message, which goes out before the end would
    pass_time(replica, DAY)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"]), ("RESOLVED", ["job"]), ("TRIGGERED", ["another", "job"])]
    assert ops.got[2].alerts[1].alert_id != ops.got[1].first.alert_id


def test_an_end_that_has_to_be_tried_again_is_told_before_the_next_alarm(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(None, busy(), busy(), busy(), None)
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    recovers(replica)
    channel.work()
    goes_down(replica)
    channel.work()
    assert [message.event for message in ops.tried] == ["TRIGGERED", "RESOLVED", "RESOLVED", "TRIGGERED"]
    pass_time(replica, MAX_WAIT)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"]), ("RESOLVED", ["job"]), ("TRIGGERED", ["job"])]


def test_what_came_and_went_between_two_looks_is_told_first(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    recovers(replica)
    for kind in (Kind.FAILURE, Kind.SUCCESS, Kind.FAILURE):
        replica.clock.advance(1)
        replica.beat("job", kind)
    replica.evaluator.evaluate_due()
    ops = Scripted()
    replica.channel(ops).work()
    assert ops.told() == [("RESOLVED", ["job"]), ("TRIGGERED", ["job"])]


def test_an_alarm_of_which_all_is_over_is_never_sent(replica: Replica) -> None:
    replica.watch(DOWN, group_wait=10 * SECOND)
    replica.add("job")
    goes_down(replica)
    recovers(replica)
    pass_time(replica, 10 * SECOND)
    ops = Scripted()
    replica.channel(ops).work()
    assert ops.told() == [("RESOLVED", ["job"])]
    assert {one.state for one in replica.notifications.recent()} == {
        NotificationState.REPLACED,
        NotificationState.DELIVERED,
    }


def test_it_is_told_again_until_somebody_acknowledges(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", notify=("ops",), repeat_every=HOUR, create_incident=True))
    replica.add("job")
    goes_down(replica)
    ops = Scripted()
    channel = replica.channel(ops)
    channel.work()
    for _ in range(2):
        pass_time(replica, HOUR)
        channel.work()
    assert ops.told() == [("TRIGGERED", ["job"]), ("REPEATED", ["job"]), ("REPEATED", ["job"])]
    assert ops.got[2].answers == (ops.got[0].key,)
    (incident,) = replica.incidents.recent(open=True)
    replica.incidents.acknowledge(incident.id, "ada")
    pass_time(replica, DAY)
    channel.work()
    assert len(ops.got) == 3
    recovers(replica)
    channel.work()
    assert ops.told()[3:] == [("RESOLVED", ["job"])]


def test_an_acknowledgement_just_before_a_reminder_stops_it(replica: Replica, other: Replica) -> None:
    replica.watch(AlertRule(name="down", notify=("ops",), repeat_every=HOUR, create_incident=True))
    replica.add("job")
    goes_down(replica)
    ops = Scripted()
    channel = replica.channel(ops)
    channel.work()
    (incident,) = replica.incidents.recent(open=True)
    replica.clock.advance(HOUR)
    writing = replica.db.write

    def at_last(operation: str, within: float | None = None) -> AbstractContextManager[Transaction]:
        """Somebody else's transaction goes first."""
        if operation == "repeat alerts" and replica.incidents.find(incident.id).acknowledged_at is None:
            other.incidents.acknowledge(incident.id, "ada")
        return writing(operation, within)

    replica.db.write = at_last  # type: ignore[method-assign,assignment]
    replica.evaluator.evaluate_due()
    pass_time(replica, DAY)
    channel.work()
    assert replica.incidents.find(incident.id).acknowledged_by == "ada"
    assert ops.told() == [("TRIGGERED", ["job"])]


def test_what_joins_an_acknowledged_incident_is_not_repeated(replica: Replica) -> None:
    replica.watch(
        AlertRule(name="late", when=(Status.DEGRADED,), create_incident=True),
        AlertRule(name="down", notify=("ops",), repeat_every=HOUR, create_incident=True),
    )
    replica.add("job")
    recovers(replica)
    pass_time(replica, 6 * MINUTE)
    (incident,) = replica.incidents.recent(open=True)
    replica.incidents.acknowledge(incident.id, "ada")
    pass_time(replica, 5 * MINUTE)
    ops = Scripted()
    channel = replica.channel(ops)
    channel.work()
    pass_time(replica, DAY)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]


def test_a_broken_notifier_is_its_own_trouble_and_its_text_is_not_told(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted(ZeroDivisionError("https://SESAME"))
    goes_down(replica)
    replica.channel(ops).work()
    (notification,) = replica.notifications.recent()
    assert (notification.failure, notification.error) == ("internal", "the notifier raised ZeroDivisionError")
    assert "SESAME" not in caplog.text


def test_a_notifier_that_breaks_while_it_tells_again_still_delivers(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Scripted):
        refresh_every = 1.0

        def refresh(self, firing: Sequence[AlertSnapshot], resolved: Sequence[AlertSnapshot], site: Site) -> None:
            raise ZeroDivisionError("https://SESAME")

    replica.watch(DOWN)
    replica.add("job")
    ops = Broken()
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    recovers(replica)
    pass_time(replica, 2 * SECOND)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"]), ("RESOLVED", ["job"])]
    assert "alerts not refreshed at ops: the notifier raised ZeroDivisionError" in caplog.text
    assert "SESAME" not in caplog.text


def test_a_service_that_forgets_is_told_again(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted()
    ops.refresh_every = 60.0  # type: ignore[misc]
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    pass_time(replica, MINUTE)
    channel.work()
    recovers(replica)
    channel.work()
    pass_time(replica, MINUTE)
    channel.work()
    pass_time(replica, 5 * MINUTE)
    channel.work()
    told = [([one.tag for one in firing], [one.tag for one in resolved]) for firing, resolved in ops.refreshed]
    assert told == [(["job"], []), (["job"], []), ([], ["job"])]


def test_what_was_delivered_while_the_database_is_away_is_not_sent_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("end notification: database is locked")

    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted()
    channel = replica.channel(ops)
    goes_down(replica)
    with monkeypatch.context() as patch:
        patch.setattr(replica.deliveries, "delivered", away)
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                channel.work()
    delivered_at = replica.clock.now()
    pass_time(replica, MINUTE)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]
    (notification,) = replica.notifications.recent()
    assert (notification.state, notification.ended_at) == (NotificationState.DELIVERED, delivered_at)


def test_a_channel_that_is_stopped_before_it_could_note_a_delivery_notes_it_at_its_end(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops, noted = Scripted(), replica.deliveries.delivered
    channel = replica.channel(ops)
    goes_down(replica)

    def away_for_a_moment(*given: Any) -> None:
        monkeypatch.setattr(replica.deliveries, "delivered", noted)
        channel.stop()
        raise StorageUnavailable("end notification: database is locked")

    monkeypatch.setattr(replica.deliveries, "delivered", away_for_a_moment)
    channel.start()
    channel.join(10)
    assert not channel.alive
    (notification,) = replica.notifications.recent()
    assert notification.state is NotificationState.DELIVERED
    replica.channel(ops, changed=True).work()
    assert ops.told() == [("TRIGGERED", ["job"])]


@pytest.mark.parametrize("end", ["lease", "database"])
def test_a_channel_whose_last_note_fails_ends_in_good_order(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    threads = Threads()
    channel = replica.channel(Scripted(), threads=threads)
    goes_down(replica)

    def away(*_: object) -> None:
        channel.stop()
        raise LeaseLost("evaluator") if end == "lease" else StorageUnavailable("database is locked")

    monkeypatch.setattr(replica.deliveries, "delivered", away)
    channel.start()
    channel.join(10)
    assert not channel.alive
    assert threads.look() is None
    assert "cannot record a delivery" in caplog.text


class Counting(Silent):
    def __init__(self) -> None:
        self.failed: list[tuple[str, str]] = []

    def notification_failed(self, notifier: str, reason: str) -> None:
        self.failed.append((notifier, reason))


def test_an_alarm_whose_template_fails_is_delivered_and_the_template_is_named(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(accept(200)) as receiver:
        body = '{% if monitor_tag == "job" %}{{ 1 / 0 }}{% endif %}{"a": 1}'
        given = {"name": "ops", "type": "webhook", "url": receiver.url, "body": body}
        telemetry = Counting()
        channel = replica.channel(WebhookNotifier(WebhookOptions.model_validate(given)), telemetry=telemetry)
        replica.watch(DOWN)
        replica.add("job")
        goes_down(replica)
        channel.work()
        recovers(replica)
        channel.work()
        assert [one.json["event"] for one in receiver.received] == ["TRIGGERED", "RESOLVED"]
    assert {one.state for one in replica.notifications.recent()} == {NotificationState.DELIVERED}
    assert telemetry.failed == [("ops", "template")] * 2
    (warning,) = [one.getMessage() for one in caplog.records if "template" in one.getMessage()]
    assert warning.startswith(
        "notifier ops sends the default text because a template cannot be rendered: body: line 1 of the "
    )


@pytest.mark.parametrize("gathering", [True, False])
def test_a_clock_that_is_set_back_delays_no_message(replica: Replica, clock: ManualClock, gathering: bool) -> None:
    replica.watch(DOWN, group_wait=10 * SECOND if gathering else 0)
    replica.add("job")
    ops = Scripted(*([] if gathering else [busy()]))
    channel = replica.channel(ops)
    goes_down(replica)
    channel.work()
    clock.step(-HOUR)
    pass_time(replica, 0)
    channel.work()
    assert ops.got == []
    pass_time(replica, 10 * SECOND)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]


def test_a_clock_that_is_set_back_delays_no_alert_and_no_reminder(replica: Replica, clock: ManualClock) -> None:
    replica.watch(AlertRule(name="down", notify=("ops",), trigger_after=HOUR, repeat_every=HOUR))
    replica.add("job")
    ops = Scripted()
    channel = replica.channel(ops)
    goes_down(replica)
    pass_time(replica, HOUR // 2)
    clock.step(-3 * HOUR)
    pass_time(replica, HOUR // 2 - 1)
    channel.work()
    assert ops.got == []
    pass_time(replica, 1)
    channel.work()
    assert ops.told() == [("TRIGGERED", ["job"])]
    assert ops.got[0].first.triggered_at == clock.now()
    pass_time(replica, HOUR // 2)
    clock.step(-3 * HOUR)
    pass_time(replica, HOUR // 2)
    channel.work()
    assert ops.told()[1:] == [("REPEATED", ["job"])]


def test_two_rules_escalate(replica: Replica, clock: ManualClock) -> None:
    """Acknowledging the incident ends the reminders of its own alert, and the escalation still comes."""
    replica.watch(
        AlertRule(name="down", notify=("team",), repeat_every=HOUR // 2, create_incident=True),
        AlertRule(name="still-down", notify=("lead",), trigger_after=HOUR, repeat_every=4 * HOUR),
    )
    replica.add("job")
    team, lead = Scripted(), Scripted()
    channels = replica.channel(team, "team"), replica.channel(lead, "lead")

    def wait(length: int) -> None:
        for _ in range(length // (10 * MINUTE)):
            pass_time(replica, 10 * MINUTE)
            for channel in channels:
                channel.work()

    goes_down(replica)
    for channel in channels:
        channel.work()
    assert (team.told(), lead.told()) == ([("TRIGGERED", ["job"])], [])
    wait(HOUR // 2)
    assert team.told()[1:] == [("REPEATED", ["job"])]
    (incident,) = replica.incidents.recent(open=True)
    replica.incidents.acknowledge(incident.id, "night shift")
    wait(HOUR // 2)
    assert lead.told() == [("TRIGGERED", ["job"])]
    wait(4 * HOUR)
    assert (len(team.got), lead.told()[1:]) == (2, [("REPEATED", ["job"])])
    replica.beat("job")
    wait(10 * MINUTE)
    assert team.told()[2:] == lead.told()[2:] == [("RESOLVED", ["job"])]


def test_a_clock_that_is_mended_triggers_nothing_early(replica: Replica, clock: ManualClock) -> None:
    replica.watch(AlertRule(name="down", notify=("ops",), trigger_after=2 * HOUR))
    replica.add("job")
    goes_down(replica)
    clock.step(HOUR)
    pass_time(replica, HOUR // 2)
    clock.step(-HOUR)
    pass_time(replica, HOUR)
    assert replica.open_alerts() == []
    pass_time(replica, HOUR // 2)
    assert replica.open_alerts() == ["down"]


def test_a_step_that_the_former_holder_has_seen_to_is_not_made_twice(
    replica: Replica, other: Replica, clock: ManualClock
) -> None:
    rule = AlertRule(name="down", notify=("ops",), trigger_after=3 * HOUR)
    for one in (replica, other):
        one.watch(rule)
    replica.add("job")
    other.refresh()
    goes_down(replica)
    other.evaluator.evaluate_due()
    clock.step(-HOUR)
    pass_time(replica, 0)
    replica.lease.release()
    pass_time(other, 3 * HOUR - 1)
    assert other.open_alerts() == []
    pass_time(other, 1)
    assert other.open_alerts() == ["down"]


def test_only_the_holder_of_the_lease_sends_and_a_late_one_writes_nothing(
    replica: Replica, other: Replica, clock: ManualClock
) -> None:
    for one in (replica, other):
        one.watch(DOWN)
    replica.add("job")
    other.refresh()
    goes_down(replica)
    idle = Scripted()
    other.channel(idle).work()
    assert idle.tried == []
    clock.advance(leases.DURATION)
    assert other.lease.hold()
    with pytest.raises(LeaseLost):
        replica.channel(Scripted()).work()
    other.channel(idle).work()
    assert idle.told() == [("TRIGGERED", ["job"])]


def test_joining_and_sealing_at_once_lose_nothing(replica: Replica) -> None:
    """Alarms go on beginning while the channel sends: each is told exactly once."""
    replica.watch(DOWN)
    tags = [f"job{number}" for number in range(60)]
    for tag in tags:
        replica.monitors.add(_monitor(tag), b"d" * 32)
    replica.refresh()
    assert replica.lease.hold()
    ops = Scripted()
    channel = replica.channel(ops)
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            channel.work()
        replica.db.close()

    thread = threading.Thread(target=send)
    thread.start()
    for tag in tags:
        goes_down(replica, tag)
    stop.set()
    thread.join(30)
    channel.work()
    assert sorted(facts.tag for message in ops.got for facts in message.alerts) == sorted(tags)


# ── incidents ────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_incident_per_monitor_which_later_alerts_join(replica: Replica) -> None:
    replica.watch(
        AlertRule(name="late", when=(Status.DEGRADED, Status.DOWN), severity=Severity.WARNING, create_incident=True),
        AlertRule(name="down", create_incident=True, description="Call Ada."),
        AlertRule(name="quiet"),
    )
    replica.add("job", name="The job")
    recovers(replica)
    pass_time(replica, 5 * MINUTE + 1)
    (incident,) = replica.incidents.recent()
    assert (incident.title, incident.impact, incident.state) == (
        "The job is DEGRADED",
        Severity.WARNING,
        IncidentState.INVESTIGATING,
    )
    pass_time(replica, 5 * MINUTE)
    (incident,) = replica.incidents.recent()
    assert incident.impact is Severity.CRITICAL
    alerts = {alert.rule: alert.incident_id for alert in replica.alerts.recent()}
    assert alerts == {"late": incident.id, "down": incident.id, "quiet": None}
    replica.incidents.update(incident.id, IncidentState.IDENTIFIED, "The disk is full.", "ada")
    pass_time(replica, 50 * MINUTE)
    recovers(replica)
    incident = replica.incidents.find(incident.id)
    assert incident.state is IncidentState.RESOLVED
    assert incident.resolved_at == replica.clock.wall
    texts = [(update.state.value, update.text) for update in replica.incidents.updates([incident.id])[incident.id]]
    assert texts == [
        ("INVESTIGATING", "Alert late (warning): DEGRADED, late."),
        ("INVESTIGATING", "Alert down (critical): DOWN, missed. Call Ada."),
        ("IDENTIFIED", "The disk is full."),
        ("RESOLVED", "All is well again. It lasted 55 min."),
    ]


def test_an_incident_that_a_person_resolved_stays_so_and_the_next_alert_opens_another(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", create_incident=True))
    replica.add("job")
    goes_down(replica)
    (first,) = replica.incidents.recent()
    replica.incidents.update(first.id, IncidentState.RESOLVED, "It is only a test.", "ada")
    recovers(replica)
    assert len(replica.incidents.updates([first.id])[first.id]) == 2
    goes_down(replica)
    assert [one.id for one in replica.incidents.recent(open=True)] != [first.id]
    assert len(replica.incidents.recent()) == 2


def _monitor(tag: str):  # type: ignore[no-untyped-def]
    from exporter.core.monitor import Monitor

    return Monitor(tag=tag)


def _watched(replica: Replica, tag: str):  # type: ignore[no-untyped-def]
    watched = replica.fleet.get(tag)
    assert watched is not None
    return watched


def _beat(replica: Replica, kind: Kind = Kind.SUCCESS) -> Heartbeat:
    return Heartbeat(kind, replica.clock.now())


def test_what_is_over_is_forgotten_in_time_and_nothing_else(replica: Replica) -> None:
    replica.watch(AlertRule(name="down", notify=("ops", "gone"), create_incident=True))
    for tag in ("over", "on"):
        replica.add(tag, degraded_after=1000 * DAY, down_after=2000 * DAY)
        goes_down(replica, tag)
    channels = [replica.channel(Scripted()), replica.channel(Scripted(REFUSED), "gone")]
    for channel in channels:
        channel.work()
    recovers(replica, "over")
    channels[0].work()
    pruner = Pruner(replica.db, replica.clock)
    pass_time(replica, 90 * DAY)
    pruner.prune(100, 90 * DAY)
    assert len(replica.alerts.recent()) == 2
    assert len(replica.notifications.recent()) == 3
    pass_time(replica, 1)
    pruner.prune(100, 90 * DAY)
    assert [alert.tag for alert in replica.alerts.recent()] == ["on"]
    assert [incident.tag for incident in replica.incidents.recent()] == ["on"]
    assert [(one.notifier, one.event) for one in replica.notifications.recent()] == [
        ("gone", "TRIGGERED"),
        ("ops", "TRIGGERED"),
    ]
    tables = replica.db.tables
    items = tables.notification_alerts
    with replica.db.read("test"):
        kept = list(tables.incident_updates.select(tables.incident_updates.incident_id).tuples())
    assert {row[0] for row in kept} == {2}
    recovers(replica, "on")
    pass_time(replica, 90 * DAY + 1)
    channels[0].work()
    pass_time(replica, 90 * DAY + 1)
    pruner.prune(100, 90 * DAY)
    for table in (tables.alerts, tables.incidents, tables.incident_updates, tables.notifications, items):
        with replica.db.read("test"):
            assert list(table.select().tuples()) == []


def test_an_error_that_nobody_expected_ends_neither_the_evaluator_nor_a_notifier(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    goes_down(replica)
    ops = Scripted()
    channel = replica.channel(ops)
    failures = [ZeroDivisionError("SESAME")] * 2

    def fails_at_first(ask: Callable[..., object]) -> Callable[..., object]:
        def asked(*arguments: object) -> object:
            if failures:
                raise failures.pop()
            return ask(*arguments)

        return asked

    monkeypatch.setattr(replica.deliveries, "due", fails_at_first(replica.deliveries.due))
    channel.start()
    wait_until(lambda: bool(ops.got))
    channel.stop()
    channel.join(10)
    assert "SESAME" not in caplog.text
    failures.append(ZeroDivisionError("oh"))
    monkeypatch.setattr(replica.engine, "advance", fails_at_first(replica.engine.advance))
    replica.evaluator.start()
    wait_until(lambda: replica.evaluator.worked_at is not None)
    replica.evaluator.stop()


def test_what_cannot_be_read_is_one_message_s_trouble(replica: Replica) -> None:
    replica.watch(DOWN)
    replica.add("job")
    goes_down(replica)
    replica.execute("UPDATE notification_alerts SET facts = '{}'")
    ops = Scripted()
    replica.channel(ops).work()
    (notification,) = replica.notifications.recent()
    assert (notification.failure, notification.error) == ("internal", "the notifier raised InvalidValue")


def wait_until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not what():
        assert time.monotonic() < deadline
        pause.wait(0.02)


class Killed(BaseException):
    """The process ends here, between two steps."""


@pytest.mark.parametrize("step", ["seal", "deliver", "delivered"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_ends_between_two_steps_of_a_delivery_sends_under_one_key(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    replica.watch(DOWN)
    replica.add("job")
    ops = Scripted()
    target = ops if step == "deliver" else replica.deliveries
    real = getattr(target, step)

    def dies(*arguments: object) -> object:
        monkeypatch.setattr(target, step, real)
        if when == "after":
            real(*arguments)
        raise Killed

    monkeypatch.setattr(target, step, dies)
    goes_down(replica)
    with pytest.raises(Killed):
        replica.channel(ops).work()
    pass_time(replica, MINUTE)
    replica.channel(ops).work()
    assert {facts.tag for message in ops.got for facts in message.alerts} == {"job"}
    assert len({message.key for message in ops.tried}) == 1
    assert len(ops.got) <= 2
    recovers(replica)
    replica.channel(ops).work()
    assert ops.got[-1].event is Event.RESOLVED
    assert ops.got[-1].answers == (ops.got[0].key,)
    assert ops.got[-1].unannounced == frozenset()


@pytest.mark.parametrize("step", ["open", "resolve"])
def test_what_cannot_be_written_whole_is_not_written_at_all(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The transition, the alert, the incident and what is owed stand or fall together."""
    replica.watch(AlertRule(name="down", notify=("ops",), create_incident=True))
    replica.add("job")
    if step == "resolve":
        goes_down(replica)
    before = (replica.past("job"), replica.open_alerts(), len(replica.notifications.recent()))
    real = getattr(replica.alerts, step)

    def dies(*arguments: object) -> object:
        real(*arguments)
        raise Killed

    monkeypatch.setattr(replica.alerts, step, dies)
    replica.beat("job", Kind.FAILURE if step == "open" else Kind.SUCCESS)
    with pytest.raises(Killed):
        replica.evaluator.evaluate_due()
    assert (replica.past("job"), replica.open_alerts(), len(replica.notifications.recent())) == before
    assert len(replica.incidents.recent(open=True)) == (step == "resolve")
    monkeypatch.setattr(replica.alerts, step, real)
    replica.evaluator.evaluate_due()
    assert replica.open_alerts() == (["down"] if step == "open" else [])
    assert len(replica.past("job")) == len(before[0]) + 1


def test_who_takes_over_begins_no_alert_by_a_status_that_another_has_ended(replica: Replica, other: Replica) -> None:
    for one in (replica, other):
        one.watch(DOWN)
    replica.add("job")
    goes_down(replica)
    other.refresh()
    recovers(replica)
    assert replica.open_alerts() == []
    replica.lease.release()
    assert other.status("job")[0] == "DOWN"  # it has not read of the recovery yet
    other.evaluator.evaluate_due()
    assert other.lease.held
    assert other.open_alerts() == []
    assert len(other.alerts.recent()) == 1
