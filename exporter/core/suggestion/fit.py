"""How well a schedule explains the moments of runs."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Exclusions
from exporter.core.suggestion.candidates import EARLY, Candidate
from exporter.core.suggestion.ticks import ticks_between

SLACK = MINUTE
"""How much later than its reach a moment still fits: cron starts jobs at full minutes."""
_SHORT = 2 * HOUR
"""Between two ticks; moments may then come as late as half of that, else as late as a quarter."""
_MIN_PRECISION = 0.9
"""Share of the moments that have to fit."""
_MIN_RECALL = 0.8
"""Share of the ticks that must have a moment."""
_MAX_YEARS = 5


class Fit(NamedTuple):
    """A candidate beside the moments."""

    candidate: Candidate
    moments: int
    fitting: int
    """Moments that came at a tick, or not long after it; of several successes at one tick the first."""
    ticks: int
    """From the first moment to the last, without those that are excluded."""
    served: int
    """Ticks with at least one moment."""
    step: int
    """Milliseconds between two ticks, at least."""

    @property
    def score(self) -> float:
        """The harmonic mean of two shares, of moments that fit and of ticks that are served, less a part of what the
        moments scatter.
        """
        precision, recall = self.fitting / self.moments, self.served / max(1, self.ticks)
        if not precision + recall:
            return 0.0
        scatter = max(0, self.candidate.reach - SLACK) / self.step
        return 2 * precision * recall / (precision + recall) - scatter / 2

    @property
    def explains(self) -> bool:
        """Whether the schedule is good enough to be suggested."""
        return self.fitting >= _MIN_PRECISION * self.moments and self.served >= _MIN_RECALL * self.ticks


def fit(candidate: Candidate, moments: Sequence[int], successes: Sequence[bool], exclusions: Exclusions) -> Fit | None:
    """None when the schedule cannot be the one: its ticks come far too often, or runs last from one to the next.

    `moments` ascend; `successes` are the results of their runs. `exclusions`: when nothing is expected.
    """
    early, allowed = EARLY * SECOND, candidate.reach + SLACK
    most = 3 * len(moments) + 20
    schedule = (candidate.expression, candidate.timezone)
    ticks = ticks_between(*schedule, moments[0] - allowed - 1, moments[-1] + early, most)
    if not ticks or len(ticks) == most:
        return None
    further = ticks_between(*schedule, ticks[-1], ticks[-1] + _MAX_YEARS * 366 * DAY, 1)
    around = [*ticks, *further]
    step = min((later - earlier for earlier, later in pairwise(around)), default=366 * DAY)
    if candidate.reach > _longest_reach(step):
        return None
    served: set[int] = set()
    succeeded: set[int] = set()
    fitting = 0
    for at, success in zip(moments, successes, strict=True):
        place = bisect_right(ticks, at + early) - 1
        if place >= 0 and at - ticks[place] <= allowed and not (success and place in succeeded):
            served.add(place)
            fitting += 1
            if success:
                succeeded.add(place)
    first = min(served, default=0)
    excused = sum(
        place not in served and exclusions.exclusion_at(ticks[place]) is not None for place in range(first, len(ticks))
    )
    return Fit(candidate, len(moments), fitting, len(ticks) - first - excused, len(served), step)


def _longest_reach(step: int) -> float:
    if step <= MINUTE:
        return step + 1
    return step / 2 if step <= _SHORT else step / 4
