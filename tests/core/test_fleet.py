"""The fleet: who may write to it, and its calendar, whichever thread is first."""

import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet, FleetMonitor, Writer, WrongThread
from exporter.core.heartbeat import HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus

NEW = Calendar((Span(1, 2),))


def watched(number: int) -> FleetMonitor:
    return FleetMonitor(number, Monitor(tag=f"job{number}"), b"", CurrentStatus(Status.UP, Reason.ON_TIME, 0))


def test_a_calendar_is_used_for_whoever_is_there_and_whoever_comes() -> None:
    fleet = Fleet()
    fleet.update([watched(1)])
    fleet.use(NEW)
    fleet.update([watched(1), watched(2)])
    assert fleet.calendar is NEW
    assert [one.exclusions.blackouts for one in fleet] == [NEW.blackouts] * 2


def test_a_calendar_that_comes_while_monitors_are_read_is_used_for_them_too() -> None:
    fleet = Fleet()
    fleet.update([watched(1)])

    def read() -> Iterator[FleetMonitor]:
        yield watched(1)
        fleet.use(NEW)
        yield watched(2)

    fleet.update(read())
    assert [one.exclusions.blackouts for one in fleet] == [NEW.blackouts] * 2


STATE = HeartbeatState(received=1)
DOWN = CurrentStatus(Status.DOWN, Reason.MISSED, 1)


def on_another_thread(action: Callable[[], object]) -> BaseException | None:
    """What `action` raises there."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            action()
            raised.append(None)
        except Exception as error:  # noqa: BLE001 - for the test to look at
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return raised[0]


WRITES: dict[str, tuple[Writer, Callable[[Fleet, FleetMonitor], object]]] = {
    "a state": (Writer.RECORDER, lambda fleet, one: setattr(one, "state", STATE)),
    "a definition": (Writer.RECORDER, lambda fleet, one: setattr(one, "monitor", Monitor(tag="job1", name="new"))),
    "a digest": (Writer.RECORDER, lambda fleet, one: setattr(one, "digest", b"new")),
    "a new monitor": (Writer.RECORDER, lambda fleet, one: fleet.update([watched(2)])),
    "a removal": (Writer.RECORDER, lambda fleet, one: fleet.update((), [1])),
    "a status": (Writer.EVALUATOR, lambda fleet, one: setattr(one, "current", DOWN)),
    "a history": (Writer.EVALUATOR, lambda fleet, one: setattr(one, "past", ())),
}


@pytest.mark.parametrize("name", WRITES)
def test_only_the_thread_that_claimed_a_part_writes_it(name: str) -> None:
    writer, write = WRITES[name]
    fleet, one = Fleet(), watched(1)
    fleet.update([one])
    assert on_another_thread(lambda: write(fleet, one)) is None  # before anything is claimed
    fleet.update([watched(1)])
    fleet.claim(writer)
    assert isinstance(on_another_thread(lambda: write(fleet, one)), WrongThread)
    assert isinstance(on_another_thread(lambda: fleet.claim(writer)), WrongThread)
    write(fleet, one)
    fleet.release(writer)
    assert on_another_thread(lambda: fleet.claim(writer)) is None
    with pytest.raises(WrongThread):
        write(fleet, one)


def test_the_recorder_replaces_whole_monitors_that_the_evaluator_writes_to() -> None:
    fleet, one = Fleet(), watched(1)
    fleet.update([one])
    fleet.claim(Writer.RECORDER)
    on_another_thread(lambda: fleet.claim(Writer.EVALUATOR))
    changed = watched(1)
    changed.current, changed.state = DOWN, STATE
    fleet.update([changed])
    assert (one.current, one.state) == (DOWN, STATE)
    # And the parts of the one are not the other's.
    fleet.release(Writer.EVALUATOR)
    fleet.claim(Writer.EVALUATOR)
    fleet.release(Writer.RECORDER)
    on_another_thread(lambda: fleet.claim(Writer.RECORDER))
    one.current = CurrentStatus(Status.UP, Reason.ON_TIME, 2)
    with pytest.raises(WrongThread):
        one.state = HeartbeatState()


def test_a_calendar_may_come_from_any_thread() -> None:
    fleet, one = Fleet(), watched(1)
    fleet.update([one])
    fleet.claim(Writer.RECORDER)
    fleet.claim(Writer.EVALUATOR)
    assert on_another_thread(lambda: fleet.use(NEW)) is None
    assert one.exclusions.blackouts == NEW.blackouts


def test_a_fleet_in_production_has_plain_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fleet, "checked", False)
    fleet, one = Fleet(), watched(1)
    fleet.update([one])
    assert type(one) is FleetMonitor
    assert "__setattr__" not in vars(FleetMonitor)
    monkeypatch.undo()
    assert Fleet.checked
