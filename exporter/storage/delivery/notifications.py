"""Notifications, pending and past, for lists and checks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import fn

from exporter.core.alerts.notification import Hold, NotificationState
from exporter.core.errors import NotFound
from exporter.storage.database import Database
from exporter.storage.delivery.holds import Holds

ALARM, REPEAT, RECOVERY = "TRIGGERED", "REPEATED", "RESOLVED"
"""The event that a message reports, as the database keeps it."""
PENDING = NotificationState.PENDING.value


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
class Queue:
    """What waits for one notifier."""

    notifier: str
    pending: int
    dead: int
    oldest_pending_at: int | None


class Notifications:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._holds = Holds(database)

    def holds(self, now: int) -> Mapping[str, Hold]:
        """The notifiers whose other side asked us to wait beyond `now`, by name."""
        return self._holds.current(now)

    def queues(self) -> Sequence[Queue]:
        """What waits for every notifier."""
        table = self._db.tables.notifications
        dead = NotificationState.DEAD.value
        query = (
            table.select(table.notifier, table.state, fn.COUNT(table.id), fn.MIN(table.created_at))
            .where(table.state.in_((PENDING, dead)))
            .group_by(table.notifier, table.state)
        )
        by_notifier: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        with self._db.read("count notifications"):
            for notifier, state, count, oldest in query.tuples():
                by_notifier[notifier][state] = (int(count), int(oldest))
        return [
            Queue(
                notifier,
                states.get(PENDING, (0, 0))[0],
                states.get(dead, (0, 0))[0],
                states[PENDING][1] if PENDING in states else None,
            )
            for notifier, states in sorted(by_notifier.items())
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
            return select_notifications(self._db, condition, table.id.desc(), limit)

    def find(self, id: int) -> Notification:
        """Raises NotFound."""
        table = self._db.tables.notifications
        with self._db.read("read notification"):
            for notification in select_notifications(self._db, table.id == id, table.id, 1):
                return notification
        raise NotFound(f"there is no notification {id}")

    def owed_to(self, notifiers: Sequence[str]) -> Sequence[str]:
        """The names of notifiers for which something is pending and that are not among these."""
        table = self._db.tables.notifications
        query = table.select(table.notifier).where((table.state == PENDING) & table.notifier.not_in(notifiers))
        with self._db.read("find unknown notifiers"):
            return [row[0] for row in query.distinct().tuples()]

    def expired(self, notifier: str, now: int) -> Sequence[Notification]:
        """Its pending messages that are out of time."""
        table = self._db.tables.notifications
        with self._db.read("find expired notifications"):
            condition = (table.notifier == notifier) & (table.state == PENDING) & (table.expires_at <= now)
            return select_notifications(self._db, condition, table.id, 1000)


def select_notifications(database: Database, condition: Any, order: Any, limit: int) -> list[Notification]:
    """Inside `database.read` or `write`."""
    table = database.tables.notifications
    # The columns are called like the fields.
    columns = [getattr(table, name) for name in Notification.__dataclass_fields__]
    return [
        Notification(id, key, notifier, event, NotificationState(state), *rest)
        for id, key, notifier, event, state, *rest in table.select(*columns)
        .where(condition)
        .order_by(order)
        .limit(limit)
        .tuples()
    ]
