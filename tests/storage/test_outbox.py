"""What is owed is kept until it is delivered or given up, and told once under one key."""

import pytest

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.notification import Hold, NotificationState
from exporter.core.clock import DAY, SECOND
from exporter.core.errors import Conflict, NotFound
from exporter.storage.delivery.deliveries import Contents, Deliveries
from exporter.storage.delivery.notifications import ALARM, RECOVERY, REPEAT, Notification, Notifications
from exporter.storage.delivery.outbox import MAX_ALERTS, DeliveryPolicy, Outbox, OutboxItem
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.leases import DURATION, LeaseLost
from tests.conftest import START
from tests.storage.test_alerts import new as new_alert
from tests.storage.test_alerts import opened
from tests.support.replica import Replica

TERMS = DeliveryPolicy(group_wait=10 * SECOND, give_up_after=DAY)
LATER = START + 10 * SECOND


class Post(Outbox, Deliveries, Notifications):
    """The outbox, deliveries and lists, in one object."""

    def __init__(self, replica: Replica) -> None:
        Outbox.__init__(self, replica.db)
        Deliveries.__init__(self, replica.db, replica.lease)


@pytest.fixture
def outbox(replica: Replica) -> Post:
    assert replica.lease.hold()
    return Post(replica)


def enqueue(
    replica: Replica, outbox: Post, *alerts: int, notifier: str = "ops", event: str = ALARM, now: int = START
) -> None:
    with replica.db.write("test") as transaction:
        outbox.enqueue(
            transaction, notifier, event, [OutboxItem(id, f'{{"alert": {id}}}') for id in alerts], TERMS, now
        )


def recover(replica: Replica, outbox: Post, *alerts: int, now: int = LATER) -> None:
    with replica.db.write("test") as transaction:
        outbox.recover(transaction, {id: f'{{"over": {id}}}' for id in alerts}, lambda notifier: TERMS, now)


def due(outbox: Post, notifier: str = "ops", now: int = START + DAY) -> Notification:
    found = outbox.due(notifier, now)
    assert found is not None
    return found


def sealed(outbox: Post, notification: Notification) -> Contents:
    contents = outbox.seal(notification.id)
    assert contents is not None
    return contents


def deliver(outbox: Post, notifier: str = "ops", now: int = START + DAY) -> Contents:
    notification = due(outbox, notifier, now)
    contents = sealed(outbox, notification)
    outbox.delivered(notification.id, contents.alert_ids, now)
    return contents


def states(outbox: Post) -> list[tuple[str, str, str]]:
    """Oldest first."""
    return [(one.notifier, one.event, one.state.value) for one in reversed(outbox.recent())]


def test_what_begins_together_is_one_message(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1, 2)
    enqueue(replica, outbox, 3, now=START + 9 * SECOND)
    enqueue(replica, outbox, 1, notifier="boss")
    assert outbox.due("ops", START + 9 * SECOND) is None
    assert outbox.next_due("ops") == LATER
    assert outbox.next_due("nobody") is None
    message = due(outbox, now=LATER)
    assert (message.created_at, message.expires_at, message.attempts) == (START, LATER + DAY, 0)
    contents = sealed(outbox, message)
    assert contents.alert_ids == [1, 2, 3]
    assert contents.facts == ['{"alert": 1}', '{"alert": 2}', '{"alert": 3}']
    assert (contents.unannounced, contents.answers) == (frozenset(), [])
    enqueue(replica, outbox, 4, now=LATER)  # it is on its way: the next one begins
    assert len(outbox.recent()) == 3
    assert len({one.key for one in outbox.recent()}) == 3
    assert sealed(outbox, message) == contents
    assert due(outbox, now=LATER).attempts == 2


def test_a_message_has_room_for_so_many(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, *range(1, MAX_ALERTS))
    enqueue(replica, outbox, *range(MAX_ALERTS, 2 * MAX_ALERTS + 6))
    told = [deliver(outbox).alert_ids for _ in range(3)]
    assert [len(ids) for ids in told] == [MAX_ALERTS, MAX_ALERTS, 5]
    assert sorted(id for ids in told for id in ids) == list(range(1, 2 * MAX_ALERTS + 6))
    assert outbox.due("ops", START + DAY) is None


