"""A monitor: one job being watched, as its owner described it."""

import re
from dataclasses import dataclass, replace
from typing import Self

from exporter.core.clock import MINUTE
from exporter.core.errors import InvalidValue

DEGRADED_AFTER = 5 * MINUTE
DOWN_AFTER = 10 * MINUTE
EARLY = MINUTE
MAX_FAILURE_TOLERANCE = 50
RELEASE_AFTER = 5 * MINUTE
MAX_PARENTS = 50
"""Monitors that one depends on directly."""

TAG_PATTERN = r"[A-Za-z0-9._-]{1,128}"
_TAG = re.compile(TAG_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """What was asked for; what arrived is in HeartbeatState. Durations in milliseconds."""

    tag: str
    """Its identity: letters, digits, `.`, `_`, `-`; at most 128; case-sensitive."""
    name: str = ""
    """For people; the tag when empty."""
    group: str = ""
    schedule: str | None = None
    """Cron expression of five fields; None when the last success alone counts."""
    timezone: str = "UTC"
    """IANA name in which both cron expressions are read."""
    degraded_after: int = DEGRADED_AFTER
    down_after: int = DOWN_AFTER
    max_runtime: int | None = None
    """A run longer than this is DOWN (overrun)."""
    every: int | None = None
    """How long after a success the next one is due; instead of a schedule."""
    early: int = EARLY
    """How long before a scheduled tick a success may come and still serve it."""
    failure_tolerance: int = 0
    """So many consecutive failures make the monitor DEGRADED (failing); only one more makes it DOWN (failed)."""
    min_runtime: int | None = None
    """A success whose run took less is DEGRADED (too_short)."""
    keep_job_metrics: bool = False
    """Whether the metrics that the job pushed stay exposed while the monitor is DOWN because it was missed."""
    evaluation_cron: str | None = None
    """When set, the status changes only on this schedule's ticks."""
    labels: tuple[tuple[str, str], ...] = ()
    """The user's own, sorted by key; `label_<key>` on heartbeat_info."""
    paused: bool = False
    depends_on: tuple[str, ...] = ()
    """Tags, or globs of tags, of the monitors without which this one's job cannot succeed."""
    release_after: int = RELEASE_AFTER
    """How long a held alert still waits once those monitors are well and the next heartbeat should have come."""
    description: str = ""
    """What the job is and what it matters for: one or more lines, for people."""
    runbook_url: str = ""
    """Where it is written what to do when it fails."""
    details: str = ""
    """What a management API has to give back and no other part reads: JSON, or empty."""

    def with_paused(self, paused: bool) -> Self:
        return replace(self, paused=paused)


def check_tag(tag: str) -> str:
    """`tag` itself; raises InvalidValue when it cannot be one."""
    if tag in (".", ".."):
        raise InvalidValue(f"{tag!r} is not a tag: clients and proxies take it for a step in a path")
    if not _TAG.fullmatch(tag):
        shown = tag if len(tag) <= 40 else tag[:40] + "…"
        raise InvalidValue(f"{shown!r} is not a tag: use 1 to 128 letters, digits, '.', '_' or '-'")
    return tag
