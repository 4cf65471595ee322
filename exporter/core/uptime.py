"""Uptime: which share of the time that counts a monitor was UP or DEGRADED. Exact, from its changes of status."""

from collections.abc import Mapping, Sequence
from math import floor
from typing import NamedTuple

from exporter.core.clock import DAY
from exporter.core.spans import Span, overlap
from exporter.core.status import Status
from exporter.core.status_attributes import statuses_where

WINDOWS: Mapping[str, int] = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}
"""Milliseconds before now, the shortest first."""
MAX_WINDOW = max(WINDOWS.values())
COUNTS_AS_UP = frozenset(statuses_where(lambda attributes: attributes.is_up))
_UP = COUNTS_AS_UP
_COUNTED = frozenset(statuses_where(lambda attributes: attributes.counts))
_OUT_OF_COUNT = frozenset(statuses_where(lambda attributes: attributes.freezes_alerts))


class StatusChange(NamedTuple):
    """From the moment `at` on, Unix time in milliseconds, the monitor had this status."""

    at: int
    status: Status


StatusHistory = tuple[StatusChange, ...]
"""What matters of a monitor's changes, oldest first; the last is the status that it has."""
NOTHING_HAPPENED: StatusHistory = ()
"""It was never DOWN, and is neither PAUSED nor in MAINTENANCE: most are like that, and need no memory for it."""

Ratios = tuple[float | None, ...]
"""From 0 to 1, for each of WINDOWS; None where no time counts."""
ALWAYS_UP: Ratios = (1.0,) * len(WINDOWS)
NEVER_COUNTED: Ratios = (None,) * len(WINDOWS)


def past(changes: Sequence[StatusChange]) -> StatusHistory:
    """What of all changes, oldest first, has to be kept to work out the uptime at any later moment."""
    horizon = changes[-1].at - MAX_WINDOW if changes else 0
    first = max((index for index, change in enumerate(changes) if change.at <= horizon), default=0)
    kept = changes[first:]
    if not kept or (kept[-1].status not in _OUT_OF_COUNT and all(change.status is not Status.DOWN for change in kept)):
        return NOTHING_HAPPENED
    return tuple(kept)


def uptime(past: StatusHistory, status: Status, now: int, blackouts: Sequence[Span]) -> Ratios:
    """`status` is the present one. What of the time lies in `blackouts`, merged, does not count, nor do NO_DATA, PAUSED
    and MAINTENANCE.
    """
    if not past:
        return ALWAYS_UP if status in _UP else NEVER_COUNTED
    up = counted = 0
    end = now
    ahead = list(WINDOWS.values())[::-1]  # the shortest is the last
    shares: list[float | None] = []
    for change in reversed(past):
        start = min(change.at, end)
        counts = change.status in _COUNTED
        while ahead and now - ahead[-1] >= start:
            begin = min(now - ahead.pop(), end)
            part = end - begin - overlap(blackouts, begin, end) if counts else 0
            shares.append(_ratio(up + (part if change.status in _UP else 0), counted + part))
        if not ahead:
            break
        if counts:
            length = end - start - overlap(blackouts, start, end)
            counted += length
            up += length if change.status in _UP else 0
        end = start
    return (*shares, *(_ratio(up, counted) for _ in ahead))


def percent(ratio: float | None) -> str:
    """For people: `99.98 %`, never rounded up to what it is not, and `–` where no time counts."""
    if ratio is None:
        return "–"
    return f"{floor(ratio * 10_000) / 100:.2f} %" if ratio < 1 else "100 %"


def _ratio(up: int, counted: int) -> float | None:
    return up / counted if counted > 0 else None
