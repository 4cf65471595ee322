"""What monitors depend on, and which of them are suppressed by that. Moments are Unix time in milliseconds, durations
are milliseconds.
"""

from typing import Any

from peewee import BigIntegerField, BooleanField, Model


def up(migrator: Any, db: Any) -> None:
    """Adds the columns, written out because both engines add such columns without touching a row, and the table."""
    db.execute_sql("ALTER TABLE monitors ADD COLUMN depends_on TEXT NOT NULL DEFAULT ''")
    db.execute_sql("ALTER TABLE monitors ADD COLUMN release_after BIGINT NOT NULL DEFAULT 300000")

    class Suppressions(Model):
        monitor_id = BigIntegerField(primary_key=True)
        since = BigIntegerField()
        unplanned_since = BigIntegerField(null=True)
        release_at = BigIntegerField(null=True)
        restarted = BooleanField()
        released = BooleanField()
        cause_id = BigIntegerField(null=True, index=True)

        class Meta:
            database = db
            legacy_table_names = False
            table_name = "suppressions"

    db.create_tables([Suppressions])
