"""How long the kept runs of each monitor took. Durations are milliseconds."""

from typing import Any

from peewee import BigIntegerField, Model


def up(migrator: Any, db: Any) -> None:
    """Creates the table; a frozen model, independent of what the program uses today."""

    class Runtimes(Model):
        monitor_id = BigIntegerField(primary_key=True)
        received = BigIntegerField()
        runs = BigIntegerField()
        median = BigIntegerField()
        p95 = BigIntegerField()
        revision = BigIntegerField(index=True)

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "runtimes"

    db.create_tables([Runtimes])
