"""Early runs: those of a job that always come shortly before the ticks of the schedule in force."""

from bisect import bisect_left
from itertools import pairwise
from typing import NamedTuple

from exporter.core.clock import MINUTE, SECOND
from exporter.core.exclusions import Exclusions
from exporter.core.monitor import Monitor
from exporter.core.suggestion.candidates import Candidate
from exporter.core.suggestion.evidence import Evidence
from exporter.core.suggestion.fit import Fit
from exporter.core.suggestion.ticks import ticks_between

MAX_LEAD = 5 * MINUTE
"""A job that runs longer before the tick has another schedule."""
_SHARE = 4
"""And so has one that runs more than a quarter of the gap between two ticks before it."""


class EarlyFit(NamedTuple):
    """The schedule in force, and how early the runs come."""

    fit: Fit
    lead: int
    """Milliseconds before their ticks, the longest."""
    lateness: tuple[int, ...]
    """Milliseconds after its tick that each run ended; 0 for those that ended before it."""


def early_fit(monitor: Monitor, evidence: Evidence, exclusions: Exclusions) -> EarlyFit | None:
    """None unless nearly all runs come before a tick of the schedule in force, and nearly all ticks have one."""
    if monitor.schedule is None:
        return None
    runs = sorted(evidence.runs, key=evidence.moment)
    moments = [evidence.moment(run) for run in runs]
    most = 3 * len(moments) + 20
    ticks = ticks_between(monitor.schedule, monitor.timezone, moments[0] - 1, moments[-1] + MAX_LEAD, most)
    if len(ticks) == most or len(ticks) < 2:
        return None
    step = min(later - earlier for earlier, later in pairwise(ticks))
    leads: list[int] = []
    lateness: list[int] = []
    served: set[int] = set()
    for run, at in zip(runs, moments, strict=True):
        place = bisect_left(ticks, at)
        if place < len(ticks) and SECOND <= ticks[place] - at <= min(MAX_LEAD, step // _SHARE):
            leads.append(ticks[place] - at)
            lateness.append(max(0, run.ended_at - ticks[place]))
            served.add(place)
    if not served:
        return None
    last = max(served)
    excused = sum(
        place not in served and exclusions.exclusion_at(ticks[place]) is not None for place in range(min(served), last)
    )
    candidate = Candidate(monitor.schedule, monitor.timezone, 0)
    expected = last - min(served) + 1 - excused
    found = Fit(candidate, len(moments), len(leads), expected, len(served), step)
    return EarlyFit(found, max(leads), tuple(lateness)) if found.explains else None
