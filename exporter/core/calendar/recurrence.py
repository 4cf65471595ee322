"""RFC 5545 recurrence rules in a timezone: when the next one begins, whatever the clocks do.

A rule is asked month by month, so that no search depends on how long ago it began, and none is longer than it may be.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfoNotFoundError

from exporter.core.calendar.occurrences import Occurrences
from exporter.core.calendar.recurrence_rule import MAX_LENGTH, parse_rule
from exporter.core.calendar.wall import instants, zone_of
from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.errors import InvalidValue

MIN_INTERVAL = 10 * MINUTE
"""Two beginnings may not be nearer, on average: that would be no maintenance any more."""
_PROBED = 100
_MAX_A_DAY = 144
FARTHEST = 20 * 366 * DAY
"""Nothing looks further ahead."""
_CHECKED_DAYS = 15_000
"""Days that are looked at for a first beginning, and for the end of a COUNT: 41 years, or 400 of one month."""
_COUNTED_DAYS = 40_000
_MAX_MONTHS = 400 * 12
_KEPT_MONTHS = 600
_MARGIN = 2 * DAY
"""By no more do clocks move a beginning out of its month."""


class Recurrence:
    """The beginnings of one rule. Any thread may ask.

    They are at the same wall time, as people write them. One that the clocks skip in spring comes as much later as they
    skip; of two that they show in autumn the first counts.
    """

    def __init__(self, rule: str, first: int, timezone: str) -> None:
        """`first` is DTSTART, Unix time in milliseconds. Raises InvalidValue."""
        self.rule = parse_rule(rule)
        try:
            self._zone = zone_of(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidValue(f"{timezone[:60]!r} is not a timezone") from error
        self._start = datetime.fromtimestamp(first // SECOND, self._zone).replace(tzinfo=None)
        self._occurrences = Occurrences(self.rule, self._start)
        self._months: dict[int, Sequence[int]] = {}
        self._last = self._end_of_count() if self.rule.count is not None else None
        self._lock = threading.Lock()

    def between(self, start: int, end: int) -> Sequence[int]:
        """The beginnings from `start` up to `end`."""
        if end <= start:
            return []
        with self._lock:
            low, high = self._month_at(start - _MARGIN), self._month_at(end + _MARGIN)
            low = max(low, self._start.year * 12 + self._start.month - 1)
            merged = sorted({at for month in range(low, high + 1) for at in self._month(month)})
        return merged[bisect_left(merged, start) : bisect_left(merged, end)]

    def after(self, at: int) -> int | None:
        """The first beginning after that moment; None when there is none for twenty years."""
        with self._lock:
            low = max(self._month_at(at - _MARGIN), self._start.year * 12 + self._start.month - 1)
            for month in range(low, self._month_at(at + FARTHEST) + 1):
                starts = self._month(month)
                if starts and starts[-1] > at:
                    begins = starts[bisect_right(starts, at)]
                    # The clocks may have moved one of the next month before it, or of this one behind that.
                    other = next((start for start in self._month(month + 1) if start > at), begins)
                    begins = min(begins, other)
                    return begins if begins - at <= FARTHEST else None
        return None

    def walls(self) -> Iterator[datetime]:
        """From the first on, on the wall clock; ends where none comes for a very long time."""
        looked = 0
        for wall_or_days in self._search():
            if isinstance(wall_or_days, int):
                looked += wall_or_days
                if looked > _CHECKED_DAYS:
                    return
            else:
                looked = 0
                yield wall_or_days

    def _search(self) -> Iterator[datetime | int]:
        """Each beginning, and between them how many days were looked at."""
        start = self._start.year * 12 + self._start.month - 1
        for month in range(start, min(start + _MAX_MONTHS, MAXYEAR * 12)):
            walls = self._within(month)
            yield from walls
            if not walls and self._over(month):
                return
            yield 31 if self._occurrences.may_lie_in(month) else 0

    def _over(self, month: int) -> bool:
        until = self.rule.until
        return until is not None and month > until.moment.year * 12 + until.moment.month

    def _within(self, month: int) -> list[datetime]:
        """The beginnings of that month, on the wall clock."""
        if month >= MAXYEAR * 12 or month < 12:
            return []
        until = self.rule.until
        return [
            wall
            for wall in self._occurrences.within(month)
            if wall >= self._start
            and (self._last is None or wall <= self._last)
            and (until is None or (self._utc(wall) if until.utc else wall) <= until.moment)
        ]

    def _utc(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=self._zone).astimezone(UTC).replace(tzinfo=None)

    def _month(self, month: int) -> Sequence[int]:
        starts = self._months.get(month)
        if starts is None:
            if len(self._months) >= _KEPT_MONTHS:
                self._months.clear()
            # Those that were skipped may come after later ones.
            starts = sorted({self._instant(wall) * SECOND for wall in self._within(month)})
            self._months[month] = starts
        return starts

    def _instant(self, wall: datetime) -> int:
        at = instants(wall, self._zone)
        return at[0] if at else int(wall.replace(tzinfo=self._zone).timestamp())

    def _month_at(self, at: int) -> int:
        local = datetime.fromtimestamp(min(max(at, 0), 253_000_000_000_000) // SECOND, self._zone)
        return local.year * 12 + local.month - 1

    def _end_of_count(self) -> datetime | None:
        """The last that COUNT allows; None when it is too far in the future to matter."""
        left = self.rule.count or 0
        start = self._start.year * 12 + self._start.month - 1
        days = 0
        for month in range(start, min(start + _MAX_MONTHS, MAXYEAR * 12)):
            number = self._occurrences.count(month, self._start)
            if number >= left:
                walls = [wall for wall in self._occurrences.within(month) if wall >= self._start]
                return walls[left - 1]
            left -= number
            days += 31 if self._occurrences.may_lie_in(month) else 0
            if days > _COUNTED_DAYS:
                break
        return None


@lru_cache(maxsize=4096)
def recurrence(rule: str, first: int, timezone: str) -> Recurrence:
    """Shared by all callers with the same arguments. Raises InvalidValue."""
    return Recurrence(rule, first, timezone)


@lru_cache(maxsize=4096)
def trouble_of(rule: str, first: int, timezone: str) -> str | None:
    """Why a rule that is kept cannot be used, as one of an earlier version; None when it can."""
    try:
        recurrence(rule, first, timezone)
    except InvalidValue as error:
        return str(error)
    return None


def check_rule(rule: str, first: int, timezone: str) -> str:
    """`rule` itself; raises InvalidValue when it is none, never begins, or begins too often."""
    shown = rule if len(rule) <= 60 else rule[:60] + "…"
    if len(rule) > MAX_LENGTH:
        raise InvalidValue(f"{shown!r} is longer than {MAX_LENGTH} characters")
    try:
        made = recurrence(rule, first, timezone)
    except InvalidValue as error:
        raise InvalidValue(f"{shown!r} is no rule: {error}") from None
    some = list(islice(made.walls(), _PROBED))
    if not some:
        raise InvalidValue(f"{shown!r} never begins")
    average = (some[-1] - some[0]) / max(len(some) - 1, 1)
    crowded = len(some) == _PROBED and average < timedelta(milliseconds=MIN_INTERVAL)
    if crowded or Occurrences(made.rule, some[0]).most_a_day > _MAX_A_DAY:
        raise InvalidValue(f"{shown!r} begins more often than every ten minutes")
    return rule
