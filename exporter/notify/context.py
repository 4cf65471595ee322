"""What templates may use, and what the default webhook sends: every name is always there.

Kener's names have Kener's meaning, so that its templates' contents carry over; the others say what it lacks.
"""

from typing import Any

from exporter.core.clock import SECOND
from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES
from exporter.presentation.describe import (
    MAX_DESCRIPTION,
    MAX_NAME,
    UNANNOUNCED,
    color,
    ending_text,
    headline,
    icon,
    marked,
    name_of,
    plain_text,
    why,
)
from exporter.presentation.message import AlertSnapshot, Event, Message
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.presentation.text import one_line, readable, shorten, tail

MAX_OUTPUTS, MIN_OUTPUT = 100_000, 200
"""Characters of all jobs' outputs in a message together, and of each at least: what a group grows to is bounded."""


class Labels(dict[str, str]):
    """A monitor's own. A label that this one has not is empty, since no two monitors have the same."""

    def __missing__(self, key: str) -> str:
        return ""


def variables(message: Message) -> dict[str, Any]:
    """All of it: of the message, of its first alert under the same names, and of each alert in `alerts`."""
    return {**of_message(message), **of_alert(message.first, message), "alerts": alerts_of(message)}


def of_message(message: Message) -> dict[str, Any]:
    resolved = message.is_resolved
    return {
        "event": message.event.value,
        "idempotency_key": message.key,
        "headline": headline(message),
        "text": plain_text(message),
        "icon": icon(message),
        "color": color(message),
        "count": len(message.alerts),
        "is_resolved": resolved,
        "is_triggered": not resolved,
        "is_repeated": message.event is Event.REPEATED,
        "sent_for": rfc3339(message.enqueued_at),
        "site_url": message.site.url,
        "site_name": readable(message.site.name),
        "site_logo_url": "",
        "colors_up": STATUS_ATTRIBUTES[Status.UP].color,
        "colors_down": STATUS_ATTRIBUTES[Status.DOWN].color,
        "colors_degraded": STATUS_ATTRIBUTES[Status.DEGRADED].color,
        "colors_maintenance": STATUS_ATTRIBUTES[Status.MAINTENANCE].color,
    }


def alerts_of(message: Message) -> list[dict[str, Any]]:
    return [of_alert(facts, message) for facts in message.alerts]


def of_alert(facts: AlertSnapshot, message: Message) -> dict[str, Any]:
    """Moments are RFC 3339 in UTC, durations in seconds and in words."""
    rule, name = shorten(one_line(facts.rule), MAX_NAME), marked(name_of(facts), message)
    description = shorten(readable(facts.description).strip(), MAX_DESCRIPTION)
    incident = facts.incident_id
    lasted = max(0, (facts.resolved_at if facts.resolved_at is not None else facts.at) - facts.triggered_at)
    unannounced = facts.alert_id in message.unannounced
    room = max(MIN_OUTPUT, MAX_OUTPUTS // len(message.alerts))
    return {
        "alert_id": facts.alert_id,
        "alert_name": f"{rule}: {name}",
        "alert_for": "STATUS",
        "alert_value": facts.status.value,
        "alert_status": Event.RESOLVED.value if message.is_resolved else Event.TRIGGERED.value,
        "alert_severity": facts.severity.value.upper(),
        "alert_message": description,
        "alert_source": "ALERT",
        "alert_timestamp": rfc3339(facts.triggered_at),
        "alert_cta_url": message.site.monitor_url(facts.tag),
        "alert_cta_text": "View monitor",
        "alert_incident_id": str(incident) if incident is not None else "",
        "alert_incident_url": message.site.incident_url(incident) if incident is not None else "",
        "alert_failure_threshold": facts.failure_threshold,
        "alert_success_threshold": facts.success_threshold,
        "rule": rule,
        "severity": facts.severity.value,
        "description": description,
        "monitor_tag": facts.tag,
        "monitor_name": name,
        "monitor_group": shorten(one_line(facts.group), MAX_NAME),
        "monitor_labels": Labels({key: shorten(one_line(value), MAX_NAME) for key, value in facts.labels.items()}),
        "monitor_description": shorten(readable(facts.about).strip(), MAX_DESCRIPTION),
        "monitor_runbook_url": facts.runbook_url,
        "monitor_schedule": facts.schedule or "",
        "monitor_timezone": facts.timezone,
        "monitor_url": message.site.monitor_url(facts.tag),
        "status": facts.status.value,
        "reason": facts.reason.value,
        "why": why(facts),
        "since": _moment(facts.since if facts.since is not None else facts.triggered_at),
        "triggered_at": _moment(facts.triggered_at),
        "resolved_at": _moment(facts.resolved_at),
        "ending": ending_text(facts),
        "last_success": _moment(facts.last_success_at),
        "due": _moment(facts.due_at),
        "late": humanize_duration(facts.late_by) if facts.late_by is not None else "",
        "late_seconds": facts.late_by / SECOND if facts.late_by is not None else None,
        "duration": humanize_duration(lasted),
        "duration_seconds": lasted / SECOND,
        "exit_code": facts.exit_code,
        "output": tail(readable(facts.output), room),
        "depending": facts.depending,
        "dependents": facts.dependents,
        "dependent_names": [shorten(one_line(each), MAX_NAME) for each in facts.dependent_names],
        "is_unannounced": unannounced,
        "note": UNANNOUNCED if unannounced else "",
    }


def _moment(at: int | None) -> str | None:
    return rfc3339(at) if at is not None else None
