"""The tables as the queries see them: names and columns. What they are made of is in `migrations`.

Query-builder tables rather than peewee models: they are bound to one database object each, so nothing is global.
"""

from typing import Any

from peewee import Table

MONITOR_COLUMNS = (
    "tag",
    "name",
    "group_name",
    "schedule",
    "timezone",
    "degraded_after",
    "down_after",
    "max_runtime",
    "evaluation_cron",
    "labels",
    "paused",
    "every",
    "early",
    "failure_tolerance",
    "min_runtime",
    "depends_on",
    "release_after",
    "description",
    "runbook_url",
    "details",
    "keep_job_metrics",
)
STATE_COLUMNS = (
    "received",
    "failures",
    "starts",
    "last_received_at",
    "last_success_at",
    "last_failure_at",
    "last_start_at",
    "last_outcome",
    "last_exit_code",
    "last_duration",
    "consecutive_failures",
    "outcome_started_at",
    "outcome_duration",
)
STATUS_COLUMNS = ("status", "reason", "status_since")
MAINTENANCE_COLUMNS = (
    "name",
    "selector",
    "starts_at",
    "duration",
    "rule",
    "timezone",
    "description",
    "ended_at",
)
PROGRESS_COLUMNS = (
    "monitor_id",
    "rule",
    "fingerprint",
    "triggered",
    "gained",
    "evaluations",
    "at",
    "status",
    "reason",
    "next_at",
    "alert_id",
)
ALERT_COLUMNS = (
    "uid",
    "rule",
    "monitor_id",
    "tag",
    "severity",
    "notify",
    "step",
    "status",
    "reason",
    "triggered_at",
    "resolved_at",
    "ending",
    "incident_id",
    "acknowledged_at",
)
SUPPRESSION_COLUMNS = ("since", "unplanned_since", "release_at", "restarted", "released", "cause_id")
HELD_COLUMNS = (
    "alert_id",
    "kind",
    "notifier",
    "monitor_id",
    "since",
    "until",
    "set_at",
    "parent_id",
    "parent_alert_id",
)
SUSPICION_COLUMNS = (
    "since",
    "counted_from",
    "last_received_at",
    "until",
    "late",
    "sample",
    "monitor_ids",
    "returned_at",
    "ended_at",
    "ending",
    "settled",
    "alert_id",
)
INCIDENT_COLUMNS = (
    "monitor_id",
    "tag",
    "title",
    "impact",
    "state",
    "started_at",
    "resolved_at",
    "acknowledged_at",
    "acknowledged_by",
    "updated_at",
)
NOTIFICATION_COLUMNS = (
    "key",
    "notifier",
    "event",
    "state",
    "sealed",
    "created_at",
    "attempts",
    "next_attempt_at",
    "expires_at",
    "failure",
    "error",
    "ended_at",
)


class Tables:
    """Every table, bound to `database`."""

    def __init__(self, database: Any) -> None:
        def table(name: str, *columns: str, primary_key: str = "id") -> Any:
            return Table(name, columns, primary_key=primary_key).bind(database)

        self.settings = table("settings", "key", "value", primary_key="key")
        self.monitors = table(
            "monitors",
            "id",
            *MONITOR_COLUMNS,
            "digest",
            "provisioned",
            "paused_by_hand",
            "created_at",
            "removed_at",
            "revision",
            "generation",
            "made_by",
        )
        self.monitor_secrets = table("monitor_secrets", "id", "monitor_id", "digest", "provisioned", "created_at")
        self.monitor_tokens = table("monitor_tokens", "id", "monitor_id", "digest", "provisioned", "created_at")
        self.ping_keys = table(
            "ping_keys",
            "id",
            "name",
            "digest",
            "selector",
            "defaults",
            "max_monitors",
            "provisioned",
            "created_at",
        )
        self.states = table(
            "states",
            "monitor_id",
            *STATE_COLUMNS,
            *STATUS_COLUMNS,
            "evaluated_at",
            "next_evaluation_at",
            primary_key="monitor_id",
        )
        self.runs = table("runs", "id", "monitor_id", "rid", "started_at")
        # Its column `late`, of databases that were migrated by 0005, is used no more.
        self.heartbeats = table(
            "heartbeats",
            "id",
            "monitor_id",
            "received_at",
            "kind",
            "rid",
            "exit_code",
            "output",
            "replica",
            "duration",
            "claimed_at",
            "arrived_at",
        )
        self.runtimes = table(
            "runtimes", "monitor_id", "received", "runs", "median", "p95", "revision", primary_key="monitor_id"
        )
        self.suppressions = table("suppressions", "monitor_id", *SUPPRESSION_COLUMNS, primary_key="monitor_id")
        self.job_metrics = table(
            "job_metrics",
            "monitor_id",
            "digest",
            "labels",
            "types",
            "content",
            "samples",
            "size",
            "pushed_at",
            "failed_at",
            "deleted_at",
            "revision",
            "replica",
            primary_key="monitor_id",
        )
        self.transitions = table("transitions", "id", "monitor_id", "at", "status", "reason", "observed_at", "replica")
        self.spools = table("spools", "id", "position", "committed")
        self.leases = table("leases", "name", "holder", "token", "expires_at", primary_key="name")
        self.stamps = table("stamps", "name", "at", "blackout_total", primary_key="name")
        self.maintenances = table("maintenances", "id", *MAINTENANCE_COLUMNS, "provisioned", "created_at")
        self.blackouts = table("blackouts", "id", "started_at", "ended_at", "kind")
        self.clocks = table("clocks", "replica", "measured_at", "ahead", primary_key="replica")
        self.alert_progress = table("alert_progress", *PROGRESS_COLUMNS, primary_key="monitor_id")
        self.alerts = table("alerts", "id", *ALERT_COLUMNS, "next_repeat_at", "revision")
        self.incidents = table("incidents", "id", *INCIDENT_COLUMNS)
        self.incident_updates = table("incident_updates", "id", "incident_id", "at", "state", "text", "author")
        self.notifications = table("notifications", "id", *NOTIFICATION_COLUMNS)
        self.notification_alerts = table(
            "notification_alerts", "id", "notification_id", "alert_id", "facts", "replaced"
        )
        self.held_alerts = table("held_alerts", "id", *HELD_COLUMNS)
        self.ingest_suspicions = table("ingest_suspicions", "id", *SUSPICION_COLUMNS)
        self.notifier_holds = table("notifier_holds", "notifier", "since", "until", "error", primary_key="notifier")
