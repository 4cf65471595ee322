"""Pydantic models of the configuration file: every key with its type, default and description."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from exporter.config.alert_models import AlertEntry, GuardSwitch, IngestGuardSection, SelfHeartbeatSection, switchable
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
    """Database and spool."""

    url: Annotated[StrictStr, AfterValidator(canonical)] = Field(
        StorageSettings().url,
        repr=False,
        description="Database URL: sqlite:///relative.db (relative to the folder of this file), sqlite:////absolute.db "
        "or postgresql://user@host/database.",
    )
    heartbeat_log_size: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        100, description="Number of recent heartbeats to keep for each monitor."
    )
    history_retention: PositiveDuration = Field(
        90 * DAY,
        description="How long to keep changes of status, and the history of removed monitors.",
        json_schema_extra={"default": "90d"},
    )
    spool: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        None, description="Directory that stores heartbeats while the database is unavailable. Default: none."
    )
    spool_megabytes: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = Field(
        256, description="Maximum size of the spool of each process, in MiB."
    )


class AuthSection(Model):
    """Access tokens. A route without a token is open."""

    token: Token | None = Field(None, repr=False, description="Token for the pages, the API and POST /-/reload.")
    metrics_token: Token | None = Field(None, repr=False, description="Token for the metrics.")


class WebSection(Model):
    """HTTP server."""

    listen_address: ListenAddress = Field(
        WebSettings().listen_address, description="Address to listen on, as HOST:PORT; :PORT is every address."
    )
    telemetry_path: TelemetryPath = Field("/metrics", description="Path of the metrics.")
    external_url: ExternalUrl | None = Field(None, description="URL at which users reach the service.")
    auth: AuthSection = Field(default_factory=AuthSection, description="Access tokens.")
    trusted_proxies: list[Network] = Field(
        default_factory=list,
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.",
    )
    allowed_hosts: list[HostName] = Field(
        default_factory=list,
        description="Additional host names for which pages and API respond while no token is set.",
    )
    keepalive: Keepalive = Field(
        WebSettings().keepalive,
        description="How long the server keeps an idle connection open, 1s to 1h.",
        json_schema_extra={"default": "5s"},
    )


class LogSection(Model):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log.")
    format: Literal["text", "json"] = Field("text", description="Format of the log lines.")


class ConfigFile(Model):
    """The configuration file."""

    storage: StorageSection = Field(default_factory=StorageSection, description="Database and spool.")
    web: WebSection = Field(default_factory=WebSection, description="HTTP server.")
    log: LogSection = Field(default_factory=LogSection, description="Logging.")
    secret_key: Key | None = Field(
        None, repr=False, description="Key of the digests in which secrets are stored, 16 to 64 bytes."
    )
    after_outage: Literal["forgive", "strict"] = Field(
        "forgive",
        description="Whether outages of the exporter itself count against monitors (strict) or not (forgive).",
    )
    ingest_guard: GuardSwitch = Field(
        default_factory=IngestGuardSection,
        description="Holds alerts for silence while so many monitors are silent that heartbeats may not reach the "
        "exporter; `off` disables it.",
        json_schema_extra=switchable,
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
    monitors: list[MonitorEntry] = Field(default_factory=list, description="Provisioned monitors.")
    maintenances: list[MaintenanceEntry] = Field(default_factory=list, description="Maintenance windows.")
    alerts: list[AlertEntry] = Field(default_factory=list, description="Alert rules.")
    notifiers: list[dict[str, Any]] = Field(default_factory=list, description="Destinations for alert notifications.")
    self_heartbeat: SelfHeartbeatSection | None = Field(
        None, description="Heartbeats that the exporter sends to another monitoring service."
    )

    def settings(self) -> Settings:
        """Converts the file to settings, except for the notifiers, which need the models of their types."""
        storage, web, auth = self.storage, self.web, self.web.auth
        return Settings(
            storage=StorageSettings(
                storage.url,
                storage.heartbeat_log_size,
                storage.history_retention,
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
            ingest_guard=self.ingest_guard.policy() if self.ingest_guard is not None else None,
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
