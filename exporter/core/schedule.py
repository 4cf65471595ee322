"""Cron schedules in their timezone, safe across daylight saving.

Ticks are found by croniter. What it gets wrong, measured against cron's own rules, is put right here: on the day
the clocks go back it fires a job of a fixed time twice, and on the day they go forward it moves a tick of `*/2` hours
out of the skipped hour. Cron does neither, and each would be a false alarm once a year. And `18-18` is 18, not always.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

from exporter.core.errors import InvalidValue

LONGEST = 200
ALIASES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


def check_timezone(name: str) -> str:
    """`name` itself; raises InvalidValue when it is not in the IANA database."""
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidValue(f"{name!r} is not a timezone: use an IANA name such as Europe/Rome or UTC") from error
    return name


def check_cron(expression: str) -> str:
    """`expression` itself; raises InvalidValue when it is not one of five fields, or never fires."""
    shown = expression if len(expression) <= 60 else expression[:60] + "…"
    if len(expression) > LONGEST:
        raise InvalidValue(f"{shown!r} is longer than {LONGEST} characters")
    fields = expression.split()
    if expression.strip().startswith("@"):
        if expression.strip().lower() not in ALIASES:
            raise InvalidValue(f"{shown!r} is not a schedule: use {', '.join(ALIASES)} or five fields")
        return expression
    if len(fields) != 5:
        raise InvalidValue(
            f"{shown!r} has {len(fields)} field{'' if len(fields) == 1 else 's'}: a cron expression has five, "
            "minute hour day-of-month month day-of-week; seconds and years are not supported"
        )
    # R is random and H wants a hash seed: neither is the same schedule twice. Names such as THU hold the letters too.
    if any(part[:1] in "RrHh" for field in fields for part in field.split(",")):
        raise InvalidValue(f"{shown!r} uses R or H: a schedule must tick at the same moments on every machine")
    try:
        valid = croniter.is_valid(expression, strict=True)
        if valid:
            next_tick(expression, "UTC", 1_700_000_000_000)
    except (CroniterError, ValueError, IndexError, OverflowError, InvalidValue):
        valid = False
    if not valid:
        raise InvalidValue(f"{shown!r} is not a cron expression that ever fires: see crontab(5)")
    return expression


def next_tick(expression: str, timezone: str, after: int) -> int:
    """The first tick strictly after the moment `after`; both Unix time in milliseconds."""
    return _ticks(expression, timezone).next_after(after)


class _Ticks:
    """The ticks of one (expression, timezone). Many monitors share one, and most ask for the same next tick."""

    __slots__ = ("_expression", "_fixed_time", "_known", "_zone")

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression = _for_croniter(expression)
        self._zone = _zone(timezone)
        fields = _fields(expression)
        # Debian cron's rule: a job whose minute or hour starts with a star runs by elapsed time, any other by
        # the wall clock, once.
        self._fixed_time = not fields[0].startswith("*") and not fields[1].startswith("*")
        self._known = (0, 0)  # no tick lies strictly between them, and the second is one

    def next_after(self, after: int) -> int:
        low, high = self._known
        if low <= after < high:
            return high
        start = datetime.fromtimestamp(after // 1000, UTC).astimezone(self._zone)
        tick = next(moment for moment in self._moments(start) if moment > after)
        self._known = (after, tick)
        return tick

    def _moments(self, start: datetime) -> Iterator[int]:
        # cron's own rule for `0 0 */2 * 1`: a day field that starts with a star is combined by AND, not OR.
        ticks = croniter(self._expression, start, implement_cron_bug=True)
        while True:
            try:
                tick: datetime = ticks.get_next(datetime)
            except CroniterError as error:
                raise InvalidValue(f"{self._expression!r} never fires") from error
            if self._fixed_time:
                if _is_second_pass(tick):
                    continue
            elif _near_clock_change(tick) and not self._matches(tick):
                continue
            yield int(tick.timestamp()) * 1000

    def _matches(self, tick: datetime) -> bool:
        """Whether the wall clock at `tick` is in the expression; not so for one moved out of a skipped hour."""
        wall = tick.replace(tzinfo=None)
        before = croniter(self._expression, wall - timedelta(seconds=1), implement_cron_bug=True)
        return bool(before.get_next(datetime) == wall)


@lru_cache(maxsize=16_384)
def _ticks(expression: str, timezone: str) -> _Ticks:
    return _Ticks(expression, timezone)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _for_croniter(expression: str) -> str:
    """It takes a range of one, such as `18-18`, for the whole field: hand it the one."""
    if expression.strip().startswith("@"):
        return expression
    return " ".join(
        ",".join(_unranged(part, croniter.ALPHACONV[place]) for part in field.split(","))
        for place, field in enumerate(expression.split())
    )


def _unranged(part: str, names: Mapping[str, object]) -> str:
    low, dash, high = part.split("/")[0].lower().partition("-")
    one = str(names.get(low, low)).lstrip("0") == str(names.get(high, high)).lstrip("0")
    return low if dash and one else part


def _fields(expression: str) -> list[str]:
    text = expression.strip().lower()
    if text == "@hourly":
        return ["0", "*", "*", "*", "*"]
    return ["0", "0", "*", "*", "*"] if text.startswith("@") else text.split()


def _near_clock_change(tick: datetime) -> bool:
    return (tick - timedelta(days=1)).utcoffset() != tick.utcoffset()


def _is_second_pass(tick: datetime) -> bool:
    """Whether the wall clock showed this time before, an hour ago, on a day the clocks go back."""
    return tick.fold == 1 or (tick.utcoffset() or timedelta()) < (tick.replace(fold=0).utcoffset() or timedelta())
