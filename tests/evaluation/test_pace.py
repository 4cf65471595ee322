"""How many monitors one transaction evaluates."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.evaluation.pace import FIRST_BATCH, MAX_BATCH, MIN_BATCH, TARGET, Pace


def test_quick_transactions_grow() -> None:
    pace = Pace()
    sizes = []
    for _ in range(4):
        pace.took(pace.batch, TARGET // 2)
        sizes.append(pace.batch)
    assert sizes == [2 * FIRST_BATCH, 4 * FIRST_BATCH, MAX_BATCH, MAX_BATCH]


def test_a_transaction_that_was_not_full_says_nothing_of_larger_ones() -> None:
    pace = Pace()
    pace.took(pace.batch - 1, 0)
    assert pace.batch == FIRST_BATCH


def test_a_long_transaction_shrinks_the_next_to_what_the_target_allows() -> None:
    pace = Pace()
    pace.took(100, 2 * TARGET)
    assert pace.batch == 50
    pace.took(50, 100 * TARGET)
    assert pace.batch == MIN_BATCH


def test_a_transaction_about_as_long_as_the_target_changes_nothing() -> None:
    pace = Pace()
    pace.took(FIRST_BATCH, TARGET)
    assert pace.batch == FIRST_BATCH


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 100_000))))
def test_the_bounds_hold_whatever_happens(transactions: list[tuple[int, int]]) -> None:
    pace = Pace()
    for monitors, milliseconds in transactions:
        pace.took(monitors, milliseconds)
        assert MIN_BATCH <= pace.batch <= MAX_BATCH


@given(st.floats(0.05, 20))
def test_it_settles_where_transactions_take_about_the_target(per_monitor: float) -> None:
    """`per_monitor` is in milliseconds."""
    pace = Pace()
    for _ in range(50):
        pace.took(pace.batch, round(pace.batch * per_monitor))
    time = pace.batch * per_monitor
    assert time <= TARGET + per_monitor or pace.batch == MIN_BATCH
    assert time >= TARGET / 2 - per_monitor or pace.batch == MAX_BATCH
