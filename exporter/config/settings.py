"""The settings that result from a configuration file: plain values for the rest of the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.clock import DAY, SECOND
from exporter.core.ingest_guard import GuardPolicy
from exporter.core.maintenance import Window
from exporter.core.monitor import Monitor

AT_START = {"at_start": True}
"""Metadata of a setting that takes effect only at a start, so that a reload reports a change of it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A string that is never printed."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "<secret>"

    def __repr__(self) -> str:
        return "<secret>"


@dataclass(frozen=True, slots=True)
class StorageSettings:
    url: str = field(default="sqlite:///heartbeats.db", repr=False, metadata=AT_START)
    """Database URL; may contain a password."""
    heartbeat_log_size: int = 100
    """Number of recent heartbeats to keep for each monitor."""
    history_retention: int = 90 * DAY
    """How long to keep transitions, in milliseconds."""
    spool: str | None = field(default=None, metadata=AT_START)
    """Directory that stores heartbeats while the database is unavailable; None disables it."""
    spool_megabytes: int = field(default=256, metadata=AT_START)
    """Maximum size of the spool of each process, in MiB."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    token: Secret | None = None
    """Token for the pages, the API and `POST /-/reload`."""
    metrics_token: Secret | None = None
    """Token for the metrics."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    listen_address: str = field(default="127.0.0.1:10105", metadata=AT_START)
    telemetry_path: str = field(default="/metrics", metadata=AT_START)
    external_url: str | None = None
    """URL at which users reach the service, without a trailing slash; None: derived from the listen address."""
    auth: AuthSettings = AuthSettings()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""
    allowed_hosts: tuple[str, ...] = ()
    """Additional host names for which pages and API respond while no token is set."""
    keepalive: int = field(default=5 * SECOND, metadata=AT_START)
    """How long the server keeps an idle connection open, in milliseconds."""

    @property
    def url(self) -> str:
        """URL of the service, according to its settings."""
        host, _, port = self.listen_address.rpartition(":")
        every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to one that can be called
        return self.external_url or f"http://{every.get(host, host)}:{port}"


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = "info"
    format: str = field(default="text", metadata=AT_START)


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
    """Instance of the pydantic model of its type; it prints no secret."""
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
    secret_key: Secret | None = field(default=None, metadata=AT_START)
    """Key of the digests of secrets; None: the service generates one and stores it in the database."""
    after_outage: str = "forgive"
    """Whether outages of the exporter itself count against monitors: `forgive` or `strict`."""
    ingest_guard: GuardPolicy | None = field(default_factory=GuardPolicy)
    """When silence of many monitors is suspect; None: never."""
    dialects_off: frozenset[str] = frozenset()
    """The names of dialects that are not served."""
    built_in_tokens: bool = True
    ping_keys: tuple[ProvisionedKey, ...] = ()
    monitors: tuple[ProvisionedMonitor, ...] = ()
    maintenances: tuple[Window, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    notifiers: tuple[NotifierSettings, ...] = ()
    self_heartbeat: SelfHeartbeatSettings | None = field(default=None, metadata=AT_START)


def needs_restart(old: Any, new: Any, section: str = "") -> list[str]:
    """The settings, such as `web.keepalive`, that differ between two Settings and take effect only at a start."""
    names: list[str] = []
    for setting in fields(old):
        name, before, after = f"{section}{setting.name}", getattr(old, setting.name), getattr(new, setting.name)
        if setting.metadata.get("at_start"):
            names += [name] if before != after else []
        elif is_dataclass(before):
            names += needs_restart(before, after, f"{name}.")
    return names
