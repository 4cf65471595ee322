"""How runs are judged: how early a success may come, how often a job may fail in a row, how short a run may be. Moments
are Unix time in milliseconds, durations are milliseconds.
"""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Written out: both engines add such columns without touching a row."""
    for column in (
        "every BIGINT",
        "early BIGINT NOT NULL DEFAULT 60000",
        "failure_tolerance BIGINT NOT NULL DEFAULT 0",
        "min_runtime BIGINT",
    ):
        db.execute_sql(f"ALTER TABLE monitors ADD COLUMN {column}")
    for column in (
        "consecutive_failures BIGINT NOT NULL DEFAULT 0",
        "outcome_started_at BIGINT",
        "outcome_duration BIGINT",
    ):
        db.execute_sql(f"ALTER TABLE states ADD COLUMN {column}")
    _fill(db)


def _fill(db: Any) -> None:
    """What follows from the log, as far back as it is kept."""
    db.execute_sql(
        "UPDATE states SET consecutive_failures = (SELECT COUNT(*) FROM heartbeats "
        "WHERE heartbeats.monitor_id = states.monitor_id AND heartbeats.kind = 'failure' "
        "AND (states.last_success_at IS NULL OR heartbeats.received_at >= states.last_success_at)) "
        "WHERE last_outcome = 'failure'"
    )
    # One that the log has lost is known from the state.
    db.execute_sql(
        "UPDATE states SET consecutive_failures = 1 WHERE last_outcome = 'failure' AND consecutive_failures = 0"
    )
    for outcome, ended_at in (("success", "last_success_at"), ("failure", "last_failure_at")):
        # The start of the last run, if that is the run that the last outcome ended.
        db.execute_sql(
            f"UPDATE states SET outcome_started_at = {ended_at} - last_duration, outcome_duration = last_duration "  # noqa: S608
            f"WHERE last_outcome = '{outcome}' AND last_duration IS NOT NULL AND EXISTS (SELECT 1 FROM heartbeats "
            "WHERE heartbeats.monitor_id = states.monitor_id AND heartbeats.kind = 'start' "
            f"AND heartbeats.received_at = states.{ended_at} - states.last_duration)"
        )
        # The sender's figure.
        db.execute_sql(
            "UPDATE states SET outcome_duration = last_duration "  # noqa: S608
            f"WHERE last_outcome = '{outcome}' AND last_duration IS NOT NULL AND EXISTS (SELECT 1 FROM heartbeats "
            f"WHERE heartbeats.monitor_id = states.monitor_id AND heartbeats.kind = '{outcome}' "
            f"AND heartbeats.received_at = states.{ended_at} AND heartbeats.duration = states.last_duration)"
        )
    # `early` may have ended their lateness.
    db.execute_sql(
        "UPDATE states SET next_evaluation_at = evaluated_at WHERE reason IN ('late', 'missed') "
        "AND monitor_id IN (SELECT id FROM monitors WHERE schedule IS NOT NULL AND removed_at IS NULL)"
    )
