"""Supervised threads: an error is logged, counted and survived; an end, a hang and a lasting failure are seen."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from exporter.core.clock import MINUTE, SECOND
from exporter.core.process.repeats import MAX_INTERVAL, Repeats
from exporter.core.process.threads import FAILING_AFTER, SupervisedThread, Threads
from exporter.core.telemetry import Silent
from tests.conftest import ManualClock

DEADLINE = 20.0


class Counting(Silent):
    def __init__(self) -> None:
        self.failed: Counter[str] = Counter()

    def thread_failed(self, kind: str) -> None:
        self.failed[kind] += 1


class World:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.telemetry = Counting()
        self.threads = Threads(clock, self.telemetry)
        self.made: list[SupervisedThread] = []

    def thread(self, work: Callable[[], float | None], **options: object) -> SupervisedThread:
        made = SupervisedThread("recorder one", work, self.threads, **options)  # type: ignore[arg-type]
        self.made.append(made)
        return made


@pytest.fixture
def world(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("exporter.core.process.threads.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("exporter.core.process.threads.MAX_PAUSE", 0.002)
    world = World(clock)
    yield world
    for thread in world.made:
        thread.stop(DEADLINE)


def test_an_error_is_logged_counted_and_survived(world: World, caplog: pytest.LogCaptureFixture) -> None:
    again = threading.Event()
    turns = iter([ZeroDivisionError("poison"), None])

    def work() -> None:
        error = next(turns, None)
        if error is not None:
            raise error
        again.set()

    thread = world.thread(work)
    thread.start()
    assert again.wait(DEADLINE)
    assert world.telemetry.failed == {"recorder": 1}
    assert "the thread recorder one goes on after an error" in caplog.text
    assert "ZeroDivisionError: poison" in caplog.text
    assert world.threads.look() is None


def test_a_discreet_thread_logs_no_text_of_its_errors(world: World, caplog: pytest.LogCaptureFixture) -> None:
    seen = threading.Event()

    def work() -> float:
        if not seen.is_set():
            seen.set()
            raise ValueError("https://hooks.example/SESAME")
        return 60.0

    thread = world.thread(work, discreet=True)
    thread.start()
    assert seen.wait(DEADLINE)
    thread.stop(DEADLINE)
    assert "ValueError" in caplog.text
    assert "SESAME" not in caplog.text


@pytest.mark.parametrize(("vital", "trouble"), [(True, "the thread recorder one keeps failing"), (False, None)])
def test_only_a_vital_thread_that_keeps_failing_is_given_up(world: World, vital: bool, trouble: str | None) -> None:
    enough = threading.Event()
    count = 0

    def work() -> None:
        nonlocal count
        count += 1
        if count > FAILING_AFTER:
            enough.set()
        raise RuntimeError

    thread = world.thread(work, vital=vital)
    thread.start()
    assert enough.wait(DEADLINE)
    assert world.threads.look() == trouble


def test_a_thread_that_ended_is_seen(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise SystemExit

    thread = world.thread(work)
    thread.start()
    thread.join(DEADLINE)
    assert world.threads.look() == "the thread recorder one has ended"
    assert world.telemetry.failed == {"recorder": 1}
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]


def test_a_thread_that_hangs_is_seen_and_one_that_waits_is_not(world: World, clock: ManualClock) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(DEADLINE)

    waiting = threading.Event()

    def idle() -> None:
        waiting.set()

    hangs, waits = world.thread(work), world.thread(idle)
    hangs.start()
    waits.start()
    assert begun.wait(DEADLINE)
    assert waiting.wait(DEADLINE)
    for _ in range(121):
        assert world.threads.look() is None
        clock.advance(SECOND)
    assert world.threads.look() == "the thread recorder one has not got on for 121 s"
    hangs.progress()
    assert world.threads.look() is None
    go_on.set()


def test_a_process_that_was_paused_hangs_nowhere(world: World, clock: ManualClock) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(DEADLINE)

    world.thread(work).start()
    assert begun.wait(DEADLINE)
    assert world.threads.look() is None
    clock.advance(60 * MINUTE)
    assert world.threads.look() is None
    go_on.set()


def test_a_stopped_thread_is_no_trouble_and_one_that_drains_has_a_last_turn(world: World) -> None:
    turns: list[str] = []
    thread = world.thread(lambda: turns.append("turn"), drains=True, end=lambda: turns.append("end"))
    thread.start()
    thread.stop(DEADLINE)
    assert turns[-2:] == ["turn", "end"]
    assert not thread.alive
    assert world.threads.look() is None


def test_a_message_repeats_at_growing_intervals(clock: ManualClock) -> None:
    repeats, logged = Repeats(clock), 0
    for _ in range(3600):
        logged += repeats.is_due("away")
        clock.advance(SECOND)
    # At 0, 10, 30, 70, 150, 310, 630 s, and then every 10 min.
    assert logged == 11
    assert repeats.is_due("something else")
    assert not repeats.is_due("something else")
    repeats.over()
    assert repeats.is_due("something else")
    assert MAX_INTERVAL == 10 * MINUTE
