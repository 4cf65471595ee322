"""Alerts, incidents and the outbox. Moments are Unix time in milliseconds; durations are milliseconds."""

from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    IntegerField,
    Model,
    TextField,
)


def up(migrator: Any, db: Any) -> None:
    """Creates the tables; frozen models, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class AlertProgress(Base):
        monitor_id = BigIntegerField()
        rule = CharField(max_length=200)
        fingerprint = CharField(max_length=64)
        triggered = BooleanField()
        gained = BigIntegerField()
        evaluations = IntegerField()
        at = BigIntegerField()
        status = CharField(max_length=16)
        reason = CharField(max_length=32)
        next_at = BigIntegerField(null=True, index=True)
        alert_id = BigIntegerField(null=True)

        class Meta:
            table_name = "alert_progress"
            primary_key = CompositeKey("monitor_id", "rule")

    class Alerts(Base):
        id = BigAutoField()
        uid = CharField(max_length=64, unique=True)
        rule = CharField(max_length=200)
        monitor_id = BigIntegerField(index=True)
        tag = CharField(max_length=128)
        severity = CharField(max_length=16)
        notify = TextField()
        step = CharField(max_length=16, index=True)
        status = CharField(max_length=16)
        reason = CharField(max_length=32)
        triggered_at = BigIntegerField()
        resolved_at = BigIntegerField(null=True)
        ending = CharField(max_length=32, null=True)
        incident_id = BigIntegerField(null=True, index=True)
        acknowledged_at = BigIntegerField(null=True)
        next_repeat_at = BigIntegerField(null=True, index=True)
        revision = BigIntegerField(index=True)

        class Meta:
            table_name = "alerts"

    class Incidents(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField(index=True)
        tag = CharField(max_length=128)
        title = TextField()
        impact = CharField(max_length=16)
        state = CharField(max_length=16)
        started_at = BigIntegerField()
        resolved_at = BigIntegerField(null=True, index=True)
        acknowledged_at = BigIntegerField(null=True)
        acknowledged_by = TextField(null=True)
        updated_at = BigIntegerField(index=True)

        class Meta:
            table_name = "incidents"

    class IncidentUpdates(Base):
        id = BigAutoField()
        incident_id = BigIntegerField(index=True)
        at = BigIntegerField()
        state = CharField(max_length=16)
        text = TextField()
        author = TextField()

        class Meta:
            table_name = "incident_updates"

    class Notifications(Base):
        id = BigAutoField()
        key = CharField(max_length=64, unique=True)
        notifier = CharField(max_length=200)
        event = CharField(max_length=16)
        state = CharField(max_length=16)
        sealed = BooleanField()
        created_at = BigIntegerField()
        attempts = IntegerField()
        next_attempt_at = BigIntegerField()
        expires_at = BigIntegerField()
        failure = CharField(max_length=32, null=True)
        error = TextField(null=True)
        ended_at = BigIntegerField(null=True)

        class Meta:
            table_name = "notifications"
            indexes = ((("state", "notifier", "next_attempt_at"), False),)

    class NotificationAlerts(Base):
        id = BigAutoField()
        notification_id = BigIntegerField(index=True)
        alert_id = BigIntegerField(index=True)
        facts = TextField()
        replaced = BooleanField()

        class Meta:
            table_name = "notification_alerts"

    db.create_tables([AlertProgress, Alerts, Incidents, IncidentUpdates, Notifications, NotificationAlerts])
    # Whatever goes wrong, a monitor never has two open incidents.
    open_one = Incidents.index(
        Incidents.monitor_id, unique=True, where=Incidents.resolved_at.is_null(), name="incidents_open"
    )
    db.execute(open_one)
