"""Notifications: a message owed to a notifier, and what becomes of it."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from exporter.core.clock import MINUTE, SECOND

FIRST_WAIT = 2 * SECOND
LONGEST_WAIT = 5 * MINUTE


class NotificationState(StrEnum):
    PENDING = "pending"
    """Owed: gathering, waiting for its turn, or for the next attempt."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: refused for good, or not delivered in all the time that there was."""
    REPLACED = "replaced"
    """Never sent: all its alerts were over before it could be, and another message tells both."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a delivery is tried again: twice as long each time, up to a cap, and never in step."""

    random: Random

    def wait(self, attempts: int, retry_after: float | None = None) -> int:
        """Milliseconds after so many failed attempts; at least `retry_after` seconds if the other side said so."""
        longest = min(LONGEST_WAIT, FIRST_WAIT << min(max(attempts - 1, 0), 20))
        wait = round(longest * self.random.uniform(0.5, 1.0))
        return wait if retry_after is None else max(wait, round(retry_after * SECOND))
