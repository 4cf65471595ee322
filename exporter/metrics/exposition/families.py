"""The families that every monitor has: name, type, help and samples, as data.

A new metric is an entry in FAMILIES and a line in docs/metrics.md; the tests find whichever is missing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

from exporter.core.dependencies.graph import DependencyGraph
from exporter.core.dependencies.suppression import HELD
from exporter.core.exclusions import Exclusions
from exporter.core.fleet import Fleet
from exporter.core.heartbeat import HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.runtimes import Runtimes
from exporter.core.status import Reason, Status, due_at
from exporter.core.uptime import ALWAYS_UP, WINDOWS, Ratios
from exporter.metrics.exposition.format import escape_label, go_count, go_float, go_seconds


class Part(Enum):
    """Which part of a monitor a family is made from; while that part stays, so do its lines."""

    MONITOR = "monitor"
    STANDING = "standing"
    STATE = "state"
    DUE = "monitor, state and what does not count"
    """As a triple."""
    RUNTIMES = "runtimes"
    CLOCK = "clock"
    """The state, rendered at every scrape."""
    PAST = "past and standing"
    """Rendered once a minute, where anything happened."""
    DEPENDENCIES = "what depends on what"
    """Of the fleet as a whole: nothing is asked of monitors without dependencies."""
    SUPPRESSIONS = "monitors that are suppressed"
    """Of the fleet as a whole, rendered at every scrape."""


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    """Without `_total`, which only a counter's samples have."""
    type: str
    help: str
    part: Part
    value: Callable[[Any], Any]
    """From that part, what the lines are made of; while it stays equal, so do they. None is no line."""
    show: Callable[[Any], str]
    """The value as Prometheus reads it."""
    lines: Callable[[Any, str], str] | None = None
    """All lines of a monitor, from the value and its tag as `tag="…"`, where one line with one value is not enough."""

    @property
    def sample_name(self) -> str:
        return f"{self.name}_total" if self.type == "counter" else self.name

    def render(self, values: Iterable[Any], tags: Iterable[str]) -> bytes:
        """The lines of many monitors."""
        if self.lines is not None:
            lines = self.lines
            return "".join([lines(value, tag) for value, tag in zip(values, tags, strict=True)]).encode()
        name, show = self.sample_name, self.show
        samples = [
            f"{name}{{{tag}}} {show(value)}\n" for value, tag in zip(values, tags, strict=True) if value is not None
        ]
        return "".join(samples).encode()


def _seconds(name: str, help: str, part: Part, value: Callable[[Any], int | None]) -> Family:
    return Family(name, "gauge", help, part, value, go_seconds)


def _counter(name: str, help: str, value: Callable[[HeartbeatState], int]) -> Family:
    return Family(name, "counter", help, Part.STATE, value, go_count)


def _due(part: tuple[Monitor, HeartbeatState, Exclusions]) -> int | None:
    """None as well when a schedule cannot be read any more: one monitor's must not cost all of them the scrape."""
    try:
        return due_at(*part)
    except Exception:  # noqa: BLE001 - the evaluation says which and why
        return None


def _consecutive_failures(part: tuple[Monitor, HeartbeatState, Exclusions]) -> int | None:
    monitor, state, _ = part
    return state.consecutive_failures if state.consecutive_failures or monitor.failure_tolerance else None


def _info(monitor: Monitor, tag: str) -> str:
    labels = {
        "name": monitor.name or monitor.tag,
        "group": monitor.group,
        "schedule": monitor.schedule or "",
        "tag": monitor.tag,
        "timezone": monitor.timezone,
        **{f"label_{key}": value for key, value in monitor.labels},
    }
    pairs = ",".join(f'{key}="{escape_label(value)}"' for key, value in sorted(labels.items()))
    return f"heartbeat_info{{{pairs}}} 1.0\n"


_ALWAYS_UP = "".join(f'heartbeat_uptime_ratio{{%s,window="{name}"}} 1.0\n' for name in WINDOWS)


def _uptime(ratios: Ratios, tag: str) -> str:
    if ratios is ALWAYS_UP:
        return _ALWAYS_UP % ((tag,) * len(WINDOWS))
    return "".join(
        f'heartbeat_uptime_ratio{{{tag},window="{name}"}} {go_float(ratio)}\n'
        for name, ratio in zip(WINDOWS, ratios, strict=True)
        if ratio is not None
    )


_STATUS_LINES = {
    now: "".join(
        f'heartbeat_status{{status="{status.value}",%s}} {"1.0" if status is now else "0.0"}\n' for status in Status
    )
    for now in Status
}


def _status(now: Status, tag: str) -> str:
    return _STATUS_LINES[now] % ((tag,) * len(Status))


def _reason(reason: Reason, tag: str) -> str:
    return f'heartbeat_status_reason{{reason="{reason.value}",{tag}}} 1.0\n'


def _shown_runtimes(runtimes: Runtimes | None) -> Runtimes | None:
    return runtimes if runtimes is not None and runtimes.shown else None


def _durations(runtimes: Runtimes | None, tag: str) -> str:
    if runtimes is None:
        return ""
    return (
        f'heartbeat_duration_seconds{{quantile="0.5",{tag}}} {go_seconds(runtimes.median)}\n'
        f'heartbeat_duration_seconds{{quantile="0.95",{tag}}} {go_seconds(runtimes.p95)}\n'
    )


