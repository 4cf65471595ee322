"""`alerts`, `notifiers` and `self_heartbeat` as pydantic sees them. What a notifier takes is in its module."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from exporter.config.fields import Duration, Line, PositiveDuration, SecretUrl, printable
from exporter.config.model import Model
from exporter.config.settings import SelfHeartbeatSettings
from exporter.core.alert_rule import WATCHABLE, AlertRule, Selector, Severity
from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.errors import InvalidValue
from exporter.core.status import Status

LARGEST_THRESHOLD = 100_000


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _yes(value: object) -> object:
    """Kener writes YES and NO."""
    return {"YES": True, "NO": False}.get(value, value) if isinstance(value, str) else value


def _when(statuses: list[str]) -> list[str]:
    if not statuses:
        raise InvalidValue(f"needs at least one of {', '.join(WATCHABLE)}")
    return list(dict.fromkeys(statuses))


def _trimmed(text: str) -> str:
    if text != text.strip():
        raise InvalidValue("begins or ends with a space")
    return text


Name = Annotated[StrictStr, Field(min_length=1, max_length=100), AfterValidator(printable), AfterValidator(_trimmed)]
Threshold = Annotated[StrictInt, Field(ge=1, le=LARGEST_THRESHOLD)]
Flag = Annotated[StrictBool, BeforeValidator(_yes)]
Globs = Annotated[list[Line], BeforeValidator(_one_or_more)]


class AlertEntry(Model):
    """An alert rule."""

    name: Name = Field(description="What it is called in messages, metrics and on pages.")
    enabled: Flag = Field(True, description="Whether it is watched for.")
    monitors: Globs = Field(default_factory=list, description="Globs of tags; all when left out.")
    groups: Globs = Field(default_factory=list, description="Globs of groups; all when left out.")
    labels: dict[str, Line] = Field(default_factory=dict, description="Globs of labels' values, all of which must fit.")
    when: Annotated[
        list[Literal["DOWN", "DEGRADED", "NO_DATA"]], BeforeValidator(_one_or_more), AfterValidator(_when)
    ] = Field(default=["DOWN"], description="The statuses to watch for.")
    failure_threshold: Threshold | None = Field(None, description="Evaluations in `when`, in a row, that trigger it.")
    success_threshold: Threshold | None = Field(None, description="Evaluations that are UP, in a row, that resolve it.")
    trigger_after: Duration | None = Field(None, alias="for", description="Time in `when` that triggers it.")
    resolve_after: Duration | None = Field(None, description="Time being UP that resolves it.")
    severity: Annotated[Literal["critical", "warning", "info"], BeforeValidator(_lower)] = Field(
        "critical", description="How bad it is."
    )
    description: Annotated[StrictStr, Field(max_length=2000)] = Field("", description="For whoever gets the message.")
    create_incident: Flag = Field(False, description="Open an incident.")
    notify: Annotated[list[StrictStr], BeforeValidator(_one_or_more)] = Field(
        default_factory=list, description="Names of notifiers."
    )
    repeat_every: PositiveDuration | None = Field(None, description="Tell again this often while it goes on.")

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
        """The core's rule."""
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
    """What every notifier takes; each type has a model of its own that adds to it."""

    name: Name = Field(description="What rules call it.")
    type: StrictStr = Field(description="Which kind of notifier it is.")
    group_wait: Duration = Field(
        10 * SECOND,
        description="How long alarms are gathered into one message.",
        json_schema_extra={"default": "10s"},
    )
    give_up_after: PositiveDuration = Field(
        DAY, description="How long delivery is tried.", json_schema_extra={"default": "1d"}
    )
    timeout: PositiveDuration = Field(
        10 * SECOND, description="For connecting, and for each answer.", json_schema_extra={"default": "10s"}
    )
    allow_private_addresses: StrictBool = Field(
        True, description="Whether it may reach loopback, link-local and private addresses."
    )


class SelfHeartbeatSection(Model):
    """A heartbeat of our own, to somebody who watches us."""

    url: SecretUrl = Field(description="What to call; it usually holds a secret.")
    interval: PositiveDuration = Field(MINUTE, description="How often.", json_schema_extra={"default": "1m"})

    def settings(self) -> SelfHeartbeatSettings:
        return SelfHeartbeatSettings(self.url, self.interval)
