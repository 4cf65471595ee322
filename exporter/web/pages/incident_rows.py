"""Incidents and alerts as the pages show them: every text worked out, so that a template only has to place it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.fleet import Fleet
from exporter.core.status import Status
from exporter.presentation.held_alerts import describe_holds
from exporter.presentation.moments import Moment, humanize_duration, moment
from exporter.presentation.reasons import RESOLVE_REASONS
from exporter.presentation.statuses import IMPACTS, STATES

if TYPE_CHECKING:
    from exporter.storage.repositories.alerts import Alert
    from exporter.storage.repositories.incidents import Incident, Incidents, Update

_WORST_FIRST = tuple(IMPACTS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline."""

    at: Moment
    state: IncidentState
    changed: bool
    """Whether the state is another than before."""
    text: str
    author: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    id: int
    title: str
    tag: str
    name: str
    """The monitor's, for people."""
    watched: bool
    """Whether the monitor is still there."""
    impact: Severity
    state: IncidentState
    started: Moment
    resolved: Moment | None
    duration: str
    """So far, or in all."""
    acknowledged: Moment | None
    acknowledged_by: str
    timeline: tuple[Entry, ...]
    """Newest last."""

    @property
    def open(self) -> bool:
        return self.resolved is None

    @property
    def latest(self) -> Entry | None:
        return self.timeline[-1] if self.timeline else None


@dataclass(frozen=True, slots=True)
class AlertRow:
    rule: str
    severity: Severity
    status: Status
    """The one that triggered it."""
    reason: str
    triggered: Moment
    ended: Moment | None
    ending: str
    lasted: str
    incident_id: int | None
    held: str
    """Why no message of it was sent yet; empty when nothing holds it."""


def incident_rows(
    shown: Sequence["Incident"], incidents: "Incidents", fleet: Fleet, now: int
) -> tuple[IncidentRow, ...]:
    """Reads their timelines; raises StorageUnavailable."""
    updates = incidents.updates([incident.id for incident in shown]) if shown else {}
    return tuple(incident_row(incident, updates.get(incident.id, ()), fleet, now) for incident in shown)


def incident_row(incident: "Incident", updates: Sequence["Update"], fleet: Fleet, now: int) -> IncidentRow:
    watched = fleet.get(incident.tag)
    zone = watched.monitor.timezone if watched is not None else "UTC"
    end = now if incident.resolved_at is None else incident.resolved_at
    return IncidentRow(
        id=incident.id,
        title=incident.title,
        tag=incident.tag,
        name=(watched.monitor.name if watched is not None else "") or incident.tag,
        watched=watched is not None,
        impact=incident.impact,
        state=incident.state,
        started=moment(incident.started_at, now, zone),
        resolved=None if incident.resolved_at is None else moment(incident.resolved_at, now, zone),
        duration=humanize_duration(end - incident.started_at),
        acknowledged=None if incident.acknowledged_at is None else moment(incident.acknowledged_at, now, zone),
        acknowledged_by=incident.acknowledged_by or "",
        timeline=tuple(
            Entry(
                at=moment(update.at, now, zone),
                state=update.state,
                changed=not index or updates[index - 1].state is not update.state,
                text=update.text,
                author=update.author,
            )
            for index, update in enumerate(updates)
        ),
    )


def alert_rows(alerts: Sequence["Alert"], timezone: str, now: int) -> tuple[AlertRow, ...]:
    return tuple(
        AlertRow(
            rule=alert.rule,
            severity=alert.severity,
            status=alert.status,
            reason=alert.reason.value.replace("_", " "),
            triggered=moment(alert.triggered_at, now, timezone),
            ended=None if alert.resolved_at is None else moment(alert.resolved_at, now, timezone),
            ending=RESOLVE_REASONS[alert.ending or ResolveReason.RECOVERED],
            lasted=humanize_duration((now if alert.resolved_at is None else alert.resolved_at) - alert.triggered_at),
            incident_id=alert.incident_id,
            held=describe_holds(alert.holds, now),
        )
        for alert in alerts
    )


def worst_first(shown: Sequence["Incident"]) -> list["Incident"]:
    """By impact; of each first those that are not acknowledged, then the newest."""
    return sorted(
        shown,
        key=lambda incident: (
            _WORST_FIRST.index(incident.impact),
            incident.acknowledged_at is not None,
            -incident.started_at,
            -incident.id,
        ),
    )


def title_of(row: IncidentRow) -> str:
    """For a window's title and a feed: `Investigating: Nightly backup is DOWN`."""
    return f"{STATES[row.state]}: {row.title}"
