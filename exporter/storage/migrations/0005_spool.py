"""How far spool files have been replayed, and which heartbeats were recorded after later ones."""

from typing import Any

from peewee import BigIntegerField, BooleanField, CharField, Model


def up(migrator: Any, db: Any) -> None:
    """Frozen models, independent of what the program uses today."""

    class Spools(Model):
        id = CharField(max_length=64, primary_key=True)
        position = BigIntegerField()
        committed = BigIntegerField()

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "spools"

    db.create_tables([Spools])
    # Null is false: a column without a default costs nothing, however long the log is.
    migrator.migrate(migrator.add_column("heartbeats", "late", BooleanField(null=True)))
