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
    runner = Runner(database.peewee, directory=str(_DIRECTORY), table_name="schema_migrations")
    with database.write("migrate"):
        database.begin_migration()
        known = {migration.name for migration in runner.migrations()}
        newer = sorted(set(runner.applied()) - known)
        if newer:
            raise SchemaTooNew(
                f"the database was written by a newer version (it has {', '.join(newer)}, this one knows up to "
                f"{max(known)}): install that version again, or restore the backup made before the upgrade"
            )
        return list(runner.up())
