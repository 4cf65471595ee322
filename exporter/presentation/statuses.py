"""Statuses and reasons in plain words."""

from collections.abc import Mapping

from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.alerts.notification import Hold
from exporter.core.heartbeat import HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES, statuses_where
from exporter.core.timeline import CurrentStatus
from exporter.presentation.moments import humanize_duration
from exporter.presentation.reasons import explain_reason

LABELS = {status: attributes.label for status, attributes in STATUS_ATTRIBUTES.items()}
IMPACTS = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning", Severity.INFO: "Info"}
"""From the worst on."""
STATES = {
    IncidentState.INVESTIGATING: "Investigating",
    IncidentState.IDENTIFIED: "Identified",
    IncidentState.MONITORING: "Monitoring",
    IncidentState.RESOLVED: "Resolved",
}
TROUBLE = statuses_where(lambda attributes: attributes.is_trouble)
URGENCY = tuple(STATUS_ATTRIBUTES)
"""The most urgent first."""


def explain(monitor: Monitor, state: HeartbeatState, current: CurrentStatus, due: int | None, now: int) -> str:
    """Describes why a monitor has its status: `missed, 12 min late`, `failed, exit code 3`."""
    runtime = None
    if state.runs and monitor.max_runtime is not None:
        runtime = now - min(run.started_at for run in state.runs)
    return explain_reason(
        current.reason,
        late_by=now - due if due is not None and now > due else None,
        scheduled=monitor.schedule is not None or monitor.every is not None,
        exit_code=state.last_exit_code,
        running_for=runtime,
        max_runtime=monitor.max_runtime,
        failures=state.consecutive_failures,
        tolerance=monitor.failure_tolerance,
        took=state.outcome_duration,
        min_runtime=monitor.min_runtime,
    )


def summarize(counts: Mapping[Status, int]) -> str:
    """The whole fleet in one line."""
    total = sum(counts.values())
    trouble = sum(counts.get(status, 0) for status in TROUBLE)
    up = counts.get(Status.UP, 0)
    if not total:
        return "No monitors yet"
    if trouble:
        return f"{trouble:,} of {total:,} need{'s' if trouble == 1 else ''} attention"
    if up == total:
        return "The only job is on time" if total == 1 else f"All {total:,} jobs on time"
    if up:
        return f"{up:,} of {total:,} jobs on time, none in trouble"
    if counts.get(Status.NO_DATA, 0):
        return "Waiting for the first heartbeat"
    return "All monitors are paused or in maintenance"


def undelivered(dead: Mapping[str, int]) -> str:
    """`3 notifications to ops and 1 to boss could not be delivered`; empty when all could."""
    if not dead:
        return ""
    (first, count), *others = sorted(dead.items(), key=lambda each: (-each[1], each[0]))
    text = f"{count:,} notification{'' if count == 1 else 's'} to {first}"
    if len(others) > 2:
        text += f" and {sum(number for _, number in others):,} to {len(others)} others"
    elif others:
        text += "".join(f"{' and' if each is others[-1] else ','} {each[1]:,} to {each[0]}" for each in others)
    return f"{text} could not be delivered"


def held(holds: Mapping[str, Hold], now: int) -> str:
    """`ops waits for 12 min and boss waits for 3 min, as their receivers asked`; empty when no notifier waits."""
    shown = [f"{name} waits for {humanize_duration(hold.left(now))}" for name, hold in sorted(holds.items())]
    if len(shown) > 3:
        shown = [*shown[:2], f"{len(shown) - 2} others wait"]
    if not shown:
        return ""
    listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"{listed}, as {'its receiver' if len(holds) == 1 else 'their receivers'} asked"


def worst(counts: Mapping[Status, int]) -> Status:
    """The status that the whole page wears."""
    for status in URGENCY:
        if counts.get(status, 0) and status is not Status.NO_DATA:
            return status
    return Status.NO_DATA
