"""The configuration file as pydantic sees it: every key, its type, its default and what it is for."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from exporter.config.settings import (
    AuthSettings,
    LogSettings,
    ProvisionedMonitor,
    Secret,
    Settings,
    StorageSettings,
    WebSettings,
)
from exporter.core.clock import DAY
from exporter.core.durations import format_duration, parse_duration
from exporter.core.errors import InvalidValue
from exporter.core.monitor import DEGRADED_AFTER, DOWN_AFTER, TAG_PATTERN, Monitor, check_tag
from exporter.core.schedule import check_cron, check_timezone
from exporter.core.secret import check_secret

MOST_LABELS = 32
LONGEST_TEXT = 200
SHORTEST_KEY, LONGEST_KEY = 16, 64
"""Of BLAKE2b, in bytes."""
_LABEL_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]")
TAKEN_PATHS = ("/", "/-/", "/ext/", "/api/", "/static/", "/monitors/")


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise InvalidValue("must be a duration such as 90s, 5m, 1h30m or 2d")
    return parse_duration(value)


def _positive(milliseconds: int) -> int:
    if milliseconds <= 0:
        raise InvalidValue("must be longer than 0s")
    return milliseconds


def _printable(text: str) -> str:
    if not all(c.isprintable() for c in text):
        raise InvalidValue("must hold printable characters only")
    return text


def _cron(expression: str) -> str:
    return check_cron(" ".join(expression.split()))


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidValue(f"{key[:40]!r} is not a label's key: use letters, digits and '_', no digit first")
    return labels


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535 or not _HOST.fullmatch(host):
        raise InvalidValue(f"{text[:60]!r} is not an address: write 127.0.0.1:10105, [::1]:10105 or :10105")
    return text


def _telemetry_path(path: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", path) or {".", ".."} & set(path.split("/")):
        raise InvalidValue("must be a path such as /metrics")
    if any(path == taken.rstrip("/") or path.startswith(taken) for taken in TAKEN_PATHS[1:]):
        raise InvalidValue(f"{path!r} belongs to another page")
    return path


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        good = good and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidValue("must be a URL such as https://heartbeats.example.org")
    return url.rstrip("/")


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text if isinstance(text, str) else "")  # a number would be an address as well
    except ValueError:
        raise InvalidValue("must be an address or a network such as 10.0.0.0/8, with no bit set beyond it") from None


def _key(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    if not SHORTEST_KEY <= size <= LONGEST_KEY:
        raise InvalidValue(f"must have {SHORTEST_KEY} to {LONGEST_KEY} bytes: make one with `openssl rand -hex 32`")
    return text


DURATION_PATTERN = r"^(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "5m", "1h30m", "2d"]}
Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[
    int, BeforeValidator(_duration), AfterValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)
]
Line = Annotated[StrictStr, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]
Cron = Annotated[StrictStr, AfterValidator(_cron)]
Token = Annotated[StrictStr, Field(min_length=1, max_length=4096)]


class Model(BaseModel):
    """Unknown keys are errors; no message quotes its input."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class MonitorOptions(Model):
    """A monitor without its secret: the same in the file, the API and on the command line."""

    tag: Annotated[StrictStr, AfterValidator(check_tag), Field(json_schema_extra={"pattern": f"^{TAG_PATTERN}$"})] = (
        Field(description="Identifies the monitor: 1 to 128 letters, digits, '.', '_', '-'.")
    )
    name: Line = Field("", description="For people; the tag when left out.")
    group: Line = Field("", description="Groups monitors on the page and in heartbeat_info.")
    schedule: Cron | None = Field(None, description="When heartbeats are expected: a cron expression.")
    timezone: Annotated[StrictStr, AfterValidator(check_timezone)] = Field(
        "UTC", description="IANA name in which cron expressions are read."
    )
    degraded_after: Duration = Field(
        DEGRADED_AFTER, description="Lateness beyond which it is DEGRADED.", json_schema_extra={"default": "5m"}
    )
    down_after: PositiveDuration = Field(
        DOWN_AFTER, description="Lateness beyond which it is DOWN.", json_schema_extra={"default": "10m"}
    )
    max_runtime: PositiveDuration | None = Field(None, description="A run longer than this is DOWN.")
    evaluation_cron: Cron | None = Field(None, description="When set, the status changes only on these ticks.")
    labels: Annotated[dict[str, Line], AfterValidator(_labels), Field(max_length=MOST_LABELS)] = Field(
        default_factory=dict, description="Your own; label_<key> on heartbeat_info."
    )
    paused: StrictBool = Field(False, description="Take heartbeats, but never be late.")

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        if self.down_after <= self.degraded_after:
            raise InvalidValue(thresholds_message(self.degraded_after, self.down_after))
        return self

    def monitor(self) -> Monitor:
        """The core's monitor."""
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
        """Raises InvalidValue with every problem."""
        try:
            return cls.model_validate(dict(values)).monitor()
        except ValidationError as error:
            raise InvalidValue("; ".join(f"{path_of(one)}: {message_of(one)}" for one in details(error))) from None


