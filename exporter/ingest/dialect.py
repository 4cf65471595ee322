"""What a dialect is: one small module that turns requests of one protocol into heartbeats, and answers them."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat
from exporter.core.monitor import Monitor
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route
from exporter.storage.repositories.monitors import Make

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

    def monitors(self) -> Sequence[FleetMonitor]:
        """All monitors, in the order of tags."""
        ...

    def monitor(self, tag: str) -> FleetMonitor | None: ...

    def numbered(self, number: int) -> FleetMonitor | None:
        """The monitor with the number that `put` returned."""
        ...

    def token_of(self, monitor: FleetMonitor) -> str | None:
        """The monitor's built-in token; None while those are switched off."""
        ...

    def uuids(self) -> Callable[[int, int], str]:
        """Returns the built-in token of a number and a generation, whether it opens the monitor or not."""
        ...

    @property
    def built_in_tokens(self) -> bool:
        """Whether they are switched on."""
        ...

    async def anonymous(self, request: Request) -> bool:
        """Whether a client that shows no token may read what names and opens nothing. No page of another site must be
        able to read the answer: allow it no origin.
        """
        ...

    async def catch_up(self) -> None:
        """Until the monitors are those of the database, whatever other processes wrote; or for some seconds."""
        ...

    def with_token(self, token: str) -> FleetMonitor | None:
        """The monitor that a token names, built in or configured."""
        ...

    def base_url(self, request: Request) -> str:
        """The service's URL as this client knows it, without a slash at its end."""
        ...

    def notifiers(self) -> Sequence[tuple[str, str]]:
        """(name, type) of each, in the order of the configuration."""
        ...

    def heartbeats(self, watched: FleetMonitor, limit: int) -> Sequence[tuple[int, Heartbeat]]:
        """The newest `limit` that are kept, the last one received first, each with its number. Blocks."""
        ...

    def add(self, monitor: Monitor, secret: str) -> None: ...

    def put(self, make: Make, **which: Any) -> tuple[int, bool]:
        """Changes a monitor or adds one, exactly once however many ask: see `storage.repositories.monitors`."""
        ...

    def set_paused(self, tag: str, paused: bool) -> None: ...

    def remove(self, tag: str) -> None: ...

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Calls `work` off the event loop."""
        ...


class ManagedDialect(Dialect, Protocol):
    """A dialect that also answers its protocol's management requests."""

    def resources(self, api: Management) -> Iterable[tuple[Route, Resource]]:
        """Called once. Each route is answered by its function, which may raise IngestError too. A dialect whose
        management answers errors in another form than its pings has a method `management_error`, which is like `error`.
        """
        ...
