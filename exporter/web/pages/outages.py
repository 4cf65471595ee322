"""Outages of our own in plain words."""

from collections.abc import Sequence

from exporter.core.clock import DAY
from exporter.core.exclusions import Calendar
from exporter.core.spans import Span, between
from exporter.presentation.moments import clock_time, exact, humanize_duration

FORGIVEN = "This time does not count against any monitor."
COUNTED = "This time counts like any other (after_outage: strict)."


def verdict(calendar: Calendar) -> str:
    """What blackouts do to monitors."""
    return FORGIVEN if calendar.forgives else COUNTED


def outage(calendar: Calendar, now: int) -> str:
    """Describes the outages of the last 24 hours; empty when there were none.

    `The exporter accepted no heartbeats from 03:02 to 03:40 UTC (38 min). …`
    """
    recent = [span for span in calendar.away if span.end > now - DAY]
    if not recent:
        return ""
    last, together = recent[-1], sum(span.length for span in between(recent, now - DAY, now))
    when = f"{_when(last, now)} ({humanize_duration(last.length)})"
    if len(recent) == 1:
        return f"The exporter accepted no heartbeats {when}. {verdict(calendar)}"
    return (
        f"The exporter had {len(recent)} outages in the last 24 hours, {humanize_duration(together)} in total; "
        f"the last was {when}. {verdict(calendar)}"
    )


def kept(blackouts: Sequence[Span], since: int) -> list[Span]:
    """Those that ended after that moment, whole, the newest first."""
    return [span for span in reversed(blackouts) if span.end > since]


def _when(span: Span, now: int) -> str:
    start, end = (clock_time(at, "UTC") if at > now - DAY else _with_day(at) for at in span)
    return f"at {start} UTC" if start == end else f"from {start} to {end} UTC"


def _with_day(at: int) -> str:
    """To the minute."""
    return exact(at, "UTC").rpartition(":")[0]
