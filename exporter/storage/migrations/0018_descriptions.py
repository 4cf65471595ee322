"""What a monitor is about, where its runbook is, and what a management API keeps with it."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    # Written out: both engines add such a column without touching a row.
    for column in ("description", "runbook_url", "details"):
        db.execute_sql(f"ALTER TABLE monitors ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
