"""What the layers report about themselves. `metrics` turns it into series; by default nothing is kept."""

from collections.abc import Iterable
from enum import StrEnum

IRREGULAR = "heartbeat_exporter.irregular"
"""ASGI extension of a request in which the server mended something: good for a heartbeat, and for nothing else."""


class RejectReason(StrEnum):
    """Why a heartbeat was not taken."""

    UNKNOWN_TAG = "unknown_tag"
    WRONG_SECRET = "wrong_secret"  # noqa: S105
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    UNKNOWN_SUFFIX = "unknown_suffix"
    UNREADABLE_BODY = "unreadable_body"
    INVALID = "invalid"
    """The dialect's protocol does not allow it."""
    CREATION_REFUSED = "creation_refused"
    """The credentials may not create this monitor."""
    TOO_MANY = "too_many_monitors"
    INTERNAL = "internal"
    """A defect of the dialect."""
    STORAGE = "storage"
    OVERLOADED = "overloaded"


class PushOutcome(StrEnum):
    """What became of metrics that a job pushed."""

    KEPT = "kept"
    REFUSED = "refused"
    DELETED = "deleted"


class Fault(StrEnum):
    """Why a request was refused before it reached a route."""

    REQUEST_LINE = "request_line"
    VERSION = "version"
    HEADER = "header"
    FRAMING = "framing"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"


class Dropped(StrEnum):
    """Why a connection was closed that its client would have kept."""

    LIMIT = "limit"
    DESCRIPTORS = "descriptors"
    NOT_READING = "not_reading"


class Telemetry:
    """What each layer reports. Nothing is kept here: `metrics.own` overrides every method. Seconds are floats. Any
    thread may call.
    """

    def heartbeat_rejected(self, dialect: str, reason: RejectReason) -> None: ...
    def refusal_delayed(self) -> None: ...
    def request_refused(self, fault: Fault) -> None: ...
    def connection_dropped(self, reason: Dropped) -> None: ...
    def connections_open(self, connections: int) -> None: ...
    def pushed(self, outcome: PushOutcome) -> None: ...
    def batch_committed(self, heartbeats: int, seconds: float) -> None: ...
    def spooled(self, heartbeats: int) -> None: ...
    def replayed(self, heartbeats: int) -> None: ...
    def spool_holds(self, heartbeats: int) -> None: ...
    def storage_failed(self, operation: str) -> None: ...
    def storage_up(self, up: bool) -> None: ...
    def evaluated(self, monitors: int, lag: float) -> None: ...
    def evaluation_failed(self) -> None: ...
    def thread_failed(self, kind: str) -> None: ...
    def evaluated_until(self, at: float) -> None: ...
    def transition(self, status: str) -> None: ...
    def lease_held(self, held: bool) -> None: ...
    def config_reloaded(self, successful: bool, at: float) -> None: ...
    def alerts_changed(self, triggered: int, resolved: int) -> None: ...
    def notification_delivered(self, notifier: str, seconds: float) -> None: ...
    def notification_failed(self, notifier: str, reason: str) -> None: ...
    def expect_notifiers(self, names: Iterable[str]) -> None: ...
    def scraped(self, seconds: float) -> None: ...


class Silent(Telemetry):
    """For programs that nothing scrapes: the command line and tests."""
