"""Takes the snapshot of an alert that a message shows, at the moment at which it is enqueued."""

from collections.abc import Mapping

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.fleet import FleetMonitor
from exporter.core.status import Reason, Status
from exporter.presentation.message import AlertSnapshot
from exporter.storage.repositories.alerts import Alert

OUTPUT_SHOWN = 1000
"""Characters of the job's last output, from its end: that is where the error stands."""


def tail(output: str) -> str:
    text = output.strip()
    return text if len(text) <= OUTPUT_SHOWN else f"…{text[-OUTPUT_SHOWN:]}"


def snapshot_of(
    *,
    uid: str,
    rule: AlertRule,
    watched: FleetMonitor,
    status: Status,
    reason: Reason,
    triggered_at: int,
    at: int,
    output: str,
    incident_id: int | None,
    since: int | None = None,
    depending: int = 0,
) -> AlertSnapshot:
    """Of an alert that is on. `since` is when its status began; None when the monitor says it, or it began with the
    alert. `depending`: how many monitors depend on its own.
    """
    monitor, state = watched.monitor, watched.state
    return AlertSnapshot(
        alert_id=uid,
        rule=rule.name,
        severity=rule.severity,
        description=rule.description,
        failure_threshold=rule.failure_threshold,
        success_threshold=rule.success_threshold,
        tag=monitor.tag,
        name=monitor.name or monitor.tag,
        group=monitor.group,
        labels=dict(monitor.labels),
        about=monitor.description,
        runbook_url=monitor.runbook_url,
        schedule=monitor.schedule,
        every=monitor.every,
        timezone=monitor.timezone,
        status=status,
        reason=reason,
        at=at,
        triggered_at=triggered_at,
        last_success_at=state.last_success_at,
        due_at=watched.due_at,
        since=since or (watched.current.since if watched.current.status is status else triggered_at),
        exit_code=state.last_exit_code if reason in (Reason.FAILED, Reason.FAILING) else None,
        failures=state.consecutive_failures if reason is Reason.FAILING else None,
        failure_tolerance=monitor.failure_tolerance if reason is Reason.FAILING else None,
        took=state.outcome_duration if reason is Reason.TOO_SHORT else None,
        min_runtime=monitor.min_runtime if reason is Reason.TOO_SHORT else None,
        output=tail(output),
        incident_id=incident_id,
        depending=depending,
    )


def snapshot_of_end(
    alert: Alert,
    rule: AlertRule | None,
    watched: FleetMonitor | None,
    since: int | None,
    at: int,
    ending: ResolveReason,
    outputs: Mapping[int, str],
) -> AlertSnapshot:
    """Of an alert that is over; its rule or its monitor may be gone. `since` is when its status began."""
    monitor = watched.monitor if watched is not None else None
    return AlertSnapshot(
        alert_id=alert.uid,
        rule=alert.rule,
        severity=alert.severity,
        description=rule.description if rule is not None else "",
        failure_threshold=rule.failure_threshold if rule is not None else 1,
        success_threshold=rule.success_threshold if rule is not None else 1,
        tag=alert.tag,
        name=(monitor.name if monitor is not None else "") or alert.tag,
        group=monitor.group if monitor is not None else "",
        labels=dict(monitor.labels) if monitor is not None else {},
        about=monitor.description if monitor is not None else "",
        runbook_url=monitor.runbook_url if monitor is not None else "",
        schedule=monitor.schedule if monitor is not None else None,
        every=monitor.every if monitor is not None else None,
        timezone=monitor.timezone if monitor is not None else "UTC",
        status=alert.status,
        reason=alert.reason,
        at=at,
        triggered_at=alert.triggered_at,
        resolved_at=at,
        ending=ending,
        last_success_at=watched.state.last_success_at if watched is not None else None,
        since=since,
        output=tail(outputs.get(alert.monitor_id, "")),
        incident_id=alert.incident_id,
    )
