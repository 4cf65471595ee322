"""What readers are shown before the evaluator wrote it is what the evaluator then writes."""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.exclusions import EVERYTHING_COUNTS, Calendar, Exclusions
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, apply
from exporter.core.maintenance import Selector, Window
from exporter.core.monitor import Monitor
from exporter.core.order import in_order
from exporter.core.preview import LOOK_BACK, MAX_BEATS, Preview
from exporter.core.spans import Span
from exporter.core.status import Reason, Status, evaluate
from exporter.core.timeline import CurrentStatus, changes
from exporter.evaluation.outcomes import Due
from exporter.evaluation.replay import evaluate_monitor
from tests.core.test_status import T, monitors

CREATED = T - 3 * HOUR
NEW = CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, CREATED)


def spans(span: st.SearchStrategy[int]) -> st.SearchStrategy[Exclusions]:
    """Nothing, or an outage of the exporter and a maintenance window, somewhere around the heartbeats."""

    def made(outage: int, length: int, window: int) -> Exclusions:
        maintenance = Window(
            name="window",
            selector=Selector(),
            starts_at=window,
            duration=length,
        )
        return Calendar((Span(outage, outage + length),), (maintenance,)).of(Monitor(tag="job"))

    return st.just(EVERYTHING_COUNTS) | st.builds(made, span, st.integers(1, 20 * SECOND), span)


@st.composite
def beats(draw: st.DrawFn, start: int, end: int, least: int = 0) -> list[Heartbeat]:
    moments = sorted(draw(st.lists(st.integers(start, end), min_size=least, max_size=6)))
    return [
        Heartbeat(draw(st.sampled_from(Kind)), at, draw(st.sampled_from(["", "", "a", "b"])), output="text")
        for at in moments
    ]


def evaluated(monitor: Monitor, log: list[Heartbeat], now: int, exclusions: Exclusions) -> CurrentStatus:
    """What the evaluator has written once it evaluated at `now`."""
    return [NEW, *changes(monitor, NO_HEARTBEATS, NEW, CREATED, now, log, exclusions)][-1]


def written(
    monitor: Monitor, current: CurrentStatus, log: list[Heartbeat], evaluated_at: int, new: int, exclusions: Exclusions
) -> CurrentStatus:
    """What the evaluator writes at the moment of the last heartbeat. The last `new` came since it evaluated."""
    watched = FleetMonitor(1, monitor, b"", current, apply(NO_HEARTBEATS, log, monitor.max_runtime))
    watched.exclusions = exclusions
    before, first = apply(NO_HEARTBEATS, log[:-new], monitor.max_runtime), log[-new].received_at
    planned = evaluate(monitor, before, evaluated_at, exclusions).next_change_at
    due = Due(1, first if planned is None else min(first, planned), evaluated_at)
    return evaluate_monitor(watched, due, log, log[-1].received_at).after


@given(
    monitors(),
    st.sampled_from([1, 100, 1000]),
    beats(T - HOUR, T),
    beats(T + 1, T + LOOK_BACK, least=1),
    st.integers(1, 7),
    spans(st.integers(T - MINUTE, T + MINUTE)),
)
def test_readers_are_shown_what_the_evaluator_writes(
    monitor: Monitor, scale: int, past: list[Heartbeat], new: list[Heartbeat], group: int, exclusions: Exclusions
) -> None:
    degraded, down = monitor.degraded_after // scale, monitor.down_after // scale + 1  # deadlines among the heartbeats
    monitor = Monitor(
        tag="job",
        schedule=monitor.schedule,
        degraded_after=degraded,
        down_after=max(degraded + 1, down),
        max_runtime=None if monitor.max_runtime is None else monitor.max_runtime // scale + 1,
        paused=monitor.paused,
    )
    current = evaluated(monitor, past, T, exclusions)
    before = apply(NO_HEARTBEATS, past, monitor.max_runtime)
    preview = Preview.begin(current, before, new[:group])
    if new[group:]:
        preview = preview.with_more(new[group:], monitor.max_runtime)
    shown = preview.current(monitor, current, exclusions)
    assert shown == written(monitor, current, [*past, *new], T, len(new), exclusions)
    now = evaluate(monitor, apply(before, new, monitor.max_runtime), new[-1].received_at, exclusions)
    assert (shown.status, shown.reason) == (now.status, now.reason)


@given(monitors(), beats(T - HOUR, T), beats(T + 1, T + HOUR, least=2), st.integers(1, 2 * HOUR))
@example(Monitor(tag="job"), [], [Heartbeat(Kind.SUCCESS, T + 1)] * (MAX_BEATS + 9), 1)
def test_however_far_the_evaluator_is_behind_status_and_reason_are_those_of_the_last_heartbeat(
    monitor: Monitor, past: list[Heartbeat], new: list[Heartbeat], behind: int
) -> None:
    current = evaluated(
        monitor, [beat for beat in past if beat.received_at <= T - behind], T - behind, EVERYTHING_COUNTS
    )
    before = apply(NO_HEARTBEATS, past, monitor.max_runtime)
    preview = Preview.begin(current, before, new[:1]).with_more(new[1:], monitor.max_runtime)
    assert len(preview.beats) <= MAX_BEATS
    shown = preview.current(monitor, current, EVERYTHING_COUNTS)
    now = evaluate(monitor, apply(before, new, monitor.max_runtime), new[-1].received_at)
    assert (shown.status, shown.reason) == (now.status, now.reason)


