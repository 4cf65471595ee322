"""RFC 5545 recurrence rules in a timezone: when the next one begins, whatever the clocks do."""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.errors import InvalidValue

LONGEST_RULE = 500
CLOSEST = 10 * MINUTE
"""Two beginnings may not be nearer, on average: that would be no maintenance any more."""
_PROBED = 100
MOST = 100_000
"""Beginnings that are kept of a rule; one that has so many behind it began too long ago."""
FARTHEST = 20 * 366 * DAY
"""Nobody looks further ahead."""


class Recurrence:
    """The beginnings of one rule, worked out once and kept. Any thread may ask.

    They are at the same wall time, as people write them. One that the clocks skip in spring comes an hour later; of
    two that they show in autumn the first counts.
    """

    def __init__(self, rule: str, first: int, timezone: str) -> None:
        """`first` is DTSTART, Unix time in milliseconds. Raises InvalidValue."""
        self._zone = ZoneInfo(timezone)
        self._ahead = self._begin(rule, first)
        self._known: list[int] = []
        self._over = False
        self._lock = threading.Lock()

    def between(self, start: int, end: int) -> Sequence[int]:
        """The beginnings from `start` up to `end`."""
        with self._lock:
            self._reach(end)
            return self._known[bisect_left(self._known, start) : bisect_left(self._known, end)]

    def after(self, at: int) -> int | None:
        """The first beginning after that moment; None when there is none for twenty years."""
        with self._lock:
            while not self._over and (not self._known or self._known[-1] <= at):
                self._next()
            index = bisect_right(self._known, at)
            found = self._known[index] if index < len(self._known) else None
        return found if found is not None and found - at <= FARTHEST else None

    def _begin(self, rule: str, first: int) -> Iterator[datetime]:
        from dateutil.rrule import rrulestr  # only who has recurring windows needs it

        start = datetime.fromtimestamp(first / SECOND, self._zone).replace(tzinfo=None)
        return iter(rrulestr(rule, dtstart=start))

    def _reach(self, end: int) -> None:
        while not self._over and (not self._known or self._known[-1] < end):
            self._next()

    def _next(self) -> None:
        local = next(self._ahead, None)
        if local is None or len(self._known) >= MOST:
            self._over = True
        else:
            self._known.append(int(local.replace(tzinfo=self._zone).timestamp() * SECOND))


@lru_cache(maxsize=4096)
def recurrence(rule: str, first: int, timezone: str) -> Recurrence:
    """Shared by all who ask for the same."""
    return Recurrence(rule, first, timezone)


def check_rule(rule: str, first: int, timezone: str, now: int) -> str:
    """`rule` itself; raises InvalidValue when it is none, never begins, or begins too often."""
    shown = rule if len(rule) <= 60 else rule[:60] + "…"
    if len(rule) > LONGEST_RULE:
        raise InvalidValue(f"{shown!r} is longer than {LONGEST_RULE} characters")
    name, _, value = rule.strip().partition(":")
    parts = dict(part.partition("=")[::2] for part in (value or name).upper().split(";"))
    if "\n" in rule or parts.get("FREQ") not in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"):
        raise InvalidValue(f"{shown!r} is no rule: write it as FREQ=WEEKLY;BYDAY=SU, of YEARLY to HOURLY")
    if parts.get("UNTIL", "").endswith("Z"):
        raise InvalidValue(f"{shown!r}: UNTIL is the wall time of the window's timezone: leave out the Z")
    try:
        made = Recurrence(rule, first, timezone)
        some = [int(one.timestamp()) for one in islice(made._ahead, _PROBED)]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InvalidValue(f"{shown!r} is no rule: {error}") from None
    if not some:
        raise InvalidValue(f"{shown!r} never begins")
    if len(some) == _PROBED and (some[-1] - some[0]) * SECOND < CLOSEST * (_PROBED - 1):
        raise InvalidValue(f"{shown!r} begins more often than every ten minutes")
    if len(recurrence(rule, first, timezone).between(first, now)) >= MOST:
        raise InvalidValue(f"{shown!r} has begun too often before now: let it start later")
    return rule
