"""The text of a cron expression: five fields, what each may hold, and the days and times that they name.

As crontab(5) of Debian has it, with what other crons add: `L`, `W` and `#` for days, ranges that wrap.
"""

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NoReturn

from croniter import CroniterBadDateError, croniter

from exporter.core.errors import InvalidValue

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_LENGTH = 200
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CYCLE = 400 * 12
"""Months after which dates fall on the same weekdays again: what has not ticked by then never does."""
_YEARS = 50
"""Between two ticks; a 29 February on one weekday comes once in 28 years, or 40 across 2100."""
_LATEST_MONTH = 9999 * 12 + 11
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall clock
_LAST = 0
"""Of a month, as a day's number."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        if re.fullmatch("[0-9]{1,9}", text):
            value = int(text)
            if self.low <= value <= self.high:
                return value
            self.refuse(f"{text} is not from {self.low} to {self.high}")
        upper = text.upper()
        if upper in self.names:
            return self.low + self.names.index(upper)
        if upper[:3] in self.names and upper.isalpha():
            self.refuse(f"write {upper[:3]} for {text!r}")
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        self.refuse(f"{text!r} is not a number from {self.low} to {self.high}{names}")

    def refuse(self, why: str) -> NoReturn:
        raise InvalidValue(f"{self.name}: {why}")

    def values(self, part: str) -> list[int]:
        """What one part of a list names: `*`, `5`, `1-5`, each also with a step."""
        span, slash, step = part.partition("/")
        if slash and not re.fullmatch("[0-9]{1,9}", step):
            self.refuse(f"the step in {part!r} is not a number")
        if slash and int(step) == 0:
            self.refuse(f"the step in {part!r} is 0: it must be 1 or more")
        top = min(self.high, 6) if self.names == _WEEKDAYS else self.high
        start, dash, end = span.partition("-")
        if span == "*":
            run = list(range(self.low, top + 1))
        elif dash:
            if not start or not end:
                self.refuse(f"the range {span!r} lacks an end: write it as {self.low}-{self.low + 1}")
            low, high = self.number(start), self.number(end)
            if low == high or (top == 6 and low % 7 == high % 7 and {low, high} != {0, 7}):
                run = [low]
            elif low < high:
                run = list(range(low, high + 1))
            else:  # 22-2 is 22, 23, 0, 1, 2
                run = [*range(low, top + 1), *range(self.low, high + 1)]
        else:
            low = self.number(span)
            run = list(range(low, self.high + 1)) if slash else [low]
        return run[:: int(step)] if slash else run


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 0, 7, _WEEKDAYS)


@dataclass(frozen=True, slots=True)
class Cron:
    """What an expression names. Weekdays are 0 to 6 from Sunday."""

    times: tuple[tuple[int, int], ...]
    """(hour, minute), in order."""
    days: frozenset[int]
    """0 is the month's last."""
    nearest: frozenset[int]
    """Days of which the nearest working day of the same month counts (`15W`); 0 is the month's last."""
    months: frozenset[int]
    weekdays: frozenset[int]
    nth: frozenset[tuple[int, int]]
    """(weekday, its number in the month); 0 is the last."""
    both: bool
    """Whether a day has to fit both day fields; else either. Debian's rule: when one of them begins with a star."""
    elapsed: bool
    """Whether it ticks by elapsed time when clocks change. Debian's rule: when its minute or hour begins with a star.
    Any other ticks by the wall clock, once.
    """

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Its ticks on a wall clock without a timezone, strictly after that minute; no more when none comes.

        croniter finds them. It is given lists of numbers, because it takes some ranges for the whole field. Days with
        `L`, `W` or `#` are found here: it drops the other day field beside some of them, and does not know the rest.
        """
        if self.nth or self.nearest or _LAST in self.days:
            return self._on_special_days(after)
        minutes, hours = (_listed({time[place] for time in self.times}) for place in (1, 0))
        days = "*" if len(self.days) == 31 else _listed(self.days)
        weekdays = "*" if len(self.weekdays) == 7 else _listed(self.weekdays)
        if not self.both and "*" in (days, weekdays):  # either day field will do, and one of them always does
            days = weekdays = "*"
        return _ticks(f"{minutes} {hours} {days} {_listed(self.months)} {weekdays}", after, either=not self.both)

    def _on_special_days(self, after: datetime) -> Iterator[datetime]:
        """As `walls`, where a day field holds `L`, `W` or `#`."""
        start = after.year * 12 + after.month - 1
        now = (after.hour, after.minute)
        for month in range(start, min(start + _CYCLE, _LATEST_MONTH) + 1):
            year, number = month // 12, month % 12 + 1
            if number not in self.months:
                continue
            for day in self.days_in(year, number):
                if month == start and day < after.day:
                    continue
                today = month == start and day == after.day
                for time in self.times[bisect_right(self.times, now) :] if today else self.times:
                    yield datetime(year, number, day, *time)  # noqa: DTZ001 - a wall clock

    def days_in(self, year: int, month: int) -> list[int]:
        """The days of that month that its day fields name, in order; `months` is not looked at."""
        first, last = monthrange(year, month)
        nearest = {_working_day(day or last, first, last) for day in self.nearest if day <= last}
        days = []
        for day in range(1, last + 1):
            weekday = (first + day) % 7  # monthrange counts from Monday
            by_day = day in self.days or day in nearest or (day == last and _LAST in self.days)
            by_weekday = weekday in self.weekdays or (
                bool(self.nth)
                and ((weekday, (day + 6) // 7) in self.nth or (day + 7 > last and (weekday, _LAST) in self.nth))
            )
            if (by_day and by_weekday) if self.both else (by_day or by_weekday):
                days.append(day)
        return days


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def _ticks(expression: str, after: datetime, either: bool) -> Iterator[datetime]:
    ticks = croniter(expression, after, day_or=either, max_years_between_matches=_YEARS)
    while True:
        try:
            yield ticks.get_next(datetime)
        except (CroniterBadDateError, OverflowError):
            return


def _working_day(day: int, first: int, last: int) -> int:
    weekday = (first + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


def check_cron(expression: str) -> str:
    """`expression` itself; raises InvalidValue, which says why, when it is not one of five fields, or never ticks."""
    shown = expression if len(expression) <= 60 else expression[:60] + "…"
    if len(expression) > MAX_LENGTH:
        raise InvalidValue(f"{shown!r} is longer than {MAX_LENGTH} characters")
    try:
        parsed = parse_cron(expression)
    except InvalidValue as error:
        raise InvalidValue(f"{shown!r} is not a schedule: {error}") from None
    if next(parsed.walls(_SOME_DAY), None) is None:
        raise InvalidValue(f"{shown!r} never ticks: no date is like that")
    return expression


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> Cron:
    """Raises InvalidValue with the reason."""
    fields = _five(expression)
    minutes = sorted({value for part in _parts(_MINUTE, fields[0]) for value in _MINUTE.values(part)})
    hours = sorted({value for part in _parts(_HOUR, fields[1]) for value in _HOUR.values(part)})
    months = frozenset(value for part in _parts(_MONTH, fields[3]) for value in _MONTH.values(part))
    days, nearest = _days_of_month(fields[2])
    weekdays, nth = _days_of_week(fields[4])
    return Cron(
        times=tuple((hour, minute) for hour in hours for minute in minutes),
        days=frozenset(days),
        nearest=frozenset(nearest),
        months=months,
        weekdays=frozenset(weekdays),
        nth=frozenset(nth),
        both=fields[2][0] in "*?" or fields[4][0] in "*?",
        elapsed=fields[0][0] == "*" or fields[1][0] == "*",
    )


def _five(expression: str) -> list[str]:
    text = expression.strip()
    name = text.split(maxsplit=1)[0] if text else ""
    if re.match("(CRON_)?TZ=", name, re.IGNORECASE):
        zone = name.partition("=")[2] or "Europe/Rome"
        raise InvalidValue(f"use timezone: {zone}, a setting of its own, and leave {name} out")
    if name.startswith("@"):
        if name.lower() == "@every":
            raise InvalidValue(
                "@every has no times of day: leave the schedule out, and let down_after say how long is too long"
            )
        if name.lower() == "@reboot":
            raise InvalidValue("@reboot has no times: leave the schedule out")
        if text.lower() not in ALIASES:
            raise InvalidValue(f"use {', '.join(ALIASES)}, alone, or five fields")
        return ALIASES[text.lower()].split()
    if not text.isprintable() and not all(c.isprintable() or c == "\t" for c in text):
        raise InvalidValue("it holds characters that cannot be printed")
    if not text.isascii():
        raise InvalidValue("it holds characters that are not ASCII: digits are 0 to 9, a hyphen is -")
    fields = text.split()
    if len(fields) == 5:
        return fields
    five = "a cron expression has five, minute hour day-of-month month day-of-week"
    if len(fields) > 5:
        rest = fields[5:]
        if len(fields) > 7 or not all(re.fullmatch(r"[0-9*/,?#LW-]+", field, re.IGNORECASE) for field in fields):
            raise InvalidValue(
                f"leave out {rest[0]!r} and what follows: only a crontab line's five fields are the schedule"
            )
        raise InvalidValue(f"it has {len(fields)} fields: {five}; seconds and years are not supported")
    raise InvalidValue(f"it has {len(fields)} field{'' if len(fields) == 1 else 's'}: {five}")


def _parts(field: _Field, text: str) -> list[str]:
    """Of the list; raises InvalidValue for what no cron's field of numbers holds."""
    parts = text.split(",")
    for part in parts:
        if not part:
            field.refuse(f"the list {text!r} has an empty part: remove the comma that is too many")
        if re.fullmatch(r"[RH](\(.*\))?(/.*)?", part, re.IGNORECASE):
            field.refuse(f"{part!r} differs from machine to machine: R and H are not supported, write the number")
        if "~" in part:
            field.refuse(f"{part!r} is a random moment: write the number")
        if "%" in part:
            field.refuse("% belongs to a crontab's command, not to the schedule")
        if "?" in part and (text != "?" or field not in (_DAY, _WEEKDAY)):
            field.refuse("? stands alone, in one of the two day fields; write *")
    return parts


