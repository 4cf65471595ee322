"""A clock that steps is not believed at once, and pruning never follows a jump."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import DAY, HOUR, SECOND
from exporter.core.trusted_clock import (
    CATCHING_UP,
    MAX_DOUBT,
    NOTABLE,
    Step,
    TrustedClock,
    Verdict,
    judge_step,
    must_wait,
    pruned_by,
)
from tests.conftest import START, ManualClock

MILLISECONDS = st.integers(0, 400 * DAY)
KERNEL = st.sampled_from([None, False, True])


@given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-400 * DAY, 400 * DAY))))
def test_while_steps_are_held_back_only_time_that_passes_counts(moves: list[tuple[int, int]]) -> None:
    """Whatever the wall clock does, it goes on by the steady one, but for what is too small to matter."""
    machine = ManualClock()
    clock = TrustedClock(machine)
    before = clock.now()
    for passed, step in moves:
        machine.advance(passed)
        machine.step(step)
        after = clock.now()
        assert abs(after - before - passed) <= NOTABLE
        before = after


def test_a_step_that_is_undone_leaves_no_trace() -> None:
    machine = ManualClock()
    clock = TrustedClock(machine)
    machine.step(2 * DAY)
    machine.advance(6 * SECOND)
    assert clock.now() == START + 6 * SECOND
    assert clock.step() == Step(2 * DAY, 0)
    machine.advance(SECOND)
    assert clock.step() == Step(2 * DAY, SECOND)
    machine.step(-2 * DAY)
    assert clock.step() is None
    assert clock.now() == START + 7 * SECOND


def test_a_step_that_is_believed_is_where_the_clock_goes_on() -> None:
    machine = ManualClock()
    clock = TrustedClock(machine)
    for by in (HOUR, -3 * HOUR):
        machine.step(by)
        clock.now()
        step = clock.step()
        assert step is not None
        clock.believe(step.by)
        assert clock.now() == machine.now()
        assert clock.step() is None


def test_small_steps_are_followed() -> None:
    machine = ManualClock()
    clock = TrustedClock(machine)
    for step in (NOTABLE, NOTABLE, -NOTABLE):
        machine.step(step)
        assert clock.now() == machine.now()


def test_a_process_that_is_paused_between_two_looks_sees_no_step() -> None:
    class Paused(ManualClock):
        pauses = 0

        def now(self) -> int:
            found = super().now()
            if self.pauses:
                self.pauses -= 1
                self.advance(HOUR)
            return found

    machine = Paused()
    clock = TrustedClock(machine)
    machine.pauses = 2
    assert clock.now() == START + 2 * HOUR
    assert clock.step() is None


@given(st.integers(-400 * DAY, 400 * DAY), MILLISECONDS, KERNEL, st.booleans())
def test_every_step_is_believed_in_the_end(by: int, lasts: int, synchronised: bool | None, was_behind: bool) -> None:
    verdict = judge_step(Step(by, lasts), synchronised, was_behind)
    held = by >= 0 and not was_behind and not synchronised and lasts < MAX_DOUBT
    assert verdict is (Verdict.HOLD if held else Verdict.BELIEVE)


@given(MILLISECONDS, st.none() | MILLISECONDS, MILLISECONDS, KERNEL)
def test_who_waits_is_behind_and_waits_for_ten_minutes_at_most(
    now: int, stamp: int | None, waited: int, synchronised: bool | None
) -> None:
    if must_wait(now, stamp, 10 * SECOND, waited, synchronised):
        assert stamp is not None
        assert stamp > now
        assert waited < MAX_DOUBT
        assert synchronised is not True


@given(st.lists(st.tuples(st.integers(0, DAY), st.integers(-400 * DAY, 400 * DAY))))
def test_pruning_never_jumps_and_is_never_ahead(moves: list[tuple[int, int]]) -> None:
    moment = wall = START
    passed = 0
    for elapsed, step in moves:
        wall += elapsed + step
        passed += elapsed
        moment = pruned_by(moment, elapsed, wall)
        assert moment <= wall
        assert moment <= START + CATCHING_UP * passed


@given(st.integers(0, 400 * DAY))
def test_pruning_catches_up_after_the_machine_was_off(off: int) -> None:
    wall, moment, steps = START + off, START, 0
    while moment < wall:
        wall += HOUR
        moment = pruned_by(moment, HOUR, wall)
        steps += 1
    assert steps <= off // (23 * HOUR) + 1
