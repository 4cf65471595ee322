"""Candidates: cron expressions that the moments of runs may come from. Which of them fits is for `fit` to find out.

Moments gather shortly after the ticks of their schedule. So their places within an hour and within a day are grouped
wherever a gap is wide enough, for several ideas of how wide that is, and the beginning of each group is a time of the
schedule. The days on which they come are every day, some weekdays, or some days of the month.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from exporter.core.calendar.wall import offset, zone_of
from exporter.core.suggestion.cron_text import field

EARLY = 5
"""Seconds before a tick that a moment still belongs to it: the clocks of two machines differ."""
_HOUR, _DAY = 3600, 86_400
_STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Minutes that divide an hour."""
_GAPS = (20, 60, 150, 300, 600, 1200, 2700, 7200, 18_000)
"""Seconds without a moment that may separate two times of a schedule."""
_MAX_TIMES = 96
"""Times of day of one schedule."""
_RARE = (0.25, 0.6)
"""A group with fewer moments than this share of the usual is an exception and no time of the schedule: two ideas."""
_EXCEPTIONS = 0.1
"""Share of all moments that may be exceptions."""
_SEEN = 0.8
"""Share of its possible days on which a weekday or day of the month has to be seen."""


class Candidate(NamedTuple):
    """A schedule, and how long after its ticks the moments came that led to it."""

    expression: str
    timezone: str
    reach: int
    """Milliseconds."""


class _Walls:
    """Moments as a timezone's clocks showed them."""

    def __init__(self, moments: Sequence[int], timezone: str) -> None:
        self.timezone = timezone
        zone = zone_of(timezone)
        self.changes = _changes(moments, zone)
        self.times = [
            datetime.fromtimestamp(at / 1000 + EARLY, UTC).astimezone(zone).replace(tzinfo=None) for at in moments
        ]

    def places(self, cycle: int) -> list[float]:
        """Seconds within a day or hour of the wall clock."""
        return [
            (wall.hour * _HOUR + wall.minute * 60 + wall.second + wall.microsecond / 1e6) % cycle for wall in self.times
        ]


class _Groups(NamedTuple):
    starts: tuple[int, ...]
    """Minutes within the cycle."""
    member_of: tuple[int | None, ...]
    """Of each moment, the place of its group in `starts`; None for an exception."""
    width: float
    """Seconds from the first minute of a group to its last moment, at most."""


def candidates(moments: Sequence[int], timezone: str) -> Iterator[Candidate]:
    """Different ones, for ascending moments of Unix time in milliseconds."""
    walls = _Walls(moments, timezone)
    seen: set[Candidate] = set()
    for candidate in (*_by_minutes(walls), *_within_hours(walls), *_within_days(walls)):
        if candidate not in seen:
            seen.add(candidate)
            yield candidate


def crosses_change(moments: Sequence[int], timezone: str) -> bool:
    """Whether that timezone's clocks changed between the first and the last of the moments."""
    return _changes(moments, zone_of(timezone))


