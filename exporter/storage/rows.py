"""Rows of the database as objects of the core, and ids in portions that one statement can take."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

from exporter.core.heartbeat import HeartbeatState, Kind, Run
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus

CHUNK = 400
"""Ids in one IN (…): far below every engine's limit of parameters, and as fast as any more."""


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def monitor_of(row: Sequence[Any], paused_by_hand: bool) -> Monitor:
    """From MONITOR_COLUMNS. Texts that many monitors share are kept once."""
    (
        tag, name, group, schedule, timezone, degraded, down, max_runtime, cron, labels, paused,
        every, early, failure_tolerance, min_runtime, depends_on, release_after, description, runbook_url, details,
        keep_job_metrics,
    ) = row  # fmt: skip
    return Monitor(
        tag=tag,
        name=name,
        group=intern(group),
        schedule=intern(schedule) if schedule is not None else None,
        timezone=intern(timezone),
        degraded_after=degraded,
        down_after=down,
        max_runtime=max_runtime,
        evaluation_cron=intern(cron) if cron is not None else None,
        labels=tuple((intern(key), intern(value)) for key, value in json.loads(labels)) if labels != "[]" else (),
        paused=bool(paused) or paused_by_hand,
        every=every,
        early=early,
        failure_tolerance=failure_tolerance,
        min_runtime=min_runtime,
        depends_on=parents_of(depends_on),
        release_after=release_after,
        description=description,
        runbook_url=intern(runbook_url),
        details=intern(details),
        keep_job_metrics=bool(keep_job_metrics),
    )


@lru_cache(maxsize=4096)
def parents_of(text: str) -> tuple[str, ...]:
    """From the column `depends_on`. Many monitors name the same parents, which are kept once."""
    return tuple(text.split("\n")) if text else ()


def state_of(row: Sequence[Any], runs: tuple[Run, ...]) -> HeartbeatState:
    """From STATE_COLUMNS."""
    (
        received, failures, starts, at, success, failure, start, outcome, exit_code, duration,
        consecutive_failures, outcome_started_at, outcome_duration,
    ) = row  # fmt: skip
    return HeartbeatState(
        received,
        failures,
        starts,
        at,
        success,
        failure,
        start,
        Kind(outcome) if outcome is not None else None,
        exit_code,
        duration,
        consecutive_failures,
        outcome_started_at,
        outcome_duration,
        runs,
    )


def current_status_of(status: str, reason: str, since: int) -> CurrentStatus:
    """From STATUS_COLUMNS."""
    return CurrentStatus(Status(status), Reason(reason), since)
