"""Incidents and alerts as the pages show them: every text worked out, so that a template only has to place it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.alert import ResolveReason
from exporter.core.alert_rule import Severity
from exporter.core.fleet import Fleet
from exporter.core.incident import IncidentState
from exporter.core.status import Status
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


def incident_rows(
    found: Sequence["Incident"], incidents: "Incidents", fleet: Fleet, now: int
) -> tuple[IncidentRow, ...]:
    """Reads their timelines; raises StorageUnavailable."""
    updates = incidents.updates([one.id for one in found]) if found else {}
    return tuple(incident_row(one, updates.get(one.id, ()), fleet, now) for one in found)


def incident_row(one: "Incident", updates: Sequence["Update"], fleet: Fleet, now: int) -> IncidentRow:
    watched = fleet.get(one.tag)
    zone = watched.monitor.timezone if watched is not None else "UTC"
    end = now if one.resolved_at is None else one.resolved_at
    return IncidentRow(
        id=one.id,
        title=one.title,
        tag=one.tag,
        name=(watched.monitor.name if watched is not None else "") or one.tag,
        watched=watched is not None,
        impact=one.impact,
        state=one.state,
        started=moment(one.started_at, now, zone),
        resolved=None if one.resolved_at is None else moment(one.resolved_at, now, zone),
        duration=humanize_duration(end - one.started_at),
        acknowledged=None if one.acknowledged_at is None else moment(one.acknowledged_at, now, zone),
        acknowledged_by=one.acknowledged_by or "",
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
            rule=one.rule,
            severity=one.severity,
            status=one.status,
            reason=one.reason.value.replace("_", " "),
            triggered=moment(one.triggered_at, now, timezone),
            ended=None if one.resolved_at is None else moment(one.resolved_at, now, timezone),
            ending=RESOLVE_REASONS[one.ending or ResolveReason.RECOVERED],
            lasted=humanize_duration((now if one.resolved_at is None else one.resolved_at) - one.triggered_at),
            incident_id=one.incident_id,
        )
        for one in alerts
    )


def worst_first(found: Sequence["Incident"]) -> list["Incident"]:
    """By impact; of each those that nobody looks after, then the newest."""
    return sorted(
        found,
        key=lambda one: (_WORST_FIRST.index(one.impact), one.acknowledged_at is not None, -one.started_at, -one.id),
    )


def title_of(row: IncidentRow) -> str:
    """For a window's title and a feed: `Investigating: Nightly backup is DOWN`."""
    return f"{STATES[row.state]}: {row.title}"
