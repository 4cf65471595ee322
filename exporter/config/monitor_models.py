"""A monitor as pydantic sees it, in the file, over the API and on the command line."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from exporter.config.fields import Cron, Description, Duration, Labels, Line, PositiveDuration, RunbookUrl
from exporter.config.model import Model, details, message_of, path_of
from exporter.config.settings import ProvisionedMonitor, Secret
from exporter.core.calendar.schedule import check_timezone
from exporter.core.credentials import check_token
from exporter.core.dependencies.patterns import PARENT_PATTERN, check_pattern
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.monitor import (
    DEGRADED_AFTER,
    DOWN_AFTER,
    EARLY,
    MAX_FAILURE_TOLERANCE,
    MAX_PARENTS,
    RELEASE_AFTER,
    TAG_PATTERN,
    Monitor,
    check_tag,
)
from exporter.core.secret import check_secret

MAX_CREDENTIALS = 32
"""More secrets of one monitor, and tokens of one."""
_DURATIONS = ("degraded_after", "down_after", "max_runtime", "every", "early", "min_runtime", "release_after")


def _lines(value: object) -> object:
    """A text is what a `…_file` twin holds: one a line, with comments."""
    if not isinstance(value, str):
        return value
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _once_each(patterns: list[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


Parents = Annotated[
    list[Annotated[StrictStr, AfterValidator(check_pattern)]],
    BeforeValidator(_as_list),
    AfterValidator(_once_each),
    Field(max_length=MAX_PARENTS),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": f"^{PARENT_PATTERN}$"},
                    "maxItems": MAX_PARENTS,
                },
                {"type": "string", "pattern": f"^{PARENT_PATTERN}$"},
            ]
        }
    ),
]


class JobMetricsOptions(Model):
    """Metrics that the job pushes."""

    keep_when_down: StrictBool = Field(
        False, description="Whether they stay at /metrics/jobs while the monitor is DOWN because it was missed."
    )


class MonitorDefaults(Model):
    """A monitor without its tag and secret."""

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
    min_runtime: PositiveDuration | None = Field(
        None, description="Minimum duration of a run; a success after a shorter run makes the monitor DEGRADED."
    )
    every: PositiveDuration | None = Field(
        None, description="Time between two successes; instead of a schedule. The next is due this long after the last."
    )
    early: Duration = Field(
        EARLY,
        description="Time before a scheduled tick in which a success serves it; at most half the gap between ticks.",
        json_schema_extra={"default": "1m"},
    )
    failure_tolerance: Annotated[StrictInt, Field(ge=0, le=MAX_FAILURE_TOLERANCE)] = Field(
        0, description="Number of consecutive failures that make the monitor DEGRADED instead of DOWN."
    )
    evaluation_cron: Cron | None = Field(
        None, description="Cron expression of when the status may change. Default: at any time."
    )
    labels: Labels = Field(default_factory=dict, description="Labels, exposed as label_<key> on heartbeat_info.")
    job_metrics: JobMetricsOptions = Field(
        default_factory=JobMetricsOptions, description="Metrics that the job pushes."
    )
    paused: StrictBool = Field(False, description="Accept heartbeats but never mark the monitor late.")
    depends_on: Parents = Field(
        default_factory=list,
        description="Tags, or globs of tags, of monitors without which this job cannot succeed: while one of them is "
        "in trouble, alerts of lateness are held.",
    )
    release_after: Duration = Field(
        RELEASE_AFTER,
        description="How long a held alert still waits once all parents are well and the next heartbeat was due.",
        json_schema_extra={"default": "5m"},
    )
    description: Description = Field("", description="Purpose of the job, shown on its page; may have several lines.")
    runbook_url: RunbookUrl = Field("", description="URL of the instructions for the case that the job fails.")

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        problems = [
            runtimes_message(self.min_runtime, self.max_runtime),
            EXCLUSIVE if self.every is not None and self.schedule is not None else None,
        ]
        if self.down_after <= self.degraded_after:
            problems.append(thresholds_message(self.degraded_after, self.down_after))
        if any(problems):
            raise InvalidValue("; ".join(filter(None, problems)))
        return self

    def written(self) -> dict[str, Any]:
        """What was given, as it is written in the file."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: _written(name, value) for name, value in values.items()}


class MonitorOptions(MonitorDefaults):
    """A monitor without its secret: the same in the file, the API and on the command line."""

    tag: Annotated[StrictStr, AfterValidator(check_tag), Field(json_schema_extra={"pattern": f"^{TAG_PATTERN}$"})] = (
        Field(description="Identifies the monitor: 1 to 128 letters, digits, '.', '_', '-'.")
    )

    @model_validator(mode="after")
    def _parents(self) -> Self:
        if self.tag in self.depends_on:
            raise InvalidValue(itself_message(self.tag))
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
            min_runtime=self.min_runtime,
            every=self.every,
            early=self.early,
            failure_tolerance=self.failure_tolerance,
            evaluation_cron=self.evaluation_cron,
            labels=tuple(sorted(self.labels.items())),
            keep_job_metrics=self.job_metrics.keep_when_down,
            paused=self.paused,
            depends_on=tuple(self.depends_on),
            release_after=self.release_after,
            description=self.description,
            runbook_url=self.runbook_url,
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
        repr=False, description="Secret that heartbeats of the monitor must contain."
    )
    secrets: Annotated[list[Annotated[StrictStr, AfterValidator(check_secret)]], BeforeValidator(_lines)] = Field(
        default_factory=list, repr=False, max_length=MAX_CREDENTIALS, description="More secrets, while one is rotated."
    )
    tokens: Annotated[list[Annotated[StrictStr, AfterValidator(check_token)]], BeforeValidator(_lines)] = Field(
        default_factory=list,
        repr=False,
        max_length=MAX_CREDENTIALS,
        description="Tokens; each identifies this monitor without a tag.",
    )

    def settings(self) -> ProvisionedMonitor:
        return ProvisionedMonitor(
            self.monitor(),
            Secret(self.secret),
            tuple(map(Secret, dict.fromkeys(self.secrets))),
            tuple(map(Secret, dict.fromkeys(self.tokens))),
        )


def itself_message(tag: str) -> str:
    return f"depends_on: {tag!r} is the monitor itself: name the monitors that it needs"


EXCLUSIVE = "every and schedule exclude each other: give one of them"


def _written(name: str, value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump(exclude_unset=True)
    return format_duration(value) if name in _DURATIONS else value


def runtimes_message(min_runtime: int | None, max_runtime: int | None) -> str | None:
    """None if no run has to be longer than it may be."""
    if min_runtime is None or max_runtime is None or min_runtime <= max_runtime:
        return None
    return (
        f"min_runtime ({format_duration(min_runtime)}) must not be longer than "
        f"max_runtime ({format_duration(max_runtime)})"
    )


def thresholds_message(degraded_after: int, down_after: int) -> str:
    return (
        f"down_after ({format_duration(down_after)}) must be longer than "
        f"degraded_after ({format_duration(degraded_after)})"
    )
