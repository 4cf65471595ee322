"""Counters in the database: each change takes the next number in its transaction."""

from exporter.storage.database import Database


def next_revision(database: Database, name: str) -> int:
    """Takes the next number of the counter `name`, inside a transaction.

    The change comes before the reading: it locks the row, so every other taker waits until this transaction ends, and
    numbers become visible in their order.
    """
    settings = database.tables.settings
    _change(database, name, (settings.value.cast("BIGINT") + 1).cast("TEXT"))
    return int(next(iter(settings.select(settings.value).where(settings.key == name).tuples()))[0])


def hold_revision(database: Database, name: str) -> None:
    """Inside a transaction that reads before it changes: until it ends, no other one takes a number of it."""
    _change(database, name, database.tables.settings.value)


def _change(database: Database, name: str, value: object) -> None:
    settings = database.tables.settings
    change = settings.update(**{"value": value}).where(settings.key == name)
    if not change.execute():
        settings.insert(**{"key": name, "value": "0"}).on_conflict(
            conflict_target=[settings.key], action="IGNORE"
        ).execute()
        change.execute()
