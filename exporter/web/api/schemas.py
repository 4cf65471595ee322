"""What the API answers: models that are also its OpenAPI description.

Moments are RFC 3339 in UTC, durations are seconds, and `null` says that there is none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from exporter.core.clock import SECOND
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.maintenance import Window
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.core.uptime import WINDOWS, uptime
from exporter.presentation.moments import rfc3339
from exporter.web.pages.maintenance import running
from exporter.web.pages.rows import due_of

if TYPE_CHECKING:
    from exporter.storage.repositories.history import Transition


class ResponseModel(BaseModel):
    # What checks and writes a model is made when it is first used: who never asks the API pays nothing for it.
    model_config = ConfigDict(frozen=True, use_enum_values=True, defer_build=True)


class RunAnswer(ResponseModel):
    rid: str
    started_at: str


class MonitorAnswer(ResponseModel):
    """A monitor, its heartbeat counters and its status."""

    tag: str
    name: str = Field(description="Display name; the tag if the monitor has no name.")
    group: str
    labels: dict[str, str]
    schedule: str | None = Field(description="Cron expression; null if the monitor has none.")
    every_seconds: float | None = Field(description="Time between two successes; null if the monitor has none.")
    early_seconds: float = Field(description="Time before a scheduled tick in which a success serves it.")
    failure_tolerance: int = Field(description="Number of consecutive failures that make it DEGRADED instead of DOWN.")
    timezone: str
    degraded_after_seconds: float
    down_after_seconds: float
    max_runtime_seconds: float | None
    min_runtime_seconds: float | None
    evaluation_cron: str | None
    paused: bool
    provisioned: bool = Field(description="Whether the configuration file defines the monitor.")
    status: Status
    reason: Reason
    status_since: str
    due_at: str | None = Field(description="Time from which lateness is measured; null before the first success.")
    age_seconds: float | None = Field(description="Time since the last success; null before the first.")
    last_success_at: str | None
    last_failure_at: str | None
    last_start_at: str | None
    last_duration_seconds: float | None
    last_exit_code: int | None
    received: int = Field(description="Total number of heartbeats received, of all kinds.")
    failures: int
    consecutive_failures: int = Field(description="Number of failures since the last success.")
    starts: int
    open_runs: list[RunAnswer]
    uptime: dict[str, float | None] = Field(
        description="Share of the evaluated time in the last `24h`, `7d`, `30d` and `90d` in which it was UP or "
        "DEGRADED; null if no time in the window was evaluated."
    )

    @classmethod
    def of(cls, watched: FleetMonitor, now: int, blackouts: Sequence[Span]) -> "MonitorAnswer":
        monitor, state, current = watched.monitor, watched.state, watched.shown
        last = state.last_success_at
        return cls(
            tag=monitor.tag,
            name=clean(monitor.name or monitor.tag),
            group=clean(monitor.group),
            labels={clean(key): clean(value) for key, value in monitor.labels},
            schedule=monitor.schedule,
            every_seconds=seconds(monitor.every),
            early_seconds=monitor.early / SECOND,
            failure_tolerance=monitor.failure_tolerance,
            timezone=monitor.timezone,
            degraded_after_seconds=monitor.degraded_after / SECOND,
            down_after_seconds=monitor.down_after / SECOND,
            max_runtime_seconds=seconds(monitor.max_runtime),
            min_runtime_seconds=seconds(monitor.min_runtime),
            evaluation_cron=monitor.evaluation_cron,
            paused=monitor.paused,
            provisioned=watched.provisioned,
            status=current.status,
            reason=current.reason,
            status_since=rfc3339(current.since),
            due_at=when(due_of(watched)),
            age_seconds=None if last is None else max(0, now - last) / SECOND,
            last_success_at=when(last),
            last_failure_at=when(state.last_failure_at),
            last_start_at=when(state.last_start_at),
            last_duration_seconds=seconds(state.last_duration),
            last_exit_code=state.last_exit_code,
            received=state.received,
            failures=state.failures,
            consecutive_failures=state.consecutive_failures,
            starts=state.starts,
            open_runs=[RunAnswer(rid=run.rid, started_at=rfc3339(run.started_at)) for run in state.runs],
            uptime=dict(zip(WINDOWS, uptime(watched.past, watched.counted, now, blackouts), strict=True)),
        )


class MonitorsAnswer(ResponseModel):
    monitors: list[MonitorAnswer]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last page.")


class TransitionAnswer(ResponseModel):
    at: str = Field(description="Exact time at which the status changed.")
    status: Status
    reason: Reason
    observed_at: str = Field(
        description="Time at which the exporter evaluated the change; later than `at` after a stall."
    )

    @classmethod
    def of(cls, transition: "Transition") -> "TransitionAnswer":
        return cls(
            at=rfc3339(transition.at),
            status=transition.status,
            reason=transition.reason,
            observed_at=rfc3339(transition.observed_at),
        )


class TransitionsAnswer(ResponseModel):
    """Oldest first. The first transition is the one in effect at `since`, if there is one."""

    transitions: list[TransitionAnswer]


class HeartbeatAnswer(ResponseModel):
    kind: Kind
    received_at: str
    rid: str
    exit_code: int | None
    output: str

    @classmethod
    def of(cls, heartbeat: Heartbeat) -> "HeartbeatAnswer":
        return cls(
            kind=heartbeat.kind,
            received_at=rfc3339(heartbeat.received_at),
            rid=heartbeat.rid,
            exit_code=heartbeat.exit_code,
            output=clean(heartbeat.output),
        )


class HeartbeatsAnswer(ResponseModel):
    """Newest first."""

    heartbeats: list[HeartbeatAnswer]


class BlackoutAnswer(ResponseModel):
    started_at: str
    ended_at: str
    duration_seconds: float

    @classmethod
    def of(cls, span: Span) -> "BlackoutAnswer":
        return cls(started_at=rfc3339(span.start), ended_at=rfc3339(span.end), duration_seconds=span.length / SECOND)


class BlackoutsAnswer(ResponseModel):
    """Newest first; adjacent blackouts are merged."""

    forgiven: bool = Field(description="Whether blackouts are excluded from evaluation, as set by `after_outage`.")
    blackouts: list[BlackoutAnswer]


class MaintenanceAnswer(ResponseModel):
    """A window in which its monitors neither alert nor count towards uptime."""

    name: str
    description: str
    monitors: list[str] = Field(description="Globs of tags, one of which must match; empty matches every tag.")
    groups: list[str] = Field(description="Globs of groups, one of which must match; empty matches every group.")
    labels: dict[str, str] = Field(description="Globs of label values by key, all of which must match.")
    starts_at: str = Field(description="Start of the first occurrence.")
    duration_seconds: float
    rrule: str | None = Field(description="RFC 5545 recurrence rule; null if the window occurs once.")
    timezone: str
    running_until: str | None = Field(description="End of the current occurrence; null if there is none.")
    next_start_at: str | None
    ended_at: str | None = Field(description="Time at which an operator ended the window permanently.")

    @classmethod
    def of(cls, window: Window, now: int) -> "MaintenanceAnswer":
        runs, selector = running(window, now), window.selector
        return cls(
            name=clean(window.name),
            description=clean(window.description),
            monitors=[clean(glob) for glob in selector.tags],
            groups=[clean(glob) for glob in selector.groups],
            labels={clean(key): clean(glob) for key, glob in selector.labels},
            starts_at=rfc3339(window.starts_at),
            duration_seconds=window.duration / SECOND,
            rrule=window.rule,
            timezone=window.timezone,
            running_until=None if runs is None else rfc3339(runs.end),
            next_start_at=when(window.next_start(now)),
            ended_at=when(window.ended_at),
        )


class MaintenancesAnswer(ResponseModel):
    maintenances: list[MaintenanceAnswer]


class CreatedAnswer(ResponseModel):
    """The created monitor. Only this response shows the secret: the database stores a digest."""

    tag: str
    secret: str
    ping_url: str


class PausedAnswer(ResponseModel):
    tag: str
    paused: bool


class ProblemAnswer(ResponseModel):
    path: str = Field(description="Path of the invalid value, such as `down_after` or `labels.team`.")
    message: str


class ErrorAnswer(ResponseModel):
    """An error response."""

    error: str = Field(description="One sentence.")
    problems: list[ProblemAnswer] = Field(default=[], description="Every problem of the request body.")


def when(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / SECOND


def clean(text: str) -> str:
    """Half of a surrogate pair has no place in JSON."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
