"""More that opens monitors than one secret each: further secrets, tokens and ping keys. Durations as senders measured
them. Moments are Unix time in milliseconds.
"""

from typing import Any

from peewee import BigAutoField, BigIntegerField, BlobField, BooleanField, CharField, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Frozen models, independent of what the program uses today."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class MonitorSecrets(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField(index=True)
        digest = BlobField()
        provisioned = BooleanField()
        created_at = BigIntegerField()

        class Meta:
            table_name = "monitor_secrets"

    class MonitorTokens(Base):
        id = BigAutoField()
        monitor_id = BigIntegerField(index=True)
        digest = BlobField(unique=True)
        provisioned = BooleanField()
        created_at = BigIntegerField()

        class Meta:
            table_name = "monitor_tokens"

    class PingKeys(Base):
        id = BigAutoField()
        name = CharField(max_length=100, unique=True)
        digest = BlobField(unique=True)
        selector = TextField()
        defaults = TextField(null=True)
        max_monitors = IntegerField()
        provisioned = BooleanField()
        created_at = BigIntegerField()

        class Meta:
            table_name = "ping_keys"

    db.create_tables([MonitorSecrets, MonitorTokens, PingKeys])
    # Written out: both engines add such a column without touching a row.
    db.execute_sql("ALTER TABLE monitors ADD COLUMN generation BIGINT NOT NULL DEFAULT 0")
    db.execute_sql("ALTER TABLE monitors ADD COLUMN made_by VARCHAR(100) NOT NULL DEFAULT ''")
    db.execute_sql("ALTER TABLE heartbeats ADD COLUMN duration BIGINT")