def test_those_who_got_the_alarm_hear_the_end(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1, 2)
    enqueue(replica, outbox, 1, notifier="boss")
    alarm = due(outbox)
    deliver(outbox)
    boss = due(outbox, "boss")
    outbox.seal(boss.id)
    outbox.give_up(boss.id, LATER, "rejected", "boss answered 404")
    recover(replica, outbox, 1)
    assert states(outbox) == [
        ("ops", ALARM, "delivered"),
        ("boss", ALARM, "dead"),
        ("ops", RECOVERY, "pending"),
    ]
    contents = deliver(outbox)
    assert contents.facts == ['{"over": 1}']
    assert (contents.unannounced, contents.answers) == (frozenset(), [alarm.key])
    assert outbox.due("boss", START + 2 * DAY) is None


def test_an_end_that_overtakes_its_alarm_replaces_it(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1, 2)
    recover(replica, outbox, 1)
    alarm = due(outbox)
    assert sealed(outbox, alarm).alert_ids == [2]
    outbox.delivered(alarm.id, [2], LATER)
    recover(replica, outbox, 2)
    contents = deliver(outbox)
    assert sorted(contents.alert_ids) == [1, 2]
    assert contents.unannounced == {1}
    assert contents.answers == [alarm.key]


def test_an_alarm_with_nothing_left_to_tell_is_never_sent(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1)
    enqueue(replica, outbox, 7, notifier="boss")
    alarm = due(outbox)
    recover(replica, outbox, 1)
    assert states(outbox) == [("ops", ALARM, "replaced"), ("boss", ALARM, "pending"), ("ops", RECOVERY, "pending")]
    assert outbox.seal(alarm.id) is None
    assert deliver(outbox).unannounced == {1}


def test_an_alarm_that_arrives_while_its_alert_ends_was_told(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1, 2)
    alarm = due(outbox)
    contents = sealed(outbox, alarm)
    recover(replica, outbox, 1, 2)
    assert states(outbox)[0][2] == "replaced"
    outbox.delivered(alarm.id, contents.alert_ids, LATER)
    assert states(outbox)[0][2] == "delivered"
    recovery = deliver(outbox)
    assert (recovery.unannounced, recovery.answers) == (frozenset(), [alarm.key])


def test_reminders_are_taken_back_with_the_end(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1)
    alarm = due(outbox)
    deliver(outbox)
    enqueue(replica, outbox, 1, event=REPEAT, now=LATER)
    recover(replica, outbox, 1)
    assert [state for _, _, state in states(outbox)] == ["delivered", "replaced", "pending"]
    contents = deliver(outbox)
    assert (contents.alert_ids, contents.unannounced, contents.answers) == ([1], frozenset(), [alarm.key])


def test_a_failed_attempt_is_tried_again_and_then_given_up(replica: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1)
    message = due(outbox)
    outbox.seal(message.id)
    outbox.try_again(message.id, LATER + 60_000, "timeout", "ops did not answer in time")
    assert outbox.due("ops", LATER + 59_999) is None
    again = due(outbox, now=LATER + 60_000)
    assert (again.key, again.attempts, again.failure, again.error) == (
        message.key,
        1,
        "timeout",
        "ops did not answer in time",
    )
    assert sealed(outbox, again).alert_ids == [1]
    outbox.give_up(again.id, LATER + 70_000, "rejected", "ops answered 404")
    (dead,) = outbox.recent(state=NotificationState.DEAD)
    assert (dead.attempts, dead.failure, dead.ended_at) == (2, "rejected", LATER + 70_000)
    assert outbox.seal(dead.id) is None


def test_who_lost_the_lease_changes_nothing(replica: Replica, other: Replica, outbox: Post) -> None:
    enqueue(replica, outbox, 1)
    message = due(outbox)
    replica.clock.advance(DURATION)
    hold = Hold("ops", LATER, LATER + DAY, "busy")
    for attempt in (
        lambda: outbox.seal(message.id),
        lambda: outbox.delivered(message.id, [1], LATER),
        lambda: outbox.try_again(message.id, LATER, "timeout", "x", hold),
        lambda: outbox.give_up(message.id, LATER, "timeout", "x", hold),
        lambda: outbox.lift_hold("ops"),
    ):
        assert replica.lease.hold()
        replica.clock.advance(DURATION)
        assert other.lease.hold()
        with pytest.raises(LeaseLost):
            attempt()
        other.lease.release()
    assert due(outbox) == message


