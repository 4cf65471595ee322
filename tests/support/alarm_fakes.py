"""Alerts, incidents and the outbox without a database, and incidents as they are in real life."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from exporter.core.alert import AlertState, ResolveReason
from exporter.core.alert_rule import Severity
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.incident import IncidentState
from exporter.core.notification import Hold, NotificationState
from exporter.core.status import Reason, Status
from exporter.storage.repositories.alerts import Alert
from exporter.storage.repositories.incidents import EXPORTER, Incident, Update
from exporter.storage.repositories.notifications import Notification

NASTY = (
    "<script>alert(1)</script> & \"quotes\" 'single' 👩‍🚒🔥 {{ 7*7 }}\n\n  indented\n" + "A" * 150 + " " + "word " * 340
)
"""HTML, emoji, templates, a word that is too long for a line: about 2,000 characters."""


class Breakable:
    def __init__(self) -> None:
        self.broken = False

    def check(self) -> None:
        if self.broken:
            raise StorageUnavailable("list incidents: database is locked")


class Now(Protocol):
    def now(self) -> int: ...


class FakeAlerts(Breakable):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Alert] = []
        """Oldest first."""

    def recent(
        self,
        *,
        step: AlertState | None = None,
        incident_id: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
    ) -> Sequence[Alert]:
        self.check()
        return [
            one
            for one in reversed(self.kept)
            if step in (None, one.step)
            and incident_id in (None, one.incident_id)
            and (before_id is None or one.id < before_id)
        ][:limit]

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence[Alert]:
        self.check()
        return [one for one in reversed(self.kept) if one.monitor_id == monitor_id][:limit]

    def firing(self, monitor_ids: Sequence[int]) -> Mapping[int, Sequence[Alert]]:
        found: dict[int, list[Alert]] = {}
        for one in self.recent(step=AlertState.TRIGGERED):
            if one.monitor_id in monitor_ids:
                found.setdefault(one.monitor_id, []).append(one)
        return found

    def add(self, watched: FleetMonitor, rule: str, at: int, **options: object) -> Alert:
        number = len(self.kept) + 1
        values: dict[str, object] = {
            "severity": Severity.CRITICAL,
            "notify": ("ops",),
            "step": AlertState.TRIGGERED,
            "status": Status.DOWN,
            "reason": Reason.MISSED,
        }
        alert = Alert(
            id=number,
            uid=f"{number:032x}",
            rule=rule,
            monitor_id=watched.id,
            tag=watched.monitor.tag,
            triggered_at=at,
            **{**values, **options},  # type: ignore[arg-type]
        )
        self.kept.append(alert)
        return alert


class FakeIncidents(Breakable):
    def __init__(self, clock: Now, alerts: FakeAlerts) -> None:
        super().__init__()
        self._clock = clock
        self.alerts = alerts
        self.kept: dict[int, Incident] = {}
        self.timeline: dict[int, list[Update]] = {}

    def recent(self, *, open: bool | None = None, limit: int = 100, before_id: int | None = None) -> Sequence[Incident]:
        self.check()
        return [
            one
            for id, one in sorted(self.kept.items(), reverse=True)
            if open in (None, one.resolved_at is None) and (before_id is None or id < before_id)
        ][:limit]

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence[Incident]:
        return [one for one in self.recent() if one.monitor_id == monitor_id][:limit]

    def find(self, id: int) -> Incident:
        self.check()
        if id not in self.kept:
            raise NotFound(f"there is no incident {id}")
        return self.kept[id]

    def updates(self, ids: Sequence[int]) -> Mapping[int, Sequence[Update]]:
        self.check()
        return {id: self.timeline.get(id, []) for id in ids}

    def count_open(self) -> int:
        return len(self.recent(open=True, limit=1_000_000))

    def update(self, id: int, state: IncidentState | None, text: str, author: str) -> None:
        if self.find(id).resolved_at is not None:
            raise Conflict(f"incident {id} is resolved already")
        self.tell(id, self._clock.now(), text, author, state)

    def acknowledge(self, id: int, author: str) -> None:
        one = self.find(id)
        if one.acknowledged_at is not None:
            raise Conflict(f"incident {id} is acknowledged already, by {one.acknowledged_by}")
        self.kept[id] = replace(one, acknowledged_at=self._clock.now(), acknowledged_by=author)
        self.tell(id, self._clock.now(), "Acknowledged.", author)

    # ── for scenes ───────────────────────────────────────────────────────────────────────────────────────────

    def open(self, watched: FleetMonitor, title: str, impact: Severity, at: int, text: str) -> int:
        id = len(self.kept) + 1
        state = IncidentState.INVESTIGATING
        self.kept[id] = Incident(id, watched.id, watched.monitor.tag, title, impact, state, at, None, None, None, at)
        self.timeline[id] = []
        self.tell(id, at, text)
        return id

    def tell(self, id: int, at: int, text: str, author: str = EXPORTER, state: IncidentState | None = None) -> None:
        one = self.kept[id]
        state = state or one.state
        ended = at if state is IncidentState.RESOLVED else one.resolved_at
        self.kept[id] = replace(one, state=state, updated_at=at, resolved_at=ended)
        self.timeline[id].append(Update(id, at, state, text, author))


class FakeNotifications(Breakable):
    def __init__(self) -> None:
        super().__init__()
        self.dead: dict[str, int] = {}
        self.held: dict[str, Hold] = {}
        self.kept: list[Notification] = []

    def holds(self, now: int) -> Mapping[str, Hold]:
        self.check()
        return {name: hold for name, hold in self.held.items() if hold.until > now}

    def dead_since(self, since: int) -> Mapping[str, int]:
        self.check()
        return self.dead

    def recent(
        self, *, state: NotificationState | None = None, limit: int = 100, before_id: int | None = None
    ) -> Sequence[Notification]:
        self.check()
        return [
            one
            for one in reversed(self.kept)
            if state in (None, one.state) and (before_id is None or one.id < before_id)
        ][:limit]


def trouble(incidents: FakeIncidents, watched: FleetMonitor, now: int) -> None:
    """What alerting would have made of this monitor of `every_status`."""
    alerts = incidents.alerts
    match watched.monitor.tag:
        case "search-reindex":
            id = incidents.open(
                watched,
                "Search reindex is DOWN",
                Severity.WARNING,
                now - 9 * HOUR,
                "Alert late (warning): DOWN, missed.",
            )
            incidents.tell(id, now - 8 * HOUR, NASTY, "nasty <b>&amp;</b> author", IncidentState.IDENTIFIED)
            for number in range(40):
                incidents.tell(id, now - 8 * HOUR + number * MINUTE, f"Still looking at shard {number}.", "bert")
            incidents.tell(id, now - 7 * HOUR - MINUTE, "Watching it.", "bert", IncidentState.MONITORING)
            incidents.tell(id, now - 7 * HOUR, "All is well again. It lasted 2 h.", EXPORTER, IncidentState.RESOLVED)
            alerts.add(
                watched,
                "late",
                now - 9 * HOUR,
                severity=Severity.WARNING,
                step=AlertState.RESOLVED,
                resolved_at=now - 7 * HOUR,
                ending=ResolveReason.RECOVERED,
                incident_id=id,
            )
        case "invoice-export":
            id = incidents.open(
                watched,
                "Invoice export is DOWN",
                Severity.CRITICAL,
                now - 60 * MINUTE,
                "Alert backup-missed (critical): DOWN, missed. Call the accountants before noon.",
            )
            alerts.add(watched, "backup-missed", now - 60 * MINUTE, incident_id=id)
            alerts.add(watched, "anything-late", now - 80 * MINUTE, severity=Severity.INFO, status=Status.DEGRADED)
        case "pg-dump-eu":
            id = incidents.open(
                watched,
                "Database dump, EU is DOWN",
                Severity.CRITICAL,
                now - 57 * MINUTE,
                "Alert backup-missed (critical): DOWN, failed.",
            )
            incidents.tell(
                id, now - 40 * MINUTE, "db1 refuses connections; the disk is full.", "anna", IncidentState.IDENTIFIED
            )
            incidents.kept[id] = replace(incidents.kept[id], acknowledged_at=now - 41 * MINUTE, acknowledged_by="anna")
            alerts.add(watched, "backup-missed", now - 57 * MINUTE, reason=Reason.FAILED, incident_id=id)
            alerts.add(
                watched,
                "backup-missed",
                now - 11 * HOUR,
                reason=Reason.FAILED,
                step=AlertState.RESOLVED,
                resolved_at=now - 10 * HOUR,
                ending=ResolveReason.RULE_CHANGED,
            )
        case "video-transcoder":
            id = incidents.open(
                watched,
                "Video transcoder is DOWN",
                Severity.WARNING,
                now - 25 * MINUTE,
                "Alert slow (warning): DOWN, overrun.",
            )
            incidents.tell(id, now - 20 * MINUTE, "Known: the big one.", "bert", IncidentState.RESOLVED)
            alerts.add(watched, "slow", now - 25 * MINUTE, severity=Severity.WARNING, incident_id=id)


def many(incidents: FakeIncidents, fleet: Sequence[FleetMonitor], now: int) -> None:
    """A dead switch, after many quieter days."""
    for day in range(120, 0, -1):
        watched = fleet[day % len(fleet)]
        id = incidents.open(watched, f"{watched.monitor.tag} is DOWN", Severity.INFO, now - day * DAY, "It began.")
        incidents.tell(
            id, now - day * DAY + HOUR, "All is well again. It lasted 1 h.", EXPORTER, IncidentState.RESOLVED
        )
    severities = tuple(Severity)
    for number, watched in enumerate(fleet):
        title = NASTY[:400] if number == 3 else f"{watched.monitor.name or watched.monitor.tag} is DOWN"
        impact = severities[number % 3]
        id = incidents.open(watched, title, impact, now - number * MINUTE, NASTY if number == 0 else "It began.")
        incidents.alerts.add(watched, f"rule {number}", now - number * MINUTE, severity=impact, incident_id=id)
        if number == 3:
            incidents.acknowledge(id, "somebody-with-a-very-long-name" * 3)
