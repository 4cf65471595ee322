"""Pydantic models of alerts, notifiers, the ingest guard and `self_heartbeat`; a notifier has its options itself."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from exporter.config.fields import Duration, Line, PositiveDuration, SecretUrl, printable
from exporter.config.model import Model
from exporter.config.settings import SelfHeartbeatSettings
from exporter.core.alerts.alert_rule import WATCHABLE, AlertRule, Selector, Severity
from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.ingest_guard import GuardPolicy
from exporter.core.status import Status

MAX_THRESHOLD = 100_000


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _yes(value: object) -> object:
    """Converts Kener's YES and NO."""
    return {"YES": True, "NO": False}.get(value, value) if isinstance(value, str) else value


def _when(statuses: list[str]) -> list[str]:
    if not statuses:
        raise InvalidValue(f"needs at least one of {', '.join(WATCHABLE)}")
    return list(dict.fromkeys(statuses))


def _trimmed(text: str) -> str:
    if text != text.strip():
        raise InvalidValue("must not begin or end with a space")
    return text


Name = Annotated[StrictStr, Field(min_length=1, max_length=100), AfterValidator(printable), AfterValidator(_trimmed)]
Threshold = Annotated[StrictInt, Field(ge=1, le=MAX_THRESHOLD)]
Flag = Annotated[StrictBool, BeforeValidator(_yes)]
Globs = Annotated[list[Line], BeforeValidator(_as_list)]


class AlertEntry(Model):
    """An alert rule."""

    name: Name = Field(description="Name of the rule in messages, in metrics and on pages.")
    enabled: Flag = Field(True, description="Whether the rule is active.")
    monitors: Globs = Field(default_factory=list, description="Globs of tags. Default: all monitors.")
    groups: Globs = Field(default_factory=list, description="Globs of groups. Default: all groups.")
    labels: dict[str, Line] = Field(
        default_factory=dict, description="Globs of label values by label key; all must match."
    )
    when: Annotated[list[Literal["DOWN", "DEGRADED", "NO_DATA"]], BeforeValidator(_as_list), AfterValidator(_when)] = (
        Field(default=["DOWN"], description="Statuses that count as failures.")
    )
    failure_threshold: Threshold | None = Field(
        None, description="Number of consecutive evaluations with a status of `when` that trigger the alert."
    )
    success_threshold: Threshold | None = Field(
        None, description="Number of consecutive evaluations with status UP that resolve the alert."
    )
    trigger_after: Duration | None = Field(
        None, alias="for", description="Time with a status of `when` that triggers the alert, instead of a count."
    )
    resolve_after: Duration | None = Field(
        None, description="Time with status UP that resolves the alert, instead of a count."
    )
    severity: Annotated[Literal["critical", "warning", "info"], BeforeValidator(_lower)] = Field(
        "critical", description="Severity of the alert."
    )
    description: Annotated[StrictStr, Field(max_length=2000)] = Field(
        "", description="Text that is sent with the alert, for example what to do."
    )
    create_incident: Flag = Field(False, description="Whether the alert opens an incident.")
    notify: Annotated[list[StrictStr], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="Names of the notifiers that send the alert."
    )
    repeat_every: PositiveDuration | None = Field(
        None, description="Interval between reminders while the alert is firing. Default: no reminders."
    )

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        for count, time, names in (
            (self.failure_threshold, self.trigger_after, "failure_threshold or for"),
            (self.success_threshold, self.resolve_after, "success_threshold or resolve_after"),
        ):
            if count is not None and time is not None:
                raise InvalidValue(f"give {names}, not both")
        return self

    def rule(self) -> AlertRule:
        """Converts the entry to the core's rule."""
        return AlertRule(
            name=self.name,
            when=tuple(Status(status) for status in self.when),
            failure_threshold=self.failure_threshold or 1,
            success_threshold=self.success_threshold or 1,
            trigger_after=self.trigger_after,
            resolve_after=self.resolve_after,
            severity=Severity(self.severity),
            description=self.description,
            create_incident=self.create_incident,
            notify=tuple(dict.fromkeys(self.notify)),
            repeat_every=self.repeat_every,
            selector=Selector(
                tags=tuple(self.monitors), groups=tuple(self.groups), labels=tuple(sorted(self.labels.items()))
            ),
        )


class NotifierOptions(Model):
    """Options of every notifier; the model of each type adds to them."""

    name: Name = Field(description="Name of the notifier, which rules list under `notify`.")
    type: StrictStr = Field(description="Type of the notifier.")
    group_wait: Duration = Field(
        10 * SECOND,
        description="How long alerts that start together are collected into one message.",
        json_schema_extra={"default": "10s"},
    )
    give_up_after: PositiveDuration = Field(
        DAY,
        description="How long delivery is retried before the message is given up.",
        json_schema_extra={"default": "1d"},
    )
    timeout: PositiveDuration = Field(
        10 * SECOND,
        description="Timeout of the connection attempt, and of each answer.",
        json_schema_extra={"default": "10s"},
    )
    allow_private_addresses: StrictBool = Field(
        True, description="Whether the notifier may connect to loopback, link-local and private addresses."
    )


class SelfHeartbeatSection(Model):
    """Heartbeats that the exporter sends to another monitoring service."""

    url: SecretUrl = Field(description="URL to call; it usually contains a secret.")
    interval: PositiveDuration = Field(
        MINUTE, description="Interval between calls.", json_schema_extra={"default": "1m"}
    )

    def settings(self) -> SelfHeartbeatSettings:
        return SelfHeartbeatSettings(self.url, self.interval)


# ── the ingest guard ─────────────────────────────────────────────────────────────────────────────────────────

MAX_GUARD_TIME = DAY
_GUARD = GuardPolicy()


def _length(value: int) -> int:
    if value > MAX_GUARD_TIME:
        raise InvalidValue(f"must be at most {format_duration(MAX_GUARD_TIME)}")
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
        _GUARD.window,
        description="How long a missed deadline counts as a sign that heartbeats do not arrive.",
        json_schema_extra={"default": "5m"},
    )
    hold: GuardDuration = Field(
        _GUARD.hold,
        description="How long alerts for silence are held at most.",
        json_schema_extra={"default": "5m"},
    )
    min_monitors: Count = Field(
        _GUARD.min_monitors, description="Number of active monitors below which the guard never acts."
    )
    min_due: Count = Field(_GUARD.min_due, description="Number of late monitors below which nothing is suspect.")
    late_share: Share = Field(_GUARD.late_share, description="Share of the sample that is late.")
    received_share: Share = Field(
        _GUARD.received_share,
        description="Share of the sample from which on heartbeats count as arriving.",
    )

    def policy(self) -> GuardPolicy:
        return GuardPolicy(
            self.window, self.hold, self.min_monitors, self.min_due, self.late_share, self.received_share
        )


def switchable(schema: dict[str, Any]) -> None:
    """Writes into the schema of a GuardSwitch what may be written: a switch instead of nothing."""
    schema["anyOf"] = [*schema["anyOf"][:-1], {"type": ["boolean", "string"], "enum": [True, False, "on", "off"]}]


GuardSwitch = Annotated[IngestGuardSection | None, BeforeValidator(_guard)]
