"""A wall clock that steps is not believed before something confirms it, and pruning believes it last of all.

While a process lives, its steady clock distinguishes time that passed from a wall clock that was set. So a step is held
back: the process goes on by the steady clock until the step is undone, which leaves no trace of it, or is confirmed.
"""

import threading
from enum import Enum
from typing import NamedTuple

from exporter.core.clock import MINUTE, SECOND, Clock

NOTABLE = 2 * SECOND
"""Smaller differences are followed at once: they matter to no deadline."""
MAX_DOUBT = 10 * MINUTE
"""A step that lasts is believed by then at the latest, and so is a clock that is behind the database at the start."""
CATCHING_UP = 24
"""How much faster than time the clock may go by which history is pruned: an hour makes up for a day."""


class Step(NamedTuple):
    """The wall clock differs from the clock that is believed."""

    by: int
    """Milliseconds; positive is ahead."""
    lasts: int
    """Milliseconds since it was noticed."""


class Verdict(Enum):
    HOLD = "go on by the steady clock"
    BELIEVE = "believe the wall clock"


def judge_step(step: Step, synchronised: bool | None, was_behind: bool) -> Verdict:
    """Whether to believe a step of the wall clock.

    `synchronised` is what the kernel says, None when it does not say; it takes a clock that is set by hand for
    unsynchronised. `was_behind`: the clock was behind the database before, so a step forward is what was waited for.

    A clock that is set back is believed: it was ahead. One that is set forward may be ahead now.
    """
    if step.by < 0 or was_behind or synchronised or step.lasts >= MAX_DOUBT:
        return Verdict.BELIEVE
    return Verdict.HOLD


def must_wait(now: int, stamp: int | None, tolerance: int, waited: int, synchronised: bool | None) -> bool:
    """At a start: whether the clock is behind the database's last `stamp`, and nothing says that it is right."""
    return stamp is not None and stamp > now + tolerance and not synchronised and waited < MAX_DOUBT


def pruned_by(before: int, elapsed: int, now: int) -> int:
    """The moment that history is pruned by: `elapsed` by the steady clock after it was `before`, while the wall clock
    says `now`. It is never ahead of that, and approaches it at a bounded speed, so no jump of a clock deletes anything.
    """
    return min(now, before + CATCHING_UP * max(0, elapsed))


class TrustedClock:
    """Any thread may call it. `now` costs one more look at the steady clock."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._offset = machine.now() - machine.monotonic()
        self._noticed_at: int | None = None
        """When a step was noticed, by the steady clock, while it is held back."""
        self._lock = threading.Lock()

    def now(self) -> int:
        wall = self._machine.now()
        offset = wall - self._machine.monotonic()
        if self._noticed_at is None and -NOTABLE <= offset - self._offset <= NOTABLE:
            self._offset = offset
            return wall
        return self._doubtful()

    def monotonic(self) -> int:
        return self._machine.monotonic()

    def step(self) -> Step | None:
        """The step that is held back now; None when there is none."""
        self.now()
        with self._lock:
            if self._noticed_at is None:
                return None
            offset, steady = self._measured()
            return Step(offset - self._offset, steady - self._noticed_at)

    def believe(self, by: int) -> None:
        """From now on the time is `by` later than it would have been."""
        with self._lock:
            self._offset += by
            self._noticed_at = None

    def _doubtful(self) -> int:
        with self._lock:
            offset, steady = self._measured()
            if -NOTABLE <= offset - self._offset <= NOTABLE:
                self._offset, self._noticed_at = offset, None
            elif self._noticed_at is None:
                self._noticed_at = steady
            return steady + self._offset

    def _measured(self) -> tuple[int, int]:
        """The wall clock's offset, and the steady clock. A process that is paused between two looks takes no step."""
        while True:
            before = self._machine.monotonic()
            wall = self._machine.now()
            steady = self._machine.monotonic()
            if steady - before < NOTABLE // 4:
                return wall - steady, steady
