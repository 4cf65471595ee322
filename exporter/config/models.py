"""Pydantic models of the configuration file: every key with its type, default and description."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from exporter.config.alert_models import AlertEntry, SelfHeartbeatSection
from exporter.config.fields import (
    Cron,
    Duration,
    ExternalUrl,
    HostName,
    Keepalive,
    Key,
    Labels,
    Line,
    ListenAddress,
    Network,
    PositiveDuration,
    TelemetryPath,
    Token,
)
from exporter.config.maintenance_models import MaintenanceEntry
from exporter.config.model import Model, details, message_of, path_of
from exporter.config.settings import (
    AuthSettings,
    LogSettings,
    ProvisionedMonitor,
    Secret,
    Settings,
    StorageSettings,
    WebSettings,
)
from exporter.config.storage_url import canonical
from exporter.core.calendar.schedule import check_timezone
from exporter.core.clock import DAY
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.monitor import DEGRADED_AFTER, DOWN_AFTER, TAG_PATTERN, Monitor, check_tag
from exporter.core.secret import check_secret


class MonitorOptions(Model):
    """A monitor without its secret: the same in the file, the API and on the command line."""

    tag: Annotated[StrictStr, AfterValidator(check_tag), Field(json_schema_extra={"pattern": f"^{TAG_PATTERN}$"})] = (
        Field(description="Identifies the monitor: 1 to 128 letters, digits, '.', '_', '-'.")
    )
    name: Line = Field("", description="Name to display. Default: the tag.")
    group: Line = Field("", description="Group on the status page and in heartbeat_info.")
    schedule: Cron | None = Field(None, description="Cron expression of when heartbeats are expected.")
    timezone: Annotated[StrictStr, AfterValidator(check_timezone)] = Field(
        "UTC", description="IANA name of the timezone of the cron expressions."
    )
    degraded_after: Duration = Field(
        DEGRADED_AFTER, description="Lateness that makes the monitor DEGRADED.", json_schema_extra={"default": "5m"}
    )
    down_after: PositiveDuration = Field(
        DOWN_AFTER, description="Lateness that makes the monitor DOWN.", json_schema_extra={"default": "10m"}
    )
    max_runtime: PositiveDuration | None = Field(
        None, description="Maximum duration of a run; a longer run makes the monitor DOWN."
    )
    evaluation_cron: Cron | None = Field(
        None, description="Cron expression of when the status may change. Default: at any time."
    )
    labels: Labels = Field(default_factory=dict, description="Labels, exposed as label_<key> on heartbeat_info.")
    paused: StrictBool = Field(False, description="Accept heartbeats but never mark the monitor late.")

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        if self.down_after <= self.degraded_after:
            raise InvalidValue(thresholds_message(self.degraded_after, self.down_after))
        return self

    def monitor(self) -> Monitor:
        """Converts the options to the core's monitor."""
        return Monitor(
            tag=self.tag,
            name=self.name,
            group=self.group,
            schedule=self.schedule,
            timezone=self.timezone,
            degraded_after=self.degraded_after,
            down_after=self.down_after,
            max_runtime=self.max_runtime,
            evaluation_cron=self.evaluation_cron,
            labels=tuple(sorted(self.labels.items())),
            paused=self.paused,
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Monitor:
        """Reads a monitor from options. Raises InvalidValue with every problem."""
        try:
            return cls.model_validate(dict(values)).monitor()
        except ValidationError as error:
            problems = (f"{path_of(detail)}: {message_of(detail)}" for detail in details(error))
            raise InvalidValue("; ".join(problems)) from None


class MonitorEntry(MonitorOptions):
    """A monitor in the file."""

    secret: Annotated[StrictStr, AfterValidator(check_secret)] = Field(
        repr=False, description="Secret that heartbeats of the monitor must contain."
    )


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
    include: list[StrictStr] = Field(
        default_factory=list,
        description="More files, or patterns of them, relative to this file: lists of monitors, maintenances, alerts "
        "and notifiers.",
    )
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
            monitors=tuple(ProvisionedMonitor(entry.monitor(), Secret(entry.secret)) for entry in self.monitors),
            maintenances=tuple(entry.window() for entry in self.maintenances),
            alerts=tuple(entry.rule() for entry in self.alerts if entry.enabled),
            self_heartbeat=self.self_heartbeat.settings() if self.self_heartbeat is not None else None,
        )


def thresholds_message(degraded_after: int, down_after: int) -> str:
    return (
        f"down_after ({format_duration(down_after)}) must be longer than "
        f"degraded_after ({format_duration(degraded_after)})"
    )


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None
