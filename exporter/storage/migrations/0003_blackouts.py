"""When somebody was there to take heartbeats, and when nobody was. Moments are Unix time in milliseconds."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, CharField, Model


def up(migrator: Any, db: Any) -> None:
    """Creates the tables; frozen models, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Stamps(Base):
        name = CharField(max_length=64, primary_key=True)
        at = BigIntegerField(null=True)
        blackout_total = BigIntegerField()

        class Meta:
            table_name = "stamps"

    class Blackouts(Base):
        id = BigAutoField()
        started_at = BigIntegerField()
        ended_at = BigIntegerField(index=True)

        class Meta:
            table_name = "blackouts"

    db.create_tables([Stamps, Blackouts])
    # Nobody has stamped yet: what was before is no blackout, whatever else the database holds.
    Stamps.insert(name="exporter", at=None, blackout_total=0).execute()
