"""What a blackout comes from, and how far each replica's clock is from the database's."""

from typing import Any

from peewee import BigIntegerField, CharField, Model


def up(migrator: Any, db: Any) -> None:
    """Frozen models, independent of what the program uses today."""

    class Clocks(Model):
        replica = CharField(max_length=16, primary_key=True)
        measured_at = BigIntegerField()
        ahead = BigIntegerField()

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "clocks"

    db.create_tables([Clocks])
    # Null is an outage; `clock` is time that a clock was set forward over, and that never was.
    migrator.migrate(migrator.add_column("blackouts", "kind", CharField(max_length=16, null=True)))
