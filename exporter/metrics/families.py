"""The families that every monitor has: name, type, help and samples, as data.

A new metric is an entry in FAMILIES and a line in docs/metrics.md; the tests find whichever is missing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

from exporter.core.monitor import Monitor
from exporter.core.status import Status, due_at
from exporter.metrics.numbers import escape_label, go_float, go_seconds
from exporter.storage.fleet import Watched


class Part(Enum):
    """Which part of a monitor a family is made from; while that part stays, so do its lines."""

    MONITOR = "monitor"
    STANDING = "standing"
    STATE = "state"
    CLOCK = "clock"
    """Made anew at every scrape."""


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    """Without `_total`, which only a counter's samples have."""
    type: str
    help: str
    part: Part
    value: Callable[[Watched], Any]
    """What the lines are made of; while it stays equal, so do they. None is no line."""
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
        found = [
            f"{name}{{{tag}}} {show(value)}\n" for value, tag in zip(values, tags, strict=True) if value is not None
        ]
        return "".join(found).encode()


def _seconds(name: str, help: str, part: Part, value: Callable[[Watched], int | None]) -> Family:
    return Family(name, "gauge", help, part, value, go_seconds)


def _counter(name: str, help: str, value: Callable[[Watched], int]) -> Family:
    return Family(name, "counter", help, Part.STATE, value, go_float)


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


def _status(now: Status, tag: str) -> str:
    return "".join(
        [
            f'heartbeat_status{{status="{status.value}",{tag}}} {"1.0" if status is now else "0.0"}\n'
            for status in Status
        ]
    )


FAMILIES: Sequence[Family] = (
    Family(
        "heartbeat_info",
        "gauge",
        "What the monitor is; always 1.",
        Part.MONITOR,
        attrgetter("monitor"),
        str,
        _info,
    ),
    Family(
        "heartbeat_status",
        "gauge",
        "1 for the status the monitor has, 0 for the others.",
        Part.STANDING,
        attrgetter("standing.status"),
        str,
        _status,
    ),
    _seconds(
        "heartbeat_status_since_timestamp_seconds",
        "When the monitor's status began, in Unix time.",
        Part.STANDING,
        attrgetter("standing.since"),
    ),
    # Its value is the moment of the last success; the renderer takes the clock's moment less that.
    _seconds(
        "heartbeat_age_seconds",
        "Seconds since the last success, at the moment of the scrape.",
        Part.CLOCK,
        attrgetter("state.last_success_at"),
    ),
    _seconds(
        "heartbeat_last_success_timestamp_seconds",
        "When the last success was received, in Unix time.",
        Part.STATE,
        attrgetter("state.last_success_at"),
    ),
    _seconds(
        "heartbeat_last_failure_timestamp_seconds",
        "When the last failure was received, in Unix time.",
        Part.STATE,
        attrgetter("state.last_failure_at"),
    ),
    _seconds(
        "heartbeat_last_start_timestamp_seconds",
        "When the last start was received, in Unix time.",
        Part.STATE,
        attrgetter("state.last_start_at"),
    ),
    _seconds(
        "heartbeat_due_timestamp_seconds",
        "From when lateness counts, in Unix time.",
        Part.STATE,
        lambda watched: due_at(watched.monitor, watched.state),
    ),
    _seconds(
        "heartbeat_degraded_after_seconds",
        "Lateness beyond which the monitor is DEGRADED.",
        Part.MONITOR,
        attrgetter("monitor.degraded_after"),
    ),
    _seconds(
        "heartbeat_down_after_seconds",
        "Lateness beyond which the monitor is DOWN.",
        Part.MONITOR,
        attrgetter("monitor.down_after"),
    ),
    _counter("heartbeat_received", "Heartbeats received, of every kind.", attrgetter("state.received")),
    _counter("heartbeat_failures", "Failures received.", attrgetter("state.failures")),
    _counter("heartbeat_starts", "Starts received.", attrgetter("state.starts")),
    _seconds(
        "heartbeat_last_duration_seconds",
        "How long the last run took whose start was received.",
        Part.STATE,
        attrgetter("state.last_duration"),
    ),
    Family(
        "heartbeat_last_exit_code",
        "gauge",
        "Exit code of the last run; 0 is success.",
        Part.STATE,
        attrgetter("state.last_exit_code"),
        go_float,
    ),
)
