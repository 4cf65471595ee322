"""The outbox: every message owed to a notifier, kept until it is delivered or given up.

A message is written in the transaction of what it tells. Until its first attempt it gathers what begins together; then
it is sealed, and from then on it tells the same under the same key, however often it is tried.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import fn

from exporter.core.alert import Step
from exporter.core.clock import DAY, SECOND
from exporter.core.errors import Conflict, NotFound
from exporter.core.notification import NotificationState
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.snapshot import chunks

MOST_ALERTS = 1000
"""In one message; more begin another."""
ALARM, REPEAT, RECOVERY = "TRIGGERED", "REPEATED", "RESOLVED"
"""What a message tells, as it is kept."""
_PENDING = NotificationState.PENDING.value


@dataclass(frozen=True, slots=True)
class Terms:
    """How a notifier wants its messages. Milliseconds."""

    group_wait: int = 10 * SECOND
    give_up_after: int = DAY


@dataclass(frozen=True, slots=True)
class Owed:
    """An alert's place in a message."""

    alert_id: int
    facts: str
    """JSON; what alerting makes of them is its own business."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. Moments are Unix time in milliseconds."""

    id: int
    key: str
    notifier: str
    event: str
    state: NotificationState
    created_at: int
    attempts: int
    next_attempt_at: int
    expires_at: int
    failure: str | None
    """Why the last attempt failed."""
    error: str | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a sealed message tells."""

    facts: Sequence[str]
    unannounced: frozenset[int]
    """Ids of alerts whose alarm never reached this notifier."""
    answers: Sequence[str]
    """Keys of the alarms that it continues."""
    alert_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Queue:
    """What one notifier is owed."""

    notifier: str
    pending: int
    dead: int
    oldest_pending_at: int | None


class Outbox:
    """All methods block and raise StorageUnavailable. Those that take a transaction are for use inside it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        items = database.tables.notification_alerts
        columns = ("notification_id", "alert_id", "facts", "replaced")
        self._add_item = Prepared(database, items.insert(**{column: param(column) for column in columns}))

    # ── owing ────────────────────────────────────────────────────────────────────────────────────────────────

    def owe(
        self, transaction: Transaction, notifier: str, event: str, owed: Sequence[Owed], terms: Terms, now: int
    ) -> None:
        """Puts alerts into the message that this notifier's are being gathered in, or else into a new one."""
        left = list(owed)
        joined, room = self._gathering(notifier, event)
        while left:
            if joined is None or room <= 0:
                joined, room = self._begin(notifier, event, terms, now), MOST_ALERTS
            transaction.execute_many(
                self._add_item,
                [
                    self._add_item.row(
                        {"notification_id": joined, "alert_id": one.alert_id, "facts": one.facts, "replaced": False}
                    )
                    for one in left[:room]
                ],
            )
            del left[:room]
            joined = None

    def recover(
        self,
        transaction: Transaction,
        ended: Mapping[int, str],
        terms: Callable[[str], Terms],
        now: int,
    ) -> None:
        """Owes the end of alerts, facts by alert id, to those who got the alarm or still would.

        An alarm that is still on its way is taken back: the recovery then tells both.
        """
        owed: defaultdict[str, list[Owed]] = defaultdict(list)
        taken_back: list[int] = []
        touched: set[int] = set()
        for item_id, notification_id, alert_id, notifier, event, state in self._alarms(list(ended)):
            if state == _PENDING:
                taken_back.append(item_id)
                touched.add(notification_id)
            if event == ALARM and state in (_PENDING, NotificationState.DELIVERED.value):
                owed[notifier].append(Owed(alert_id, ended[alert_id]))
        self._take_back(taken_back, touched, now)
        for notifier, some in owed.items():
            self.owe(transaction, notifier, RECOVERY, some, terms(notifier), now)

    def _gathering(self, notifier: str, event: str) -> tuple[int | None, int]:
        """The message that still gathers, held so that it is not sealed meanwhile; and how much it has room for."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        query = (
            table.select(table.id)
            .where(
                (table.notifier == notifier)
                & (table.event == event)
                & (table.state == _PENDING)
                & (table.sealed == False)  # noqa: E712 - SQL
            )
            .order_by(table.id.desc())
            .limit(1)
        )
        for (id,) in list(query.tuples()):
            held = table.update(**{"sealed": False}).where((table.id == id) & (table.sealed == False))  # noqa: E712
            if held.execute():
                count = next(iter(items.select(fn.COUNT(items.id)).where(items.notification_id == id).tuples()))[0]
                return int(id), MOST_ALERTS - int(count)
        return None, 0

    def _begin(self, notifier: str, event: str, terms: Terms, now: int) -> int:
        table = self._db.tables.notifications
        return int(
            table.insert(
                **{
                    "key": uuid.uuid4().hex,
                    "notifier": notifier,
                    "event": event,
                    "state": _PENDING,
                    "sealed": False,
                    "created_at": now,
                    "attempts": 0,
                    "next_attempt_at": now + terms.group_wait,
                    "expires_at": now + terms.group_wait + terms.give_up_after,
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
                table.id.in_(chunk) & (table.state == _PENDING) & ~fn.EXISTS(left)
            ).execute()

    def told_of(self, alert_id: int) -> list[str]:
        """The notifiers that got the alarm, and are owed nothing more about this alert."""
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
            for notifier, found in states.items()
            if NotificationState.DELIVERED.value in found and _PENDING not in found
        ]

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────────────

    def due(self, notifier: str, now: int) -> Notification | None:
        """The message to this notifier whose turn it is."""
        table = self._db.tables.notifications
        with self._db.read("find due notifications"):
            condition = (table.notifier == notifier) & (table.state == _PENDING) & (table.next_attempt_at <= now)
            return next(iter(self._select(condition, table.next_attempt_at, 1)), None)

    def next_due(self, notifier: str) -> int | None:
        """When the next message to this notifier has its turn."""
        table = self._db.tables.notifications
        query = table.select(fn.MIN(table.next_attempt_at))
        with self._db.read("find next notification"):
            moment = next(iter(query.where((table.notifier == notifier) & (table.state == _PENDING)).tuples()))[0]
        return None if moment is None else int(moment)

    def seal(self, id: int, check: Callable[[], None]) -> Contents | None:
        """Closes the message to what begins later, counts an attempt, and returns what it tells.

        None when there is nothing left to tell. `check` is called in the transaction and raises to stop it.
        """
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        with self._db.write("seal notification"):
            check()
            change = {"sealed": True, "attempts": table.attempts + 1}
            if not table.update(**change).where((table.id == id) & (table.state == _PENDING)).execute():
                return None
            notifier, event = next(iter(table.select(table.notifier, table.event).where(table.id == id).tuples()))
            query = items.select(items.alert_id, items.facts).where(
                (items.notification_id == id) & (items.replaced == False)  # noqa: E712
            )
            rows = list(query.order_by(items.id).tuples())
            ids = [int(row[0]) for row in rows]
            unannounced, answers = self._before(notifier, ids) if event != ALARM else (frozenset[int](), [])
        return Contents([row[1] for row in rows], unannounced, answers, ids)

    def _before(self, notifier: str, alert_ids: Sequence[int]) -> tuple[frozenset[int], Sequence[str]]:
        """Which of these alerts' alarms never reached the notifier, and the keys of those that did."""
        table, items = self._db.tables.notifications, self._db.tables.notification_alerts
        told: set[int] = set()
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
                told.add(int(alert_id))
                keys[key] = None
        return frozenset(alert_ids) - told, list(keys)

    def delivered(self, id: int, now: int, check: Callable[[], None]) -> None:
        self._end(id, NotificationState.DELIVERED, now, None, None, check)

    def give_up(self, id: int, now: int, failure: str, error: str, check: Callable[[], None]) -> None:
        """Dead-letters it."""
        self._end(id, NotificationState.DEAD, now, failure, error, check)

    def try_again(self, id: int, at: int, failure: str, error: str, check: Callable[[], None]) -> None:
        table = self._db.tables.notifications
        with self._db.write("put off notification"):
            check()
            change = {"next_attempt_at": at, "failure": failure, "error": error}
            table.update(**change).where((table.id == id) & (table.state == _PENDING)).execute()

    def _end(
        self,
        id: int,
        state: NotificationState,
        now: int,
        failure: str | None,
        error: str | None,
        check: Callable[[], None],
    ) -> None:
        table = self._db.tables.notifications
        with self._db.write("end notification"):
            check()
            change = {"state": state.value, "ended_at": now, "failure": failure, "error": error}
            table.update(**change).where((table.id == id) & (table.state == _PENDING)).execute()

    # ── watching ─────────────────────────────────────────────────────────────────────────────────────────────

    def queues(self) -> Sequence[Queue]:
        """What every notifier is owed."""
        table = self._db.tables.notifications
        dead = NotificationState.DEAD.value
        query = (
            table.select(table.notifier, table.state, fn.COUNT(table.id), fn.MIN(table.created_at))
            .where(table.state.in_((_PENDING, dead)))
            .group_by(table.notifier, table.state)
        )
        found: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        with self._db.read("count notifications"):
            for notifier, state, count, oldest in query.tuples():
                found[notifier][state] = (int(count), int(oldest))
        return [
            Queue(
                notifier,
                states.get(_PENDING, (0, 0))[0],
                states.get(dead, (0, 0))[0],
                states[_PENDING][1] if _PENDING in states else None,
            )
            for notifier, states in sorted(found.items())
        ]

    def dead_since(self, since: int) -> Mapping[str, int]:
        """How many messages were given up from that moment on, by notifier."""
        table = self._db.tables.notifications
        query = (
            table.select(table.notifier, fn.COUNT(table.id))
            .where((table.state == NotificationState.DEAD.value) & (table.ended_at >= since))
            .group_by(table.notifier)
        )
        with self._db.read("count dead letters"):
            return {notifier: int(count) for notifier, count in sorted(query.tuples())}

    def recent(
        self, *, state: NotificationState | None = None, limit: int = 100, before_id: int | None = None
    ) -> Sequence[Notification]:
        """The newest first; those with a smaller id than `before_id`, to go on where a page ended."""
        table = self._db.tables.notifications
        condition = table.id > 0 if state is None else table.state == state.value
        if before_id is not None:
            condition &= table.id < before_id
        with self._db.read("list notifications"):
            return self._select(condition, table.id.desc(), limit)

    def find(self, id: int) -> Notification:
        """Raises NotFound."""
        table = self._db.tables.notifications
        with self._db.read("read notification"):
            for one in self._select(table.id == id, table.id, 1):
                return one
        raise NotFound(f"there is no notification {id}")

    def owed_to(self, notifiers: Sequence[str]) -> Sequence[str]:
        """The names of notifiers that are owed something and are not among these."""
        table = self._db.tables.notifications
        query = table.select(table.notifier).where((table.state == _PENDING) & table.notifier.not_in(notifiers))
        with self._db.read("find unknown notifiers"):
            return [row[0] for row in query.distinct().tuples()]

    def expired(self, notifier: str, now: int) -> Sequence[Notification]:
        """What is owed to it and out of time."""
        table = self._db.tables.notifications
        with self._db.read("find expired notifications"):
            condition = (table.notifier == notifier) & (table.state == _PENDING) & (table.expires_at <= now)
            return self._select(condition, table.id, 1000)

    def known_to(self, notifier: str, since: int) -> tuple[Sequence[str], Sequence[str]]:
        """Facts of alerts that this notifier was told are on, and of those whose end it was told after `since`."""
        tables = self._db.tables
        table, items, alerts = tables.notifications, tables.notification_alerts, tables.alerts
        told = (
            items.select(items.facts)
            .join(table, on=(table.id == items.notification_id))
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((table.notifier == notifier) & (table.state == NotificationState.DELIVERED.value))
            .order_by(items.id)
        )
        with self._db.read("read what was told"):
            firing = told.where((table.event == ALARM) & alerts.resolved_at.is_null())
            resolved = told.where((table.event == RECOVERY) & (alerts.resolved_at > since))
            return [row[0] for row in firing.tuples()], [row[0] for row in resolved.tuples()]

    def close(self) -> None:
        """Closes the calling thread's connection."""
        self._db.close()

    def retry(self, id: int, now: int, give_up_after: int = DAY) -> bool:
        """Has a dead letter tried again at once. Raises NotFound, and Conflict when it is not dead.

        An alarm that is over by now is left out, since nobody would tell its end; False when nothing else is left.
        """
        table = self._db.tables.notifications
        with self._db.write("retry notification"):
            rows = self._select(table.id == id, table.id, 1)
            if not rows:
                raise NotFound(f"there is no notification {id}")
            if rows[0].state is not NotificationState.DEAD:
                raise Conflict(f"notification {id} is {rows[0].state.value}: only dead ones can be tried again")
            change = {
                "state": _PENDING,
                "next_attempt_at": now,
                "expires_at": now + give_up_after,
                "ended_at": None,
            }
            table.update(**change).where(table.id == id).execute()
            if rows[0].event != RECOVERY:
                self._take_back(self._over(id), [id], now)
            return self._select(table.id == id, table.id, 1)[0].state is NotificationState.PENDING

    def _over(self, id: int) -> list[int]:
        """The places in this message of alerts that have ended."""
        alerts, items = self._db.tables.alerts, self._db.tables.notification_alerts
        query = (
            items.select(items.id)
            .join(alerts, on=(alerts.id == items.alert_id))
            .where((items.notification_id == id) & (alerts.step == Step.RESOLVED.value))
        )
        return [row[0] for row in query.tuples()]

    def _select(self, condition: Any, order: Any, limit: int) -> list[Notification]:
        table = self._db.tables.notifications
        columns = [
            getattr(table, name)
            for name in Notification.__dataclass_fields__  # the columns are called like the fields
        ]
        return [
            Notification(id, key, notifier, event, NotificationState(state), *rest)
            for id, key, notifier, event, state, *rest in table.select(*columns)
            .where(condition)
            .order_by(order)
            .limit(limit)
            .tuples()
        ]
