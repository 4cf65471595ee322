"""What a notifier is given: one message about one or more alerts, complete in itself.

The facts of each alert are those of the moment at which the message became owed, kept with it in the outbox: whenever
it is delivered, and however often it is tried, it says the same.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from exporter.core.alert import ResolveReason
from exporter.core.alert_rule import Severity
from exporter.core.status import Reason, Status


class Event(StrEnum):
    """What a message tells."""

    TRIGGERED = "TRIGGERED"
    REPEATED = "REPEATED"
    """It still goes on."""
    RESOLVED = "RESOLVED"


class AlertSnapshot(BaseModel):
    """One alert, and all that was known of its monitor. Moments are Unix time in milliseconds, durations too."""

    model_config = ConfigDict(frozen=True, defer_build=True)

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
    labels: dict[str, str] = {}
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


@dataclass(frozen=True, slots=True)
class Site:
    """This exporter, as people reach it."""

    url: str
    """Without a trailing slash."""
    name: str = "Heartbeat Exporter"

    def monitor_url(self, tag: str) -> str:
        return f"{self.url}/monitors/{tag}"

    def incident_url(self, id: int) -> str:
        return f"{self.url}/incidents/{id}"


@dataclass(frozen=True, slots=True)
class Message:
    """Owed to one notifier; delivered at least once, always under the same key."""

    key: str
    """Idempotency key."""
    event: Event
    alerts: tuple[AlertSnapshot, ...]
    """At least one; the most severe first."""
    site: Site
    owed_at: int
    """Unix time in milliseconds."""
    unannounced: frozenset[str] = frozenset()
    """Ids of alerts that are resolved before their alarm could be delivered: this message has to tell both."""
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
