"""Which alerts are held, and when heartbeats seemed not to arrive. Moments are Unix time in milliseconds."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, BooleanField, CharField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Creates the tables; frozen models, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class HeldAlerts(Base):
        id = BigAutoField()
        alert_id = BigIntegerField()
        kind = CharField(max_length=32)
        notifier = CharField(max_length=200)
        monitor_id = BigIntegerField(index=True)
        since = BigIntegerField()
        until = BigIntegerField(null=True, index=True)
        set_at = BigIntegerField()
        parent_id = BigIntegerField(null=True, index=True)
        parent_alert_id = BigIntegerField(null=True, index=True)

        class Meta:
            table_name = "held_alerts"
            indexes = ((("alert_id", "kind", "notifier"), True),)

    class IngestSuspicions(Base):
        id = BigAutoField()
        since = BigIntegerField()
        counted_from = BigIntegerField()
        last_received_at = BigIntegerField(null=True)
        until = BigIntegerField()
        late = BigIntegerField()
        sample = BigIntegerField()
        monitor_ids = TextField()
        returned_at = BigIntegerField(null=True)
        ended_at = BigIntegerField(null=True)
        ending = CharField(max_length=32, null=True)
        settled = BooleanField()
        alert_id = BigIntegerField(null=True)

        class Meta:
            table_name = "ingest_suspicions"
            indexes = ((("settled",), False),)

    db.create_tables([HeldAlerts, IngestSuspicions])
