"""When a late monitor is suppressed and until when: never for longer than the rule says, whatever happens when."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.dependencies.graph import DependencyGraph
from exporter.core.dependencies.suppression import (
    MAX_SUPPRESSION,
    ParentTrouble,
    Suppression,
    Trouble,
    advance,
    message_window,
    release_moment,
)
from exporter.core.monitor import Monitor
from exporter.core.status import Reason
from tests.conftest import START

NONE, PLANNED, UNPLANNED = ParentTrouble.NONE, ParentTrouble.PLANNED, ParentTrouble.UNPLANNED
CHILD = Monitor(tag="child", depends_on=("parent",))


def step(before: Suppression | None, trouble: ParentTrouble, at: int, late: bool = True) -> Suppression | None:
    return advance(before, CHILD, START - HOUR, late=late, trouble=trouble, at=at)


def test_one_episode() -> None:
    assert step(None, NONE, START) is None
    assert step(None, UNPLANNED, START, late=False) is None
    suppressed = step(None, UNPLANNED, START)
    assert suppressed == Suppression(START, START)
    waiting = step(suppressed, NONE, START + HOUR)
    assert waiting == Suppression(START, None, START + HOUR + 10 * MINUTE)
    assert step(waiting, NONE, START + HOUR + 10 * MINUTE - 1) == waiting
    released = step(waiting, NONE, START + HOUR + 10 * MINUTE)
    assert released is not None
    assert released.released
    assert released.next_at is None
    assert step(released, UNPLANNED, START + 2 * HOUR) == released  # until it is well
    assert step(released, UNPLANNED, START + 3 * HOUR, late=False) is None


def test_trouble_again_restarts_once() -> None:
    one = step(step(None, UNPLANNED, START), NONE, START + HOUR)
    again = step(one, UNPLANNED, START + HOUR + MINUTE)
    assert again is not None
    assert (again.release_at, again.restarted) == (None, True)
    well = step(again, NONE, START + 3 * HOUR)
    assert well is not None
    assert well.release_at == START + 3 * HOUR + 10 * MINUTE
    third = step(well, UNPLANNED, START + 3 * HOUR + MINUTE)
    assert third is not None
    assert third.release_at == well.release_at


def test_maintenance_of_the_parent_expects_no_message() -> None:
    planned = step(None, PLANNED, START)
    assert planned == Suppression(START, None)
    unplanned = step(planned, UNPLANNED, START + HOUR)
    assert unplanned == Suppression(START, START + HOUR)
    assert step(unplanned, PLANNED, START + 2 * HOUR) == planned


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # At any time: by degraded_after.
        ({}, 5 * MINUTE),
        ({"degraded_after": MINUTE, "down_after": 90 * SECOND}, MINUTE),
        # 14:13:20 now; at 14:15 and five minutes more, but at most down_after.
        ({"schedule": "*/15 * * * *"}, 100 * SECOND + 5 * MINUTE),
        ({"schedule": "0 3 * * *"}, 10 * MINUTE),
        ({"schedule": "0 3 * * *", "down_after": 13 * HOUR}, 12 * HOUR + 46 * MINUTE + 40 * SECOND + 5 * MINUTE),
        # The last success was an hour ago, so the next is due in half an hour.
        ({"every": 90 * MINUTE, "down_after": HOUR}, 35 * MINUTE),
        ({"every": 30 * MINUTE, "down_after": HOUR}, 35 * MINUTE),
        ({"every": 90 * MINUTE}, 10 * MINUTE),
    ],
)
def test_the_release(options: dict[str, object], expected: int) -> None:
    monitor = Monitor(tag="child", **options)  # type: ignore[arg-type]
    assert release_moment(monitor, START - HOUR, START) == START + expected + 5 * MINUTE


def test_the_window_for_a_message() -> None:
    parent = Monitor(tag="parent", degraded_after=MINUTE, down_after=31 * MINUTE)
    assert message_window(parent, CHILD) == 30 * MINUTE
    assert message_window(parent, Monitor(tag="child", release_after=HOUR)) == HOUR


def test_what_suppresses_over_several_levels() -> None:
    graph = DependencyGraph(
        [Monitor(tag="power"), Monitor(tag="db", depends_on=("power",)), Monitor(tag="web", depends_on=("db",))]
    )
    for reason in Reason:
        trouble = Trouble(graph, {"power": reason, "db": Reason.ON_TIME, "web": Reason.LATE})
        suppresses = reason in (Reason.LATE, Reason.MISSED, Reason.FAILED, Reason.OVERRUN, Reason.MAINTENANCE)
        assert trouble.causes("web") == (("power",) if suppresses else ())
        assert trouble.of("power") is NONE
        if suppresses:
            assert trouble.of("web") is (PLANNED if reason is Reason.MAINTENANCE else UNPLANNED)
    both = Trouble(graph, {"power": Reason.MAINTENANCE, "db": Reason.MISSED})
    assert both.causes("web") == ("db", "power")
    assert both.of("web") is UNPLANNED


EVENTS = st.lists(
    st.tuples(st.integers(1, 3 * HOUR), st.sampled_from(ParentTrouble), st.sampled_from([True, True, True, False])),
    min_size=1,
    max_size=30,
)
MONITORS = st.builds(
    Monitor,
    tag=st.just("child"),
    schedule=st.sampled_from([None, None, "*/10 * * * *", "0 3 * * *"]),
    degraded_after=st.integers(0, HOUR),
    down_after=st.integers(HOUR + 1, 2 * HOUR),
    release_after=st.integers(0, HOUR),
)


@given(MONITORS, EVENTS)
def test_it_is_never_held_for_longer_than_the_rule_says(
    monitor: Monitor, events: list[tuple[int, ParentTrouble, bool]]
) -> None:
    """Against the rule, read literally from what happened: every event, and every moment that a suppression names."""
    now, suppression = START, None
    told: list[tuple[int, bool]] = []
    history: list[tuple[int, ParentTrouble, bool]] = []
    for gap, trouble, late in events:
        end = now + gap
        while suppression is not None and suppression.next_at is not None and suppression.next_at < end:
            at = suppression.next_at
            _, trouble_now, late_now = history[-1]
            suppression = advance(suppression, monitor, None, late=late_now, trouble=trouble_now, at=at)
            told.append((at, suppression is not None and not suppression.released))
        now = end
        history.append((now, trouble, late))
        suppression = advance(suppression, monitor, None, late=late, trouble=trouble, at=now)
        told.append((now, suppression is not None and not suppression.released))
    for (at, held), (following, _) in pairwise([*told, (now, False)]):
        if held:
            since, released_at = episode(monitor, history, at)
            assert since <= at < released_at <= since + MAX_SUPPRESSION
            assert following <= released_at
    if suppression is not None and suppression.released:
        assert history[-1][2]


def episode(monitor: Monitor, history: list[tuple[int, ParentTrouble, bool]], at: int) -> tuple[int, int]:
    """Since when it is held at a moment, and until when at the latest if nothing else happens."""
    past = [event for event in history if event[0] <= at]
    begins = len(past)
    while begins and past[begins - 1][2]:
        begins -= 1
    late = past[begins:]
    first = next(index for index, event in enumerate(late) if event[1] is not NONE)
    since = late[first][0]
    release: int | None = None
    wells = 0
    for moment, trouble, _ in late[first:]:
        if release is not None and moment >= release:
            break
        if trouble is NONE and release is None:
            release = release_moment(monitor, None, moment)
            wells += 1
        elif trouble is not NONE and release is not None and wells == 1:
            release = None
    return since, since + DAY if release is None else min(release, since + DAY)
