"""The text of an RFC 5545 recurrence rule: what may stand in it, and why something else may not."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.core.errors import InvalidValue

MAX_LENGTH = 500
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MAX_DIGITS = 9
_SECONDS_IN_MINUTE = 60
_DAY = re.compile(r"([+-]?[0-9]{1,2})?([A-Z]{2})")
_UNTIL = re.compile(r"([0-9]{8})(T[0-9]{6}(Z?))?")


@dataclass(frozen=True, slots=True)
class Until:
    """The last moment at which it may begin, itself included."""

    moment: datetime
    utc: bool
    """Else it is the wall clock of the window's timezone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, as it was written: what DTSTART adds is not in it. None and empty are what was left out."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: Until | None = None
    week_start: int = 0
    """0 is Monday."""
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    """(ordinal, weekday); the ordinal is 0 for every one."""
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


_LISTS: Mapping[str, tuple[str, int, int, bool]] = {
    "BYMONTH": ("months", 1, 12, False),
    "BYWEEKNO": ("weeks", 1, 53, True),
    "BYYEARDAY": ("year_days", 1, 366, True),
    "BYMONTHDAY": ("month_days", 1, 31, True),
    "BYHOUR": ("hours", 0, 23, False),
    "BYMINUTE": ("minutes", 0, 59, False),
    "BYSECOND": ("seconds", 0, 60, False),
    "BYSETPOS": ("positions", 1, 366, True),
}
"""Each part's place in a Rule, its smallest and largest number, and whether it may be counted from the end."""


def parse_rule(text: str) -> Rule:
    """Raises InvalidValue with the reason."""
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency not in FREQUENCIES:
        raise InvalidValue("write it as FREQ=WEEKLY;BYDAY=SU, of YEARLY to HOURLY")
    _check_together(frequency, parts)
    given: dict[str, object] = {"frequency": frequency}
    for name, value in parts.items():
        if name in _LISTS:
            field, low, high, signed = _LISTS[name]
            given[field] = _numbers(name, value, low, high, signed)
        elif name != "FREQ":
            field, read = _OTHERS[name]
            given[field] = read(value)
    if seconds := given.get("seconds"):
        # A leap second, which no clock here shows: RFC 5545 has 60 read as 59.
        given["seconds"] = tuple(sorted({min(second, _SECONDS_IN_MINUTE - 1) for second in seconds}))  # type: ignore[attr-defined]
    rule = Rule(**given)  # type: ignore[arg-type]
    if any(ordinal for ordinal, _ in rule.days):
        if frequency not in ("MONTHLY", "YEARLY"):
            raise InvalidValue(f"BYDAY with a number, as 1SU, is for MONTHLY and YEARLY, not for {frequency}")
        if rule.weeks:
            raise InvalidValue("BYDAY with a number, as 1SU, cannot stand with BYWEEKNO")
    return rule


def _parts(text: str) -> dict[str, str]:
    rule = text.strip().upper()
    rule = rule.removeprefix("RRULE:")
    if not rule.isascii() or not rule.isprintable() or " " in rule:
        raise InvalidValue("it is one line of NAME=VALUE parts with ; between them, without blanks")
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        name, equals, value = part.partition("=")
        if not part:
            raise InvalidValue("it has an empty part: write it as FREQ=WEEKLY;BYDAY=SU")
        if not equals or not value:
            raise InvalidValue(f"{part[:40]!r} is not NAME=VALUE: write it as FREQ=WEEKLY;BYDAY=SU")
        if name not in _LISTS and name not in _OTHERS and name != "FREQ":
            raise InvalidValue(f"{name[:40]} is not a part of a rule")
        if name in parts:
            raise InvalidValue(f"{name} is given twice")
        parts[name] = value
    return parts


def _check_together(frequency: str, parts: Mapping[str, str]) -> None:
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidValue("give COUNT or UNTIL, not both")
    if "BYWEEKNO" in parts and frequency != "YEARLY":
        raise InvalidValue(f"BYWEEKNO is for YEARLY, not for {frequency}")
    if "BYYEARDAY" in parts and frequency in ("DAILY", "WEEKLY", "MONTHLY"):
        raise InvalidValue(f"BYYEARDAY is for YEARLY and HOURLY, not for {frequency}")
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        raise InvalidValue("BYMONTHDAY is not for WEEKLY")
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise InvalidValue("BYSETPOS chooses among what another BY part names: give one")


def _numbers(name: str, value: str, low: int, high: int, signed: bool) -> tuple[int, ...]:
    numbers = set()
    for item in value.split(","):
        if not re.fullmatch("[+-]?[0-9]{1,3}" if signed else "[0-9]{1,3}", item) or not low <= abs(int(item)) <= high:
            or_end = f", or -{low} to -{high} from the end" if signed else ""
            raise InvalidValue(f"{name}: {item[:20]!r} is not from {low} to {high}{or_end}")
        numbers.add(int(item))
    return tuple(sorted(numbers))


def _count(name: str) -> Callable[[str], int]:
    def read(value: str) -> int:
        digits = value.lstrip("0")
        if not re.fullmatch("[0-9]+", value) or not digits:
            raise InvalidValue(f"{name}: {value[:20]!r} is not a whole number of 1 or more")
        return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

    return read


def _days(value: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for item in value.split(","):
        match = _DAY.fullmatch(item)
        if match is None or match[2] not in WEEKDAYS or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            raise InvalidValue(f"BYDAY: {item[:20]!r} is not one of MO to SU, or with a number, 1SU to -53SU")
        days.add((int(match[1] or 0), WEEKDAYS.index(match[2])))
    return tuple(sorted(days))


def _week_start(value: str) -> int:
    if value not in WEEKDAYS:
        raise InvalidValue(f"WKST: {value[:20]!r} is not one of MO to SU")
    return WEEKDAYS.index(value)


def _until(value: str) -> Until:
    match = _UNTIL.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        day = datetime.strptime(match[1], "%Y%m%d")  # noqa: DTZ007 - a wall clock
        if match[2] is None:  # a day: all of it
            return Until(day.replace(hour=23, minute=59, second=59), utc=False)
        hour, minute, second = int(match[2][1:3]), int(match[2][3:5]), int(match[2][5:7])
        if second == _SECONDS_IN_MINUTE:
            second = _SECONDS_IN_MINUTE - 1
        return Until(day.replace(hour=hour, minute=minute, second=second), utc=bool(match[3]))
    except ValueError:
        raise InvalidValue(
            f"UNTIL: {value[:20]!r} is not a moment: write 20261210, 20261210T235959 in the window's timezone, "
            "or 20261210T225959Z in UTC"
        ) from None


_OTHERS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "INTERVAL": ("interval", _count("INTERVAL")),
    "COUNT": ("count", _count("COUNT")),
    "UNTIL": ("until", _until),
    "WKST": ("week_start", _week_start),
    "BYDAY": ("days", _days),
}