class MonitorEntry(MonitorOptions):
    """A monitor in the file."""

    secret: Annotated[StrictStr, AfterValidator(check_secret)] = Field(
        repr=False, description="What its heartbeats must show."
    )


class StorageSection(Model):
    """Where everything is kept."""

    url: StrictStr = Field(
        StorageSettings().url, repr=False, description="sqlite:///relative.db or sqlite:////absolute.db."
    )
    heartbeats_kept: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        100, description="Recent heartbeats kept per monitor."
    )
    transitions_kept: PositiveDuration = Field(
        90 * DAY, description="How long transitions are kept.", json_schema_extra={"default": "90d"}
    )


class AuthSection(Model):
    """Tokens; what has none is open."""

    token: Token | None = Field(None, repr=False, description="For the page, the API and POST /-/reload.")
    metrics_token: Token | None = Field(None, repr=False, description="For /metrics.")


class WebSection(Model):
    """The HTTP side."""

    listen_address: Annotated[StrictStr, AfterValidator(_address)] = Field(
        WebSettings().listen_address, description="HOST:PORT; :PORT is every address."
    )
    telemetry_path: Annotated[StrictStr, AfterValidator(_telemetry_path)] = Field(
        "/metrics", description="Where Prometheus scrapes."
    )
    external_url: Annotated[StrictStr, AfterValidator(_url)] | None = Field(
        None, description="The URL under which people reach the service."
    )
    auth: AuthSection = Field(default_factory=AuthSection, description="Tokens.")
    trusted_proxies: list[
        Annotated[IPv4Network | IPv6Network, BeforeValidator(_network), WithJsonSchema({"type": "string"})]
    ] = Field(default_factory=list, description="Peers whose X-Forwarded-For and -Proto are believed.")


class LogSection(Model):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    format: Literal["text", "json"] = Field("text", description="Lines for people or for machines.")


class ConfigFile(Model):
    """The whole file."""

    storage: StorageSection = Field(default_factory=StorageSection, description="Where everything is kept.")
    web: WebSection = Field(default_factory=WebSection, description="The HTTP side.")
    log: LogSection = Field(default_factory=LogSection, description="What is logged, and how.")
    secret_key: (
        Annotated[StrictStr, AfterValidator(_key), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_KEY})]
        | None
    ) = Field(None, repr=False, description="Keys the digests of secrets: 16 to 64 bytes.")
    monitors: list[MonitorEntry] = Field(default_factory=list, description="The provisioned monitors.")

    def settings(self) -> Settings:
        """What the rest of the program takes."""
        storage, web, auth = self.storage, self.web, self.web.auth
        return Settings(
            storage=StorageSettings(storage.url, storage.heartbeats_kept, storage.transitions_kept),
            web=WebSettings(
                listen_address=web.listen_address,
                telemetry_path=web.telemetry_path,
                external_url=web.external_url,
                auth=AuthSettings(_secret(auth.token), _secret(auth.metrics_token)),
                trusted_proxies=tuple(web.trusted_proxies),
            ),
            log=LogSettings(self.log.level, self.log.format),
            secret_key=_secret(self.secret_key),
            monitors=tuple(ProvisionedMonitor(entry.monitor(), Secret(entry.secret)) for entry in self.monitors),
        )


def thresholds_message(degraded_after: int, down_after: int) -> str:
    return (
        f"down_after ({format_duration(down_after)}) must be longer than "
        f"degraded_after ({format_duration(degraded_after)})"
    )


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None


def details(error: ValidationError) -> list[Any]:
    """Each problem of `error` without its input."""
    return list(error.errors(include_url=False, include_input=False, include_context=False))


def message_of(detail: Mapping[str, Any]) -> str:
    """In our words where pydantic's are not for people."""
    match detail["type"]:
        case "missing":
            return "is missing"
        case "string_type":
            return "must be a text: put it in quotes"
        case "string_unicode":
            return "must be Unicode: it holds half of a surrogate pair"
        case "too_long":
            return f"has more than {MOST_LABELS} entries"  # nothing else is counted
        case "string_too_short":
            return "is empty"  # nothing has another least length
        case "int_type":
            return "must be a whole number"
        case "bool_type":
            return "must be true or false"
        case "dict_type" | "model_type":
            return "must hold settings as `key: value`"
        case "list_type":
            return "must be a list"
        case "extra_forbidden":
            return "is not a setting"
    text: str = detail["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def path_of(detail: Mapping[str, Any]) -> str:
    return ".".join(map(str, detail["loc"])) or "monitor"
