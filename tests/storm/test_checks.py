"""The checks of a storm notice what they are for: each fault is made by hand, and found."""

from collections.abc import Iterator

import pytest

from exporter.core.exclusions import Calendar
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from tests.storm import checks
from tests.storm.clients import Sent
from tests.storm.record import Alarm, Change, Delivered, Record, Stored

START = 1_790_000_000_000
MONITOR = Monitor(tag="job", degraded_after=5_000, down_after=8_000)
EVERYTHING = Calendar()


def record(*beats: Heartbeat) -> Record:
    """As it ought to be after these heartbeats, long after the last of them."""
    log = [Stored(number, beat, "a", False) for number, beat in enumerate(beats)]
    made = Record(MONITOR, START, log, state=apply(NO_HEARTBEATS, beats), evaluated_at=START + 100_000)
    made.runs = [run.rid for run in made.state.runs]
    made.changes = [Change(Status.NO_DATA, Reason.NEVER_RECEIVED, START, START)]
    for status, reason, at in checks.expected(made, EVERYTHING.of(MONITOR)):
        made.changes.append(Change(status, reason, at, at))
    made.status = made.changes[-1].status
    made.alarms = [Alarm(str(one.at), one.at, None) for one in made.changes if one.status is Status.DOWN]
    return made


def success(at: int, rid: str = "") -> Heartbeat:
    return Heartbeat(Kind.SUCCESS, START + at, rid or str(at))


def sent(*beats: Heartbeat, status: int = 200) -> list[Sent]:
    return [Sent("job", one.kind.value, one.rid, one.received_at - 1, one.received_at + 1, status) for one in beats]


def problems(made: Record, requests: list[Sent], calendar: Calendar = EVERYTHING) -> Iterator[str]:
    yield from checks.stored_once(made, requests)
    yield from checks.order_of_receipt(made)
    yield from checks.history(made, requests, calendar)
    yield from checks.falsely_late(made, requests)
    deliveries = {one.uid: Delivered() for one in made.alarms}
    for uid, delivered in deliveries.items():
        delivered.keys["TRIGGERED"] = [uid]
    yield from checks.alarms(made, deliveries, calendar)


BEATS = (success(1_000), success(3_000))


def test_nothing_is_found_where_all_is_right() -> None:
    made = record(*BEATS)
    assert [one.at - START for one in made.changes] == [0, 1_000, 8_001, 11_001]
    assert list(problems(made, sent(*BEATS))) == []


def test_a_heartbeat_that_is_lost_or_stored_twice() -> None:
    assert "lost" in "".join(checks.stored_once(record(BEATS[0]), sent(*BEATS)))
    assert "more often than sent" in "".join(checks.stored_once(record(*BEATS, BEATS[1]), sent(*BEATS)))
    assert not list(checks.stored_once(record(*BEATS), sent(BEATS[0]) + sent(BEATS[1], status=0)))


def test_a_state_that_the_last_commit_decided() -> None:
    made = record(success(3_000), Heartbeat(Kind.FAILURE, START + 1_000, "fail"))
    reports = list(checks.order_of_receipt(made))
    assert any("last_outcome is failure, the log says success" in one for one in reports)


def test_a_run_that_is_left_over() -> None:
    made = record(Heartbeat(Kind.START, START, "run"), success(1_000, "run"))
    made.runs = ["run"]
    assert "open runs that have ended" in "".join(checks.order_of_receipt(made))


@pytest.mark.parametrize("damage", ["gone", "twice", "late", "unfounded", "back"])
def test_a_history_that_is_not_right(damage: str) -> None:
    made = record(*BEATS)
    last = made.changes[-1]
    if damage == "gone":
        made.changes.pop()
    elif damage == "twice":
        made.changes.append(last)
    elif damage == "late":
        made.changes[-1] = last._replace(at=last.at + 1_000)
    elif damage == "unfounded":
        made.changes += [Change(Status.UP, Reason.ON_TIME, last.at + 1_000, 0), last._replace(at=last.at + 2_000)]
    else:
        made.changes[-1] = last._replace(at=START + 500)
    assert list(problems(made, sent(*BEATS)))


def test_an_alarm_that_an_acknowledgement_contradicts() -> None:
    made = record(BEATS[0])
    assert [one.at - START for one in made.changes] == [0, 1_000, 6_001, 9_001]
    assert "falsely DOWN" in "".join(checks.falsely_late(made, sent(*BEATS)))


def test_what_is_missed_without_a_silence() -> None:
    """Whatever clocks did. The client was silent after what was stored, acknowledged or not."""
    beats = success(1_000), success(20_000)
    made = record(*beats)
    assert sum(one.status is Status.DOWN for one in made.changes) == 2
    assert list(checks.outline(made, sent(*beats, status=0))) == []
    assert list(checks.outline(made, sent(beats[0], success(4_000), success(8_000))))


def test_alerts_that_are_gone_or_have_two_keys() -> None:
    made = record(*BEATS)
    (alarm,) = made.alarms
    twice = Delivered()
    twice.keys["TRIGGERED"] = ["one", "two"]
    assert "under the keys" in "".join(checks.alarms(made, {alarm.uid: twice}, EVERYTHING))
    assert "nothing was sent" in "".join(checks.alarms(made, {}, EVERYTHING))
    made.alarms = []
    assert "alerts began at []" in "".join(checks.alarms(made, {}, EVERYTHING))


def test_what_blackouts_forgive_is_expected_later() -> None:
    calendar = Calendar((Span(START + 4_000, START + 24_000),))
    assert "transitions are" in "".join(checks.history(record(*BEATS), sent(*BEATS), calendar))
