"""What a configuration file comes to once it is read: plain values that the rest of the program takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from exporter.core.alert_rule import AlertRule, Selector
from exporter.core.clock import DAY, SECOND
from exporter.core.maintenance import Window
from exporter.core.monitor import Monitor


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that never shows itself."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "<secret>"

    def __repr__(self) -> str:
        return "<secret>"


@dataclass(frozen=True, slots=True)
class StorageSettings:
    url: str = field(default="sqlite:///heartbeats.db", repr=False)
    """May hold a password."""
    heartbeats_kept: int = 100
    """Recent heartbeats kept in the log of each monitor."""
    transitions_kept: int = 90 * DAY
    """Milliseconds for which transitions are kept."""
    spool: str | None = None
    """Directory in which heartbeats wait while the database does not take them; None for no such thing."""
    spool_megabytes: int = 256
    """How much may wait there, for each process, in MiB."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    token: Secret | None = None
    """For the page, the API and `POST /-/reload`."""
    metrics_token: Secret | None = None
    """For `/metrics`."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    listen_address: str = "127.0.0.1:10105"
    telemetry_path: str = "/metrics"
    external_url: str | None = None
    """The URL under which users reach the service, without a trailing slash; worked out from the address when None."""
    auth: AuthSettings = AuthSettings()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    allowed_hosts: tuple[str, ...] = ()
    """More host names under which pages and API answer while there is no token."""
    keepalive: int = 5 * SECOND
    """Milliseconds for which an idle connection is kept for its next request."""

    @property
    def url(self) -> str:
        """Where the service is reached, as far as its own settings tell."""
        host, _, port = self.listen_address.rpartition(":")
        every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to one that can be called
        return self.external_url or f"http://{every.get(host, host)}:{port}"


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True)
class ProvisionedMonitor:
    """A monitor from the file, with its secrets and tokens."""

    monitor: Monitor
    secret: Secret
    secrets: tuple[Secret, ...] = ()
    tokens: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvisionedKey:
    """A ping key from the file."""

    name: str
    key: Secret
    selector: Selector
    defaults: Mapping[str, Any] | None
    """Settings of the monitors that it creates, as the file writes them; None: it creates none."""
    max_monitors: int


@dataclass(frozen=True, slots=True)
class NotifierSettings:
    """A notifier from the file. Durations in milliseconds."""

    name: str
    type: str
    options: Any
    """The pydantic model of its type; it prints no secret."""
    group_wait: int
    give_up_after: int


@dataclass(frozen=True, slots=True)
class SelfHeartbeatSettings:
    url: Secret
    interval: int
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Settings:
    storage: StorageSettings = StorageSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    secret_key: Secret | None = None
    """Keys the digests of secrets; made once and kept in the database when None."""
    after_outage: str = "forgive"
    """Whether an outage of our own counts against monitors: `forgive` or `strict`."""
    dialects_off: frozenset[str] = frozenset()
    """The names of dialects that are not served."""
    built_in_tokens: bool = True
    ping_keys: tuple[ProvisionedKey, ...] = ()
    monitors: tuple[ProvisionedMonitor, ...] = ()
    maintenances: tuple[Window, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    notifiers: tuple[NotifierSettings, ...] = ()
    self_heartbeat: SelfHeartbeatSettings | None = None
