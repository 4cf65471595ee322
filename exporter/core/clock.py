"""Time as a collaborator, so that no test waits for it to pass.

Moments are integers: Unix time in milliseconds, UTC. Durations are integers: milliseconds.
Whole milliseconds make "strictly greater" and "the moment it changes" exact.
"""

import time
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """What the program asks about time."""

    def now(self) -> int:
        """The wall clock: Unix time in milliseconds. It may step, in both directions."""
        ...

    def monotonic(self) -> int:
        """Milliseconds since some fixed moment; never steps, and goes on while the machine sleeps. Only
        differences mean anything.
        """
        ...


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux's own monotonic clock stands still while the machine sleeps, and then it would not be known that it slept."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> int:
        return time.clock_gettime_ns(_STEADY) // 1_000_000
