"""The log tells what happened: constant texts, documented fields, and never more lines than anybody can read."""

import json
import logging
import re
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from exporter.app.log_setup import set_up_logging
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.exclusions import Calendar
from exporter.core.maintenance import Selector, Window
from exporter.core.status import Status
from exporter.evaluation.windows import MaintenanceWatch
from exporter.presentation.events import FIELDS, LINES, PERIOD, EventLog, LogEvent, some
from tests.conftest import START, ManualClock

DOCS = (Path(__file__).parent.parent.parent / "docs" / "log.md").read_text()


@pytest.fixture
def output() -> Iterator[StringIO]:
    """JSON lines."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    set_up_logging("info", "json")
    handler, stream = root.handlers[0], StringIO()
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    root.handlers, root.level = before, level


def lines(output: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_the_documentation_names_each_event_and_its_fields() -> None:
    rows = re.findall(r"^\| `([a-z ]+)` \| (\w+) \| (.*?) \|", DOCS, re.MULTILINE)
    documented = {event: re.findall(r"`(\w+)`", fields) for event, _, fields in rows}
    assert documented.pop("heartbeat refused") == ["reason", "tag", "address"]
    assert documented == {event.value: list(FIELDS[event]) for event in LogEvent}
    assert {event for event, level, _ in rows if level != "info"} == {"notification failed", "notification given up"}


def test_a_line_is_the_event_and_its_fields(output: StringIO, clock: ManualClock) -> None:
    EventLog(clock).record(
        LogEvent.STATUS_CHANGED, monitor="job", status=Status.DOWN, previous=Status.UP, reason=None, at=START
    )
    (line,) = lines(output)
    assert line.pop("timestamp")
    assert line == {
        "event": "status changed",
        "level": "info",
        "logger": "exporter.events",
        "monitor": "job",
        "status": "DOWN",
        "previous": "UP",
        "at": "2026-09-21T14:13:20.000Z",
    }


def test_a_field_that_is_not_documented_is_a_defect(clock: ManualClock) -> None:
    with pytest.raises(AssertionError, match="secret"):
        EventLog(clock).record(LogEvent.MONITOR_ADDED, secret="no")


def test_no_event_has_a_field_that_a_log_record_has_for_itself() -> None:
    taken = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "level", "logger", "timestamp"}
    assert not {name for fields in FIELDS.values() for name in fields} & taken


def test_of_a_hundred_thousand_changes_at_once_some_are_logged_and_all_are_counted(
    output: StringIO, clock: ManualClock
) -> None:
    events = EventLog(clock)
    began = time.process_time()
    for number in range(100_000):
        status = Status.DOWN if number % 10 else Status.DEGRADED
        events.record(LogEvent.STATUS_CHANGED, monitor=f"job{number}", status=status, at=START)
    took = time.process_time() - began
    events.record(LogEvent.ALERT_FIRING, monitor="job")  # other events have lines of their own
    assert len(lines(output)) == LINES + 1
    assert took < 5, "the log is the bottleneck"
    events.flush()
    assert len(lines(output)) == LINES + 1
    clock.advance(PERIOD)
    events.flush()
    events.flush()
    *_, summary = lines(output)
    assert len(lines(output)) == LINES + 2
    assert summary["event"] == "events omitted"
    assert summary["omitted"] == "status changed"
    assert summary["count"] == 100_000 - LINES
    assert summary["by_status"] == "DOWN 89820, DEGRADED 9980"
    events.record(LogEvent.STATUS_CHANGED, monitor="job", status=Status.UP, at=START)
    assert lines(output)[-1]["monitor"] == "job"


def test_the_end_of_the_process_loses_no_count(output: StringIO, clock: ManualClock) -> None:
    events = EventLog(clock, lines=1)
    for _ in range(3):
        events.record(LogEvent.MONITOR_ADDED, monitor="job")
    events.close()
    events.close()
    assert [line["event"] for line in lines(output)] == ["monitor added", "events omitted"]
    assert lines(output)[-1]["count"] == 2


def test_of_many_names_the_first_ten_are_one_field() -> None:
    assert some([f"job{number // 2}" for number in range(100)]) == ",".join(f"job{number}" for number in range(10))


def test_windows_that_start_and_end(output: StringIO, clock: ManualClock) -> None:
    watch = MaintenanceWatch(EventLog(clock))

    def window(name: str, starts_at: int, ended_at: int | None = None, rule: str | None = None) -> Window:
        return Window(name=name, selector=Selector(), starts_at=starts_at, duration=HOUR, ended_at=ended_at, rule=rule)

    daily = window("daily", START + HOUR, rule="FREQ=DAILY")
    calendar = Calendar(maintenances=(window("running", START - MINUTE), daily))

    def look(*windows: Window) -> list[tuple[object, object]]:
        nonlocal calendar
        if windows:
            calendar = Calendar(maintenances=windows)
        before = len(lines(output))
        watch.look(calendar, clock.now())
        return [(line["event"], line["maintenance"]) for line in lines(output)[before:]]

    assert look() == []  # what runs when this process takes over was logged by the one before
    clock.advance(HOUR - MINUTE)
    assert look() == [("maintenance ended", "running")]
    clock.advance(MINUTE)
    assert look() == [("maintenance started", "daily")]
    assert lines(output)[-1]["until"] == "2026-09-21T16:13:20.000Z"
    clock.advance(MINUTE)
    assert look(window("daily", START + HOUR, clock.now(), "FREQ=DAILY")) == [("maintenance ended", "daily")]
    assert look(daily) == [("maintenance started", "daily")]
    clock.advance(DAY)
    assert look() == [("maintenance started", "daily")]
    watch.forget()
    clock.advance(HOUR)
    assert look() == []
