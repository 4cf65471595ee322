"""Suppressed monitors in the database: written by the process that holds the lease, read by all of them.

A change takes the next number of a counter in the same transaction. A process that remembers the number it saw last
reads the table again when there is another one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from peewee import EXCLUDED

from exporter.core.dependencies.suppression import Suppression, Suppressions
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.repositories.revisions import next_revision
from exporter.storage.rows import chunks
from exporter.storage.tables import SUPPRESSION_COLUMNS

SUPPRESSIONS_REVISION = "suppressions_revision"


class SuppressionTable:
    """All methods block and raise StorageUnavailable. Those that take a transaction are for use inside it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        table = database.tables.suppressions
        columns = ("monitor_id", *SUPPRESSION_COLUMNS)
        self._put = Prepared(
            database,
            table.insert(**{column: param(column) for column in columns}).on_conflict(
                conflict_target=[table.monitor_id],
                update={getattr(table, column): getattr(EXCLUDED, column) for column in SUPPRESSION_COLUMNS},
            ),
        )

    def read(self, newer_than: int = -1) -> Suppressions | None:
        """All of them, and the number of the last change; None if that is not newer than `newer_than`."""
        settings, table = self._db.tables.settings, self._db.tables.suppressions
        number = settings.select(settings.value).where(settings.key == SUPPRESSIONS_REVISION)
        with self._db.read("read suppressions"):
            # The number first: what is written after it is read again.
            revision = next((int(row[0]) for row in number.tuples()), 0)
            if revision <= newer_than:
                return None
            columns = [getattr(table, column) for column in SUPPRESSION_COLUMNS]
            rows = table.select(table.monitor_id, *columns).tuples()
            return Suppressions({int(id): _suppression(row) for id, *row in rows}, revision)

    def write(self, transaction: Transaction, changed: Mapping[int, Suppression], over: Iterable[int]) -> int:
        """Puts and removes rows by monitor; returns the number of the change."""
        table = self._db.tables.suppressions
        revision = next_revision(self._db, SUPPRESSIONS_REVISION)
        transaction.execute_many(
            self._put, [self._put.row({"monitor_id": id, **_row(each)}) for id, each in changed.items()]
        )
        for some in chunks(sorted(over)):
            table.delete().where(table.monitor_id.in_(some)).execute()
        return revision

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`; nothing is suppressed for longer."""
        table = self._db.tables.suppressions
        next_revision(self._db, SUPPRESSIONS_REVISION)
        ahead = {"release_at": table.release_at - by}
        table.update(**ahead).where((table.since > now) | (table.release_at - by > now)).execute()
        for name in ("since", "unplanned_since"):
            table.update(**{name: now}).where(getattr(table, name) > now).execute()

    def set_forward(self, by: int) -> None:
        """Inside a transaction: the clock was set forward by so much, and nothing is released by that."""
        table = self._db.tables.suppressions
        next_revision(self._db, SUPPRESSIONS_REVISION)
        for name in ("since", "unplanned_since", "release_at"):
            column = getattr(table, name)
            table.update(**{name: column + by}).where(column.is_null(False)).execute()


def _row(suppression: Suppression) -> dict[str, Any]:
    return {name: getattr(suppression, name) for name in SUPPRESSION_COLUMNS}


def _suppression(row: list[Any]) -> Suppression:
    since, unplanned_since, release_at, restarted, released, cause_id = row
    return Suppression(since, unplanned_since, release_at, bool(restarted), bool(released), cause_id)
