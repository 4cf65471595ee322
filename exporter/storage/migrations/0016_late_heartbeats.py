"""Heartbeats whose senders say when they happened: what they said, and when they arrived. Both are null for all others.
Moments are Unix time in milliseconds.
"""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Written out: both engines add such columns without touching a row. The index holds late heartbeats alone."""
    for column in ("claimed_at BIGINT", "arrived_at BIGINT"):
        db.execute_sql(f"ALTER TABLE heartbeats ADD COLUMN {column}")
    db.execute_sql(
        "CREATE INDEX heartbeats_claimed ON heartbeats (claimed_at, monitor_id) WHERE claimed_at IS NOT NULL"
    )
