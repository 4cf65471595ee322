"""The types of settings: their valid forms, and the messages for invalid values."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer, StrictStr, WithJsonSchema

from exporter.config.model import MAX_LABELS
from exporter.config.settings import Secret
from exporter.core.calendar.schedule import check_cron
from exporter.core.clock import HOUR, SECOND
from exporter.core.durations import format_duration, parse_duration
from exporter.core.errors import InvalidValue
from exporter.core.hosts import ascii_form

MAX_TEXT = 200
MAX_DESCRIPTION = 5000
MIN_KEY, MAX_KEY = 16, 64
"""Bytes of a BLAKE2b key."""
MIN_KEEPALIVE, MAX_KEEPALIVE = SECOND, HOUR
"""Milliseconds. The worker checks for idle connections once a second."""
_LABEL_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_EXAMPLE = "https://heartbeats.example.org"
_NAME_OR_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
_HOST = re.compile(r"[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]")
TAKEN_PATHS = (
    "/", "/-/", "/ext/", "/api/", "/docs/", "/static/", "/monitors/", "/incidents/", "/incidents.atom", "/refusals/",
    "/metrics/jobs", "/metrics/job/",
)  # fmt: skip


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise InvalidValue("must be a duration such as 90s, 5m, 1h30m or 2d")
    return parse_duration(value)


def _positive(milliseconds: int) -> int:
    if milliseconds <= 0:
        raise InvalidValue("must be longer than 0s")
    return milliseconds


def _keepalive(milliseconds: int) -> int:
    if not MIN_KEEPALIVE <= milliseconds <= MAX_KEEPALIVE:
        raise InvalidValue(f"must be from {format_duration(MIN_KEEPALIVE)} to {format_duration(MAX_KEEPALIVE)}")
    return milliseconds


def printable(text: str) -> str:
    if not text.isprintable():
        raise InvalidValue("must contain only printable characters")
    return text


def _description(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise InvalidValue("must contain only printable characters, tabs and line breaks")
    return text.strip()


@lru_cache(maxsize=4096)
def _cron(expression: str) -> str:
    """Many monitors share one, and to work one out takes milliseconds."""
    return check_cron(" ".join(expression.split()))


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidValue(
                f"{key[:40]!r} is not a label key: use letters, digits and '_', and do not begin with a digit"
            )
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
        raise InvalidValue(f"{path!r} is the path of another page: choose another path")
    return path


def _check_host(url: str) -> None:
    """Raises InvalidValue for a host name that is not ASCII. The message quotes only the host, which is no secret."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return
    if not host.isascii() and printable(host):
        raise InvalidValue(f"write the host name in ASCII: {ascii_form(host)[:300]}")


def _url(url: str) -> str:
    _check_host(url)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        good = good and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidValue(f"must be a URL such as {_EXAMPLE}")
    return url.rstrip("/")


def _external_url(url: str) -> str:
    """Checks the URL of the service itself, which has only a host and a port."""
    _check_host(url)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidValue(f"must be a URL such as {_EXAMPLE}, with http:// or https://")
    if "@" in parts.netloc:
        raise InvalidValue(f"must not contain a user or a password: write it as {_EXAMPLE}")
    if "?" in url or "#" in url:
        raise InvalidValue(f"must not contain a query or a fragment: write it as {_EXAMPLE}")
    if parts.path.strip("/"):
        raise InvalidValue(
            f"must not have a path: the service works only at the root of a host name, such as {_EXAMPLE}; "
            "behind a proxy, give the service its own host name or port"
        )
    if not _NAME_OR_ADDRESS.fullmatch(parts.netloc):
        raise InvalidValue(f"must be a URL such as {_EXAMPLE}, with http:// or https://")
    return url.rstrip("/")


def _host_name(text: str) -> str:
    if not _HOST_NAME.fullmatch(text):
        raise InvalidValue("must be a host name such as heartbeats.example.org, without scheme, port or wildcard")
    return text.lower().removesuffix(".")


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text if isinstance(text, str) else "")  # ip_network would accept a number
    except ValueError:
        raise InvalidValue(
            "must be an address or a network such as 10.0.0.0/8, with no bits set after the prefix"
        ) from None


def _runbook_url(text: str) -> str:
    """People follow it: no `javascript:`, and nobody's password."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        good = False
    if text and (not good or not text.isprintable() or " " in text):
        raise InvalidValue("must be a URL that begins with http:// or https://")
    return text


def _secret_text(text: object) -> Secret:
    if isinstance(text, Secret):
        return text
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue("must be a string that is not empty")
    return Secret(text)


def _secret_url(url: Secret) -> Secret:
    """Checks a URL without quoting it in messages: a webhook's URL is as sensitive as a password."""
    text = url.reveal().strip()
    _check_host(text)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidValue("must be a URL that begins with http:// or https://")
    return Secret(text)


def _key(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    if not MIN_KEY <= size <= MAX_KEY:
        raise InvalidValue(f"must have {MIN_KEY} to {MAX_KEY} bytes: generate one with `openssl rand -hex 32`")
    return text


DURATION_PATTERN = r"^(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "5m", "1h30m", "2d"]}
Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[
    int, BeforeValidator(_duration), AfterValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)
]
Keepalive = Annotated[int, BeforeValidator(_duration), AfterValidator(_keepalive), WithJsonSchema(_DURATION_SCHEMA)]
Line = Annotated[StrictStr, Field(max_length=MAX_TEXT), AfterValidator(printable)]
Description = Annotated[StrictStr, Field(max_length=MAX_DESCRIPTION), AfterValidator(_description)]
RunbookUrl = Annotated[StrictStr, Field(max_length=2000), AfterValidator(_runbook_url)]
Cron = Annotated[StrictStr, AfterValidator(_cron)]
Token = Annotated[StrictStr, Field(min_length=1, max_length=4096)]
Labels = Annotated[dict[str, Line], AfterValidator(_labels), Field(max_length=MAX_LABELS)]
ListenAddress = Annotated[StrictStr, AfterValidator(_address)]
TelemetryPath = Annotated[StrictStr, AfterValidator(_telemetry_path)]
Url = Annotated[StrictStr, AfterValidator(_url)]
ExternalUrl = Annotated[StrictStr, AfterValidator(_external_url)]
HostName = Annotated[StrictStr, AfterValidator(_host_name)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network), WithJsonSchema({"type": "string"})]
Key = Annotated[StrictStr, AfterValidator(_key), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_KEY})]
SecretText = Annotated[
    Secret,
    BeforeValidator(_secret_text),
    PlainSerializer(str, return_type=str),  # a dumped model must not reveal the secret either
    WithJsonSchema({"type": "string", "minLength": 1, "writeOnly": True}),
]
"""A secret: can be given as `…_file`, and is never printed."""

SecretUrl = Annotated[SecretText, AfterValidator(_secret_url)]
"""A URL that contains a secret, such as the URL of a webhook."""


def secret_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Returns the names of the fields of `model` whose type is SecretText or SecretText | None."""
    return tuple(name for name, field in model.model_fields.items() if _is_secret(field.annotation))


def _is_secret(annotation: Any) -> bool:
    """A mapping of secrets cannot be given as a file. The file of a list of secrets has one in each line."""
    if get_origin(annotation) is dict:
        return False
    return annotation is Secret or any(_is_secret(argument) for argument in get_args(annotation))
