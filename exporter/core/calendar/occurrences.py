"""On which days and at which times of a wall clock a recurrence rule has something begin."""

from calendar import isleap, monthrange
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, date, datetime, time
from typing import TypeVar

from exporter.core.calendar.recurrence_rule import Rule

T = TypeVar("T")


class Occurrences:
    """Of one rule from one DTSTART on. Months are numbered `year * 12 + month - 1`, weekdays from Monday."""

    def __init__(self, rule: Rule, start: datetime) -> None:
        self._rule = rule
        self._first = start.date()
        self._first_hour = start.hour
        self._week = self._week_of(self._first)
        self._hourly = rule.frequency == "HOURLY"
        self._months, self._month_days, self._days = rule.months, rule.month_days, rule.days
        if not (rule.weeks or rule.year_days or rule.month_days or rule.days):
            # What the rule does not say is as in DTSTART.
            if rule.frequency == "YEARLY":
                self._months = rule.months or (start.month,)
            if rule.frequency in ("YEARLY", "MONTHLY"):
                self._month_days = (start.day,)
            elif rule.frequency == "WEEKLY":
                self._days = ((0, start.weekday()),)
        elif rule.weeks and not (rule.days or rule.month_days or rule.year_days):
            self._days = ((0, start.weekday()),)
        self._weekdays = frozenset(weekday for ordinal, weekday in self._days if not ordinal)
        self._ordinals = frozenset(day for day in self._days if day[0])
        minutes, seconds = rule.minutes or (start.minute,), rule.seconds or (start.second,)
        self._clock = [(minute, second) for minute in minutes for second in seconds]
        if self._hourly and rule.positions:
            self._clock = _chosen(self._clock, rule.positions)
        hours = rule.hours or ((*range(24),) if self._hourly else (start.hour,))
        self._times = [time(hour, *clock) for hour in hours for clock in self._clock]
        if rule.frequency == "DAILY" and rule.positions:
            self._times = _chosen(self._times, rule.positions)
        self._whole = bool(rule.positions) and rule.frequency in ("YEARLY", "MONTHLY", "WEEKLY")
        self._year: tuple[int, list[datetime]] = (0, [])

    @property
    def most_a_day(self) -> int:
        """How many there are in one day at most, unless BYSETPOS leaves fewer."""
        if self._whole:
            return 0
        return -(-len(self._times) // (self._rule.interval if self._hourly else 1))

    def may_lie_in(self, month: int) -> bool:
        """Whether its days have to be looked at."""
        year, number = month // 12, month % 12 + 1
        if (
            self._rule.frequency == "YEARLY"
            and not self._rule.weeks
            and (year - self._first.year) % self._rule.interval
        ):
            return False
        first = self._first.year * 12 + self._first.month - 1
        if self._rule.frequency == "MONTHLY" and (month - first) % self._rule.interval:
            return False
        return not self._months or number in self._months

    def within(self, month: int) -> list[datetime]:
        """All of that month, in order, those before DTSTART too."""
        if not self.may_lie_in(month):
            return []
        if self._whole:
            return list(self._selected(month))
        return [datetime.combine(day, at) for day in self._matching(month) for at in self._times_of(day)]

    def count(self, month: int, start: datetime) -> int:
        """How many of that month are not before `start`."""
        if self._whole or month <= start.year * 12 + start.month - 1:
            return sum(wall >= start for wall in self.within(month))
        if not self.may_lie_in(month):
            return 0
        days = self._matching(month)
        if self._hourly and self._rule.interval > 1:
            return sum(len(self._times_of(day)) for day in days)
        return len(days) * len(self._times)

    def _matching(self, month: int) -> list[date]:
        """Its days that fit, whatever BYSETPOS says."""
        year, number = month // 12, month % 12 + 1
        length = monthrange(year, number)[1]
        first = date(year, number, 1).toordinal()
        return [day for offset in range(length) if self._fits(day := date.fromordinal(first + offset), length)]

    def _times_of(self, day: date) -> list[time]:
        if not self._hourly or self._rule.interval == 1:
            return self._times
        # Hours since that of DTSTART, on the wall clock.
        before = (day - self._first).days * 24 - self._first_hour
        return [at for at in self._times if (before + at.hour) % self._rule.interval == 0]

    def _fits(self, day: date, length: int) -> bool:
        rule = self._rule
        if rule.frequency == "DAILY" and (day - self._first).days % rule.interval:
            return False
        if rule.frequency == "WEEKLY" and (self._week_of(day) - self._week) // 7 % rule.interval:
            return False
        if self._months and day.month not in self._months:
            return False
        if self._month_days and day.day not in self._month_days and day.day - length - 1 not in self._month_days:
            return False
        if rule.year_days:
            number, days = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
            if number not in rule.year_days and number - days - 1 not in rule.year_days:
                return False
        if rule.weeks and not self._in_weeks(day):
            return False
        return not self._days or day.weekday() in self._weekdays or (bool(self._ordinals) and self._is_nth(day, length))

    def _is_nth(self, day: date, length: int) -> bool:
        """Whether it is the so many-th such weekday of the month, or of the year where no month is named."""
        if self._rule.frequency == "YEARLY" and not self._months:
            number, length = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
        else:
            number = day.day
        weekday = day.weekday()
        return ((number + 6) // 7, weekday) in self._ordinals or (
            -((length - number) // 7 + 1),
            weekday,
        ) in self._ordinals

    def _in_weeks(self, day: date) -> bool:
        for year in (day.year - 1, day.year, day.year + 1):
            if not 1 < year < MAXYEAR or (year - self._first.year) % self._rule.interval:
                continue
            start, end = self._first_week(year), self._first_week(year + 1)
            if start <= day.toordinal() < end:
                number, weeks = (day.toordinal() - start) // 7 + 1, (end - start) // 7
                return number in self._rule.weeks or number - weeks - 1 in self._rule.weeks
        return False

    def _first_week(self, year: int) -> int:
        """The ordinal of the first day of the year's first week: the first with four days in it."""
        return self._week_of(date(year, 1, 4))

    def _week_of(self, day: date) -> int:
        return day.toordinal() - (day.weekday() - self._rule.week_start) % 7

    def _selected(self, month: int) -> Iterator[datetime]:
        """What BYSETPOS leaves of the year, of the month, or of each week."""
        year, number = month // 12, month % 12 + 1
        if self._rule.frequency == "MONTHLY":
            yield from self._choose(self._matching(month))
        elif self._rule.frequency == "YEARLY":
            if self._year[0] != year:
                days = [
                    day
                    for one in range(year * 12, year * 12 + 12)
                    if self.may_lie_in(one)
                    for day in self._matching(one)
                ]
                self._year = (year, self._choose(days))
            yield from (wall for wall in self._year[1] if wall.month == number)
        else:
            first = date(year, number, 1)
            last = first.toordinal() + monthrange(year, number)[1] - 1
            for week in range(self._week_of(first), last + 1, 7):
                days = [date.fromordinal(ordinal) for ordinal in range(week, week + 7)]
                fitting = [day for day in days if self._fits(day, monthrange(day.year, day.month)[1])]
                yield from (wall for wall in self._choose(fitting) if (wall.year, wall.month) == (year, number))

    def _choose(self, days: list[date]) -> list[datetime]:
        size = len(self._times)
        places = _chosen(range(len(days) * size), self._rule.positions)
        return [datetime.combine(days[place // size], self._times[place % size]) for place in places]


def _chosen(items: Sequence[T], positions: tuple[int, ...]) -> list[T]:
    """Those at these places, counted from 1, or from -1 at the end."""
    length = len(items)
    places = {position - 1 if position > 0 else length + position for position in positions}
    return [items[place] for place in sorted(places) if 0 <= place < length]
