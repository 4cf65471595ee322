"""The schema: migrated forward at start; one that a newer version wrote is refused."""

from pathlib import Path

from playhouse.migrations import Runner

from exporter.core.errors import SchemaTooNew
from exporter.storage.database import Database

_DIRECTORY = Path(__file__).parent / "migrations"


def migrate(database: Database) -> list[str]:
    """Applies what is missing, in one transaction, and returns its names.

    Raises SchemaTooNew, having changed nothing, when the database holds a migration that this version lacks.
    """
    runner = _runner(database)
    with database.write("migrate"):
        database.begin_migration()
        _missing(runner)
        return list(runner.up())


def pending(database: Database) -> list[str]:
    """The names of what `migrate` would apply. Changes nothing: what is not there is not made.

    Raises SchemaTooNew.
    """
    runner = _runner(database)
    if database.engine.place() is None:
        return [migration.name for migration in runner.migrations()]
    with database.read("read schema"):
        return _missing(runner)


def _runner(database: Database) -> Runner:
    return Runner(database.peewee, directory=str(_DIRECTORY), table_name="schema_migrations")


def _missing(runner: Runner) -> list[str]:
    names = [migration.name for migration in runner.migrations()]
    applied = set(runner.applied())
    newer = sorted(applied - set(names))
    if newer:
        raise SchemaTooNew(
            f"the database was written by a newer version (it has {', '.join(newer)}, this one knows up to "
            f"{max(names)}): install that version again, or restore the backup made before the upgrade"
        )
    return [name for name in names if name not in applied]
