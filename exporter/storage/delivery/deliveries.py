"""Deliveries: a message's turn comes, it is sealed, tried, and delivered, put off or given up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from peewee import fn

from exporter.core.alerts.notification import MAX_HOLD, Hold, NotificationState
from exporter.core.errors import InvalidValue
from exporter.presentation.message import AlertSnapshot
from exporter.storage.database import Database
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.holds import Holds
from exporter.storage.delivery.notifications import ALARM, PENDING, RECOVERY, Notification, select_notifications
from exporter.storage.repositories.leases import Lease
from exporter.storage.rows import chunks

_ENDS_FIRST = 100
"""Messages that may go before another."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a sealed message."""

    facts: Sequence[str]
    unannounced: frozenset[int]
    """Ids of alerts whose alarm never reached this notifier."""
    answers: Sequence[str]
    """Keys of the alarms that it continues."""
    alert_ids: Sequence[int]


class Deliveries:
    """All methods block and raise StorageUnavailable. Those that write raise LeaseLost, and write nothing, when another
    process has taken over the lease.
    """

    def __init__(self, database: Database, lease: Lease) -> None:
        self._db = database
        self._lease = lease
        self._holds = Holds(database)
        self._held = HeldAlerts(database)

    def due(self, notifier: str, now: int, expired_by: int | None = None) -> Notification | None:
        """The message to this notifier whose turn it is; with `expired_by`, only one that has no later turn."""
        table = self._db.tables.notifications
        # What lies further ahead than any wait was put there by a clock that was ahead.
        far = now + MAX_HOLD
        adrift = (table.next_attempt_at > far) & ((table.created_at > far) | (table.attempts > 0))
        turn = (table.next_attempt_at <= now) | adrift
        condition = (table.notifier == notifier) & (table.state == PENDING) & turn
        if expired_by is not None:
            condition &= table.expires_at <= expired_by
        with self._db.read("find due notifications"):
            return next(iter(select_notifications(self._db, condition, table.next_attempt_at, 1)), None)

    def ends_before(self, notification: Notification) -> Sequence[Notification]:
        """Pending recoveries of earlier alerts, if this message reports that their monitors are down."""
        if notification.event == RECOVERY:
            return ()
        tables = self._db.tables
        table, items, alerts = tables.notifications, tables.notification_alerts, tables.alerts
        unwell = (
            items.select(alerts.monitor_id)
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((items.notification_id == notification.id) & (items.replaced == False))  # noqa: E712
        )
        announced, ended = items.alias("announced"), alerts.alias("ended")
        theirs = (
            announced.select(announced.id)
            .join(ended, on=(ended.id == announced.alert_id))
            .where((announced.notification_id == table.id) & ended.monitor_id.in_(unwell))
        )
        condition = (table.notifier == notification.notifier) & (table.state == PENDING) & (table.event == RECOVERY)
        with self._db.read("find ends that come first"):
            return select_notifications(self._db, condition & fn.EXISTS(theirs), table.id, _ENDS_FIRST)

    def next_due(self, notifier: str) -> int | None:
        """When the next message to this notifier has its turn."""
        table = self._db.tables.notifications
        query = table.select(fn.MIN(table.next_attempt_at))
        with self._db.read("find next notification"):
            moment = next(iter(query.where((table.notifier == notifier) & (table.state == PENDING)).tuples()))[0]
        return None if moment is None else int(moment)

    def seal(self, id: int) -> Contents | None:
        """Closes the message to what begins later, counts an attempt, and returns its contents.

        None when no alert is left in it.
        """
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        with self._lease.transaction("seal notification"):
            fresh = table.select(table.id).where((table.id == id) & (table.sealed == False))  # noqa: E712 - SQL
            first = bool(list(fresh.tuples()))
            change = {"sealed": True, "attempts": table.attempts + 1}
            if not table.update(**change).where((table.id == id) & (table.state == PENDING)).execute():
                return None
            notifier, event = next(iter(table.select(table.notifier, table.event).where(table.id == id).tuples()))
            query = items.select(items.alert_id, items.facts).where(
                (items.notification_id == id) & (items.replaced == False)  # noqa: E712
            )
            if first and event != RECOVERY:
                self._fold(id, notifier)
            rows = list(query.order_by(items.id).tuples())
            ids = [int(row[0]) for row in rows]
            unannounced, answers = self._before(notifier, ids) if event != ALARM else (frozenset[int](), [])
        return Contents([row[1] for row in rows], unannounced, answers, ids)

    def _fold(self, id: int, notifier: str) -> None:
        """Adds to each alert how many monitors are silent because of its own; from then on the message says that."""
        tables = self._db.tables
        items, alerts = tables.notification_alerts, tables.alerts
        query = (
            items.select(items.id, items.facts, alerts.id, alerts.monitor_id)
            .join(alerts, on=(alerts.id == items.alert_id))
            .where(items.notification_id == id)
        )
        for item_id, facts, alert_id, monitor_id in list(query.tuples()):
            try:
                snapshot = AlertSnapshot.from_json(facts)
            except InvalidValue:
                continue  # reported when the message is read
            if snapshot.depending:
                count, names = self._held.folded(alert_id, monitor_id, notifier)
                folded = replace(snapshot, dependents=count, dependent_names=names)
                items.update(**{"facts": folded.to_json()}).where(items.id == item_id).execute()

    def _before(self, notifier: str, alert_ids: Sequence[int]) -> tuple[frozenset[int], Sequence[str]]:
        """Which of these alerts' alarms never reached the notifier, and the keys of those that did."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        announced: set[int] = set()
        keys: dict[str, None] = {}
        for chunk in chunks(alert_ids):
            query = (
                items.select(items.alert_id, table.key)
                .join(table, on=(table.id == items.notification_id))
                .where(
                    items.alert_id.in_(chunk)
                    & (table.notifier == notifier)
                    & (table.event == ALARM)
                    & (items.replaced == False)  # noqa: E712
                )
                .order_by(table.id)
            )
            for alert_id, key in query.tuples():
                announced.add(int(alert_id))
                keys[key] = None
        return frozenset(alert_ids) - announced, list(keys)

    def delivered(self, id: int, alert_ids: Sequence[int], now: int) -> None:
        """Notes that these alerts were delivered; also those that ended, and were taken back, during the delivery."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        with self._lease.transaction("end notification"):
            for chunk in chunks(alert_ids):
                covered = (items.notification_id == id) & items.alert_id.in_(chunk)
                items.update(**{"replaced": False}).where(covered).execute()
            change = {"state": NotificationState.DELIVERED.value, "ended_at": now, "failure": None, "error": None}
            table.update(**change).where(table.id == id).execute()

    def give_up(self, id: int, now: int, failure: str, error: str, hold: Hold | None = None) -> None:
        """Dead-letters it; a hold is for its notifier's other messages."""
        table = self._db.tables.notifications
        with self._lease.transaction("give up notification"):
            change = {"state": NotificationState.DEAD.value, "ended_at": now, "failure": failure, "error": error}
            table.update(**change).where((table.id == id) & (table.state == PENDING)).execute()
            if hold is not None:
                self._holds.begin(hold)

    def try_again(self, id: int, at: int, failure: str, error: str, hold: Hold | None = None) -> None:
        """Puts it off until `at`, and its notifier's other messages with it if there is a hold."""
        table = self._db.tables.notifications
        with self._lease.transaction("put off notification"):
            change = {"next_attempt_at": at, "failure": failure, "error": error}
            table.update(**change).where((table.id == id) & (table.state == PENDING)).execute()
            if hold is not None:
                self._holds.begin(hold)

    def current_hold(self, notifier: str, now: int) -> Hold | None:
        """The hold of this notifier, if it lasts beyond `now`."""
        return self._holds.current(now).get(notifier)

    def lift_hold(self, notifier: str) -> None:
        """Ends the notifier's hold early."""
        with self._lease.transaction("lift hold"):
            self._holds.lift(notifier)

    def known_to(self, notifier: str, since: int) -> tuple[Sequence[str], Sequence[str]]:
        """Snapshots of alerts that this notifier knows as firing, and of those whose end it received after `since`."""
        tables = self._db.tables
        table, items, alerts = tables.notifications, tables.notification_alerts, tables.alerts
        announced = (
            items.select(items.facts)
            .join(table, on=(table.id == items.notification_id))
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((table.notifier == notifier) & (table.state == NotificationState.DELIVERED.value))
            .order_by(items.id)
        )
        with self._db.read("read delivered alerts"):
            firing = announced.where((table.event == ALARM) & alerts.resolved_at.is_null())
            resolved = announced.where((table.event == RECOVERY) & (alerts.resolved_at > since))
            return [row[0] for row in firing.tuples()], [row[0] for row in resolved.tuples()]

    def close(self) -> None:
        """Closes the calling thread's connection."""
        self._db.close()