def test_queues(replica: Replica, outbox: Post) -> None:
    assert outbox.queues() == []
    enqueue(replica, outbox, 1)
    enqueue(replica, outbox, 1, event=REPEAT, now=START + 5)
    enqueue(replica, outbox, 1, notifier="boss", now=START + 7)
    boss = due(outbox, "boss")
    outbox.give_up(boss.id, LATER, "timeout", "x")
    enqueue(replica, outbox, 2, notifier="done")
    deliver(outbox, "done")
    boss_queue, ops_queue = outbox.queues()
    assert (ops_queue.notifier, ops_queue.pending, ops_queue.dead, ops_queue.oldest_pending_at) == ("ops", 2, 0, START)
    assert (boss_queue.notifier, boss_queue.pending, boss_queue.dead) == ("boss", 0, 1)
    assert boss_queue.oldest_pending_at is None
    assert outbox.owed_to(["boss"]) == ["ops"]
    assert outbox.owed_to([]) == ["ops"]
    assert outbox.owed_to(["ops"]) == []


def test_dead_letters_since(replica: Replica, outbox: Post) -> None:
    for moment in (100, 200):
        for notifier in ("ops", "boss") if moment == 200 else ("ops",):
            enqueue(replica, outbox, 1, notifier=notifier)
            outbox.give_up(due(outbox, notifier).id, START + moment, "timeout", "x")
    assert outbox.dead_since(START) == {"boss": 1, "ops": 2}
    assert outbox.dead_since(START + 200) == {"boss": 1, "ops": 1}
    assert outbox.dead_since(START + 201) == {}


def test_lists_go_on_where_they_ended(replica: Replica, outbox: Post) -> None:
    for number in range(5):
        enqueue(replica, outbox, number, notifier=f"n{number}")
    newest = outbox.recent(limit=2)
    assert [one.notifier for one in newest] == ["n4", "n3"]
    older = outbox.recent(state=NotificationState.PENDING, limit=2, before_id=newest[-1].id)
    assert [one.notifier for one in older] == ["n2", "n1"]


def dead_letter(replica: Replica, outbox: Post, *alerts: int, event: str = ALARM) -> int:
    enqueue(replica, outbox, *alerts, event=event)
    message = due(outbox)
    outbox.seal(message.id)
    outbox.give_up(message.id, LATER, "rejected", "ops answered 404")
    return message.id


def test_a_dead_letter_is_tried_again(replica: Replica, outbox: Post) -> None:
    (alert,) = opened(replica.db, Alerts(replica.db), new_alert("a"))
    id = dead_letter(replica, outbox, alert)
    assert outbox.retry(id, LATER + 5, give_up_after=1_000)
    again = due(outbox, now=LATER + 5)
    assert (again.id, again.state, again.expires_at, again.ended_at) == (
        id,
        NotificationState.PENDING,
        LATER + 1_005,
        None,
    )
    assert sealed(outbox, again).alert_ids == [alert]
    with pytest.raises(Conflict, match=f"notification {id} is pending: only dead ones"):
        outbox.retry(id, LATER)
    with pytest.raises(NotFound, match="there is no notification 99"):
        outbox.retry(99, LATER)


@pytest.mark.parametrize("event", [ALARM, REPEAT])
def test_an_alarm_whose_end_nobody_would_tell_is_not_raised_again(replica: Replica, outbox: Post, event: str) -> None:
    """Its recovery was never owed to them: they would wait for it for ever."""
    alerts = Alerts(replica.db)
    over, on = opened(replica.db, alerts, new_alert("a"), new_alert("b"))
    both, only = dead_letter(replica, outbox, over, on, event=event), dead_letter(replica, outbox, over, event=event)
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(over, LATER, ResolveReason.RECOVERED)])
        outbox.recover(transaction, {over: "{}"}, lambda notifier: TERMS, LATER)
    assert outbox.retry(both, LATER)
    assert sealed(outbox, due(outbox)).alert_ids == [on]
    assert not outbox.retry(only, LATER)
    assert [one.state.value for one in outbox.recent() if one.id == only] == ["replaced"]


def test_a_dead_recovery_is_told_again(replica: Replica, outbox: Post) -> None:
    alerts = Alerts(replica.db)
    (alert,) = opened(replica.db, alerts, new_alert("a"))
    enqueue(replica, outbox, alert)
    deliver(outbox)
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(alert, LATER, ResolveReason.RECOVERED)])
        outbox.recover(transaction, {alert: "{}"}, lambda notifier: TERMS, LATER)
    recovery = due(outbox)
    outbox.give_up(recovery.id, LATER, "timeout", "x")
    assert outbox.retry(recovery.id, LATER)
    assert deliver(outbox).alert_ids == [alert]
