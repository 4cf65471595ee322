"""What a notifier is given: one message about one or more alerts, complete in itself.

The facts of each alert are those of the moment at which the message was enqueued, kept with it in the outbox: whenever
it is delivered, and however often it is tried, it says the same.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.errors import InvalidValue
from exporter.core.status import Reason, Status


class Event(StrEnum):
    """What a message reports."""

    TRIGGERED = "TRIGGERED"
    REPEATED = "REPEATED"
    """It still goes on."""
    RESOLVED = "RESOLVED"


INGEST_SUSPECT = "ingest_suspect"
"""The rule of the alert that heartbeats may not reach the exporter. It has no monitor."""


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """What the ingest guard knew of the fleet. Moments are Unix time in milliseconds."""

    late: int
    """Late monitors."""
    sample: int
    """Those of which a heartbeat was expected lately; the late ones are among them."""
    last_received_at: int | None
    """The last heartbeat of any monitor before."""
    until: int
    """Until when alerts are held at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSnapshot:
    """One alert, and all that was known of its monitor. Moments are Unix time in milliseconds, durations too."""

    alert_id: str
    """The same for the alert's whole life; what services such as PagerDuty deduplicate by."""
    rule: str
    severity: Severity
    description: str = ""
    failure_threshold: int = 1
    success_threshold: int = 1
    tag: str
    name: str
    """The monitor's, for people."""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    """The monitor's description."""
    runbook_url: str = ""
    schedule: str | None = None
    every: int | None = None
    """The interval, where there is no schedule."""
    timezone: str = "UTC"
    status: Status
    """The one that triggered the alert; when it is resolved, still that one."""
    reason: Reason
    at: int
    """The moment that these facts are of."""
    triggered_at: int
    resolved_at: int | None = None
    ending: ResolveReason | None = None
    last_success_at: int | None = None
    due_at: int | None = None
    """The moment from which lateness counts."""
    since: int | None = None
    """When that status began."""
    exit_code: int | None = None
    failures: int | None = None
    """Consecutive ones, of a monitor that tolerates some."""
    failure_tolerance: int | None = None
    took: int | None = None
    """How long the last run lasted, if that was too short."""
    min_runtime: int | None = None
    output: str = ""
    """The end of the job's last output."""
    incident_id: int | None = None
    depending: int = 0
    """Monitors that depend on it, over any number of levels."""
    dependents: int = 0
    """Those of them that are late, and whose own alerts are held because of it."""
    dependent_names: tuple[str, ...] = ()
    """The first of them."""
    ingest: IngestFigures | None = None
    """Of the alert INGEST_SUSPECT alone, which is about no monitor: `tag` is empty then."""

    @classmethod
    def from_json(cls, text: str) -> "AlertSnapshot":
        """Reads what `to_json` wrote, in this version or another one: what this one does not know is ignored.

        Raises InvalidValue.
        """
        try:
            written = json.loads(text)
            known = {each.name: written[each.name] for each in fields(cls) if each.name in written}
            for name, kind in _ENUMERATIONS.items():
                if known.get(name) is not None:
                    known[name] = kind(known[name])
            if "dependent_names" in known:
                known["dependent_names"] = tuple(map(str, known["dependent_names"]))
            if known.get("ingest") is not None:
                known["ingest"] = IngestFigures(**known["ingest"])
            return cls(**known)
        except (TypeError, ValueError) as error:
            raise InvalidValue(f"not the facts of an alert: {type(error).__name__}") from error

    def to_json(self) -> str:
        """For the outbox."""
        written = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "ingest"}
        if not self.depending:
            for name in ("depending", "dependents", "dependent_names"):
                del written[name]
        if self.ingest is not None:
            written["ingest"] = asdict(self.ingest)
        return json.dumps(written, separators=(",", ":"))

    @property
    def is_scheduled(self) -> bool:
        """Whether `due_at` is more than the last success."""
        return self.schedule is not None or self.every is not None

    @property
    def late_by(self) -> int | None:
        """None when it is not late."""
        return self.at - self.due_at if self.due_at is not None and self.at > self.due_at else None

    @property
    def lasted(self) -> int | None:
        """From the alert's beginning to its end; None while it goes on."""
        return None if self.resolved_at is None else max(0, self.resolved_at - self.triggered_at)


_ENUMERATIONS: Mapping[str, type[StrEnum]] = {
    "severity": Severity,
    "status": Status,
    "reason": Reason,
    "ending": ResolveReason,
}


@dataclass(frozen=True, slots=True)
class Site:
    """This exporter, as people reach it."""

    url: str
    """Without a trailing slash."""
    name: str = "Heartbeat Exporter"

    def monitor_url(self, tag: str) -> str:
        """The page of all monitors if there is no tag."""
        return f"{self.url}/monitors/{tag}" if tag else f"{self.url}/"

    def incident_url(self, id: int) -> str:
        return f"{self.url}/incidents/{id}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message for one notifier; delivered at least once, always under the same key."""

    key: str
    """Idempotency key."""
    event: Event
    alerts: tuple[AlertSnapshot, ...]
    """At least one; the most severe first."""
    site: Site
    enqueued_at: int
    """Unix time in milliseconds."""
    unannounced: frozenset[str] = frozenset()
    """Ids of alerts that are resolved before their alarm could be delivered: this message reports both."""
    answers: tuple[str, ...] = ()
    """Keys of the alarms that this one continues, so that mails thread; empty for an alarm."""
    is_test: bool = False
    """Sent by hand, to see whether it arrives: every headline has to say so."""

    @property
    def first(self) -> AlertSnapshot:
        return self.alerts[0]

    @property
    def is_resolved(self) -> bool:
        return self.event is Event.RESOLVED

    @property
    def severity(self) -> Severity:
        return self.first.severity
