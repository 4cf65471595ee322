"""The rules of status read slowly and literally, from all heartbeats at once: what the fast function has to equal."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import DAY, MINUTE
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, covering, overlap
from exporter.core.status import Reason, Status

OUTCOMES = (Kind.SUCCESS, Kind.FAILURE)


def runs_of(monitor: Monitor, beats: Sequence[Heartbeat]) -> tuple[list[Heartbeat], Heartbeat | None]:
    """The starts that are open after `beats`, and the start of the run that the last outcome ended."""
    open_starts: list[Heartbeat] = []
    last: Heartbeat | None = None
    for beat in beats:
        if beat.kind is Kind.START:
            open_starts = [*(start for start in open_starts if start.rid != beat.rid), beat]
        elif beat.kind in OUTCOMES:
            candidates = [start for start in open_starts if start.rid == beat.rid or not beat.rid]
            last = candidates[-1] if candidates else None
            open_starts = [start for start in open_starts if start is not last]
            if beat.kind is Kind.SUCCESS and monitor.max_runtime is not None:
                limit = beat.received_at - monitor.max_runtime
                open_starts = [start for start in open_starts if start.received_at >= limit]
    return open_starts, last


def ticks(monitor: Monitor, after: int) -> Iterator[tuple[int, int]]:
    """Every tick that follows, with the one before it."""
    assert monitor.schedule is not None

    def endless(at: int) -> Iterator[int]:
        while True:
            at = next_tick(monitor.schedule or "", monitor.timezone, at)
            yield at

    back = 10 * MINUTE if monitor.schedule.startswith("*") else 2 * DAY  # beyond the longest gap
    for before, tick in pairwise(endless(after - back)):
        if tick > after:
            yield before, tick


def due_of(monitor: Monitor, beats: Sequence[Heartbeat], blackouts: Sequence[Span]) -> int | None:
    """When the next success is due."""
    served = [beat for beat in beats if beat.kind is Kind.SUCCESS]
    if failures_in_a_row(beats) <= monitor.failure_tolerance:
        served = [beat for beat in beats if beat.kind in OUTCOMES]
    if not served:
        return None
    at = served[-1].received_at
    if monitor.schedule is None:
        due = at + (monitor.every or 0)
        while monitor.every is not None and (away := covering(blackouts, due)) is not None:
            due = away.end + monitor.every
        return due
    start = runs_of(monitor, beats)[1] if served[-1] is [b for b in beats if b.kind in OUTCOMES][-1] else None
    for before, tick in ticks(monitor, at):
        allowed = min(monitor.early, (tick - before) / 2)
        on_time = tick - at <= allowed and (start is None or start.received_at >= tick - allowed)
        if not on_time and covering(blackouts, tick) is None:
            return tick
    raise AssertionError("schedules never end")


def failures_in_a_row(beats: Sequence[Heartbeat]) -> int:
    count = 0
    for beat in beats:
        if beat.kind in OUTCOMES:
            count = count + 1 if beat.kind is Kind.FAILURE else 0
    return count


def judged(
    monitor: Monitor, beats: Sequence[Heartbeat], now: int, blackouts: Sequence[Span] = ()
) -> tuple[Status, Reason]:
    """The status at `now`, of heartbeats in the order of receipt."""
    if monitor.paused:
        return Status.PAUSED, Reason.PAUSED
    outcomes = [beat for beat in beats if beat.kind in OUTCOMES]
    if not outcomes:
        return Status.NO_DATA, Reason.NEVER_RECEIVED
    failing = failures_in_a_row(beats)
    if failing > monitor.failure_tolerance:
        return Status.DOWN, Reason.FAILED
    open_starts, start = runs_of(monitor, beats)
    if monitor.max_runtime is not None:
        for run in open_starts:
            lasting = now - run.received_at - overlap(blackouts, run.received_at, max(now, run.received_at))
            if lasting > monitor.max_runtime:
                return Status.DOWN, Reason.OVERRUN
    due = due_of(monitor, beats, blackouts)
    assert due is not None
    elapsed = now - due - overlap(blackouts, due, max(now, due))
    if elapsed > monitor.down_after:
        return Status.DOWN, Reason.MISSED
    if failing:
        return Status.DEGRADED, Reason.FAILING
    if elapsed > monitor.degraded_after:
        return Status.DEGRADED, Reason.LATE
    last = outcomes[-1]
    took = last.duration
    if took is None and start is not None:
        took = last.received_at - start.received_at
    if monitor.min_runtime is not None and took is not None and took < monitor.min_runtime:
        return Status.DEGRADED, Reason.TOO_SHORT
    return Status.UP, Reason.ON_TIME
