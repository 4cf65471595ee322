"""Management resources of dialects, put together for `app.service`: they may do what the API does, with its token."""

import asyncio
import hmac
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar

from exporter.config.settings import Settings
from exporter.core.credentials import BuiltInTokens
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.monitor import Monitor
from exporter.recording.managed_monitors import ManagedMonitors

T = TypeVar("T")


class ApiForDialects:
    """Implements ingest.dialect.Management."""

    def __init__(
        self,
        fleet: Fleet,
        monitors: ManagedMonitors,
        executor: Executor,
        settings: Callable[[], Settings],
        key: Callable[[], bytes],
    ) -> None:
        """`key` returns the key that secrets are digested with."""
        self._fleet = fleet
        self._executor = executor
        self._settings = settings
        self._key = key
        self.add: Callable[[Monitor, str], None] = monitors.add
        self.set_paused: Callable[[str, bool], None] = monitors.set_paused
        self.remove: Callable[[str], None] = monitors.remove

    def admits(self, token: str | None) -> bool:
        configured = self._settings().web.auth.token
        if token is None or configured is None:
            return False
        given, expected = (text.encode("utf-8", "surrogatepass") for text in (token, configured.reveal()))
        return hmac.compare_digest(given, expected)

    def monitors(self) -> Iterable[FleetMonitor]:
        return self._fleet.all()

    def monitor(self, tag: str) -> FleetMonitor | None:
        return self._fleet.get(tag)

    def token_of(self, monitor: FleetMonitor) -> str | None:
        if not self._settings().built_in_tokens:
            return None
        return BuiltInTokens(self._key()).of(monitor.id, monitor.generation)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
