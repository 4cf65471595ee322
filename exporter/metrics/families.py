"""The families that every monitor has: name, type, help and samples, as data.

A new metric is an entry in FAMILIES and a line in docs/metrics.md; the tests find whichever is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from exporter.core.status import Status, due_at
from exporter.metrics.numbers import escape_label, go_float, go_seconds
from exporter.storage.fleet import Watched

Lines = Callable[[Watched, str], Iterator[str]]
"""Gives the sample lines of one monitor; the text is its tag as a label, `tag="…"`."""


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
    lines: Lines

    @property
    def sample_name(self) -> str:
        return f"{self.name}_total" if self.type == "counter" else self.name


def _one(sample_name: str, value: Callable[[Watched], str | None]) -> Lines:
    def lines(watched: Watched, tag: str) -> Iterator[str]:
        text = value(watched)
        if text is not None:
            yield f"{sample_name}{{{tag}}} {text}\n"

    return lines


def _gauge(name: str, help: str, part: Part, value: Callable[[Watched], str | None]) -> Family:
    return Family(name, "gauge", help, part, _one(name, value))


def _counter(name: str, help: str, value: Callable[[Watched], int]) -> Family:
    return Family(name, "counter", help, Part.STATE, _one(f"{name}_total", lambda watched: go_float(value(watched))))


def _seconds(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else go_seconds(milliseconds)


def _info(watched: Watched, tag: str) -> Iterator[str]:
    monitor = watched.monitor
    labels = {
        "name": monitor.name or monitor.tag,
        "group": monitor.group,
        "schedule": monitor.schedule or "",
        "tag": monitor.tag,
        "timezone": monitor.timezone,
        **{f"label_{key}": value for key, value in monitor.labels},
    }
    pairs = ",".join(f'{key}="{escape_label(value)}"' for key, value in sorted(labels.items()))
    yield f"heartbeat_info{{{pairs}}} 1.0\n"


def _status(watched: Watched, tag: str) -> Iterator[str]:
    now = watched.standing.status
    for status in Status:
        yield f'heartbeat_status{{status="{status.value}",{tag}}} {"1.0" if status is now else "0.0"}\n'


def _exit_code(watched: Watched) -> str | None:
    code = watched.state.last_exit_code
    return None if code is None else go_float(code)


def age_line(watched: Watched, tag: str, now: int) -> str:
    """The one family that the clock changes; empty before the first success, and never below zero."""
    success = watched.state.last_success_at
    return "" if success is None else f"heartbeat_age_seconds{{{tag}}} {go_seconds(max(0, now - success))}\n"


FAMILIES: Sequence[Family] = (
    Family("heartbeat_info", "gauge", "What the monitor is; always 1.", Part.MONITOR, _info),
    Family("heartbeat_status", "gauge", "1 for the status the monitor has, 0 for the others.", Part.STANDING, _status),
    _gauge(
        "heartbeat_status_since_timestamp_seconds",
        "When the monitor's status began, in Unix time.",
        Part.STANDING,
        lambda watched: _seconds(watched.standing.since),
    ),
    Family(
        "heartbeat_age_seconds",
        "gauge",
        "Seconds since the last success, at the moment of the scrape.",
        Part.CLOCK,
        lambda watched, tag: iter(()),
    ),
    _gauge(
        "heartbeat_last_success_timestamp_seconds",
        "When the last success was received, in Unix time.",
        Part.STATE,
        lambda watched: _seconds(watched.state.last_success_at),
    ),
    _gauge(
        "heartbeat_last_failure_timestamp_seconds",
        "When the last failure was received, in Unix time.",
        Part.STATE,
        lambda watched: _seconds(watched.state.last_failure_at),
    ),
    _gauge(
        "heartbeat_last_start_timestamp_seconds",
        "When the last start was received, in Unix time.",
        Part.STATE,
        lambda watched: _seconds(watched.state.last_start_at),
    ),
    _gauge(
        "heartbeat_due_timestamp_seconds",
        "From when lateness counts, in Unix time.",
        Part.STATE,
        lambda watched: _seconds(due_at(watched.monitor, watched.state)),
    ),
    _gauge(
        "heartbeat_degraded_after_seconds",
        "Lateness beyond which the monitor is DEGRADED.",
        Part.MONITOR,
        lambda watched: _seconds(watched.monitor.degraded_after),
    ),
    _gauge(
        "heartbeat_down_after_seconds",
        "Lateness beyond which the monitor is DOWN.",
        Part.MONITOR,
        lambda watched: _seconds(watched.monitor.down_after),
    ),
    _counter("heartbeat_received", "Heartbeats received, of every kind.", lambda watched: watched.state.received),
    _counter("heartbeat_failures", "Failures received.", lambda watched: watched.state.failures),
    _counter("heartbeat_starts", "Starts received.", lambda watched: watched.state.starts),
    _gauge(
        "heartbeat_last_duration_seconds",
        "How long the last run took whose start was received.",
        Part.STATE,
        lambda watched: _seconds(watched.state.last_duration),
    ),
    _gauge("heartbeat_last_exit_code", "Exit code of the last run; 0 is success.", Part.STATE, _exit_code),
)
