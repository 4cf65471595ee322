"""The ingest guard's settings as pydantic sees them."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, WithJsonSchema

from exporter.config.fields import PositiveDuration
from exporter.config.model import Model
from exporter.core.clock import DAY
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.ingest_guard import GuardPolicy

MAX_LENGTH = DAY
_DEFAULTS = GuardPolicy()


def _length(value: int) -> int:
    if value > MAX_LENGTH:
        raise InvalidValue(f"must be at most {format_duration(MAX_LENGTH)}")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidValue("must be a number greater than 0 and at most 1")
    return float(value)


def _guard(value: object) -> object:
    """`off` is a text in YAML 1.2."""
    if value is False or value == "off":
        return None
    if value is True or value == "on":
        return {}
    if not isinstance(value, dict | IngestGuardSection):
        raise InvalidValue("must be off, or settings as `key: value`")
    return value


GuardDuration = Annotated[PositiveDuration, AfterValidator(_length)]
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Share = Annotated[
    float,
    BeforeValidator(_share),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
]


class IngestGuardSection(Model):
    """When silence of many monitors at once is suspect."""

    window: GuardDuration = Field(
        _DEFAULTS.window,
        description="How long a missed deadline counts as a sign that heartbeats do not arrive.",
        json_schema_extra={"default": "5m"},
    )
    hold: GuardDuration = Field(
        _DEFAULTS.hold,
        description="How long alerts for silence are held at most.",
        json_schema_extra={"default": "5m"},
    )
    min_monitors: Count = Field(
        _DEFAULTS.min_monitors, description="Number of active monitors below which the guard never acts."
    )
    min_due: Count = Field(_DEFAULTS.min_due, description="Number of late monitors below which nothing is suspect.")
    late_share: Share = Field(_DEFAULTS.late_share, description="Share of the sample that is late.")
    received_share: Share = Field(
        _DEFAULTS.received_share,
        description="Share of the sample from which on heartbeats count as arriving.",
    )

    def policy(self) -> GuardPolicy:
        return GuardPolicy(
            self.window, self.hold, self.min_monitors, self.min_due, self.late_share, self.received_share
        )


GuardSwitch = Annotated[IngestGuardSection | None, BeforeValidator(_guard)]
