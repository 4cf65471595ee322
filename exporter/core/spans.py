"""Spans of time, and what is left of a stretch of time without them. Moments are Unix time in milliseconds.

A sequence of spans is *merged* when it is sorted, none is empty and no two touch; everything but `merged` wants it so.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple


class Span(NamedTuple):
    """From the moment `start` on, up to but not including the moment `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


_START = attrgetter("start")


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time, as few spans as possible in order."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.end > span.start):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return tuple(joined)


def covering(spans: Sequence[Span], at: int) -> Span | None:
    """The span in which the moment `at` lies."""
    index = bisect_right(spans, at, key=_START)
    return spans[index - 1] if index and at < spans[index - 1].end else None


def between(spans: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    """What of them lies from `start` up to `end`, cut there."""
    first = max(0, bisect_right(spans, start, key=_START) - 1)
    last = bisect_right(spans, end, key=_START)
    cut = (Span(max(span.start, start), min(span.end, end)) for span in spans[first:last])
    return [span for span in cut if span.end > span.start]


def overlap(spans: Sequence[Span], start: int, end: int) -> int:
    """How much of the time from `start` up to `end` they take."""
    return sum(span.length for span in between(spans, start, end))


def moment_after(start: int, length: int, spans: Sequence[Span]) -> int:
    """The first moment at which so much time has passed since `start` that does not lie in `spans`."""
    at = start + length
    for span in spans[max(0, bisect_right(spans, start, key=_START) - 1) :]:
        if span.start >= at:
            break
        at += max(0, span.end - max(span.start, start))
    return at