def _suppressed(fleet: Fleet) -> Iterator[str]:
    """The labels of each monitor whose alerts are held. One that has reported since is not, even if the evaluator has
    yet to write that.
    """
    suppressed = (fleet.with_id(id) for id, each in fleet.suppressions.by_monitor.items() if not each.released)
    tags = sorted(watched.monitor.tag for watched in suppressed if watched is not None and watched.shown.reason in HELD)
    return (f'tag="{escape_label(tag)}"' for tag in tags)


def _parents(graph: DependencyGraph) -> Iterator[str]:
    return (f'parent="{escape_label(parent)}",tag="{escape_label(tag)}"' for tag, parent in graph.pairs())


FAMILIES: Sequence[Family] = (
    Family(
        "heartbeat_info",
        "gauge",
        "Information about the monitor; always 1.",
        Part.MONITOR,
        lambda monitor: monitor,
        str,
        _info,
    ),
    Family(
        "heartbeat_status",
        "gauge",
        "Whether the monitor has this status (1) or not (0).",
        Part.STANDING,
        attrgetter("status"),
        str,
        _status,
    ),
    _seconds(
        "heartbeat_status_since_timestamp_seconds",
        "Start of the monitor's current status, in Unix time.",
        Part.STANDING,
        attrgetter("since"),
    ),
    # Not one series for each reason: it is asked for by reason, and then only the monitors that have it answer.
    Family(
        "heartbeat_status_reason",
        "gauge",
        "Reason for the monitor's current status; always 1.",
        Part.STANDING,
        attrgetter("reason"),
        str,
        _reason,
    ),
    Family(
        "heartbeat_uptime_ratio",
        "gauge",
        "Share of the evaluated time in which the monitor was UP or DEGRADED.",
        Part.PAST,
        lambda ratios: ratios,
        str,
        _uptime,
    ),
    # Its value is the moment of the last success; the renderer takes the clock's moment less that.
    _seconds(
        "heartbeat_age_seconds",
        "Time since the last success, as of the scrape.",
        Part.CLOCK,
        attrgetter("last_success_at"),
    ),
    _seconds(
        "heartbeat_last_success_timestamp_seconds",
        "Time at which the last success was received, in Unix time.",
        Part.STATE,
        attrgetter("last_success_at"),
    ),
    _seconds(
        "heartbeat_last_failure_timestamp_seconds",
        "Time at which the last failure was received, in Unix time.",
        Part.STATE,
        attrgetter("last_failure_at"),
    ),
    _seconds(
        "heartbeat_last_start_timestamp_seconds",
        "Time at which the last start was received, in Unix time.",
        Part.STATE,
        attrgetter("last_start_at"),
    ),
    _seconds(
        "heartbeat_due_timestamp_seconds",
        "Time from which lateness is measured, in Unix time.",
        Part.DUE,
        _due,
    ),
    _seconds(
        "heartbeat_degraded_after_seconds",
        "Lateness above which the monitor is DEGRADED.",
        Part.MONITOR,
        attrgetter("degraded_after"),
    ),
    _seconds(
        "heartbeat_down_after_seconds",
        "Lateness above which the monitor is DOWN.",
        Part.MONITOR,
        attrgetter("down_after"),
    ),
    _seconds(
        "heartbeat_every_seconds",
        "Time between two successes, for monitors that have it instead of a schedule.",
        Part.MONITOR,
        attrgetter("every"),
    ),
    _counter("heartbeat_received", "Number of heartbeats received, of all kinds.", attrgetter("received")),
    _counter("heartbeat_failures", "Number of failures received.", attrgetter("failures")),
    _counter("heartbeat_starts", "Number of starts received.", attrgetter("starts")),
    _seconds(
        "heartbeat_last_duration_seconds",
        "Duration of the last run for which a start was received.",
        Part.STATE,
        attrgetter("last_duration"),
    ),
    # Without count and sum, which a log of the newest runs does not have; promtool allows `quantile` in no other type.
    Family(
        "heartbeat_duration_seconds",
        "summary",
        "Median and 95th percentile of the durations of the kept runs, from ten runs on.",
        Part.RUNTIMES,
        _shown_runtimes,
        str,
        _durations,
    ),
    Family(
        "heartbeat_consecutive_failures",
        "gauge",
        "Number of failures since the last success; only where it is not 0 or failures are tolerated.",
        Part.DUE,
        _consecutive_failures,
        go_float,
    ),
    Family(
        "heartbeat_last_exit_code",
        "gauge",
        "Exit code of the last run; 0 means success.",
        Part.STATE,
        attrgetter("last_exit_code"),
        go_float,
    ),
    Family(
        "heartbeat_suppressed",
        "gauge",
        "Whether the monitor is late and its alerts are held, because one that it depends on is in trouble; always 1.",
        Part.SUPPRESSIONS,
        _suppressed,
        str,
    ),
    Family(
        "heartbeat_dependency_info",
        "gauge",
        "Information about what the monitor depends on, one series for each parent; always 1.",
        Part.DEPENDENCIES,
        _parents,
        str,
    ),
)
