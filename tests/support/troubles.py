"""Alerts, incidents and dead letters as alerting would have written them, at any moment of the past."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.app.container import Container
from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.alerts.notification import Hold, NotificationState
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.fleet import FleetMonitor
from exporter.core.status import Reason, Status
from exporter.storage.delivery.holds import Holds
from exporter.storage.repositories.alerts import NewAlert
from exporter.storage.repositories.incidents import EXPORTER, Incident, NewIncident, Update

NASTY = (
    "<script>alert(1)</script> & \"quotes\" 'single' 👩‍🚒🔥 {{ 7*7 }}\n\n  indented\n" + "A" * 150 + " " + "word " * 340
)
"""HTML, emoji, templates, a word that is too long for a line: about 2,000 characters."""


class Troubles:
    """Writes with the repositories where they do, and around them where they know only of now."""

    def __init__(self, parts: Container) -> None:
        self._db = parts.database
        self._alerts = parts.repositories.alerts
        self.incidents = parts.repositories.incidents

    def open(self, watched: FleetMonitor, title: str, impact: Severity, at: int, text: str) -> int:
        """Its number. A monitor has one open incident at most."""
        with self._db.write("open incident"):
            new = NewIncident(watched.id, watched.monitor.tag, title, impact, at, text)
            return self.incidents.join([new])[watched.id].id

    def tell(self, id: int, at: int, text: str, author: str = EXPORTER, state: IncidentState | None = None) -> None:
        tables, incident = self._db.tables, self.incidents.find(id)
        change: dict[str, Any] = {"state": (state or incident.state).value, "updated_at": at}
        if state is IncidentState.RESOLVED:
            change["resolved_at"] = at
        entry = {"incident_id": id, "at": at, "state": change["state"], "text": text, "author": author}
        with self._db.write("update incident"):
            tables.incident_updates.insert(**entry).execute()
            tables.incidents.update(**change).where(tables.incidents.id == id).execute()

    def acknowledged(self, id: int, at: int, by: str, **change: object) -> None:
        table = self._db.tables.incidents
        with self._db.write("acknowledge incident"):
            table.update(**{"acknowledged_at": at, "acknowledged_by": by, **change}).where(table.id == id).execute()

    def alert(
        self,
        watched: FleetMonitor,
        rule: str,
        at: int,
        *,
        severity: Severity = Severity.CRITICAL,
        status: Status = Status.DOWN,
        reason: Reason = Reason.MISSED,
        incident_id: int | None = None,
        resolved_at: int | None = None,
        ending: ResolveReason = ResolveReason.RECOVERED,
    ) -> int:
        """Its number. It is over when it has `resolved_at`."""
        uid = f"{watched.id:08x}{at:016x}{len(rule):08x}"
        new = NewAlert(
            uid, rule, watched.id, watched.monitor.tag, severity, ("ops",), status, reason, at, incident_id, None
        )
        with self._db.write("open alert") as transaction:
            id = self._alerts.open(transaction, [new])[uid]
            if resolved_at is not None:
                self._alerts.resolve(transaction, [(id, resolved_at, ending)])
        return id

    def notification(self, key: str, state: NotificationState = NotificationState.DEAD, **values: object) -> None:
        row = {
            "key": key,
            "notifier": "ops",
            "event": AlertState.TRIGGERED.value,
            "state": state.value,
            "sealed": True,
            "created_at": 5,
            "attempts": 3,
            "next_attempt_at": 7,
            "expires_at": 8,
            **values,
        }
        with self._db.write("put a notification"):
            self._db.tables.notifications.insert(**row).execute()

    def dead_letters(self, counts: Mapping[str, int]) -> None:
        """So many messages of each notifier were given up in the last moment that anybody looks at."""
        for notifier, count in counts.items():
            for number in range(count):
                self.notification(f"{notifier} {number}", notifier=notifier, ended_at=2**52)

    def hold(self, hold: Hold) -> None:
        with self._db.write("begin hold"):
            Holds(self._db).begin(hold)


def with_texts(method: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    """A repository's method whose answers have another text than the database can."""

    def changed(value: Any) -> Any:
        match value:
            case str() if type(value) is str:  # an enumeration is one too
                return value.replace(old, new)
            case Mapping():
                return {key: changed(each) for key, each in value.items()}
            case list() | tuple():
                return [changed(each) for each in value]
            case Incident() | Update():
                return replace(value, **{name: changed(getattr(value, name)) for name in value.__dataclass_fields__})
        return value

    return lambda *given, **named: changed(method(*given, **named))


