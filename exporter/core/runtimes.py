"""Runtimes: how long the kept runs of a monitor took, and the quantiles that show when they drift."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, Run, apply

MIN_RUNS = 10
"""Kept runs from which on quantiles are shown; of fewer they say little."""


class Runtimes(NamedTuple):
    """Of one monitor's kept runs, successes and failures."""

    received: int
    """Heartbeats that the monitor had received when this was computed; another number means that it is out of date."""
    runs: int
    """Kept runs whose duration is known."""
    median: int = 0
    """Milliseconds."""
    p95: int = 0
    """Milliseconds."""

    @property
    def shown(self) -> bool:
        """Whether there are enough runs."""
        return self.runs >= MIN_RUNS


def run_durations(beats: Iterable[Heartbeat], max_runtime: int | None = None) -> list[int]:
    """Milliseconds of every run that `beats`, in the order of receipt, show from start to end, or whose sender measured
    it. The oldest first. Each is what `last_duration` was when the run had ended.
    """
    durations: list[int] = []
    runs: tuple[Run, ...] = ()
    for beat in beats:
        if not runs and beat.duration is None and beat.kind is not Kind.START:
            continue  # it ends no run whose duration is known
        after = apply(HeartbeatState(runs=runs), (beat,), max_runtime)
        runs = after.runs
        if after.last_duration is not None:
            durations.append(after.last_duration)
    return durations


def runtimes_of(beats: Iterable[Heartbeat], received: int, max_runtime: int | None = None) -> Runtimes:
    """From a monitor's log, in the order of receipt. `received`: heartbeats that it has received in all."""
    durations = sorted(run_durations(beats, max_runtime))
    if not durations:
        return Runtimes(received, 0)
    return Runtimes(received, len(durations), quantile(durations, 0.5), quantile(durations, 0.95))


def quantile(ordered: Sequence[int], share: float) -> int:
    """The value below which `share` of the ascending values lie; between two of them in proportion, as PromQL's
    `quantile` and spreadsheets have it.
    """
    place = (len(ordered) - 1) * share
    below = int(place)
    if below + 1 == len(ordered):
        return ordered[below]
    return round(ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below))
