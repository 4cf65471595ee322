"""Moments, written for machines and for people."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.durations import describe_duration
from exporter.core.errors import InvalidValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_799_999
"""The last millisecond of the year 9999: `datetime` knows none after it."""
_UNIX = re.compile(r"\d{1,11}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Moment:
    """One `<time>`."""

    iso: str
    """RFC 3339, UTC, for machines."""
    exact: str
    """Date and time in the monitor's timezone, for people."""
    text: str
    """How far away: `12 min ago`, `in 3 h`."""

    @property
    def local(self) -> str:
        """`exact` without the timezone, for where that is named once for all."""
        return self.exact.rpartition(" ")[0]


def rfc3339(at: int) -> str:
    """`2026-11-24T03:00:00.000Z`. All digits, always, so that texts sort as moments do."""
    return _datetime(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: str) -> int:
    """Reads RFC 3339 (with an offset or `Z`) or Unix seconds, as Prometheus's API does; raises InvalidValue."""
    # An unescaped `+` in a query arrives as a space.
    text = text.strip().replace(" ", "+") if "T" in text.upper() else text.strip()
    try:
        if _UNIX.fullmatch(text):
            return min(round(float(text) * SECOND), _LAST)
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            raise ValueError("no offset")
        return max(0, (read - _EPOCH) // timedelta(milliseconds=1))
    except (ValueError, OverflowError) as error:
        raise InvalidValue("write it as 2026-11-24T03:00:00Z or in Unix seconds") from error


def parse_local(text: str, timezone: str) -> int:
    """Reads `2026-12-06 02:00` as the wall time of `timezone`, or RFC 3339 with its own offset; raises InvalidValue."""
    try:
        read = datetime.fromisoformat(text.strip())
        local = read if read.tzinfo is not None else read.replace(tzinfo=_zone(timezone))
        return max(0, (local - _EPOCH) // timedelta(milliseconds=1))
    except (ValueError, OverflowError) as error:
        raise InvalidValue(f"{text[:40]!r} is no moment: write it as 2026-12-06 02:00") from error


def moment(at: int, now: int, timezone: str) -> Moment:
    return Moment(rfc3339(at), exact(at, timezone), humanize_ago(at, now))


def exact(at: int, timezone: str) -> str:
    """`Tue 24 Nov 2026, 04:00:00 Europe/Rome`."""
    local = _datetime(at).astimezone(_zone(timezone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S} {timezone}"


def clock_time(at: int, timezone: str) -> str:
    """`04:00`, within a day."""
    return f"{_datetime(at).astimezone(_zone(timezone)):%H:%M}"


def humanize_ago(at: int, now: int) -> str:
    """`12 min ago`, `in 3 h`, `now`."""
    if abs(at - now) < SECOND:
        return "now"
    return f"{humanize_duration(now - at)} ago" if at < now else f"in {humanize_duration(at - now)}"


def humanize_duration(milliseconds: int) -> str:
    """A span as one would say it: `40 s`, `12 min`, `3 h 5 min`, `14 h`, `2 d 3 h`, `12 d`."""
    span = max(0, milliseconds)
    if span < MINUTE:
        return f"{span // SECOND} s"
    if span < HOUR:
        return f"{span // MINUTE} min"
    if span >= 10 * DAY:
        return f"{span // DAY} d"
    return describe_duration(span - span % HOUR if span >= 10 * HOUR else span)


def humanize_duration_exact(milliseconds: int) -> str:
    """A run's duration: `340 ms`, `4.2 s`, `4 min 10 s`."""
    if milliseconds < SECOND:
        return f"{milliseconds} ms"
    if milliseconds < MINUTE:
        return f"{milliseconds / SECOND:.1f} s".replace(".0 s", " s")
    return describe_duration(milliseconds)


def _datetime(at: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(at, 0), _LAST - DAY))


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
