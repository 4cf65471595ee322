"""Which notifiers wait because the other side asked for it. Moments are Unix time in milliseconds."""

from typing import Any

from peewee import BigIntegerField, CharField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Creates the table; a frozen model, independent of what the program uses today."""

    class NotifierHolds(Model):
        notifier = CharField(max_length=100, primary_key=True)
        since = BigIntegerField()
        until = BigIntegerField()
        error = TextField()

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "notifier_holds"

    db.create_tables([NotifierHolds])
