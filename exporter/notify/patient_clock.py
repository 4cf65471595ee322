"""A clock to give up by: a wall clock that is ahead for a moment must not end what had a day."""

from exporter.core.clock import MINUTE, Clock

BELIEVED_AFTER = 15 * MINUTE
"""A step forward that has lasted this long is the right time."""


class UnhurriedClock:
    """The wall clock, less a step forward that is recent. Called often, on one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._steady = clock.now(), clock.monotonic()
        """The two clocks at a moment at which the wall clock was believed."""
        self._ahead_since: int | None = None

    def now(self) -> int:
        """Unix time in milliseconds; never ahead of the wall clock."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        expected = self._wall + steady - self._steady
        if wall > expected:
            if self._ahead_since is None:
                self._ahead_since = steady
            if steady - self._ahead_since < BELIEVED_AFTER:
                return expected
        self._wall, self._steady, self._ahead_since = wall, steady, None
        return wall
