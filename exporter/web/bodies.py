"""What the API takes: bodies, bounded and checked, with every problem named at once."""

import re
from typing import Annotated, Any, Self, TypeVar

import falcon
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from exporter.core.durations import parse_duration
from exporter.core.errors import InvalidValue
from exporter.core.monitor import DEGRADED_AFTER, DOWN_AFTER, TAG_PATTERN, Monitor, check_tag
from exporter.core.schedule import check_cron, check_timezone
from exporter.core.secret import check_secret
from exporter.web.errors import JSON, Refused
from exporter.web.requests import Request

LARGEST = 64 * 1024
LONGEST_NAME = 200
MOST_LABELS = 64
LABEL_KEY = r"[a-zA-Z_][a-zA-Z0-9_]*"
_LABEL_KEY = re.compile(LABEL_KEY)


def _positive(value: object) -> int:
    milliseconds = parse_duration(value)  # type: ignore[arg-type]
    if milliseconds <= 0:
        raise InvalidValue("it must be longer than nothing")
    return milliseconds


def _any_duration(value: object) -> int:
    return parse_duration(value)  # type: ignore[arg-type]


def _line(text: str) -> str:
    if not all(c.isprintable() for c in text):
        raise InvalidValue("use printable characters only")
    return text


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if not _LABEL_KEY.fullmatch(key) or len(key) > LONGEST_NAME:
            raise InvalidValue("a label's key is made of letters, digits and '_', and does not begin with a digit")
    return labels


def _secret(secret: SecretStr) -> SecretStr:
    check_secret(secret.get_secret_value())
    return secret


_DURATION_SCHEMA = {"type": "string", "examples": ["90s", "5m", "1h30m", "2d"]}
Duration = Annotated[int, BeforeValidator(_any_duration), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[int, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)]
Line = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_line)]
Cron = Annotated[str, AfterValidator(check_cron)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewMonitor(_Body):
    """A monitor to be added. Durations are written as `90s`, `5m`, `1h30m`, `2d`."""

    tag: Annotated[str, AfterValidator(check_tag), Field(json_schema_extra={"pattern": f"^{TAG_PATTERN}$"})]
    name: Line = ""
    group: Line = ""
    schedule: Cron | None = Field(
        None, description="Cron expression; without one the last success counts.", examples=["0 3 * * *"]
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] = Field("UTC", description="IANA name.")
    degraded_after: Duration = Field(DEGRADED_AFTER, json_schema_extra={"default": "5m"})
    down_after: PositiveDuration = Field(DOWN_AFTER, json_schema_extra={"default": "10m"})
    max_runtime: PositiveDuration | None = None
    evaluation_cron: Cron | None = Field(
        None, description="When set, the status changes only on this schedule's ticks."
    )
    labels: Annotated[dict[str, Line], AfterValidator(_labels), Field(max_length=MOST_LABELS)] = Field(
        default_factory=dict
    )
    paused: StrictBool = False
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None, description="Made for you when left out, which is safer."
    )

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        if self.down_after <= self.degraded_after:
            raise InvalidValue("down_after must be longer than degraded_after")
        return self

    def monitor(self) -> Monitor:
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


class MonitorChange(_Body):
    """What may be changed by hand."""

    paused: StrictBool


_B = TypeVar("_B", bound=_Body)


async def read_body(req: Request, model: type[_B]) -> _B:
    """The body as a `model`; raises 415, 413, or 422 with all problems, none of which quotes a secret."""
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != JSON:
        # A form on another site's page can send any body, but not as JSON.
        raise falcon.HTTPUnsupportedMediaType(description="Send JSON, with Content-Type: application/json.")
    raw = await _bounded(req)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Refused(falcon.HTTP_422, "The body cannot be used.", problems_of(error)) from None


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {
            "path": ".".join(str(part) for part in each["loc"]),
            "message": each["msg"].removeprefix("Value error, "),
        }
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]


async def _bounded(req: Request) -> bytes:
    """Never more than LARGEST in memory, whatever Content-Length says or leaves out."""
    length = req.content_length
    if length is not None and length > LARGEST:
        raise falcon.HTTPContentTooLarge
    body = bytearray()
    async for chunk in req.stream:
        body += chunk
        if len(body) > LARGEST:
            raise falcon.HTTPContentTooLarge
    return bytes(body)
