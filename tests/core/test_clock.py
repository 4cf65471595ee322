"""Moments of receipt never go back, unless the clock that was ahead has been corrected."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import ReceiptClock
from tests.conftest import START, ManualClock


@given(st.lists(st.integers(-100_000, 100_000)))
def test_moments_of_receipt_never_go_back(steps: list[int]) -> None:
    clock = ManualClock()
    receipts = ReceiptClock(clock)
    seen = [receipts.now()]
    for step in steps:
        clock.step(step)
        seen.append(receipts.now())
        assert seen[-1] == max(clock.now(), seen[-2])


def test_the_database_sets_a_floor() -> None:
    clock = ManualClock()
    receipts = ReceiptClock(clock)
    receipts.not_before(START + 700)
    assert receipts.now() == START + 700
    receipts.not_before(START)  # an older one changes nothing
    assert receipts.now() == START + 700
    clock.advance(701)
    assert receipts.now() == START + 701


def test_a_clock_that_was_ahead_can_be_corrected() -> None:
    clock = ManualClock(START + 86_400_000)
    receipts = ReceiptClock(clock)
    receipts.now()
    clock.step(-86_400_000)
    receipts.reset(clock.now())
    assert receipts.now() == START
    clock.advance(5)
    receipts.reset(START + 99)  # what is earlier stays
    assert receipts.now() == START + 5


def test_the_steady_clock_is_passed_through() -> None:
    clock = ManualClock()
    assert ReceiptClock(clock).monotonic() == clock.monotonic()


def test_threads_see_one_order() -> None:
    """Each thread's moments never go back, whatever the others ask for."""

    class Jumping(ManualClock):
        def now(self) -> int:
            self.wall ^= 1_000
            return self.wall

    receipts = ReceiptClock(Jumping())
    broken: list[tuple[int, int]] = []

    def ask() -> None:
        last = 0
        for _ in range(2_000):
            now = receipts.now()
            if now < last:
                broken.append((last, now))
            last = now

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert broken == []
