"""Metrics that jobs push, and whether they stay while their monitor is DOWN. Moments are Unix time in milliseconds."""

from typing import Any

from peewee import BigIntegerField, CharField, CompositeKey, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Creates the table; a frozen model, independent of what the program uses today."""

    class JobMetrics(Model):
        monitor_id = BigIntegerField()
        digest = CharField(max_length=32)
        labels = TextField()
        types = TextField()
        content = TextField()
        samples = IntegerField()
        size = IntegerField()
        pushed_at = BigIntegerField()
        failed_at = BigIntegerField()
        deleted_at = BigIntegerField(null=True)
        revision = BigIntegerField(index=True)
        replica = CharField(max_length=100)

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "job_metrics"
            primary_key = CompositeKey("monitor_id", "digest")

    db.create_tables([JobMetrics])
    # Written out: both engines make such an index, and add such a column without touching a row.
    db.execute_sql("CREATE INDEX job_metrics_deleted ON job_metrics (deleted_at) WHERE deleted_at IS NOT NULL")
    db.execute_sql("ALTER TABLE monitors ADD COLUMN keep_job_metrics BOOLEAN NOT NULL DEFAULT FALSE")
