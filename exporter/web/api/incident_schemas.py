"""What the API answers about alerts, incidents and notifications."""

from typing import TYPE_CHECKING

from pydantic import Field

from exporter.core.alert import AlertState, ResolveReason
from exporter.core.alert_rule import Severity
from exporter.core.incident import IncidentState
from exporter.core.notification import NotificationState, next_try
from exporter.core.status import Reason, Status
from exporter.presentation.moments import rfc3339
from exporter.web.api.schemas import ResponseModel, clean, seconds, when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.core.notification import Hold
    from exporter.storage.repositories.alerts import Alert
    from exporter.storage.repositories.incidents import Incident, Update
    from exporter.storage.repositories.notifications import Notification


class AlertAnswer(ResponseModel):
    """One alert, on or over."""

    id: str = Field(description="The same for its whole life; notifiers are told it too.")
    rule: str
    tag: str = Field(description="The monitor's.")
    severity: Severity
    step: AlertState
    status: Status = Field(description="The status that triggered it.")
    reason: Reason
    triggered_at: str
    resolved_at: str | None
    ending: ResolveReason | None = Field(description="Why it is over; null while it is on.")
    notify: list[str] = Field(description="Names of notifiers.")
    incident_id: int | None
    acknowledged_at: str | None = Field(description="Since when it is not told again.")

    @classmethod
    def of(cls, alert: "Alert") -> "AlertAnswer":
        return cls(
            id=alert.uid,
            rule=clean(alert.rule),
            tag=alert.tag,
            severity=alert.severity,
            step=alert.step,
            status=alert.status,
            reason=alert.reason,
            triggered_at=rfc3339(alert.triggered_at),
            resolved_at=when(alert.resolved_at),
            ending=alert.ending,
            notify=[clean(name) for name in alert.notify],
            incident_id=alert.incident_id,
            acknowledged_at=when(alert.acknowledged_at),
        )


class AlertsAnswer(ResponseModel):
    """Newest first."""

    alerts: list[AlertAnswer]
    next_cursor: str | None = Field(description="Give it as `cursor` to go on; null at the end.")


class IncidentAnswer(ResponseModel):
    """One incident."""

    id: int
    tag: str = Field(description="The monitor's.")
    title: str
    impact: Severity = Field(description="That of the most severe of its alerts.")
    state: IncidentState
    started_at: str
    resolved_at: str | None
    duration_seconds: float | None = Field(description="From its start to its end; null while it is open.")
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
    """One incident with all that belongs to it."""

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
    next_cursor: str | None = Field(description="Give it as `cursor` to go on; null at the end.")


class NotificationAnswer(ResponseModel):
    """One message to one notifier, and what became of it."""

    id: int
    idempotency_key: str = Field(description="Sent along with every attempt.")
    notifier: str
    event: str = Field(description="TRIGGERED, REPEATED or RESOLVED.")
    state: NotificationState
    created_at: str
    attempts: int
    next_attempt_at: str | None = Field(description="Null when there is none.")
    held_until: str | None = Field(
        description="The receiver asked the notifier to wait until then; null when it does not wait."
    )
    failure: str | None = Field(description="Why the last attempt failed, in a word.")
    error: str | None = Field(description="The same in a sentence.")
    ended_at: str | None

    @classmethod
    def of(cls, one: "Notification", holds: "Mapping[str, Hold]") -> "NotificationAnswer":
        pending = one.state is NotificationState.PENDING
        hold = holds.get(one.notifier) if pending else None
        until = None if hold is None else hold.until
        return cls(
            id=one.id,
            idempotency_key=one.key,
            notifier=clean(one.notifier),
            event=one.event,
            state=one.state,
            created_at=rfc3339(one.created_at),
            attempts=one.attempts,
            next_attempt_at=rfc3339(next_try(one.next_attempt_at, one.expires_at, until)) if pending else None,
            held_until=when(until),
            failure=one.failure,
            error=None if one.error is None else clean(one.error),
            ended_at=when(one.ended_at),
        )


class NotificationsAnswer(ResponseModel):
    """Newest first."""

    notifications: list[NotificationAnswer]
    next_cursor: str | None = Field(description="Give it as `cursor` to go on; null at the end.")


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