@given(monitors(), beats(T - HOUR, T), beats(T + 1, T + LOOK_BACK, least=2), st.data())
def test_what_the_evaluator_has_evaluated_meanwhile_is_not_replayed(
    monitor: Monitor, past: list[Heartbeat], new: list[Heartbeat], data: st.DataObject
) -> None:
    done = data.draw(st.integers(1, len(new) - 1))
    assume(new[done].received_at > new[done - 1].received_at)
    current, log = evaluated(monitor, past, T, EVERYTHING_COUNTS), [*past, *new]
    state = apply(NO_HEARTBEATS, past, monitor.max_runtime)
    watched = FleetMonitor(1, monitor, b"", current, state)
    fleet = Fleet()
    fleet.update([watched])
    fleet.preview([(watched, new, None, 0)])
    watched.state = apply(state, new, monitor.max_runtime)
    between = written(monitor, current, log[: len(past) + done], T, done, EVERYTHING_COUNTS)
    fleet.evaluated(1, between, len(past) + done, {})
    assert watched.current == between
    at = new[done - 1].received_at
    assert watched.shown == written(monitor, between, log, at, len(new) - done, EVERYTHING_COUNTS)
    fleet.evaluated(1, watched.shown, len(log), {})
    assert watched.preview is None


@given(
    monitors(),
    beats(T - HOUR, T),
    beats(T - HOUR, T, least=1),
    st.integers(0, HOUR),
    beats(T + HOUR, T + 2 * HOUR),
    spans(st.integers(T - MINUTE, T + MINUTE)),
)
def test_after_late_heartbeats_the_status_is_that_of_their_receipt(
    monitor: Monitor,
    past: list[Heartbeat],
    late: list[Heartbeat],
    after: int,
    more: list[Heartbeat],
    exclusions: Exclusions,
) -> None:
    """However old they are, and whatever the evaluator has written until then."""
    current, fleet = evaluated(monitor, past, T + after, exclusions), Fleet()
    watched = FleetMonitor(1, monitor, b"", current, apply(NO_HEARTBEATS, past, monitor.max_runtime))
    watched.exclusions = exclusions
    fleet.update([watched])
    watched.exclusions = exclusions
    whole = apply(NO_HEARTBEATS, in_order([*past, *late]), monitor.max_runtime)
    fleet.preview([(watched, late, whole, T + after)])
    watched.state = whole
    shown, now = watched.shown, evaluate(monitor, whole, T + after, exclusions)
    assert (shown.status, shown.reason) == (now.status, now.reason)
    assert current.since <= shown.since <= T + after
    if more:
        fleet.preview([(watched, more, None, 0)])
        shown, at = watched.shown, more[-1].received_at
        now = evaluate(monitor, apply(whole, more, monitor.max_runtime), at, exclusions)
        assert (shown.status, shown.reason) == (now.status, now.reason)


def test_ticks_of_evaluation_cron_and_pauses_decide_as_before() -> None:
    beat = Heartbeat(Kind.SUCCESS, T)
    preview = Preview.begin(NEW, NO_HEARTBEATS, [beat])
    assert preview.current(Monitor(tag="job", evaluation_cron="0 * * * *"), NEW, EVERYTHING_COUNTS) is NEW
    paused = CurrentStatus(Status.PAUSED, Reason.PAUSED, CREATED)
    assert preview.current(Monitor(tag="job", paused=True), paused, EVERYTHING_COUNTS) is paused
    assert preview.beats[0].output == ""


def test_a_status_that_cannot_be_worked_out_is_left_as_it_was_written() -> None:
    state = HeartbeatState(1, last_received_at=T, last_success_at=T, last_outcome=Kind.SUCCESS)
    preview = Preview.begin(NEW, state, [Heartbeat(Kind.SUCCESS, T)])
    assert preview.current(Monitor(tag="job", schedule="0 0 30 2 *"), NEW, EVERYTHING_COUNTS) is NEW


def test_a_status_is_worked_out_once_for_all_readers() -> None:
    preview, monitor = Preview.begin(NEW, NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, T)]), Monitor(tag="job")
    shown = preview.current(monitor, NEW, EVERYTHING_COUNTS)
    assert shown == CurrentStatus(Status.UP, Reason.ON_TIME, T)
    assert preview.current(monitor, NEW, EVERYTHING_COUNTS) is shown
    assert preview.current(monitor, shown, EVERYTHING_COUNTS) == shown
