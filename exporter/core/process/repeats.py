"""Messages that would repeat: the first at once, the same again at growing intervals only."""

from exporter.core.clock import MINUTE, SECOND, Clock, SystemClock

FIRST_INTERVAL = 10 * SECOND
MAX_INTERVAL = 10 * MINUTE


class Repeats:
    """One thread uses it, for one kind of message."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._text: str | None = None
        self._next_at = 0
        self._interval = FIRST_INTERVAL

    def is_due(self, text: str) -> bool:
        """Whether this text should be logged now: another one than last, or its interval is over."""
        now = self._clock.monotonic()
        if text == self._text and now < self._next_at:
            return False
        self._interval = FIRST_INTERVAL if text != self._text else min(MAX_INTERVAL, 2 * self._interval)
        self._text, self._next_at = text, now + self._interval
        return True

    def over(self) -> None:
        """All is well: the same text is news again."""
        self._text = None
