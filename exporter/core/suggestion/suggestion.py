"""What to suggest for a monitor: a schedule, thresholds and a maximum runtime, from the heartbeats that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import EVERYTHING_COUNTS, Exclusions
from exporter.core.heartbeat import Heartbeat
from exporter.core.monitor import DEGRADED_AFTER, Monitor
from exporter.core.monitor import EARLY as DEFAULT_EARLY
from exporter.core.runtimes import MIN_RUNS, quantile
from exporter.core.suggestion.candidates import EARLY, Candidate, candidates, crosses_change
from exporter.core.suggestion.early import early_fit
from exporter.core.suggestion.evidence import Evidence, evidence_of
from exporter.core.suggestion.fit import SLACK, Fit, fit
from exporter.core.suggestion.ticks import ticks_between

MIN_HEARTBEATS = 10
"""Heartbeats with a result from which on anything is suggested."""
MAX_HEARTBEATS = 1000
"""The newest that are looked at."""
OTHER_ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Australia/Sydney",
)
"""Looked at beside the monitor's own when clocks changed meanwhile: one for each of the usual days of change."""
_NICE = [
    *(number * MINUTE for number in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(number * HOUR for number in (1, 1.5, 2, 3, 4, 6, 8, 12, 18)),
    *(number * DAY for number in (1, 1.5, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 180, 365)),
]
"""Durations as people write them."""
_UNITS = ((MINUTE, SECOND), (HOUR, MINUTE), (12 * HOUR, 5 * MINUTE))
"""Pauses below the first of these are written in whole multiples of the second."""
_ROUND = 0.05
"""By how much of itself a round interval may differ from the pauses that were seen."""
_STEADY = 0.9
"""Share of the pauses between two runs that must be much alike for an interval."""
_SURE = 0.995
"""A score above which no other timezone is looked at."""
_PRICE = 0.015
"""Of each part of a list in an expression."""
_TIE = 0.001
"""By how much another timezone has to be better."""


class Pattern(Enum):
    """What the moments of the runs show."""

    SCHEDULE = "schedule"
    INTERVAL = "interval"
    """They come regularly, and at no particular times."""
    NONE = "none"
    TOO_FEW = "too few"


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of durations, in milliseconds."""

    count: int
    median: int
    p95: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Settings for one monitor, None where nothing can be said, and the evidence for them."""

    monitor: Monitor
    pattern: Pattern
    heartbeats: int
    """Kept heartbeats with a result that were looked at."""
    by_start: bool = False
    """Whether the schedule was compared with the starts of the runs."""
    first: int | None = None
    last: int | None = None
    """Moments of the first and the last run."""
    fit: Fit | None = None
    """How well the schedule explains them."""
    lateness: Quantiles | None = None
    """Of successes, after the tick of their run; with an interval the time between two successes."""
    runtimes: Quantiles | None = None
    every: int | None = None
    early: int | None = None
    degraded_after: int | None = None
    down_after: int | None = None
    max_runtime: int | None = None
    lead: int | None = None
    """How long before the ticks of the schedule in force the runs come, at most; None unless they always do."""

    @property
    def schedule(self) -> str | None:
        return None if self.fit is None else self.fit.candidate.expression

    @property
    def timezone(self) -> str | None:
        return None if self.fit is None else self.fit.candidate.timezone

    @property
    def proposes(self) -> bool:
        """Whether it has any setting."""
        return self.fit is not None or self.degraded_after is not None or self.max_runtime is not None

    @property
    def differs(self) -> bool:
        """Whether any setting that is suggested is another one than that in force."""
        monitor = self.monitor
        if self.pattern is Pattern.SCHEDULE and (self.schedule, self.timezone) != (monitor.schedule, monitor.timezone):
            return True
        if self.every is not None and monitor.schedule is not None:
            return True
        return any(
            value is not None and value != getattr(monitor, name)
            for name, value in (
                ("every", self.every),
                ("early", self.early),
                ("degraded_after", self.degraded_after),
                ("down_after", self.down_after),
                ("max_runtime", self.max_runtime),
            )
        )


def suggest(
    monitor: Monitor,
    beats: Iterable[Heartbeat],
    zones: Sequence[str] = (),
    exclusions: Exclusions = EVERYTHING_COUNTS,
) -> Suggestion:
    """From a monitor's kept heartbeats, in the order of receipt. Nothing else is known, and nothing is changed.

    `zones`: timezones to consider beside the monitor's own, the likelier ones first. `exclusions`: when nothing
    is expected, such as in maintenance or while the exporter was away.
    """
    evidence = evidence_of(beats, monitor.max_runtime)
    evidence = evidence._replace(runs=evidence.runs[-MAX_HEARTBEATS:])
    count = len(evidence.runs)
    if count < MIN_HEARTBEATS:
        return Suggestion(monitor=monitor, pattern=Pattern.TOO_FEW, heartbeats=count)
    moments = evidence.moments
    runtimes = quantiles_of(run.duration for run in evidence.runs if run.duration is not None)
    before = early_fit(monitor, evidence, exclusions)
    best = before.fit if before else best_fit(evidence, (monitor.timezone, *zones, *OTHER_ZONES), exclusions)
    pattern, every, early = Pattern.NONE, None, None
    if best is not None:
        pattern = Pattern.SCHEDULE
        lateness = quantiles_of(before.lateness) if before else _lateness(evidence, best.candidate)
        degraded_after, down_after = _thresholds(lateness, min(DEGRADED_AFTER, best.step))
        if before and before.lead > monitor.early:
            early = max(DEFAULT_EARLY, nice(1.5 * before.lead))
    else:
        lateness = quantiles_of(_pauses(evidence))
        degraded_after = down_after = None
        if lateness is not None and _is_steady(evidence, lateness.median):
            pattern, every = Pattern.INTERVAL, interval_of(lateness.median)
            late = quantiles_of(max(0, pause - every) for pause in _pauses(evidence))
            degraded_after, down_after = _thresholds(late, min(DEGRADED_AFTER, every))
    return Suggestion(
        monitor=monitor,
        pattern=pattern,
        heartbeats=count,
        by_start=evidence.by_start,
        first=moments[0],
        last=moments[-1],
        fit=best,
        lateness=lateness,
        runtimes=runtimes,
        every=every,
        early=early,
        lead=before.lead if before else None,
        degraded_after=degraded_after,
        down_after=down_after,
        max_runtime=_max_runtime(evidence, runtimes),
    )


def best_fit(evidence: Evidence, zones: Iterable[str], exclusions: Exclusions) -> Fit | None:
    """The schedule that explains the runs best: of equally good ones the shortest, in the timezone named first."""
    best: Fit | None = None
    runs = sorted(evidence.runs, key=evidence.moment)
    moments, successes = [evidence.moment(run) for run in runs], [run.succeeded for run in runs]
    own_changes = False
    for place, zone in enumerate(dict.fromkeys(zones)):
        changes = crosses_change(moments, zone)
        if not place:
            own_changes = changes
        elif (best is not None and best.score > _SURE) or not (changes or own_changes):
            continue  # nothing is to be gained: where no clocks changed, the times of day only have other names
        for candidate in candidates(moments, zone):
            found = fit(candidate, moments, successes, exclusions)
            if found is not None and found.explains and _is_better(found, best):
                best = found
    return best


def quantiles_of(durations: Iterable[int]) -> Quantiles | None:
    """None without any."""
    ordered = sorted(durations)
    if not ordered:
        return None
    return Quantiles(len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.95), ordered[-1])


