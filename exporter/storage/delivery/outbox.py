"""The outbox: every message to a notifier, kept until it is delivered or given up.

A message is written in the transaction of the alerts that it reports. Until its first attempt it gathers alerts that
begin together; then it is sealed: later alerts go into another message. All its attempts have the same key and the same
contents, except for alerts that are over before it could be delivered.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from peewee import fn

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.notification import NotificationState
from exporter.core.clock import DAY, SECOND
from exporter.core.errors import Conflict, NotFound
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.delivery.holds import Holds
from exporter.storage.delivery.notifications import ALARM, PENDING, RECOVERY, REPEAT, select_notifications
from exporter.storage.rows import chunks

MAX_ALERTS = 1000
"""In one message; more begin another."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How a notifier wants its messages. Milliseconds."""

    group_wait: int = 10 * SECOND
    give_up_after: int = DAY


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An alert's place in a message."""

    alert_id: int
    facts: str
    """JSON; what alerting makes of them is its own business."""


class Outbox:
    """All methods block and raise StorageUnavailable. Those that take a transaction are for use inside it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._holds = Holds(database)
        items = database.tables.notification_alerts
        columns = ("notification_id", "alert_id", "facts", "replaced")
        self._add_item = Prepared(database, items.insert(**{column: param(column) for column in columns}))

    def enqueue(
        self,
        transaction: Transaction,
        notifier: str,
        event: str,
        items: Sequence[OutboxItem],
        policy: DeliveryPolicy,
        now: int,
    ) -> None:
        """Puts alerts into the message that this notifier's are being gathered in, or else into a new one."""
        left = list(items)
        joined, room = self._gathering(notifier, event)
        while left:
            if joined is None or room <= 0:
                joined, room = self._begin(notifier, event, policy, now), MAX_ALERTS
            transaction.execute_many(
                self._add_item,
                [
                    self._add_item.row(
                        {"notification_id": joined, "alert_id": item.alert_id, "facts": item.facts, "replaced": False}
                    )
                    for item in left[:room]
                ],
            )
            del left[:room]
            joined = None

    def recover(
        self,
        transaction: Transaction,
        ended: Mapping[int, str],
        policy_of: Callable[[str], DeliveryPolicy],
        now: int,
    ) -> None:
        """Enqueues the end of alerts, facts by alert id, to the notifiers that got the alarm or still would.

        An alarm that is still on its way is taken back: the recovery then reports both.
        """
        items: defaultdict[str, list[OutboxItem]] = defaultdict(list)
        taken_back: list[int] = []
        touched: set[int] = set()
        for item_id, notification_id, alert_id, notifier, event, state in self._alarms(list(ended)):
            if state == PENDING:
                taken_back.append(item_id)
                touched.add(notification_id)
            if event == ALARM and state in (PENDING, NotificationState.DELIVERED.value):
                items[notifier].append(OutboxItem(alert_id, ended[alert_id]))
        self._take_back(taken_back, touched, now)
        for notifier, some in items.items():
            self.enqueue(transaction, notifier, RECOVERY, some, policy_of(notifier), now)

    def retry(self, id: int, now: int, give_up_after: int = DAY) -> bool:
        """Has a dead letter tried again at once. Raises NotFound, and Conflict when it is not dead.

        An alarm that is over by now is left out, since its end would never be sent; False when nothing else is left.
        """
        table = self._db.tables.notifications
        with self._db.write("retry notification"):
            rows = select_notifications(self._db, table.id == id, table.id, 1)
            if not rows:
                raise NotFound(f"there is no notification {id}")
            if rows[0].state is not NotificationState.DEAD:
                raise Conflict(f"notification {id} is {rows[0].state.value}: only dead ones can be tried again")
            change = {
                "state": PENDING,
                "next_attempt_at": now,
                "expires_at": now + give_up_after,
                "ended_at": None,
            }
            table.update(**change).where(table.id == id).execute()
            if rows[0].event != RECOVERY:
                self._take_back(self._over(id), [id], now)
            return select_notifications(self._db, table.id == id, table.id, 1)[0].state is NotificationState.PENDING

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`; no message waits for longer."""
        table = self._db.tables.notifications
        change = {"next_attempt_at": table.next_attempt_at - by}
        table.update(**change).where((table.state == PENDING) & (table.next_attempt_at > now)).execute()
        self._holds.set_back(by, now)

    def told_of(self, alert_id: int) -> list[str]:
        """The notifiers that got the alarm, and for which nothing more is pending about this alert."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        query = (
            items.select(table.notifier, table.state)
            .join(table, on=(table.id == items.notification_id))
            .where((items.alert_id == alert_id) & (items.replaced == False))  # noqa: E712
        )
        states: defaultdict[str, set[str]] = defaultdict(set)
        for notifier, state in query.tuples():
            states[notifier].add(state)
        return [
            notifier
            for notifier, seen in states.items()
            if NotificationState.DELIVERED.value in seen and PENDING not in seen
        ]

    def alarm_states(self, alert_ids: Sequence[int]) -> dict[tuple[int, str], NotificationState]:
        """What became of the alarms of these alerts, by (alert id, notifier); without those that were taken back."""
        return {
            (alert_id, notifier): NotificationState(state)
            for _, _, alert_id, notifier, event, state in self._alarms(alert_ids)
            if event == ALARM
        }

    def enqueue_alone(
        self, transaction: Transaction, notifier: str, event: str, item: OutboxItem, policy: DeliveryPolicy, now: int
    ) -> None:
        """Puts an alert into a message of its own, which no other alert joins."""
        id = self._begin(notifier, event, policy, now, sealed=True)
        row = {"notification_id": id, "alert_id": item.alert_id, "facts": item.facts, "replaced": False}
        transaction.execute(self._add_item, self._add_item.row(row))

    def restate(self, transaction: Transaction, item: OutboxItem) -> None:
        """Gives the alert's alarms that were not tried yet these facts."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        untried = table.select(table.id).where((table.state == PENDING) & (table.attempts == 0))
        mine = (items.alert_id == item.alert_id) & items.notification_id.in_(untried)
        items.update(**{"facts": item.facts}).where(mine).execute()

    def withdraw(self, transaction: Transaction, alert_ids: Sequence[int], now: int) -> Sequence[tuple[int, str]]:
        """Takes back the alarms of these alerts that were not tried yet; the (alert id, notifier) of those."""
        table = self._db.tables.notifications
        alarms = [alarm for alarm in self._alarms(alert_ids) if alarm[4] == ALARM and alarm[5] == PENDING]
        untried: set[int] = set()
        for chunk in chunks(sorted({alarm[1] for alarm in alarms})):
            # The update locks them: none is sealed for its first attempt meanwhile.
            waiting = table.id.in_(chunk) & (table.state == PENDING) & (table.attempts == 0)
            table.update(**{"attempts": 0}).where(waiting).execute()
            untried.update(row[0] for row in table.select(table.id).where(waiting).tuples())
        withdrawn = [alarm for alarm in alarms if alarm[1] in untried]
        self._take_back([alarm[0] for alarm in withdrawn], untried, now)
        return [(alarm[2], alarm[3]) for alarm in withdrawn]

    def recover_alone(
        self,
        transaction: Transaction,
        item: OutboxItem,
        policy_of: Callable[[str], DeliveryPolicy],
        now: int,
    ) -> None:
        """As `recover`, with messages of the alert's own; an alarm that was not tried yet is taken back, and nothing is
        sent to its notifier.
        """
        self.withdraw(transaction, [item.alert_id], now)
        taken_back: list[int] = []
        touched: set[int] = set()
        notifiers: dict[str, None] = {}
        for item_id, notification_id, _, notifier, _, state in self._alarms([item.alert_id]):
            if state == PENDING:
                taken_back.append(item_id)
                touched.add(notification_id)
            if state in (PENDING, NotificationState.DELIVERED.value):
                notifiers[notifier] = None
        self._take_back(taken_back, touched, now)
        for notifier in notifiers:
            self.enqueue_alone(transaction, notifier, RECOVERY, item, policy_of(notifier), now)

    def alarmed(self, alert_ids: Sequence[int]) -> set[tuple[int, str]]:
        """The (alert id, notifier) of which an alarm was enqueued, whatever became of it, unless it was taken back."""
        return {
            (alert_id, notifier) for _, _, alert_id, notifier, event, _ in self._alarms(alert_ids) if event == ALARM
        }

    def _gathering(self, notifier: str, event: str) -> tuple[int | None, int]:
        """The message that still gathers, held so that it is not sealed meanwhile; and how much it has room for."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        query = (
            table.select(table.id)
            .where(
                (table.notifier == notifier)
                & (table.event == event)
                & (table.state == PENDING)
                & (table.sealed == False)  # noqa: E712 - SQL
            )
            .order_by(table.id.desc())
            .limit(1)
        )
        for (id,) in list(query.tuples()):
            held = table.update(**{"sealed": False}).where((table.id == id) & (table.sealed == False))  # noqa: E712
            if held.execute():
                count = next(iter(items.select(fn.COUNT(items.id)).where(items.notification_id == id).tuples()))[0]
                return int(id), MAX_ALERTS - int(count)
        return None, 0

    def _begin(self, notifier: str, event: str, policy: DeliveryPolicy, now: int, sealed: bool = False) -> int:
        table = self._db.tables.notifications
        return int(
            table.insert(
                **{
                    "key": uuid.uuid4().hex,
                    "notifier": notifier,
                    "event": event,
                    "state": PENDING,
                    "sealed": sealed,
                    "created_at": now,
                    "attempts": 0,
                    "next_attempt_at": now + policy.group_wait,
                    "expires_at": now + policy.group_wait + policy.give_up_after,
                }
            ).execute()
        )

    def _alarms(self, alert_ids: Sequence[int]) -> Iterable[tuple[int, int, int, str, str, str]]:
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        for chunk in chunks(alert_ids):
            yield from (
                items.select(items.id, items.notification_id, items.alert_id, table.notifier, table.event, table.state)
                .join(table, on=(table.id == items.notification_id))
                .where(
                    items.alert_id.in_(chunk) & table.event.in_((ALARM, REPEAT)) & (items.replaced == False)  # noqa: E712
                )
                .order_by(items.id)
                .tuples()
            )

    def _take_back(self, item_ids: Sequence[int], notification_ids: Iterable[int], now: int) -> None:
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        for chunk in chunks(item_ids):
            items.update(**{"replaced": True}).where(items.id.in_(chunk)).execute()
        for chunk in chunks(sorted(notification_ids)):
            left = items.select(items.id).where(
                (items.notification_id == table.id) & (items.replaced == False)  # noqa: E712
            )
            table.update(**{"state": NotificationState.REPLACED.value, "ended_at": now}).where(
                table.id.in_(chunk) & (table.state == PENDING) & ~fn.EXISTS(left)
            ).execute()

    def _over(self, id: int) -> list[int]:
        """The places in this message of alerts that have ended."""
        alerts, items = self._db.tables.alerts, self._db.tables.notification_alerts
        query = (
            items.select(items.id)
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((items.notification_id == id) & (alerts.step == AlertState.RESOLVED.value))
        )
        return [row[0] for row in query.tuples()]
