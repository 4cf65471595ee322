"""Holds: notifiers whose other side asked us to wait. Kept, so that lists show them and a restart obeys them."""

from collections.abc import Mapping

from peewee import Case

from exporter.core.alerts.notification import Hold
from exporter.storage.database import Database


class Holds:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, hold: Hold) -> None:
        """Inside `database.write`: takes the place of an earlier one."""
        table = self._db.tables.notifier_holds
        row = {"since": hold.since, "until": hold.until, "error": hold.error}
        change = {getattr(table, name): value for name, value in row.items()}
        insert = table.insert(**{"notifier": hold.notifier, **row})
        insert.on_conflict(conflict_target=[table.notifier], update=change).execute()

    def current(self, now: int) -> Mapping[str, Hold]:
        """Those that last beyond `now`, by notifier."""
        table = self._db.tables.notifier_holds
        query = table.select(table.notifier, table.since, table.until, table.error).where(table.until > now)
        with self._db.read("read holds"):
            return {row[0]: Hold(*row) for row in query.order_by(table.notifier).tuples()}

    def lift(self, notifier: str) -> None:
        """Inside `database.write`: ends it early."""
        table = self._db.tables.notifier_holds
        table.delete().where(table.notifier == notifier).execute()

    def set_back(self, by: int, now: int) -> None:
        """Inside `database.write`: the clock was set back by so much, to `now`; no notifier waits for longer."""
        table = self._db.tables.notifier_holds
        since = Case(None, [(table.since - by > now, now), (table.since > now, table.since - by)], table.since)
        change = {"since": since, "until": table.until - by}
        table.update(**change).where(table.until > now).execute()
