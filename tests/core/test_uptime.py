"""Uptime, against a look at every moment."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import DAY, HOUR
from exporter.core.spans import Span, covering, merged
from exporter.core.status import Status
from exporter.core.uptime import (
    ALWAYS_UP,
    MAX_WINDOW,
    NEVER_COUNTED,
    NOTHING_HAPPENED,
    WINDOWS,
    Ratios,
    StatusChange,
    past,
    uptime,
)

STEP = 6 * HOUR
"""Everything in the property test happens at multiples of it, so that looking at each of them is exact."""
NOW = 400 * DAY


def looked_at(changes: Sequence[StatusChange], now: int, blackouts: Sequence[Span]) -> Ratios:
    """By brute force."""
    found: list[float | None] = []
    for length in WINDOWS.values():
        up = counted = 0
        for at in range(now - length, now, STEP):
            status = next((one.status for one in reversed(changes) if one.at <= at), None)
            if covering(blackouts, at) is None and status in (Status.UP, Status.DEGRADED, Status.DOWN):
                counted += 1
                up += status is not Status.DOWN
        found.append(up / counted if counted else None)
    return tuple(found)


moments = st.integers(0, 100 * 4).map(lambda steps: NOW - steps * STEP)
histories = st.lists(st.tuples(moments, st.sampled_from(Status)), max_size=12).map(
    lambda found: [StatusChange(*one) for one in sorted(dict(found).items())]
)
outages = st.lists(st.tuples(moments, st.integers(1, 20)), max_size=5).map(
    lambda found: merged(Span(start, start + steps * STEP) for start, steps in found)
)


@given(histories, outages)
def test_exact(changes: list[StatusChange], blackouts: tuple[Span, ...]) -> None:
    if not changes:
        return
    expected = looked_at(changes, NOW, blackouts)
    found = uptime(tuple(changes), changes[-1].status, NOW, blackouts)
    assert found == pytest.approx(expected, nan_ok=True)


@given(histories, outages, st.integers(0, 60 * 4))
def test_what_is_kept_is_enough_for_every_later_moment(
    changes: list[StatusChange], blackouts: tuple[Span, ...], steps: int
) -> None:
    if not changes:
        return
    later, status, kept = NOW + steps * STEP, changes[-1].status, past(changes)
    if kept:
        assert uptime(kept, status, later, blackouts) == uptime(tuple(changes), status, later, blackouts)
    else:
        assert {one.status for one in changes if one.at > changes[-1].at - MAX_WINDOW} <= {*Status} - {Status.DOWN}
        exact = uptime(tuple(changes), status, later, ())
        # Who was always up is so in every window in which any time counts.
        assert set(exact) <= {1.0, None}
        assert exact == uptime(kept, status, later, ()) or status is Status.NO_DATA or later == changes[-1].at


@pytest.mark.parametrize(
    ("statuses", "kept"),
    [
        ([Status.NO_DATA, Status.UP], 0),
        ([Status.NO_DATA, Status.UP, Status.DEGRADED, Status.UP], 0),
        ([Status.NO_DATA], 0),
        ([Status.UP, Status.PAUSED, Status.UP], 0),
        ([Status.UP, Status.PAUSED], 2),
        ([Status.UP, Status.MAINTENANCE], 2),
        ([Status.UP, Status.DOWN], 2),
        ([Status.NO_DATA, Status.UP, Status.DOWN, Status.UP], 4),
        ([], 0),
    ],
)
def test_most_monitors_need_no_memory(statuses: list[Status], kept: int) -> None:
    changes = [StatusChange(NOW - DAY + index * HOUR, status) for index, status in enumerate(statuses)]
    assert len(past(changes)) == kept
    if not kept:
        assert past(changes) is NOTHING_HAPPENED


def test_what_is_older_than_any_window_is_left_out_but_for_the_status_at_its_beginning() -> None:
    old = [StatusChange(NOW - MAX_WINDOW - days * DAY, status) for days, status in ((9, Status.DOWN), (5, Status.UP))]
    assert past([*old, StatusChange(NOW, Status.DOWN)]) == (old[1], StatusChange(NOW, Status.DOWN))
    assert past([*old, StatusChange(NOW - MAX_WINDOW + 1, Status.DEGRADED), StatusChange(NOW, Status.UP)]) == ()


def test_by_hand() -> None:
    changes = (
        StatusChange(NOW - 10 * DAY, Status.NO_DATA),
        StatusChange(NOW - 8 * DAY, Status.UP),
        StatusChange(NOW - 2 * DAY, Status.DOWN),
        StatusChange(NOW - 1 * DAY - 12 * HOUR, Status.UP),
        StatusChange(NOW - 12 * HOUR, Status.DOWN),
        StatusChange(NOW - 6 * HOUR, Status.DEGRADED),
    )
    day, week, month, quarter = uptime(changes, Status.DEGRADED, NOW, ())
    assert (day, week) == (18 / 24, (7 * 24 - 18) / (7 * 24))
    assert month == quarter == (8 * 24 - 18) / (8 * 24)
    # Six hours of the second DOWN were ours, not the job's.
    day, *_ = uptime(changes, Status.DEGRADED, NOW, (Span(NOW - 12 * HOUR, NOW - 6 * HOUR),))
    assert day == 1.0


def test_nothing_counts() -> None:
    assert uptime((), Status.NO_DATA, NOW, ()) is NEVER_COUNTED
    assert uptime((), Status.UP, NOW, ()) is ALWAYS_UP
    paused = (StatusChange(NOW - 2 * DAY, Status.UP), StatusChange(NOW - DAY, Status.PAUSED))
    assert uptime(paused, Status.PAUSED, NOW, ()) == (None, 1.0, 1.0, 1.0)


def test_a_clock_that_was_set_back_makes_no_time() -> None:
    changes = (StatusChange(NOW - DAY, Status.UP), StatusChange(NOW + HOUR, Status.DOWN))
    assert uptime(changes, Status.DOWN, NOW, ()) == (1.0, 1.0, 1.0, 1.0)
