"""The schema: migrated forward at start; one that a newer version wrote is refused."""

from pathlib import Path
from typing import Any

import peewee

from exporter.core.errors import SchemaTooNew
from exporter.storage.database import Database
from exporter.storage.drivers import without_drivers

_DIRECTORY = Path(__file__).parent / "migrations"
_TABLE = "schema_migrations"


def migrate(database: Database) -> list[str]:
    """Applies what is missing, in one transaction, and returns its names.

    Raises SchemaTooNew, having changed nothing, when the database holds a migration that this version lacks.
    """
    with database.write("migrate"):
        database.begin_migration()
        return list(_runner(database).up()) if _missing(database) else []


def pending(database: Database) -> list[str]:
    """The names of what `migrate` would apply. Changes nothing: what is not there is not made.

    Raises SchemaTooNew.
    """
    if database.engine.place() is None:
        return _names()
    with database.read("read schema"):
        return _missing(database)


def _runner(database: Database) -> Any:
    """Imported only when there is something to apply, as nearly no process has: it brings the migrations, too."""
    with without_drivers():
        from playhouse.migrations import Runner

    return Runner(database.peewee, directory=str(_DIRECTORY), table_name=_TABLE)


def _names() -> list[str]:
    return sorted(path.stem for path in _DIRECTORY.glob("[0-9]*.py"))


def _missing(database: Database) -> list[str]:
    names = _names()
    applied: set[str] = set()
    if database.peewee.table_exists(_TABLE):
        history = peewee.Table(_TABLE).bind(database.peewee)
        applied = {name for (name,) in history.select(history.c.name).tuples()}
    newer = sorted(applied - set(names))
    if newer:
        raise SchemaTooNew(
            f"the database was written by a newer version (it has {', '.join(newer)}, this one knows up to "
            f"{max(names)}): install that version again, or restore the backup made before the upgrade"
        )
    return [name for name in names if name not in applied]
