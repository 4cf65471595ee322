"""Evidence: the runs that a log of heartbeats shows, as suggestions need them."""

from collections.abc import Iterable
from typing import NamedTuple

from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, Run, apply

_MOSTLY = 0.8
"""Share of runs whose start has to be known before starts are what is compared with a schedule."""


class ObservedRun(NamedTuple):
    """A run that ended. Moments are Unix time in milliseconds."""

    ended_at: int
    succeeded: bool
    started_at: int | None = None
    """None when its start is not known."""

    @property
    def duration(self) -> int | None:
        return None if self.started_at is None else self.ended_at - self.started_at


class Evidence(NamedTuple):
    """What is known of a monitor's runs, in the order of their moments."""

    runs: tuple[ObservedRun, ...]
    by_start: bool
    """Whether the moments are those of starts."""
    starts: int
    """Heartbeats of kind `start` among the kept ones."""

    @property
    def moments(self) -> tuple[int, ...]:
        """When the runs began, or, where that is not known, when they ended."""
        return tuple(sorted(self.moment(run) for run in self.runs))

    def moment(self, run: ObservedRun) -> int:
        return run.started_at if self.by_start and run.started_at is not None else run.ended_at


def evidence_of(beats: Iterable[Heartbeat], max_runtime: int | None = None) -> Evidence:
    """From a log in the order of receipt. Runs whose start is not known are left out where that of most is."""
    runs: list[ObservedRun] = []
    open_runs: tuple[Run, ...] = ()
    starts = 0
    for beat in beats:
        starts += beat.kind is Kind.START
        after = apply(HeartbeatState(runs=open_runs), (beat,), max_runtime)
        open_runs = after.runs
        if after.last_outcome is not None:
            took = after.last_duration
            started_at = None if took is None else beat.received_at - took
            runs.append(ObservedRun(beat.received_at, after.last_outcome is Kind.SUCCESS, started_at))
    begun = [run for run in runs if run.started_at is not None]
    by_start = bool(begun) and len(begun) >= _MOSTLY * len(runs)
    return Evidence(tuple(begun if by_start else runs), by_start, starts)
