"""What the web is made of: collaborators, all injected, and the little that it asks of each."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exporter.config.settings import WebSettings
from exporter.core.alert import AlertState
from exporter.core.clock import Clock
from exporter.core.fleet import Fleet
from exporter.core.heartbeat import Heartbeat
from exporter.core.incident import IncidentState
from exporter.core.monitor import Monitor
from exporter.core.notification import NotificationState

if TYPE_CHECKING:
    from exporter.core.notification import Hold
    from exporter.ingest.refusals import Refusals
    from exporter.storage.repositories.alerts import Alert
    from exporter.storage.repositories.history import Transition
    from exporter.storage.repositories.incidents import Incident, Update
    from exporter.storage.repositories.notifications import Notification


class History(Protocol):
    """What happened. Methods block and raise StorageUnavailable."""

    def transitions(self, monitor_ids: Sequence[int], since: int) -> Mapping[int, Sequence["Transition"]]:
        """Ascending, with the last one at or before `since` first if there is one."""
        ...

    def heartbeats(self, monitor_id: int, limit: int) -> Sequence[Heartbeat]:
        """Newest first."""
        ...


class Monitors(Protocol):
    """Monitors made by hand. Methods block and raise StorageUnavailable."""

    def add(self, monitor: Monitor, secret: str) -> None:
        """Raises Conflict when the tag is taken."""
        ...

    def set_paused(self, tag: str, paused: bool) -> None:
        """Raises NotFound, or Conflict when the configuration file pauses it."""
        ...

    def remove(self, tag: str) -> None:
        """Raises NotFound, or Conflict for a monitor of the configuration file."""
        ...


class Alerts(Protocol):
    """Alerts, newest first. Methods block and raise StorageUnavailable."""

    def recent(
        self,
        *,
        step: AlertState | None = None,
        incident_id: int | None = None,
        limit: int = ...,
        before_id: int | None = None,
    ) -> Sequence["Alert"]: ...

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence["Alert"]: ...

    def firing(self, monitor_ids: Sequence[int]) -> Mapping[int, Sequence["Alert"]]:
        """Those that are on, by monitor."""
        ...


class Incidents(Protocol):
    """Incidents, newest first. Methods block and raise StorageUnavailable."""

    def recent(
        self, *, open: bool | None = None, limit: int = ..., before_id: int | None = None
    ) -> Sequence["Incident"]: ...

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence["Incident"]: ...

    def find(self, id: int) -> "Incident":
        """Raises NotFound."""
        ...

    def updates(self, ids: Sequence[int]) -> Mapping[int, Sequence["Update"]]:
        """Per incident, oldest first."""
        ...

    def count_open(self) -> int: ...

    def update(self, id: int, state: IncidentState | None, text: str, author: str) -> None:
        """Raises NotFound, and Conflict when it is resolved."""
        ...

    def acknowledge(self, id: int, author: str) -> None:
        """Raises NotFound, and Conflict when it is resolved or acknowledged."""
        ...


class Notifications(Protocol):
    """What notifiers are owed. Methods block and raise StorageUnavailable."""

    def dead_since(self, since: int) -> Mapping[str, int]:
        """How many messages were given up from that moment on, by notifier."""
        ...

    def holds(self, now: int) -> Mapping[str, "Hold"]:
        """The notifiers whose receiver asked them to wait beyond `now`, by name."""
        ...

    def recent(
        self, *, state: NotificationState | None = None, limit: int = ..., before_id: int | None = None
    ) -> Sequence["Notification"]:
        """Newest first."""
        ...


class Answer(Protocol):
    """One exposition. Pulling a chunk works, so it is done off the event loop."""

    @property
    def content_type(self) -> str: ...
    @property
    def content_encoding(self) -> str | None: ...
    @property
    def chunks(self) -> Iterator[bytes]: ...


class Scrape(Protocol):
    def answer(self, accept: str | None, accept_encoding: str | None, names: frozenset[str] | None) -> Answer: ...


Readiness = Callable[[], str | None]
"""None when ready, else the reason in words."""
Reload = Callable[[], Awaitable[None] | None]
"""Blocking or async; raises ConfigError, and then the old configuration stays."""
Observe = Callable[[str, str, int, float], None]
"""(handler, method, status code, seconds) of one request."""


@dataclass(frozen=True, slots=True)
class WebContext:
    """Everything `create_app` needs."""

    fleet: Fleet
    clock: Clock
    readiness: Readiness
    health: Readiness
    """What only a new process can mend; None while all threads do their work."""
    history: History
    monitors: Monitors
    alerts: Alerts
    incidents: Incidents
    notifications: Notifications
    refusals: "Refusals"
    scrape: Scrape
    reload: Reload
    settings: Callable[[], WebSettings]
    """Asked at every request: tokens and trusted proxies may change at a reload. The telemetry path may not."""
    executor: Executor
    """Where everything that blocks or computes is done."""
    observe: Observe
    version: str
    notice: Callable[[], str | None] = lambda: None
    """What people should know though all that is asked of us is done."""
    starting: Callable[[], str | None] = lambda: None
    """Why monitors are not known yet; None once they are."""
