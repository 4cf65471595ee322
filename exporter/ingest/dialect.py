"""What a dialect is: one small module that turns a request into heartbeats, and their fate into an answer."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from exporter.core.errors import HeartbeatExporterError
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat
from exporter.core.telemetry import RejectReason
from exporter.ingest.body import KEPT, Body


class IngestError(HeartbeatExporterError):
    """A request that brings no heartbeat; `reason` is counted, the text is for the log and names no secret."""

    def __init__(self, reason: RejectReason, text: str, hint: str | None = None, status: int = 404) -> None:
        super().__init__(text)
        self.reason = reason
        self.hint = hint
        """For the sender, once it has shown the right secret."""
        self.status = status
        """Of the HTTP answer; 503 asks the sender to come again."""


class Request(Protocol):
    """An HTTP request, as much of it as dialects may look at. What is not asked for is not worked out."""

    rest: str
    """The path after the dialect's prefix, percent-decoded."""
    received_at: int
    """Unix time in milliseconds."""

    @property
    def query(self) -> str:
        """The raw query string, without the question mark."""
        ...

    def header(self, name: str) -> str | None: ...

    def authenticate(self, tag: str, secret: str) -> FleetMonitor | None:
        """The monitor with this tag, if that is its secret; the same time is spent whatever is wrong."""
        ...

    @property
    def has_body(self) -> bool: ...

    async def body(self, keep: int = KEPT) -> Body:
        """The first `keep` bytes of the body; the rest is read and dropped. Never raises."""
        ...


class Beat(NamedTuple):
    """A heartbeat for a monitor, and what of the request could not be used."""

    watched: FleetMonitor
    beat: Heartbeat
    warnings: Sequence[str] = ()


class Dialect(Protocol):
    """Ours live in `exporter.ingest.dialects`; others come in by the entry point `heartbeat_exporter.dialects`."""

    name: str
    """For metrics and logs."""
    route: str
    """Falcon URI template; what its last field `rest` matches reaches `read`."""
    methods: Sequence[str]
    """HTTP methods that are heartbeats; any other is answered 405."""

    async def read(self, request: Request) -> Sequence[Beat]:
        """The heartbeats in `request`, which may be none at all; raises IngestError."""
        ...

    def answer(self, signals: Sequence[Beat]) -> bytes:
        """The JSON body of the 200 that says they are all committed; `signals` is what `read` returned."""
        ...
