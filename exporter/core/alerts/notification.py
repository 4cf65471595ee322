"""Notifications: messages to a notifier, and their states."""

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from exporter.core.clock import MINUTE, SECOND

FIRST_WAIT = 2 * SECOND
MAX_WAIT = 5 * MINUTE
MAX_HOLD = 15 * MINUTE
"""Milliseconds for which the other side may ask us to wait; longer, and an alarm would come too late to be of use."""


class NotificationState(StrEnum):
    PENDING = "pending"
    """Gathering, waiting for its turn, or for the next attempt."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: refused for good, or not delivered in all the time that there was."""
    REPLACED = "replaced"
    """Never sent: all its alerts were over before it could be, and another message reports both."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a delivery is tried again: twice as long each time, up to a cap, and never in step."""

    random: Random

    def wait(self, attempts: int, hold: int = 0) -> int:
        """Milliseconds after so many failed attempts, at least `hold`."""
        longest = min(MAX_WAIT, FIRST_WAIT << min(max(attempts - 1, 0), 20))
        return max(hold, round(longest * self.random.uniform(0.5, 1.0)))


def hold_of(retry_after: float | None) -> int:
    """Milliseconds to wait when the other side asks for `retry_after` seconds: bounded, whatever it asks for."""
    if retry_after is None or math.isnan(retry_after):
        return 0
    return round(min(max(retry_after, 0), MAX_HOLD / SECOND) * SECOND)


@dataclass(frozen=True, slots=True)
class Hold:
    """A notifier waits because the other side asked for it. Moments are Unix time in milliseconds."""

    notifier: str
    since: int
    until: int
    error: str
    """The answer that asked for it."""

    def left(self, now: int) -> int:
        """Milliseconds, also when the clock was set back meanwhile."""
        return min(max(0, self.until - now), MAX_HOLD)


def next_try(next_attempt_at: int, expires_at: int, held_until: int | None) -> int:
    """The moment of a message's next attempt. The last one, at the end of its time, is made in spite of a hold."""
    if held_until is None:
        return next_attempt_at
    return max(next_attempt_at, min(held_until, expires_at))
