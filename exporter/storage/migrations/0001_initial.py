"""The first schema. Moments are Unix time in milliseconds; durations are milliseconds."""

from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    IntegerField,
    Model,
    TextField,
)


def up(migrator: Any, db: Any) -> None:
    """Creates every table; frozen models, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Settings(Base):
        key = CharField(max_length=64, primary_key=True)
        value = TextField()

        class Meta:
            table_name = "settings"

    class Monitors(Base):
        id = BigAutoField()
        tag = CharField(max_length=128, unique=True)
        name = TextField()
        group_name = TextField()
        schedule = TextField(null=True)
        timezone = TextField()
        degraded_after = BigIntegerField()
        down_after = BigIntegerField()
        max_runtime = BigIntegerField(null=True)
        evaluation_cron = TextField(null=True)
        labels = TextField()
        paused = BooleanField()
        paused_by_hand = BooleanField()
        digest = BlobField()
        provisioned = BooleanField()
        created_at = BigIntegerField()
        removed_at = BigIntegerField(null=True)
        revision = BigIntegerField(index=True)

        class Meta:
            table_name = "monitors"

    class States(Base):
        monitor_id = BigIntegerField(primary_key=True)
        received = BigIntegerField()
        failures = BigIntegerField()
        starts = BigIntegerField()
        last_received_at = BigIntegerField(null=True)
        last_success_at = BigIntegerField(null=True)
        last_failure_at = BigIntegerField(null=True)
        last_start_at = BigIntegerField(null=True)
        last_outcome = CharField(max_length=16, null=True)
        last_exit_code = BigIntegerField(null=True)
        last_duration = BigIntegerField(null=True)
        status = CharField(max_length=16)
        reason = CharField(max_length=32)
        status_since = BigIntegerField()
        evaluated_at = BigIntegerField()
        next_evaluation_at = BigIntegerField(null=True, index=True)

        class Meta:
            table_name = "states"

    class Runs(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField()
        rid = CharField(max_length=64)
        started_at = BigIntegerField()

        class Meta:
            table_name = "runs"
            indexes = ((("monitor_id", "rid"), True),)

    class Heartbeats(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField()
        received_at = BigIntegerField()
        kind = CharField(max_length=16)
        rid = CharField(max_length=64)
        exit_code = BigIntegerField(null=True)
        output = TextField()
        replica = CharField(max_length=16)

        class Meta:
            table_name = "heartbeats"
            indexes = ((("monitor_id", "id"), False),)

    class Transitions(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField()
        at = BigIntegerField(index=True)
        status = CharField(max_length=16)
        reason = CharField(max_length=32)
        observed_at = BigIntegerField()
        replica = CharField(max_length=16)

        class Meta:
            table_name = "transitions"
            indexes = ((("monitor_id", "at"), False),)

    class Leases(Base):
        name = CharField(max_length=64, primary_key=True)
        holder = CharField(max_length=64)
        token = IntegerField()
        expires_at = BigIntegerField()

        class Meta:
            table_name = "leases"

    db.create_tables([Settings, Monitors, States, Runs, Heartbeats, Transitions, Leases])
