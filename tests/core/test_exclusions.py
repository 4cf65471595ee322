"""What does not count: blackouts and maintenance, in the one function that decides the status."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.exclusions import EVERYTHING_COUNTS, Calendar, Exclusions
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, merged, overlap
from exporter.core.status import Evaluation, Reason, Status, due_at, evaluate
from tests.core.test_status import MOMENTS, T, heartbeats, monitors


@dataclass(frozen=True)
class Windows:
    """Maintenance at spans that are given, for tags that begin with `prefix`."""

    windows: tuple[Span, ...]
    prefix: str = ""

    def tags(self) -> frozenset[str] | None:
        return None

    def applies_to(self, monitor: Monitor) -> bool:
        return monitor.tag.startswith(self.prefix)

    def spans(self, start: int, end: int) -> Sequence[Span]:
        return [one for one in self.windows if one.start < end and one.end > start]

    def next_start(self, after: int) -> int | None:
        return min((one.start for one in self.windows if one.start > after), default=None)


def spans(most: int) -> st.SearchStrategy[tuple[Span, ...]]:
    one = st.builds(lambda start, length: Span(start, start + length), MOMENTS, st.integers(1, 12 * HOUR))
    return st.lists(one, max_size=most).map(merged)


UNCOUNTED = st.builds(
    lambda blackouts, first, second, silence: Exclusions(blackouts, (Windows(first), Windows(second)), silence),
    spans(3),
    spans(2),
    spans(2),
    spans(2),
)


@given(monitors(), heartbeats(), MOMENTS, UNCOUNTED)
def test_nothing_changes_before_next_change_and_something_does_at_it(
    monitor: Monitor, beats: list[Heartbeat], now: int, exclusions: Exclusions
) -> None:
    state = apply(NO_HEARTBEATS, beats)
    found = evaluate(monitor, state, now, exclusions)
    if found.next_change_at is None:
        later = evaluate(monitor, state, now + 10_000 * HOUR, exclusions)
        assert (later.status, later.reason) == (found.status, found.reason)
        return
    assert found.next_change_at > now
    before = evaluate(monitor, state, found.next_change_at - 1, exclusions)
    at = evaluate(monitor, state, found.next_change_at, exclusions)
    assert (before.status, before.reason) == (found.status, found.reason)
    assert (at.status, at.reason) != (found.status, found.reason)


@given(MOMENTS, st.integers(1, 48 * HOUR), UNCOUNTED)
def test_lateness_is_the_time_that_counts(success: int, later: int, exclusions: Exclusions) -> None:
    monitor, now = Monitor(tag="job"), success + later
    found = evaluate(monitor, apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, success)]), now, exclusions)
    windows = tuple(window for one in exclusions.maintenances for window in one.spans(0, 2 * T))
    elapsed = later - overlap(merged((*exclusions.blackouts, *exclusions.unreachable, *windows)), success, now)
    if any(window.start <= now < window.end for window in windows):
        assert found.status is Status.MAINTENANCE
    elif elapsed > monitor.down_after:
        assert found.status is Status.DOWN
    else:
        assert found.status is (Status.DEGRADED if elapsed > monitor.degraded_after else Status.UP)


@given(monitors(), heartbeats(), MOMENTS, UNCOUNTED)
def test_an_excuse_never_makes_it_worse(
    monitor: Monitor, beats: list[Heartbeat], now: int, exclusions: Exclusions
) -> None:
    badness = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2}
    state = apply(NO_HEARTBEATS, beats)
    without, found = evaluate(monitor, state, now).status, evaluate(monitor, state, now, exclusions).status
    if found in badness and without in badness:
        assert badness[found] <= badness[without]


def test_a_tick_inside_a_blackout_is_forgiven_and_the_next_is_not() -> None:
    nightly = Monitor(tag="job", schedule="0 3 * * *")
    three = T - T % DAY + 3 * HOUR + DAY
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, three - DAY)])
    away = Exclusions((Span(three - HOUR, three + 1),))
    assert due_at(nightly, state, away) == three + DAY
    assert evaluate(nightly, state, three + 20 * HOUR, away).status is Status.UP
    assert evaluate(nightly, state, three + DAY + HOUR, away) == Evaluation(Status.DOWN, Reason.MISSED, None)
    # It ended before the tick: the job could have told us.
    assert due_at(nightly, state, Exclusions((Span(three - HOUR, three),))) == three


def test_a_tick_inside_a_silence_is_due_at_its_end() -> None:
    """The exporter was there and heartbeats did not reach it: what was expected then may have been lost, or not."""
    nightly = Monitor(tag="job", schedule="0 3 * * *")
    three = T - T % DAY + 3 * HOUR + DAY
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, three - DAY)])
    end = three + HOUR
    silence = Exclusions(unreachable=(Span(three - HOUR, end),))
    assert due_at(nightly, state, silence) == end
    assert evaluate(nightly, state, end + nightly.degraded_after, silence).status is Status.UP
    assert evaluate(nightly, state, end + nightly.degraded_after + 1, silence).reason is Reason.LATE
    assert evaluate(nightly, state, end + nightly.down_after + 1, silence).reason is Reason.MISSED
    # A success after it serves the tick as ever.
    served = apply(state, [Heartbeat(Kind.SUCCESS, end + MINUTE)])
    assert due_at(nightly, served, silence) == three + DAY


def test_an_interval_that_ends_inside_a_silence_is_due_at_its_end() -> None:
    hourly = Monitor(tag="job", every=HOUR)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    silence = Exclusions(unreachable=(Span(T + 30 * MINUTE, T + 90 * MINUTE),))
    assert due_at(hourly, state, silence) == T + 90 * MINUTE


def test_a_silence_stops_lateness_and_runs() -> None:
    monitor = Monitor(tag="job", degraded_after=MINUTE, down_after=2 * MINUTE, max_runtime=10 * MINUTE)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T), Heartbeat(Kind.START, T)])
    silence = Exclusions(unreachable=(Span(T + 30_000, T + HOUR),))
    assert evaluate(monitor, state, T + HOUR + 30_000, silence).status is Status.UP
    assert evaluate(monitor, state, T + HOUR + 30_001, silence).reason is Reason.LATE
    later = apply(state, [Heartbeat(Kind.SUCCESS, T + HOUR + 1, "other")])
    assert later.runs
    assert evaluate(monitor, later, T + HOUR + MINUTE, silence).status is Status.UP


def test_strict_counts_a_silence() -> None:
    span = Span(T, T + HOUR)
    assert Calendar(unreachable=(span,)).of(Monitor(tag="job")).unreachable == (span,)
    assert Calendar(unreachable=(span,), forgives=False).of(Monitor(tag="job")).unreachable == ()
    assert Calendar((Span(T + HOUR, T + 2 * HOUR),), unreachable=(span,)).away == (Span(T, T + 2 * HOUR),)


def test_an_interval_longer_than_the_time_between_restarts_still_fires() -> None:
    daily = Monitor(tag="job", degraded_after=24 * HOUR, down_after=25 * HOUR)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    restarts = tuple(Span(T + n * HOUR, T + n * HOUR + 30_000) for n in range(1, 100))
    away = Exclusions(restarts)
    assert evaluate(daily, state, T + 25 * HOUR, away).status is Status.DEGRADED
    assert evaluate(daily, state, T + 25 * HOUR + 13 * MINUTE, away).status is Status.DOWN


def test_an_overrun_does_not_count_what_is_excused() -> None:
    monitor = Monitor(tag="job", max_runtime=HOUR, degraded_after=DAY, down_after=2 * DAY)
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T), Heartbeat(Kind.START, T, "a")])
    away = Exclusions((Span(T + MINUTE, T + 31 * MINUTE),))
    assert evaluate(monitor, state, T + 90 * MINUTE, away).status is Status.UP
    assert evaluate(monitor, state, T + 90 * MINUTE + 1, away).reason is Reason.OVERRUN


def test_every_tick_forgiven_is_no_endless_search() -> None:
    always = Windows(tuple(Span(T + n * DAY, T + (n + 1) * DAY - 1) for n in range(-2, 3000)))
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)])
    assert due_at(Monitor(tag="job", schedule="*/5 * * * *"), state, Exclusions((), (always,))) is not None


def test_windows_that_join_are_one() -> None:
    both = Exclusions((), (Windows((Span(T, T + HOUR),)), Windows((Span(T + HOUR, T + 2 * HOUR),))))
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.FAILURE, T - DAY)])
    found = evaluate(Monitor(tag="job"), state, T + MINUTE, both)
    assert found == Evaluation(Status.MAINTENANCE, Reason.MAINTENANCE, T + 2 * HOUR)


def test_monitors_with_the_same_maintenance_share_what_does_not_count() -> None:
    calendar = Calendar((Span(T, T + 1),), (Windows((Span(T, T + HOUR),), "db-"),))
    one, two, other = Monitor(tag="db-1"), Monitor(tag="db-2"), Monitor(tag="web")
    assert calendar.of(one) is calendar.of(two)
    assert calendar.of(other) is not calendar.of(one)
    assert calendar.of(other).maintenances == ()
    assert calendar.of(other).blackouts == calendar.blackouts
    assert Calendar((Span(T, T + 1),), forgives=False).of(one).blackouts == EVERYTHING_COUNTS.blackouts
