"""The state machine of alerts, against a clockwork that is too simple to be wrong."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.alerts.alert import AlertChange, AlertState, Observation, RuleState, advance, count, next_change_at
from exporter.core.alerts.alert_rule import FROZEN, WATCHABLE, AlertRule, Selector
from exporter.core.clock import HOUR, MINUTE
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, covering, merged
from exporter.core.status import Reason, Status

END = 60
STATUSES = st.sampled_from(list(Status))
WHENS = st.sets(st.sampled_from(WATCHABLE), min_size=1).map(tuple)


def seen(at: int, status: Status) -> Observation:
    return Observation(at, status, Reason.ON_TIME)


def steps(changes: list[AlertChange]) -> list[tuple[AlertState, int]]:
    return [(change.step, change.at) for change in changes]


def by_hand(
    rule: AlertRule, timeline: dict[int, Status], until: int, blackouts: Sequence[Span]
) -> list[tuple[AlertState, int]]:
    """One moment after the other: what each rule of DESIGN says, in its own words."""
    found, triggered, gained, status = [], False, None, None
    for now in range(until + 1):
        status = timeline.get(now, status)
        if status is None or status in FROZEN:
            continue
        counts = status is Status.UP if triggered else status in rule.when
        if not counts:
            gained = None
            continue
        gained = 0 if gained is None else gained
        needed = rule.resolve_time if triggered else rule.trigger_time
        if gained >= needed:
            found.append((AlertState.RESOLVED if triggered else AlertState.TRIGGERED, now))
            triggered, gained = not triggered, None
            continue
        gained += covering(blackouts, now) is None
    return found


BLACKOUTS = st.lists(st.builds(lambda at, length: Span(at, at + length), st.integers(0, END), st.integers(1, 9))).map(
    merged
)


@given(
    WHENS,
    st.integers(0, 12),
    st.integers(0, 12),
    st.dictionaries(st.integers(0, END), STATUSES, max_size=14),
    st.lists(st.integers(0, END), max_size=6),
    BLACKOUTS,
)
def test_counted_by_time(
    when: tuple[Status, ...],
    trigger: int,
    resolve: int,
    timeline: dict[int, Status],
    looks: list[int],
    blackouts: tuple[Span, ...],
) -> None:
    """However often somebody looks, and whenever, but not inside a blackout; it is known as soon as it is over."""
    rule = AlertRule(name="r", when=when, trigger_after=trigger, resolve_after=resolve)
    progress, found, looked = None, [], -1
    awake = {look for look in looks if covering(blackouts, look) is None}
    for look in sorted({*awake, 2 * END}):
        observations = [seen(at, timeline[at]) for at in sorted(timeline) if looked < at <= look]
        progress, changes = advance(rule, progress, observations, look, blackouts)
        found += steps(changes)
        looked = look
        assert progress is None or (moment := next_change_at(rule, progress, blackouts)) is None or moment > look
    assert found == by_hand(rule, timeline, 2 * END, blackouts)


@given(WHENS, st.integers(1, 5), st.integers(1, 5), st.lists(STATUSES, max_size=40), st.integers(1, 7))
def test_counted_by_evaluations(
    when: tuple[Status, ...], failures: int, successes: int, ticks: list[Status], size: int
) -> None:
    rule = AlertRule(name="r", when=when, failure_threshold=failures, success_threshold=successes)
    progress: RuleState | None = None
    found: list[AlertChange] = []
    for start in range(0, len(ticks), size):
        some = [seen(start + at, status) for at, status in enumerate(ticks[start : start + size])]
        progress, changes = count(rule, progress, some)
        found += changes
    triggered, run, expected = False, 0, []
    for at, status in enumerate(ticks):
        if status in FROZEN:
            continue
        run = run + 1 if (status is Status.UP if triggered else status in when) else 0
        if run == (successes if triggered else failures):
            expected.append((AlertState.RESOLVED if triggered else AlertState.TRIGGERED, at))
            triggered, run = not triggered, 0
    assert steps(found) == expected


@given(
    st.lists(st.tuples(st.integers(0, END), STATUSES), max_size=20).map(lambda some: sorted(some, key=lambda x: x[0]))
)
def test_an_episode_begins_and_ends_once(timeline: list[tuple[int, Status]]) -> None:
    """Also when several things happen in the same millisecond."""
    rule = AlertRule(name="r")
    _, changes = advance(rule, None, [seen(*one) for one in timeline], END)
    assert [change.step for change in changes] == [AlertState.TRIGGERED, AlertState.RESOLVED] * (len(changes) // 2) + [
        AlertState.TRIGGERED
    ] * (len(changes) % 2)
    assert sum(status is Status.DOWN for _, status in timeline) >= sum(
        change.step is AlertState.TRIGGERED for change in changes
    )


def test_one_evaluation_a_minute_is_counted() -> None:
    rule = AlertRule(name="r", failure_threshold=3, success_threshold=2)
    progress, changes = advance(rule, None, [seen(0, Status.DOWN)], 2 * MINUTE - 1)
    assert changes == []
    assert next_change_at(rule, progress) == 2 * MINUTE
    progress, changes = advance(rule, progress, [], 2 * MINUTE)
    assert steps(changes) == [(AlertState.TRIGGERED, 2 * MINUTE)]
    progress, changes = advance(rule, progress, [seen(5 * MINUTE, Status.UP)], 6 * MINUTE - 1)
    assert changes == []
    _, changes = advance(rule, progress, [], 6 * MINUTE)
    assert steps(changes) == [(AlertState.RESOLVED, 6 * MINUTE)]


@pytest.mark.parametrize("status", [Status.DEGRADED, Status.NO_DATA, Status.PAUSED, Status.MAINTENANCE])
def test_nothing_but_up_is_a_recovery(status: Status) -> None:
    rule = AlertRule(name="r")
    progress, changes = advance(rule, None, [seen(0, Status.DOWN)], 0)
    assert steps(changes) == [(AlertState.TRIGGERED, 0)]
    progress, changes = advance(rule, progress, [seen(1, status)], HOUR)
    assert changes == []
    progress, changes = advance(rule, progress, [seen(HOUR, Status.DOWN)], HOUR)
    assert changes == []
    assert steps(advance(rule, progress, [seen(2 * HOUR, Status.UP)], 2 * HOUR)[1]) == [(AlertState.RESOLVED, 2 * HOUR)]


def test_a_failure_and_a_success_in_one_millisecond_are_both_seen() -> None:
    _, changes = advance(AlertRule(name="r"), None, [seen(5, Status.DOWN), seen(5, Status.UP)], 5)
    assert steps(changes) == [(AlertState.TRIGGERED, 5), (AlertState.RESOLVED, 5)]


def test_a_clock_that_steps_back_gains_nothing() -> None:
    rule = AlertRule(name="r", trigger_after=10)
    progress, _ = advance(rule, None, [seen(100, Status.DOWN)], 105)
    progress, changes = advance(rule, progress, [], 50)
    assert progress is not None
    assert progress.elapsed == 5
    assert changes == []
    assert steps(advance(rule, progress, [], 55)[1]) == [(AlertState.TRIGGERED, 55)]


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (Selector(), True),
        (Selector(tags=("nightly-*",)), True),
        (Selector(tags=("x", "nightly-b?ckup")), True),
        (Selector(tags=("Nightly-*",)), False),
        (Selector(tags=("nightly",)), False),
        (Selector(groups=("stor*",)), True),
        (Selector(groups=("db",)), False),
        (Selector(labels=(("team", "s*"),)), True),
        (Selector(labels=(("team", "s*"), ("site", "*"))), False),
        (Selector(tags=("nightly-*",), groups=("db",)), False),
    ],
)
def test_selectors(selector: Selector, fits: bool) -> None:
    monitor = Monitor(tag="nightly-backup", group="storage", labels=(("team", "storage"),))
    assert selector.matches(monitor) is fits
