"""The fleet and its calendar, whichever thread is first."""

from collections.abc import Iterator

from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet, FleetMonitor
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