def nice(duration: float) -> int:
    """The shortest duration of those that people write that is no shorter."""
    return int(next((one for one in _NICE if one >= duration), -(-duration // DAY) * DAY))


def interval_of(pause: int) -> int:
    """An interval as people write it for jobs that usually come after this pause."""
    for one in (*(number * SECOND for number in (5, 10, 15, 20, 30)), *map(int, _NICE)):
        if abs(pause - one) <= _ROUND * one:
            return one
    unit = next((unit for limit, unit in _UNITS if pause < limit), HOUR)
    return -(-pause // unit) * unit


def _is_better(found: Fit, best: Fit | None) -> bool:
    if best is None:
        return True
    gain = _rank(found) - _rank(best)
    if found.candidate.timezone != best.candidate.timezone:
        return gain > _TIE
    return gain > 0 or (gain == 0 and len(found.candidate.expression) < len(best.candidate.expression))


def _rank(found: Fit) -> float:
    """An expression of more parts has to explain more: else a few missing runs would be exceptions in the schedule."""
    fields = found.candidate.expression.split()
    return found.score - _PRICE * sum(one.count(",") + 1 for one in fields if one != "*")


def _lateness(evidence: Evidence, candidate: Candidate) -> Quantiles | None:
    """How long after each tick its first success came."""
    moments = evidence.moments
    ticks = ticks_between(
        candidate.expression,
        candidate.timezone,
        moments[0] - candidate.reach - SLACK,
        moments[-1] + EARLY * SECOND,
        4 * len(moments) + 20,
    )
    first: dict[int, int] = {}
    place = -1
    for run in sorted(evidence.runs, key=evidence.moment):
        at = evidence.moment(run)
        while place + 1 < len(ticks) and ticks[place + 1] <= at + EARLY * SECOND:
            place += 1
        if run.succeeded and place >= 0 and at - ticks[place] <= candidate.reach + SLACK:
            first.setdefault(place, max(0, run.ended_at - ticks[place]))
    return quantiles_of(first.values())


def _pauses(evidence: Evidence) -> Iterator[int]:
    """The times between two successes."""
    ends = [run.ended_at for run in evidence.runs if run.succeeded]
    return (later - earlier for earlier, later in pairwise(ends))


def _is_steady(evidence: Evidence, median: int) -> bool:
    pauses = list(_pauses(evidence))
    alike = sum(0.7 * median <= pause <= 1.5 * median for pause in pauses)
    return median >= SECOND and alike >= _STEADY * len(pauses)


def _thresholds(lateness: Quantiles | None, least: int) -> tuple[int | None, int | None]:
    """One and a half times the longest lateness, and twice that."""
    if lateness is None:
        return None, None
    degraded_after = max(nice(1.5 * lateness.longest), nice(least))
    return degraded_after, nice(2 * degraded_after)


def _max_runtime(evidence: Evidence, runtimes: Quantiles | None) -> int | None:
    """Twice the longest run, and a minute at least. Without starts the setting has no effect."""
    if runtimes is None or runtimes.count < MIN_RUNS or not evidence.starts:
        return None
    return nice(max(2 * runtimes.longest, MINUTE))