def _days_of_month(text: str) -> tuple[set[int], set[int]]:
    days: set[int] = set()
    nearest: set[int] = set()
    for part in _parts(_DAY, text):
        upper = part.upper()
        if upper == "?":
            days.update(_DAY.values("*"))
        elif upper == "L":
            days.add(_LAST)
        elif upper == "LW":
            nearest.add(_LAST)
        elif upper.endswith("W"):
            nearest.add(_DAY.number(part[:-1]))
        elif "L" in upper:
            _DAY.refuse(f"{part!r}: L is the last day of the month and stands alone, or with W")
        elif "#" in part:
            _DAY.refuse(f"{part!r}: # belongs into the day of week, as 1#2 for the second Monday")
        else:
            days.update(_DAY.values(part))
    return days, nearest


def _days_of_week(text: str) -> tuple[set[int], set[tuple[int, int]]]:
    weekdays: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in _parts(_WEEKDAY, text):
        upper = part.upper()
        if upper == "?":
            weekdays.update(range(7))
        elif "#" in part:
            day, _, number = part.partition("#")
            if "-" in day or not re.fullmatch("[1-5]", number):
                _WEEKDAY.refuse(f"{part!r}: write one weekday, # and 1 to 5, as 1#2 for the second Monday")
            nth.add((_WEEKDAY.number(day) % 7, int(number)))
        elif upper == "L":
            _WEEKDAY.refuse("L needs a weekday: 5L is the last Friday of the month")
        elif upper.startswith("L") or (upper.endswith("L") and upper not in _WEEKDAYS):
            nth.add((_WEEKDAY.number(part[1:] if upper.startswith("L") else part[:-1]) % 7, _LAST))
        elif upper.endswith("W") and upper[:-1].isdigit():
            _WEEKDAY.refuse(f"{part!r}: W belongs into the day of month, as 15W")
        else:
            weekdays.update(value % 7 for value in _WEEKDAY.values(part))
    return weekdays, nth
