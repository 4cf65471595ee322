"""Monitors and their history in JSON."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from exporter.core.clock import SECOND
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.ingest_guard import Suspicion
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.core.uptime import WINDOWS, uptime
from exporter.presentation.moments import rfc3339
from exporter.resources.model import NextCursor, ResponseModel, clean, seconds, when

if TYPE_CHECKING:
    from exporter.storage.repositories.history import Transition


class RunAnswer(ResponseModel):
    rid: str
    started_at: str


class JobMetricsAnswer(ResponseModel):
    keep_when_down: bool = Field(description="Whether pushed metrics stay exposed while it is DOWN (`missed`).")


class MonitorAnswer(ResponseModel):
    """A monitor, its heartbeat counters and its status."""

    tag: str
    name: str = Field(description="Display name; the tag if the monitor has no name.")
    group: str
    labels: dict[str, str]
    description: str = Field(description="Purpose of the job; may have several lines.")
    runbook_url: str = Field(description="URL of the instructions for the case that the job fails; empty without one.")
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
    depends_on: list[str] = Field(description="Tags, or globs of tags, of the monitors that the job needs.")
    release_after_seconds: float = Field(
        description="How long a held alert still waits once those monitors are well and the next heartbeat was due."
    )
    suppressed_by: list[str] = Field(
        description="Tags of the monitors whose trouble holds its alerts of lateness; empty if they are not held."
    )
    job_metrics: JobMetricsAnswer
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
    def of(cls, watched: FleetMonitor, now: int, blackouts: Sequence[Span], fleet: Fleet) -> "MonitorAnswer":
        """`fleet` has the monitors that it depends on."""
        monitor, state, current = watched.monitor, watched.state, watched.shown
        last = state.last_success_at
        return cls(
            tag=monitor.tag,
            name=clean(monitor.name or monitor.tag),
            group=clean(monitor.group),
            labels={clean(key): clean(value) for key, value in monitor.labels},
            description=clean(monitor.description),
            runbook_url=clean(monitor.runbook_url),
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
            depends_on=list(monitor.depends_on),
            release_after_seconds=monitor.release_after / SECOND,
            suppressed_by=list(fleet.suppressed_by(monitor.tag)),
            job_metrics=JobMetricsAnswer(keep_when_down=monitor.keep_job_metrics),
            paused=monitor.paused,
            provisioned=watched.provisioned,
            status=current.status,
            reason=current.reason,
            status_since=rfc3339(current.since),
            due_at=when(watched.due_at),
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
    next_cursor: NextCursor


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
    received_at: str = Field(
        description="Time at which the heartbeat counts: that of its receipt, or for a late heartbeat what `at` said."
    )
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


class BlackoutKind(StrEnum):
    """What a blackout comes from."""

    OUTAGE = "outage"
    """No process accepted heartbeats."""
    UNREACHABLE = "unreachable"
    """Heartbeats did not reach the exporter."""


class BlackoutAnswer(ResponseModel):
    started_at: str
    ended_at: str
    duration_seconds: float
    kind: BlackoutKind = Field(
        description="outage: no process accepted heartbeats; unreachable: heartbeats did not reach the exporter."
    )

    @classmethod
    def of(cls, span: Span, kind: BlackoutKind) -> "BlackoutAnswer":
        return cls(
            started_at=rfc3339(span.start),
            ended_at=rfc3339(span.end),
            duration_seconds=span.length / SECOND,
            kind=kind,
        )


class IngestSuspectAnswer(ResponseModel):
    """Many monitors became late at once, and nearly nothing arrives."""

    since: str = Field(description="When that was noticed.")
    held_until: str = Field(description="Until when alerts are held at most.")
    late: int = Field(description="Late monitors of the sample.")
    sample: int = Field(description="Monitors of which a heartbeat was expected lately.")
    last_heartbeat: str | None = Field(description="The last heartbeat of any monitor before.")

    @classmethod
    def of(cls, suspicion: Suspicion) -> "IngestSuspectAnswer":
        return cls(
            since=rfc3339(suspicion.since),
            held_until=rfc3339(suspicion.until),
            late=suspicion.late,
            sample=suspicion.sample,
            last_heartbeat=when(suspicion.last_received_at),
        )


class BlackoutsAnswer(ResponseModel):
    """Newest first; adjacent blackouts of one kind are merged."""

    forgiven: bool = Field(description="Whether blackouts are excluded from evaluation, as set by `after_outage`.")
    blackouts: list[BlackoutAnswer]
    ingest_suspect: IngestSuspectAnswer | None = Field(
        description="Why heartbeats may not reach the exporter now, while alerts are held because of that; else null."
    )

    @classmethod
    def of(cls, forgiven: bool, blackouts: list[BlackoutAnswer], suspicion: Suspicion | None) -> "BlackoutsAnswer":
        suspect = None if suspicion is None else IngestSuspectAnswer.of(suspicion)
        return cls(forgiven=forgiven, blackouts=blackouts, ingest_suspect=suspect)


class CreatedAnswer(ResponseModel):
    """The created monitor. Only this response shows the secret: the database stores a digest."""

    tag: str
    secret: str
    ping_url: str


class PausedAnswer(ResponseModel):
    tag: str
    paused: bool
