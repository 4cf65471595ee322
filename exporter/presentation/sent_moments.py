"""Moments as senders of heartbeats write them: the parameter `at`."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from exporter.core.clock import SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_UNIX = re.compile(r"([0-9]{1,15})(?:[.,]([0-9]{0,40}))?(?:[eE][+ ]?(0?[0-9]))?")
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,40}))?"
    r" ?(?:[Zz]|([+ -])([0-9]{2}):?([0-9]{2}))"
)
"""A plus that is not escaped arrives as a space. `date +%FT%T%z` writes no colon, `date -Ins` a comma."""


def read_moment(text: str) -> int | None:
    """Milliseconds of a moment in RFC 3339 or Unix seconds; None when it is neither, or not between 1970 and 9999."""
    text = text.strip()
    unix = _UNIX.fullmatch(text)
    if unix is not None:
        whole, fraction, exponent = unix.groups()
        at = int(Decimal(f"{whole}.{fraction or 0}e{exponent or 0}") * SECOND)
    else:
        written = _RFC_3339.fullmatch(text)
        read = None if written is None else _of_date(*written.groups())
        if read is None:
            return None
        at = read
    return at if 0 <= at <= _LAST else None


def _of_date(
    date: str, time: str, seconds: str, fraction: str | None, sign: str | None, hours: str | None, minutes: str | None
) -> int | None:
    leap = seconds == "60"  # a leap second is the one after it
    try:
        read = datetime.fromisoformat(f"{date}T{time}:{59 if leap else seconds}+00:00")
    except ValueError:
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if int(minutes or 0) > 59 or offset >= timedelta(days=1):
        return None
    since = read - _EPOCH + (offset if sign == "-" else -offset) + timedelta(seconds=leap)
    return since // timedelta(milliseconds=1) + int(f"{fraction or ''}000"[:3])
