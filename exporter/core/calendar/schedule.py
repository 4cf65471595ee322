"""Cron schedules in their timezone, safe across daylight saving.

Debian's rules for the days on which clocks change: a schedule whose minute or hour begins with a star ticks by elapsed
time, so twice in an hour that is shown twice, and never in one that is skipped. Any other ticks once for each time of
the wall clock: the first time that it is shown, and at once after a skip.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from exporter.core.calendar.cron import check_cron, parse_cron
from exporter.core.calendar.wall import after_skip, check_timezone, instants, offset, zone_of
from exporter.core.errors import InvalidValue

__all__ = ["check_cron", "check_timezone", "next_tick"]

_GAPS = 4
"""Gaps between ticks that are remembered: some monitors have served the last tick already, others have not."""
_NEAR = 3 * 3600
"""Seconds; clocks change by no more, the date line aside, which only skips."""


def next_tick(expression: str, timezone: str, after: int) -> int:
    """The first tick strictly after the moment `after`; both Unix time in milliseconds."""
    return _ticks(expression, timezone).next_after(after)


class _Ticks:
    """The ticks of one (expression, timezone). Many monitors share one, and most ask for the same next tick."""

    __slots__ = ("_cron", "_expression", "_known", "_zone")

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression = expression
        self._cron = parse_cron(expression)
        self._zone = zone_of(timezone)
        self._known: tuple[tuple[int, int], ...] = ()  # no tick lies strictly between two, and the second is one

    def next_after(self, after: int) -> int:
        for low, high in self._known:
            if low <= after < high:
                return high
        second = after // 1000
        local = datetime.fromtimestamp(second, UTC).astimezone(self._zone).replace(tzinfo=None)
        following = next(self._elapsed(second, local) if self._cron.elapsed else self._once(second, local), None)
        if following is None:
            raise InvalidValue(f"{self._expression[:60]!r} never ticks again")
        tick = following * 1000
        low = min((low for low, high in self._known if high == tick), default=after)
        others = [gap for gap in self._known if gap[1] != tick]
        self._known = ((min(low, after), tick), *others[: _GAPS - 1])
        return tick

    def _once(self, after: int, local: datetime) -> Iterator[int]:
        for wall in self._cron.walls(local):
            at = instants(wall, self._zone)
            tick = at[0] if at else after_skip(wall, self._zone)
            if tick > after:
                yield tick

    def _elapsed(self, after: int, local: datetime) -> Iterator[int]:
        if offset(after - _NEAR, self._zone) == offset(after + _NEAR, self._zone):
            start = local
        else:
            start = local - timedelta(seconds=_NEAR)  # what the clocks showed may be shown again
        ticks: list[int] = []
        first: datetime | None = None
        for wall in self._cron.walls(start):
            if first is not None and wall - first > timedelta(seconds=_NEAR):
                yield from sorted(ticks)
                return
            later = [at for at in instants(wall, self._zone) if at > after]
            ticks += later
            if later and first is None:
                if offset(later[0] - _NEAR, self._zone) == offset(later[0] + _NEAR, self._zone):
                    yield later[0]
                    return
                first = wall
        yield from sorted(ticks)


@lru_cache(maxsize=16_384)
def _ticks(expression: str, timezone: str) -> _Ticks:
    return _Ticks(expression, timezone)
