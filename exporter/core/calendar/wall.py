"""From the wall clock of a timezone to moments, where clocks skip or repeat."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporter.core.errors import InvalidValue


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def check_timezone(name: str) -> str:
    """`name` itself; raises InvalidValue when it is not in the IANA database."""
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidValue(f"{name!r} is not a timezone: use an IANA name such as Europe/Rome or UTC") from error
    return name


def instants(wall: datetime, zone: ZoneInfo) -> tuple[int, ...]:
    """The moments, Unix seconds, at which the clocks show `wall`: none if they skip it, two if they repeat it."""
    first = int(wall.replace(tzinfo=zone).timestamp())
    second = int(wall.replace(tzinfo=zone, fold=1).timestamp())
    if first == second:
        return (first,)
    return (first, second) if first < second else ()


def after_skip(wall: datetime, zone: ZoneInfo) -> int:
    """The moment, Unix seconds, from which the clocks have skipped `wall`."""
    low = int(wall.replace(tzinfo=zone, fold=1).timestamp())
    high = int(wall.replace(tzinfo=zone).timestamp())
    new = offset(high, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle, zone) == new:
            high = middle
        else:
            low = middle
    return high


def offset(at: int, zone: ZoneInfo) -> timedelta:
    """From UTC, at that moment in Unix seconds."""
    return datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset() or timedelta()
