"""The configuration file as pydantic sees it: every key, its type, its default and what it is for."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from exporter.config.alert_models import AlertEntry, SelfHeartbeatSection
from exporter.config.credential_models import PingKeyEntry, Switch
from exporter.config.fields import (
    ExternalUrl,
    HostName,
    Keepalive,
    Key,
    ListenAddress,
    Network,
    PositiveDuration,
    TelemetryPath,
    Token,
)
from exporter.config.maintenance_models import MaintenanceEntry
from exporter.config.model import Model
from exporter.config.monitor_models import MonitorEntry
from exporter.config.monitor_models import MonitorOptions as MonitorOptions
from exporter.config.monitor_models import thresholds_message as thresholds_message
from exporter.config.settings import (
    AuthSettings,
    LogSettings,
    Secret,
    Settings,
    StorageSettings,
    WebSettings,
)
from exporter.config.storage_url import canonical
from exporter.core.clock import DAY


class StorageSection(Model):
    """Where everything is kept."""

    url: Annotated[StrictStr, AfterValidator(canonical)] = Field(
        StorageSettings().url,
        repr=False,
        description="sqlite:///relative.db (to this file's folder), sqlite:////absolute.db or "
        "postgresql://user@host/database.",
    )
    heartbeats_kept: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        100, description="Recent heartbeats kept per monitor."
    )
    transitions_kept: PositiveDuration = Field(
        90 * DAY, description="How long transitions are kept.", json_schema_extra={"default": "90d"}
    )
    spool: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        None, description="Directory in which heartbeats wait while the database does not take them."
    )
    spool_megabytes: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = Field(
        256, description="How much may wait there, in MiB."
    )


class AuthSection(Model):
    """Tokens; what has none is open."""

    token: Token | None = Field(None, repr=False, description="For the page, the API and POST /-/reload.")
    metrics_token: Token | None = Field(None, repr=False, description="For /metrics.")


class WebSection(Model):
    """The HTTP side."""

    listen_address: ListenAddress = Field(
        WebSettings().listen_address, description="HOST:PORT; :PORT is every address."
    )
    telemetry_path: TelemetryPath = Field("/metrics", description="Where Prometheus scrapes.")
    external_url: ExternalUrl | None = Field(None, description="The URL under which people reach the service.")
    auth: AuthSection = Field(default_factory=AuthSection, description="Tokens.")
    trusted_proxies: list[Network] = Field(
        default_factory=list, description="Peers whose X-Forwarded-For and -Proto are believed."
    )
    allowed_hosts: list[HostName] = Field(
        default_factory=list,
        description="More host names under which pages and API answer while no token is set.",
    )
    keepalive: Keepalive = Field(
        WebSettings().keepalive,
        description="How long an idle connection is kept for its next request, 1s to 1h.",
        json_schema_extra={"default": "5s"},
    )


class LogSection(Model):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    format: Literal["text", "json"] = Field("text", description="Lines for people or for machines.")


class ConfigFile(Model):
    """The whole file."""

    storage: StorageSection = Field(default_factory=StorageSection, description="Where everything is kept.")
    web: WebSection = Field(default_factory=WebSection, description="The HTTP side.")
    log: LogSection = Field(default_factory=LogSection, description="What is logged, and how.")
    secret_key: Key | None = Field(None, repr=False, description="Keys the digests of secrets: 16 to 64 bytes.")
    after_outage: Literal["forgive", "strict"] = Field(
        "forgive", description="Whether time in which the exporter itself was away counts against monitors."
    )
    include: list[StrictStr] = Field(
        default_factory=list,
        description="More files, or patterns of them, relative to this file: lists of monitors, maintenances, alerts "
        "and notifiers.",
    )
    dialects: dict[str, Switch] = Field(
        default_factory=dict, description="Ping protocols that are switched off: `{alertmanager: off}`."
    )
    built_in_tokens: Switch = Field(True, description="Whether each monitor has a token that need not be configured.")
    ping_keys: list[PingKeyEntry] = Field(default_factory=list, description="Keys that open many monitors each.")
    monitors: list[MonitorEntry] = Field(default_factory=list, description="The provisioned monitors.")
    maintenances: list[MaintenanceEntry] = Field(default_factory=list, description="Maintenance windows.")
    alerts: list[AlertEntry] = Field(default_factory=list, description="Alert rules.")
    notifiers: list[dict[str, Any]] = Field(default_factory=list, description="Whom alerts are told to, and how.")
    self_heartbeat: SelfHeartbeatSection | None = Field(None, description="A heartbeat of our own, to who watches us.")

    def settings(self) -> Settings:
        """What the rest of the program takes, but for the notifiers: only their own models can read those."""
        storage, web, auth = self.storage, self.web, self.web.auth
        return Settings(
            storage=StorageSettings(
                storage.url,
                storage.heartbeats_kept,
                storage.transitions_kept,
                storage.spool,
                storage.spool_megabytes,
            ),
            web=WebSettings(
                listen_address=web.listen_address,
                telemetry_path=web.telemetry_path,
                external_url=web.external_url,
                auth=AuthSettings(_secret(auth.token), _secret(auth.metrics_token)),
                trusted_proxies=tuple(web.trusted_proxies),
                allowed_hosts=tuple(web.allowed_hosts),
                keepalive=web.keepalive,
            ),
            log=LogSettings(self.log.level, self.log.format),
            secret_key=_secret(self.secret_key),
            after_outage=self.after_outage,
            dialects_off=frozenset(name for name, on in self.dialects.items() if not on),
            built_in_tokens=self.built_in_tokens,
            ping_keys=tuple(entry.settings() for entry in self.ping_keys),
            monitors=tuple(entry.settings() for entry in self.monitors),
            maintenances=tuple(entry.window() for entry in self.maintenances),
            alerts=tuple(entry.rule() for entry in self.alerts if entry.enabled),
            self_heartbeat=self.self_heartbeat.settings() if self.self_heartbeat is not None else None,
        )


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None
