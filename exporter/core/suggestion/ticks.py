"""All ticks of a schedule within a span, at once: `schedule.next_tick` is made for the next one of many schedules."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from exporter.core.calendar.cron import Cron, parse_cron
from exporter.core.calendar.wall import after_skip, instants, offset, zone_of

_FAR = 15 * 3600
"""Seconds: no timezone is further from UTC."""
_MAX_DAYS = 3000
"""Looked at for the ticks of one span."""


def ticks_between(expression: str, timezone: str, start: int, end: int, most: int) -> list[int]:
    """The ticks after `start`, up to and including `end`, no more than `most`; Unix time in milliseconds."""
    cron = parse_cron(expression)
    day = (datetime.fromtimestamp(start / 1000, UTC) - timedelta(seconds=_FAR)).date()
    last = (datetime.fromtimestamp(end / 1000, UTC) + timedelta(seconds=_FAR)).date()
    last = min(last, day + timedelta(days=_MAX_DAYS))
    ticks: list[int] = []
    while day <= last and len(ticks) < most:
        if day.month in cron.months and day.day in _days(cron, day.year, day.month):
            ticks += [tick for tick in _of_day(cron, timezone, day) if start < tick <= end and tick not in ticks[-1:]]
        day += timedelta(days=1)
    return ticks[:most]


@lru_cache(maxsize=4096)
def _days(cron: Cron, year: int, month: int) -> frozenset[int]:
    return frozenset(cron.days_in(year, month))


def _of_day(cron: Cron, timezone: str, day: date) -> list[int]:
    zone = zone_of(timezone)
    midnight = int(datetime.combine(day, time(), UTC).timestamp())
    before = offset(midnight - _FAR, zone)
    if before == offset(midnight + 86_400 + _FAR, zone):
        begin = midnight - int(before.total_seconds())
        return [1000 * (begin + 3600 * hour + 60 * minute) for hour, minute in cron.times]
    found: set[int] = set()
    for hour, minute in cron.times:
        wall = datetime.combine(day, time(hour, minute))
        at = instants(wall, zone)
        if cron.elapsed:
            found.update(at)
        else:
            found.add(at[0] if at else after_skip(wall, zone))
    return [1000 * at for at in sorted(found)]
