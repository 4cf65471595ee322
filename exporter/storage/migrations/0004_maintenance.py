"""Maintenance windows. Moments are Unix time in milliseconds; durations are milliseconds."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, BooleanField, CharField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Creates the table; a frozen model, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Maintenances(Base):
        id = BigAutoField()
        name = CharField(max_length=100)
        selector = TextField()
        starts_at = BigIntegerField()
        duration = BigIntegerField()
        rule = TextField(null=True)
        timezone = TextField()
        description = TextField()
        provisioned = BooleanField()
        created_at = BigIntegerField()
        ended_at = BigIntegerField(null=True)

        class Meta:
            table_name = "maintenances"

    db.create_tables([Maintenances])
