"""A monitor's last 24 hours as a bar: where each status begins and ends, and the same in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.clock import DAY, MINUTE
from exporter.core.spans import Span, between
from exporter.core.status import Reason, Status
from exporter.presentation.moments import clock_time, humanize_duration
from exporter.presentation.statuses import LABELS, TROUBLE, URGENCY

if TYPE_CHECKING:
    from exporter.storage.repositories.history import Transition

SPAN = DAY
WIDTH = SPAN // MINUTE
"""The bar's own units: a minute each."""
HEIGHT = 10
_HEIGHTS = {
    Status.DOWN: 10,
    Status.DEGRADED: 8,
    Status.UP: 6,
    Status.MAINTENANCE: 4,
    Status.PAUSED: 4,
    Status.NO_DATA: 2,
}
"""Trouble stands out by its height too, for colour-blind readers."""
_NARROWEST = 7.0
"""Trouble is drawn at least this wide: a pixel or two on the page, for three seconds of it must be seen too."""
_NARROWEST_GAP = 4.0
_MAX_SEGMENTS = 288
"""A monitor that flaps is drawn by the worst status of every five minutes."""


@dataclass(frozen=True, slots=True)
class Segment:
    x: str
    width: str
    y: int
    height: int
    status: Status
    title: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The exporter did not evaluate then."""

    x: str
    width: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    description: str
    """For screen readers."""


@dataclass(frozen=True, slots=True)
class _Stay:
    """One status, from a moment until another."""

    start: int
    end: int
    status: Status
    reason: Reason


def bar(transitions: Sequence["Transition"], now: int, timezone: str, blackouts: Sequence[Span] = ()) -> Bar:
    """Of the 24 hours before `now`. Before the first transition nothing is drawn: nothing is known."""
    begin = now - SPAN
    stays: list[_Stay] = []
    for index, transition in enumerate(transitions):
        start = max(transition.at, begin)
        end = transitions[index + 1].at if index + 1 < len(transitions) else now
        end = min(end, now)
        if end <= start:
            continue
        last = stays[-1] if stays else None
        if last is not None and last.status is transition.status and last.end == start:
            stays[-1] = _Stay(last.start, end, last.status, transition.reason)
        else:
            stays.append(_Stay(start, end, transition.status, transition.reason))
    drawn = stays if len(stays) <= _MAX_SEGMENTS else _coarse(stays, begin)
    # The worst last, so that what was widened to be seen lies on top.
    ordered = sorted(drawn, key=lambda stay: URGENCY.index(stay.status), reverse=True)
    away = between(blackouts, begin, now)
    return Bar(
        tuple(_segment(stay, begin, timezone) for stay in ordered),
        tuple(_gap(span, begin, timezone) for span in away[-_MAX_SEGMENTS:]),
        _describe(stays, away),
    )


def _gap(span: Span, begin: int, timezone: str) -> Gap:
    width = max(span.length / MINUTE, _NARROWEST_GAP)
    x = min((span.start - begin) / MINUTE, WIDTH - width)
    title = f"Exporter outage, {_when(span.start, span.end, begin, timezone)} ({humanize_duration(span.length)})"
    return Gap(_number(x), _number(width), title)


def _when(start: int, end: int, begin: int, timezone: str) -> str:
    since = "" if start == begin else clock_time(start, timezone)
    until = "now" if end >= begin + SPAN else clock_time(end, timezone)
    return f"{since} – {until}" if since else f"until {until}" if until != "now" else "all day"


def _segment(stay: _Stay, begin: int, timezone: str) -> Segment:
    x = (stay.start - begin) / MINUTE
    width = (stay.end - stay.start) / MINUTE
    if stay.status in TROUBLE and width < _NARROWEST:
        width = _NARROWEST
        x = min(x, WIDTH - width)
    reason = stay.reason.value.replace("_", " ")
    when = _when(stay.start, stay.end, begin, timezone)
    title = f"{LABELS[stay.status]}, {when} ({humanize_duration(stay.end - stay.start)}): {reason}"
    height = _HEIGHTS[stay.status]
    return Segment(_number(x), _number(width), HEIGHT - height, height, stay.status, title)


def _coarse(stays: list[_Stay], begin: int) -> list[_Stay]:
    step = SPAN // _MAX_SEGMENTS
    worst: dict[int, _Stay] = {}
    for stay in stays:
        first, last = (stay.start - begin) // step, (stay.end - 1 - begin) // step
        for bucket in range(first, last + 1):
            kept = worst.get(bucket)
            if kept is None or URGENCY.index(stay.status) < URGENCY.index(kept.status):
                start = begin + bucket * step
                worst[bucket] = _Stay(start, start + step, stay.status, stay.reason)
    return list(worst.values())


def _describe(stays: list[_Stay], away: Sequence[Span]) -> str:
    if not stays:
        return "Last 24 hours: no history"
    spans: dict[Status, int] = {}
    for stay in stays:
        spans[stay.status] = spans.get(stay.status, 0) + stay.end - stay.start
    parts = [f"{LABELS[status].lower()} {humanize_duration(spans[status])}" for status in URGENCY if status in spans]
    changes = len(stays) - 1
    times = "" if not changes else f"; {changes} change{'' if changes == 1 else 's'}"
    gone = f"; exporter outages {humanize_duration(sum(span.length for span in away))}" if away else ""
    return f"Last 24 hours: {', '.join(parts)}{times}{gone}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
