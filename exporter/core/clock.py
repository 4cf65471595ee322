"""Time as a collaborator, so that no test waits for it to pass.

Moments are integers: Unix time in milliseconds, UTC. Durations are integers: milliseconds.
Whole milliseconds make "strictly greater" and "the moment it changes" exact.
"""

import threading
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


class PastMoment:
    """A moment of this process's past, kept by the steady clock: it stays as long ago as it was when the wall clock is
    set.
    """

    __slots__ = ("_clock", "_steady")

    def __init__(self, clock: Clock) -> None:
        """Now."""
        self._clock = clock
        self._steady = clock.monotonic()

    @property
    def at(self) -> int:
        """In Unix time in milliseconds, by the wall clock of now."""
        return self._clock.now() - (self._clock.monotonic() - self._steady)


class ReceiptClock:
    """A clock whose `now` never goes back: every moment of receipt comes from it, because those moments decide the
    order of heartbeats. While the clock behind it is behind its last answer, it repeats that answer.

    Any thread may call it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """Unix time in milliseconds: the clock's, the last answer or the floor, whichever is latest."""
        with self._lock:
            now = self._clock.now()
            if now < self._last:
                return self._last
            self._last = now
            return now

    def monotonic(self) -> int:
        return self._clock.monotonic()

    def not_before(self, moment: int) -> None:
        """Sets a floor: heartbeats up to this moment may have been received by an earlier process."""
        with self._lock:
            self._last = max(self._last, moment)

    def reset(self, moment: int) -> None:
        """Goes back to `moment` if the last answer is later: the clock was ahead, and the moments that it stamped
        have been moved to `moment` in the database.
        """
        with self._lock:
            self._last = min(self._last, moment)
