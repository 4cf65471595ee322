"""Durations as people write them: `90s`, `5m`, `1h30m`, `2d`, the way Prometheus does."""

import re

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.errors import InvalidValue

_UNITS = {"w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
_SHAPE = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,15}}){unit}(?![a-z]))?" for unit in _UNITS))
MAX_DURATION = 3650 * DAY


def parse_duration(text: str) -> int:
    """`text` in milliseconds.

    >>> parse_duration("1h30m")
    5400000

    Raises InvalidValue for anything else, a bare number included: its unit is unknown.
    """
    match = _SHAPE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not match.group(0):
        raise InvalidValue(f"{text!r} is not a duration: write it as 90s, 5m, 1h30m or 2d")
    total = sum(int(number) * _UNITS[unit] for unit, number in match.groupdict().items() if number)
    if total > MAX_DURATION:
        raise InvalidValue(f"{text!r} is longer than ten years")
    return total


def format_duration(milliseconds: int) -> str:
    """The shortest spelling that `parse_duration` reads back: 5400000 → `1h30m`, 0 → `0s`."""
    parts, rest = [], milliseconds
    for unit, size in _UNITS.items():
        if unit == "w":
            continue  # two weeks read better as 14d
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def describe_duration(milliseconds: int) -> str:
    """For a person: the two largest units, `2 d 3 h`, `4 min 10 s`, `0 s`."""
    names = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND))
    rest = max(0, milliseconds)
    for index, (name, size) in enumerate(names):
        if rest >= size:
            first, rest = divmod(rest, size)
            text = f"{first} {name}"
            if index + 1 < len(names):
                second = rest // names[index + 1][1]
                if second:
                    text += f" {second} {names[index + 1][0]}"
            return text
    return "0 s"