def _changes(moments: Sequence[int], zone: ZoneInfo) -> bool:
    return len({offset(at // 1000, zone) for at in moments}) > 1


def _by_minutes(walls: _Walls) -> Iterator[Candidate]:
    """Every N minutes, the first at any minute."""
    for step in _STEPS:
        places = [place % (60 * step) for place in walls.places(_HOUR)]
        start, width = _one_group(places, 60 * step)
        if step == 1 or width <= 30 * step:
            minutes = [minute for minute in range(60) if minute % step == start % step]
            yield Candidate(f"{field(minutes, 0, 59)} * * * *", walls.timezone, _reach(min(width, 60 * step)))


def _one_group(places: Sequence[float], cycle: int) -> tuple[int, float]:
    """The minute at which the only group of a cycle begins, and its width in seconds."""
    ordered = sorted(places)
    gaps = [later - earlier for earlier, later in zip(ordered, [*ordered[1:], ordered[0] + cycle], strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    first, last = ordered[(widest + 1) % len(ordered)], ordered[widest]
    start = int(first // 60)
    return start, (last - 60 * start) % cycle


def _within_hours(walls: _Walls) -> Iterator[Candidate]:
    """At some minutes of every hour."""
    for groups in _groupings(walls.places(_HOUR), _HOUR, 60):
        yield Candidate(f"{field(groups.starts, 0, 59)} * * * *", walls.timezone, _reach(groups.width))


def _within_days(walls: _Walls) -> Iterator[Candidate]:
    """At some times of some days."""
    for groups in _groupings(walls.places(_DAY), _DAY, _MAX_TIMES):
        minutes = {start % 60 for start in groups.starts}
        hours = {start // 60 for start in groups.starts}
        if len(minutes) * len(hours) != len(groups.starts):
            continue  # no expression has these times and no others
        texts = [f"{field(minutes, 0, 59, star_steps=False)} {field(hours, 0, 23, star_steps=False)}"]
        if walls.changes or "-" in texts[0]:  # it is shorter, and the same unless clocks change
            texts.append(f"{field(minutes, 0, 59)} {field(hours, 0, 23)}")
        for days in _days(walls, groups):
            for text in texts:
                yield Candidate(f"{text} {days}", walls.timezone, _reach(groups.width))


def _reach(width: float) -> int:
    return int(1000 * width) + 1


def _groupings(places: Sequence[float], cycle: int, most: int) -> Iterator[_Groups]:
    """Different ways to group the places within a cycle."""
    order = sorted(range(len(places)), key=places.__getitem__)
    ordered = [places[index] for index in order]
    gaps = [later - earlier for earlier, later in zip(ordered, [*ordered[1:], ordered[0] + cycle], strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    # The cycle is cut at its widest gap, so that a group that goes over its end stays whole.
    turn = widest + 1
    order, gaps = order[turn:] + order[:turn], gaps[turn:] + gaps[:turn]
    seen = set()
    for limit in _GAPS:
        groups: list[list[int]] = [[]]
        for index, gap in zip(order, gaps, strict=True):
            groups[-1].append(index)
            if gap > limit:
                groups.append([])
        groups = [group for group in groups if group]
        key = tuple(map(len, groups))
        if key in seen:
            continue
        seen.add(key)
        usual = sorted(size for size in key for _ in range(size))[len(places) // 2]
        for rare in _RARE:
            kept = [group for group in groups if len(group) >= rare * usual]
            if len(kept) <= most and sum(map(len, kept)) >= (1 - _EXCEPTIONS) * len(places):
                yield _grouped(kept, places, cycle)


def _grouped(groups: Sequence[Sequence[int]], places: Sequence[float], cycle: int) -> _Groups:
    begins = {int(places[group[0]] // 60): group for group in groups}
    starts = tuple(sorted(begins))
    member_of: list[int | None] = [None] * len(places)
    width = 0.0
    for place, start in enumerate(starts):
        for index in begins[start]:
            member_of[index] = place
            width = max(width, (places[index] - 60 * start) % cycle)
    return _Groups(starts, tuple(member_of), width)


def _days(walls: _Walls, groups: _Groups) -> Iterator[str]:
    """Day of month, month and day of week, for the days on which the moments come."""
    days: set[date] = set()
    for wall, group in zip(walls.times, groups.member_of, strict=True):
        if group is not None:
            begun = 60 * groups.starts[group]
            late = (wall.hour * _HOUR + wall.minute * 60 + wall.second - begun) % _DAY
            days.add((wall - timedelta(seconds=late)).date())
    yield "* * *"
    first, last = min(days), max(days)
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    weekdays = _usual([day.isoweekday() % 7 for day in span], [day.isoweekday() % 7 for day in days])
    if weekdays is not None and len(weekdays) < 7:
        yield f"* * {field(weekdays, 0, 6)}"
    monthdays = _usual([day.day for day in span], [day.day for day in days])
    if monthdays is not None:
        yield f"{field(monthdays, 1, 31)} * *"
    if (first.year, first.month) != (last.year, last.month):
        yield from _every_few_days(days)
    if all((day + timedelta(days=1)).day == 1 for day in days):
        yield "L * *"


def _every_few_days(days: Collection[date]) -> Iterator[str]:
    """Every N days of the month; the count begins again with each month, which tells it from a pause of N days."""
    for step in range(2, 11):
        begin, count = Counter((day.day - 1) % step for day in days).most_common(1)[0]
        if count >= (1 - _EXCEPTIONS) * len(days):
            yield f"{field(range(begin + 1, 32, step), 1, 31)} * *"


def _usual(possible: Sequence[int], actual: Collection[int]) -> list[int] | None:
    """The numbers that nearly always come when they can; None when others come too, or too few chances were there."""
    chances, came = Counter(possible), Counter(actual)
    usual: list[int] = []
    for number, count in came.items():
        if chances[number] >= 2 and count >= _SEEN * chances[number]:
            usual.append(number)
    usual.sort()
    others = sum(count for number, count in came.items() if number not in usual)
    return usual if usual and others <= _EXCEPTIONS * len(actual) else None
