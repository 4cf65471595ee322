"""Held alerts: firing alerts whose messages wait for a deadline or a decision. Durable, so that no crash and no change
of the leading process loses one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peewee import EXCLUDED, fn

from exporter.core.alerts.held import AlertHold, HoldKind
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.rows import chunks
from exporter.storage.tables import HELD_COLUMNS

NAMED = 3
"""Monitors whose alerts are held that a message names."""
_READ = ("alert_id", "kind", "since", "until", "notifier", "parent_id", "parent_alert_id")


class HeldAlerts:
    """All methods block and raise StorageUnavailable. Those that take a transaction are for use inside it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        table = database.tables.held_alerts
        changed = ("until", "set_at", "parent_id", "parent_alert_id")
        self._hold = Prepared(
            database,
            table.insert(**{column: param(column) for column in HELD_COLUMNS}).on_conflict(
                conflict_target=[table.alert_id, table.kind, table.notifier],
                update={getattr(table, column): getattr(EXCLUDED, column) for column in changed},
            ),
        )

    def hold(self, transaction: Transaction, holds: Iterable[tuple[int, int, AlertHold]], now: int) -> None:
        """Each is (alert id, monitor id, hold). One of the same kind and notifier gets the new deadline and parent."""
        transaction.execute_many(
            self._hold,
            [
                self._hold.row(
                    {
                        "alert_id": alert_id,
                        "kind": hold.kind.value,
                        "notifier": hold.notifier,
                        "monitor_id": monitor_id,
                        "since": hold.since,
                        "until": hold.until,
                        "set_at": now,
                        "parent_id": hold.parent_id,
                        "parent_alert_id": hold.parent_alert_id,
                    }
                )
                for alert_id, monitor_id, hold in holds
            ],
        )

    def due(self, now: int, limit: int, after_id: int = 0) -> list[int]:
        """The ids, greater than `after_id`, of alerts of which a hold ends by `now`, in order.

        A monitor whose own evaluation is due is left out: what it finds comes first.
        """
        table, states = self._db.tables.held_alerts, self._db.tables.states
        query = (
            table.select(table.alert_id)
            .join(states, on=(states.monitor_id == table.monitor_id))
            .where(
                (table.until <= now)
                & (table.alert_id > after_id)
                & (states.next_evaluation_at.is_null() | (states.next_evaluation_at > now))
            )
            .distinct()
            .order_by(table.alert_id)
            .limit(limit)
        )
        with self._db.read("find held alerts"):
            return [int(row[0]) for row in query.tuples()]

    def next_due(self) -> int | None:
        """When the next hold ends; None when none does by itself."""
        table = self._db.tables.held_alerts
        with self._db.read("find next held alert"):
            moment = next(iter(table.select(fn.MIN(table.until)).tuples()))[0]
        return None if moment is None else int(moment)

    def of_alerts(self, alert_ids: Sequence[int]) -> Mapping[int, tuple[AlertHold, ...]]:
        """By alert id; alerts that nothing holds are left out."""
        return self._select(self._db.tables.held_alerts.alert_id, alert_ids)

    def of_monitors(self, monitor_ids: Sequence[int]) -> Mapping[int, tuple[AlertHold, ...]]:
        """By alert id: all held alerts of these monitors."""
        return self._select(self._db.tables.held_alerts.monitor_id, monitor_ids)

    def of_kind(self, kind: HoldKind) -> Mapping[int, tuple[AlertHold, ...]]:
        """By alert id: every hold of this kind."""
        return self._select(self._db.tables.held_alerts.kind, [kind.value])

    def unfolded(self, kind: HoldKind) -> list[tuple[int, int, AlertHold]]:
        """(alert id, monitor id, hold) of this kind for one notifier each, which no alert of another monitor stands
        for.
        """
        table = self._db.tables.held_alerts
        waiting = (table.kind == kind.value) & table.parent_alert_id.is_null() & table.until.is_null(False)
        columns = [getattr(table, name) for name in _READ]
        query = table.select(table.monitor_id, *columns).where(waiting & (table.notifier != "")).order_by(table.id)
        with self._db.read("read held alerts"):
            return [
                (int(alert_id), int(monitor_id), AlertHold(HoldKind(kind), *rest))
                for monitor_id, alert_id, kind, *rest in query.tuples()
            ]

    def next_due_of(self, kind: HoldKind, now: int) -> int | None:
        """The first deadline of this kind that has come by `now`."""
        table = self._db.tables.held_alerts
        query = table.select(fn.MIN(table.until)).where((table.until <= now) & (table.kind == kind.value))
        with self._db.read("find next held alert"):
            moment = next(iter(query.tuples()))[0]
        return None if moment is None else int(moment)

    def folded(self, alert_id: int, monitor_id: int, notifier: str) -> tuple[int, tuple[str, ...]]:
        """How many monitors are suppressed by this one, or have alerts to `notifier` that are held because of its
        alert, and the first of their names.
        """
        tables = self._db.tables
        table, suppressions, monitors = tables.held_alerts, tables.suppressions, tables.monitors
        suppressed = suppressions.select(suppressions.monitor_id).where(
            (suppressions.cause_id == monitor_id) & (suppressions.released == False)  # noqa: E712 - SQL
        )
        held = table.select(table.monitor_id).where((table.parent_alert_id == alert_id) & (table.notifier == notifier))
        affected = monitors.id.in_(suppressed) | monitors.id.in_(held)
        query = monitors.select(fn.COUNT(monitors.id)).where(affected)
        count = int(next(iter(query.tuples()))[0])
        if not count:
            return 0, ()
        names = monitors.select(monitors.name, monitors.tag).where(affected).order_by(monitors.tag).limit(NAMED)
        return count, tuple(str(name) or str(tag) for name, tag in names.tuples())

    def count(self, kind: HoldKind) -> int:
        """How many alerts are held by it."""
        table = self._db.tables.held_alerts
        query = table.select(fn.COUNT(table.alert_id.distinct())).where(table.kind == kind.value)
        with self._db.read("count held alerts"):
            return int(next(iter(query.tuples()))[0])

    def end_at(self, transaction: Transaction, kind: HoldKind, until: int, now: int) -> None:
        """Gives all holds of a kind that have a deadline this one, for a decision that concerns all of them."""
        table = self._db.tables.held_alerts
        mine = (table.kind == kind.value) & table.until.is_null(False) & (table.until != until)
        table.update(**{"until": until, "set_at": now}).where(mine).execute()

    def remove(self, transaction: Transaction, alert_ids: Sequence[int], ended_by: int | None = None) -> None:
        """Ends the holds of these alerts; with `ended_by`, only those whose deadline is at most that moment."""
        table = self._db.tables.held_alerts
        for chunk in chunks(alert_ids):
            condition = table.alert_id.in_(chunk)
            if ended_by is not None:
                condition &= table.until <= ended_by
            table.delete().where(condition).execute()

    def wait(self, transaction: Transaction, alert_ids: Sequence[int], now: int) -> None:
        """Leaves holds whose deadline has passed in force until their monitor is in the alert's condition again."""
        table = self._db.tables.held_alerts
        for chunk in chunks(alert_ids):
            passed = table.alert_id.in_(chunk) & (table.until <= now)
            table.update(**{"until": None, "set_at": now}).where(passed).execute()

    def postpone(self, transaction: Transaction, until: Mapping[int, int], now: int) -> None:
        """Gives holds whose deadline has passed another one, by alert id."""
        table = self._db.tables.held_alerts
        for alert_id, moment in until.items():
            passed = (table.alert_id == alert_id) & (table.until <= now)
            table.update(**{"until": moment, "set_at": now}).where(passed).execute()

    def resume(self, transaction: Transaction, alert_ids: Sequence[int]) -> None:
        """Ends the holds that `wait` left in force."""
        table = self._db.tables.held_alerts
        for chunk in chunks(alert_ids):
            table.delete().where(table.alert_id.in_(chunk) & table.until.is_null()).execute()

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`; nothing is held for longer. A deadline
        that was set before the clock went ahead is right as it is.
        """
        table = self._db.tables.held_alerts
        table.update(**{"until": table.until - by, "set_at": now}).where(table.set_at > now).execute()
        table.update(**{"since": now}).where(table.since > now).execute()

    def set_forward(self, by: int) -> None:
        """Inside a transaction: the clock was set forward by so much, and no deadline comes due by that."""
        table = self._db.tables.held_alerts
        table.update(**{"until": table.until + by, "set_at": table.set_at + by}).execute()

    def read_of_alerts(self, alert_ids: Sequence[int]) -> Mapping[int, tuple[AlertHold, ...]]:
        """As `of_alerts`, inside a reading: that of another one would end it."""
        return self._read(self._db.tables.held_alerts.alert_id, alert_ids)

    def _select(self, column: Any, values: Sequence[Any]) -> Mapping[int, tuple[AlertHold, ...]]:
        with self._db.read("read held alerts"):
            return self._read(column, values)

    def _read(self, column: Any, values: Sequence[Any]) -> Mapping[int, tuple[AlertHold, ...]]:
        table = self._db.tables.held_alerts
        holds: defaultdict[int, list[AlertHold]] = defaultdict(list)
        query = table.select(*(getattr(table, name) for name in _READ)).order_by(table.id)
        for chunk in chunks(values):
            for alert_id, kind, *rest in query.where(column.in_(chunk)).tuples():
                holds[int(alert_id)].append(AlertHold(HoldKind(kind), *rest))
        return {alert_id: tuple(some) for alert_id, some in holds.items()}
