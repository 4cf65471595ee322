"""What management resources of dialects may do: the same as the API, with the same rights."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from exporter.core.fleet import FleetMonitor
from exporter.core.monitor import Monitor

T = TypeVar("T")


class Management(Protocol):
    """Methods that change something block and raise Conflict, NotFound and StorageUnavailable: call them by `run`."""

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
