"""Management resources of dialects, put together for `app.service`: they may do what the API does, with its token."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import falcon

from exporter.config.settings import Settings
from exporter.core.credentials import BuiltInTokens
from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat
from exporter.core.monitor import Monitor
from exporter.ingest.credentials import Credentials, Grant
from exporter.ingest.request import Request
from exporter.recording.managed_monitors import ManagedMonitors
from exporter.storage.repositories.history import History
from exporter.storage.repositories.monitors import Make
from exporter.web.addresses import address_used
from exporter.web.hosts import Hosts

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds that a request waits to see what other processes wrote."""


class ApiForDialects:
    """Implements ingest.dialect.Management."""

    def __init__(
        self,
        fleet: Fleet,
        monitors: ManagedMonitors,
        executor: Executor,
        settings: Callable[[], Settings],
        key: Callable[[], bytes],
        history: History,
        catch_up: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`key` returns the key that secrets are digested with. `catch_up` blocks until the fleet knows what is in the
        database, or for so many seconds; it may raise StorageUnavailable.
        """
        self._fleet = fleet
        self._executor = executor
        self._settings = settings
        self._key = key
        self._history = history
        self._catch_up = catch_up
        self._hosts = Hosts(lambda: settings().web)
        self.add: Callable[[Monitor, str], None] = monitors.add
        self.set_paused: Callable[[str, bool], None] = monitors.set_paused
        self.remove: Callable[[str], None] = monitors.remove
        self._put = monitors.put

    def admits(self, token: str | None) -> bool:
        configured = self._settings().web.auth.token
        if token is None or configured is None:
            return False
        given, expected = (text.encode("utf-8", "surrogatepass") for text in (token, configured.reveal()))
        return hmac.compare_digest(given, expected)

    async def anonymous(self, request: Request) -> bool:
        if self._settings().web.auth.token is not None:
            return False
        host = request.header("Host")
        if host is not None:  # a browser always sends one
            try:
                await self._hosts.check(host)
            except falcon.HTTPError:
                return False
        return True

    async def catch_up(self) -> None:
        try:
            await self.run(self._catch_up, PATIENCE)
        except StorageUnavailable:
            return  # what is in memory is the newest that there is

    def monitors(self) -> Sequence[FleetMonitor]:
        return self._fleet.all()

    def monitor(self, tag: str) -> FleetMonitor | None:
        return self._fleet.get(tag)

    def numbered(self, number: int) -> FleetMonitor | None:
        return self._fleet.with_id(number)

    def token_of(self, monitor: FleetMonitor) -> str | None:
        return self.uuids()(monitor.id, monitor.generation) if self._settings().built_in_tokens else None

    def uuids(self) -> Callable[[int, int], str]:
        return BuiltInTokens(self._key()).of

    @property
    def built_in_tokens(self) -> bool:
        return self._settings().built_in_tokens

    def with_token(self, token: str) -> FleetMonitor | None:
        credentials = Credentials(self._fleet, self._key())
        credentials.built_in_tokens = self._settings().built_in_tokens
        opened = credentials.check(token)
        return opened.watched if isinstance(opened, Grant) else None

    def base_url(self, request: Request) -> str:
        web = self._settings().web
        forwarded = request.header("X-Forwarded-Proto")
        return address_used(web, request.header("Host"), request.peer, request.scheme, forwarded)

    def notifiers(self) -> Sequence[tuple[str, str]]:
        return [(notifier.name, notifier.type) for notifier in self._settings().notifiers]

    def heartbeats(self, watched: FleetMonitor, limit: int) -> Sequence[tuple[int, Heartbeat]]:
        return self._history.numbered(watched.id, limit)

    def put(self, make: Make, **which: Any) -> tuple[int, bool]:
        return self._put(make, **which)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
