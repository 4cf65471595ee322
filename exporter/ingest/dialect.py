"""What a dialect is: one small module that turns requests of one protocol into heartbeats, and answers them."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from exporter.core.fleet import FleetMonitor
from exporter.core.monitor import Monitor
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

T = TypeVar("T")
Resource = Callable[[Request], Awaitable[Response]]


class Dialect(Protocol):
    """Ours live in `exporter.ingest.dialects`; others come in by the entry point `heartbeat_exporter.dialects`."""

    name: str
    """For the configuration, metrics and logs."""
    routes: Sequence[Route]
    """The requests that are its own."""

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        """Authenticates, records, and answers. Raises IngestError.

        It may be called twice for one request: if the credentials are wrong, the database is looked at for a monitor
        that another process has added. So nothing may be recorded before the credentials have proved right.
        """
        ...

    def error(self, problem: IngestError) -> Response:
        """The answer to what `handle` raised, to a method that no route takes, and to a defect of the dialect. `Allow`
        and `Retry-After` are added to it.
        """
        ...


class Management(Protocol):
    """What management resources may do: the same as the API, with the same rights. Methods that change something block
    and raise Conflict, NotFound and StorageUnavailable: call them by `run`.
    """

    def admits(self, token: str | None) -> bool:
        """Whether this is the token that the API takes. Without one configured, nothing is managed."""
        ...

    def monitors(self) -> Iterable[FleetMonitor]:
        """All monitors, in the order of tags."""
        ...

    def monitor(self, tag: str) -> FleetMonitor | None: ...

    def token_of(self, monitor: FleetMonitor) -> str | None:
        """The monitor's built-in token; None while those are switched off."""
        ...

    def add(self, monitor: Monitor, secret: str) -> None: ...

    def set_paused(self, tag: str, paused: bool) -> None: ...

    def remove(self, tag: str) -> None: ...

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Calls `work` off the event loop."""
        ...


class ManagedDialect(Dialect, Protocol):
    """A dialect that also answers its protocol's management requests."""

    def resources(self, api: Management) -> Iterable[tuple[Route, Resource]]:
        """Called once. Each route is answered by its function, which may raise IngestError too."""
        ...
