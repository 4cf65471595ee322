"""Statuses and reasons in plain words."""

from collections.abc import Mapping

from exporter.core.alert import ResolveReason
from exporter.core.alert_rule import Severity
from exporter.core.heartbeat import HeartbeatState
from exporter.core.incident import IncidentState
from exporter.core.monitor import Monitor
from exporter.core.notification import Hold
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus
from exporter.presentation.moments import humanize_duration

LABELS = {
    Status.UP: "Up",
    Status.DEGRADED: "Degraded",
    Status.DOWN: "Down",
    Status.NO_DATA: "No data",
    Status.PAUSED: "Paused",
    Status.MAINTENANCE: "Maintenance",
}
IMPACTS = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning", Severity.INFO: "Info"}
"""From the worst on."""
STATES = {
    IncidentState.INVESTIGATING: "Investigating",
    IncidentState.IDENTIFIED: "Identified",
    IncidentState.MONITORING: "Monitoring",
    IncidentState.RESOLVED: "Resolved",
}
ENDINGS = {
    ResolveReason.RECOVERED: "recovered",
    ResolveReason.RULE_CHANGED: "the rule was changed",
    ResolveReason.RULE_REMOVED: "the rule was removed",
    ResolveReason.DESELECTED: "the rule no longer selects the monitor",
    ResolveReason.MONITOR_REMOVED: "the monitor was removed",
}
TROUBLE = (Status.DOWN, Status.DEGRADED)
URGENCY = (
    Status.DOWN,
    Status.DEGRADED,
    Status.NO_DATA,
    Status.UP,
    Status.MAINTENANCE,
    Status.PAUSED,
)
"""The order in which people want to see them."""


def explain(monitor: Monitor, state: HeartbeatState, current: CurrentStatus, due: int | None, now: int) -> str:
    """Why a monitor has its status: `missed: 12 min late`, `failed, exit code 3`."""
    reason = current.reason
    if current.status is Status.MAINTENANCE:
        return "in a maintenance window"
    if reason in (Reason.MISSED, Reason.LATE) and due is not None and now > due:
        if monitor.schedule is None:
            return f"{reason.value}: no success for {humanize_duration(now - due)}"
        return (
            f"missed: {humanize_duration(now - due)} late"
            if reason is Reason.MISSED
            else f"late by {humanize_duration(now - due)}"
        )
    if reason is Reason.FAILED and state.last_exit_code is not None:
        return f"failed, exit code {state.last_exit_code}"
    if reason is Reason.OVERRUN and state.runs and monitor.max_runtime is not None:
        running = now - min(run.started_at for run in state.runs)
        return f"overrun: running for {humanize_duration(running)}, {humanize_duration(monitor.max_runtime)} allowed"
    return reason.value.replace("_", " ")


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
