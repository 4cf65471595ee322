"""Alerts and incidents in JSON."""

from typing import TYPE_CHECKING

from pydantic import Field

from exporter.core.alerts.alert import PublicAlertState, ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.held import HoldKind, held_until
from exporter.core.alerts.incident import IncidentState
from exporter.core.status import Reason, Status
from exporter.presentation.moments import rfc3339
from exporter.resources.model import NextCursor, ResponseModel, clean, seconds, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.storage.repositories.alerts import Alert
    from exporter.storage.repositories.incidents import Incident, Update


class AlertAnswer(ResponseModel):
    """One alert, firing or resolved."""

    id: str = Field(description="Constant for the life of the alert; notifications contain it too.")
    rule: str
    tag: str = Field(description="Tag of the monitor.")
    severity: Severity
    state: PublicAlertState
    status: Status = Field(description="Status that triggered the alert.")
    reason: Reason
    triggered_at: str
    resolved_at: str | None
    ending: ResolveReason | None = Field(description="Why the alert resolved; null while it is firing.")
    notify: list[str] = Field(description="Names of the notifiers.")
    incident_id: int | None
    acknowledged_at: str | None = Field(description="Time of the acknowledgement, after which no reminders are sent.")
    held_by: list[HoldKind] = Field(
        description="What holds its notifications while it is firing; empty if nothing does."
    )
    held_until: str | None = Field(
        description="Time at which the last hold ends; null if the alert is not held, or is held until its monitor is "
        "in the condition of the rule again."
    )

    @classmethod
    def of(cls, alert: "Alert") -> "AlertAnswer":
        return cls(
            id=alert.uid,
            rule=clean(alert.rule),
            tag=alert.tag,
            severity=alert.severity,
            state=alert.step.public,
            status=alert.status,
            reason=alert.reason,
            triggered_at=rfc3339(alert.triggered_at),
            resolved_at=when(alert.resolved_at),
            ending=alert.ending,
            notify=[clean(name) for name in alert.notify],
            incident_id=alert.incident_id,
            acknowledged_at=when(alert.acknowledged_at),
            held_by=sorted({hold.kind for hold in alert.holds}),
            held_until=when(held_until(alert.holds)),
        )


class AlertsAnswer(ResponseModel):
    """Newest first."""

    alerts: list[AlertAnswer]
    next_cursor: NextCursor


class IncidentAnswer(ResponseModel):
    """One incident."""

    id: int
    tag: str = Field(description="Tag of the monitor.")
    title: str
    impact: Severity = Field(description="Severity of its most severe alert.")
    state: IncidentState
    started_at: str
    resolved_at: str | None
    duration_seconds: float | None = Field(
        description="Time from start to resolution; null while the incident is open."
    )
    acknowledged_at: str | None
    acknowledged_by: str | None
    updated_at: str

    @classmethod
    def of(cls, incident: "Incident") -> "IncidentAnswer":
        return cls(**_facts(incident))


class UpdateAnswer(ResponseModel):
    """One entry of a timeline."""

    at: str
    state: IncidentState
    text: str
    author: str

    @classmethod
    def of(cls, update: "Update") -> "UpdateAnswer":
        return cls(at=rfc3339(update.at), state=update.state, text=clean(update.text), author=clean(update.author))


class WholeIncidentAnswer(IncidentAnswer):
    """One incident with its timeline and its alerts."""

    updates: list[UpdateAnswer] = Field(description="Oldest first.")
    alerts: list[AlertAnswer] = Field(description="Newest first.")

    @classmethod
    def whole(
        cls, incident: "Incident", updates: "Sequence[Update]", alerts: "Sequence[Alert]"
    ) -> "WholeIncidentAnswer":
        return cls(
            **_facts(incident),
            updates=[UpdateAnswer.of(update) for update in updates],
            alerts=[AlertAnswer.of(alert) for alert in alerts],
        )


class IncidentsAnswer(ResponseModel):
    """Newest first."""

    incidents: list[IncidentAnswer]
    next_cursor: NextCursor


def _facts(incident: "Incident") -> dict[str, object]:
    ended = incident.resolved_at
    return {
        "id": incident.id,
        "tag": incident.tag,
        "title": clean(incident.title),
        "impact": incident.impact,
        "state": incident.state,
        "started_at": rfc3339(incident.started_at),
        "resolved_at": when(ended),
        "duration_seconds": seconds(None if ended is None else max(0, ended - incident.started_at)),
        "acknowledged_at": when(incident.acknowledged_at),
        "acknowledged_by": None if incident.acknowledged_by is None else clean(incident.acknowledged_by),
        "updated_at": rfc3339(incident.updated_at),
    }