def trouble(troubles: Troubles, watched: FleetMonitor, now: int) -> None:
    """What alerting would have made of this monitor of `every_status`."""
    match watched.monitor.tag:
        case "search-reindex":
            id = troubles.open(
                watched,
                "Search reindex is DOWN",
                Severity.WARNING,
                now - 9 * HOUR,
                "Alert late (warning): DOWN, missed.",
            )
            troubles.tell(id, now - 8 * HOUR, NASTY, "nasty <b>&amp;</b> author", IncidentState.IDENTIFIED)
            for number in range(40):
                troubles.tell(id, now - 8 * HOUR + number * MINUTE, f"Still looking at shard {number}.", "bert")
            troubles.tell(id, now - 7 * HOUR - MINUTE, "Watching it.", "bert", IncidentState.MONITORING)
            troubles.tell(id, now - 7 * HOUR, "All is well again. It lasted 2 h.", EXPORTER, IncidentState.RESOLVED)
            troubles.alert(
                watched,
                "late",
                now - 9 * HOUR,
                severity=Severity.WARNING,
                resolved_at=now - 7 * HOUR,
                ending=ResolveReason.RECOVERED,
                incident_id=id,
            )
        case "invoice-export":
            id = troubles.open(
                watched,
                "Invoice export is DOWN",
                Severity.CRITICAL,
                now - 60 * MINUTE,
                "Alert backup-missed (critical): DOWN, missed. Call the accountants before noon.",
            )
            troubles.alert(watched, "backup-missed", now - 60 * MINUTE, incident_id=id)
            troubles.alert(watched, "anything-late", now - 80 * MINUTE, severity=Severity.INFO, status=Status.DEGRADED)
        case "pg-dump-eu":
            id = troubles.open(
                watched,
                "Database dump, EU is DOWN",
                Severity.CRITICAL,
                now - 57 * MINUTE,
                "Alert backup-missed (critical): DOWN, failed.",
            )
            troubles.tell(
                id, now - 40 * MINUTE, "db1 refuses connections; the disk is full.", "anna", IncidentState.IDENTIFIED
            )
            troubles.acknowledged(id, now - 41 * MINUTE, "anna")
            troubles.alert(watched, "backup-missed", now - 57 * MINUTE, reason=Reason.FAILED, incident_id=id)
            troubles.alert(
                watched,
                "backup-missed",
                now - 11 * HOUR,
                reason=Reason.FAILED,
                resolved_at=now - 10 * HOUR,
                ending=ResolveReason.RULE_CHANGED,
            )
        case "video-transcoder":
            id = troubles.open(
                watched,
                "Video transcoder is DOWN",
                Severity.WARNING,
                now - 25 * MINUTE,
                "Alert slow (warning): DOWN, overrun.",
            )
            troubles.tell(id, now - 20 * MINUTE, "Known: the big one.", "bert", IncidentState.RESOLVED)
            troubles.alert(watched, "slow", now - 25 * MINUTE, severity=Severity.WARNING, incident_id=id)


def many(troubles: Troubles, fleet: Sequence[FleetMonitor], now: int) -> None:
    """A dead switch, after many quieter days."""
    for day in range(120, 0, -1):
        watched = fleet[day % len(fleet)]
        id = troubles.open(watched, f"{watched.monitor.tag} is DOWN", Severity.INFO, now - day * DAY, "It began.")
        troubles.tell(id, now - day * DAY + HOUR, "All is well again. It lasted 1 h.", EXPORTER, IncidentState.RESOLVED)
    severities = tuple(Severity)
    for number, watched in enumerate(fleet):
        title = NASTY[:400] if number == 3 else f"{watched.monitor.name or watched.monitor.tag} is DOWN"
        impact = severities[number % 3]
        id = troubles.open(watched, title, impact, now - number * MINUTE, NASTY if number == 0 else "It began.")
        troubles.alert(watched, f"rule {number}", now - number * MINUTE, severity=impact, incident_id=id)
        if number == 3:
            troubles.incidents.acknowledge(id, "somebody-with-a-very-long-name" * 3)
