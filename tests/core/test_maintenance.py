"""Windows, once and recurring: against a plain list of beginnings, and across daylight saving."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.alerts.alert_rule import Selector
from exporter.core.calendar.recurrence import Recurrence, check_rule
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.errors import InvalidValue
from exporter.core.exclusions import Calendar
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.maintenance import Window
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, covering, merged
from exporter.core.status import Status, evaluate
from tests.conftest import START

ROME = "Europe/Rome"
ALL = Selector()


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def weekly(**options: object) -> Window:
    given = {"starts_at": at("2026-01-04T02:00", ROME), "duration": 2 * HOUR, "rule": "FREQ=WEEKLY", "timezone": ROME}
    return Window(name="weekly", selector=ALL, **{**given, **options})  # type: ignore[arg-type]


def test_once() -> None:
    window = Window(name="once", selector=ALL, starts_at=START, duration=HOUR)
    assert window.spans(0, START) == ()
    assert window.spans(START, START + 1) == (Span(START, START + HOUR),)
    assert window.spans(START + HOUR - 1, START + DAY) == (Span(START, START + HOUR),)
    assert window.spans(START + HOUR, START + DAY) == ()
    assert window.next_start(START - 1) == START
    assert window.next_start(START) is None
    assert window.over_at() == START + HOUR


def test_ended() -> None:
    window = Window(name="once", selector=ALL, starts_at=START, duration=HOUR, ended_at=START + MINUTE)
    assert window.spans(0, START + DAY) == (Span(START, START + MINUTE),)
    assert window.over_at() == START + MINUTE
    never = Window(name="once", selector=ALL, starts_at=START, duration=HOUR, ended_at=START - 1)
    assert never.spans(0, START + DAY) == ()
    assert never.next_start(0) is None
    begins = at("2026-01-11T02:00", ROME)
    cut = weekly(ended_at=begins + MINUTE)
    assert cut.spans(begins, begins + 30 * DAY) == (Span(begins, begins + MINUTE),)
    assert cut.next_start(begins) is None


def test_wall_time_stays_when_the_clocks_change() -> None:
    spans = weekly().spans(at("2026-03-21T12:00"), at("2026-04-06T00:00"))
    assert [span.start for span in spans] == [
        at("2026-03-22T01:00"),  # winter: 02:00 is 01:00 in UTC
        at("2026-03-29T01:00"),  # skipped by the clocks: 03:00 summer time
        at("2026-04-05T00:00"),  # summer
    ]
    assert {span.length for span in spans} == {2 * HOUR}
    daily = weekly(rule="FREQ=DAILY", starts_at=at("2026-10-20T02:30", ROME))
    begins = [span.start for span in daily.spans(at("2026-10-24T12:00"), at("2026-10-26T12:00"))]
    assert begins == [at("2026-10-25T00:30"), at("2026-10-26T01:30")]  # the first of the two that are called 02:30


@given(
    st.sampled_from(["UTC", ROME, "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, 400),
    st.integers(1, 5),
    st.integers(1, 60),
    st.integers(-10, 420),
    st.integers(1, 60),
)
def test_as_a_plain_list(zone: str, first: int, every: int, hours: int, start: int, days: int) -> None:
    begin = datetime(2026, 1, 1, 2, 30) + timedelta(days=first)  # noqa: DTZ001 - wall time
    window = Window(
        name="w",
        selector=ALL,
        starts_at=round(begin.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000),
        duration=hours * HOUR,
        rule=f"FREQ=DAILY;INTERVAL={every}",
        timezone=zone,
    )
    begins = [
        round((begin + timedelta(days=every * number)).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
        for number in range(600)
    ]
    low = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000) + start * DAY
    high = low + days * DAY
    whole = merged(Span(one, one + hours * HOUR) for one in begins)
    found = window.spans(low, high)
    for moment in range(low, high, 6 * HOUR):
        assert (covering(found, moment) is None) == (covering(whole, moment) is None)
    assert window.next_start(low) == next(one for one in begins if one > low)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "no rule"),
        ("FREQ=SECONDLY", "of YEARLY to HOURLY"),
        ("FREQ=MINUTELY;INTERVAL=30", "of YEARLY to HOURLY"),
        ("FREQ=HOURLY;BYMINUTE=0,1,2,3,4,5,6,7,8,9", "more often"),
        ("FREQ=DAILY;COUNT=0x", "no rule"),
        ("FREQ=WEEKLY;BYDAY=SX", "no rule"),
        ("FREQ=WEEKLY;NONSENSE=1", "no rule"),
        ("FREQ=DAILY;UNTIL=20200101T000000", "never begins"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY", "no rule"),
        ("FREQ=DAILY;" + "X" * 600, "longer than"),
    ],
)
def test_bad_rules(rule: str, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        check_rule(rule, START, ROME)


def test_a_rule_of_an_earlier_version_that_cannot_be_used_never_begins() -> None:
    window = weekly(rule="FREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1")
    assert window.trouble is not None
    assert "INTERVAL" in window.trouble
    assert window.spans(0, START + 99 * DAY) == ()
    assert window.next_start(START) is None
    assert weekly().trouble is None


@pytest.mark.parametrize(
    "rule", ["FREQ=WEEKLY;BYDAY=SA,SU", "RRULE:FREQ=MONTHLY;BYDAY=1SU", "freq=daily", "FREQ=HOURLY"]
)
def test_good_rules(rule: str) -> None:
    assert check_rule(rule, START, ROME) == rule


def test_a_rule_that_ends() -> None:
    rule = Recurrence("FREQ=DAILY;COUNT=3", START, "UTC")
    assert rule.between(0, START + 99 * DAY) == [START, START + DAY, START + 2 * DAY]
    assert rule.after(START + 2 * DAY) is None
    assert Recurrence("FREQ=YEARLY;INTERVAL=30", START, "UTC").after(START) is None


def test_what_a_window_does_to_a_monitor() -> None:
    window = Window(name="w", selector=Selector(tags=("job*",)), starts_at=START + 3 * MINUTE, duration=HOUR)
    calendar = Calendar((), (window,))
    monitor, other = Monitor(tag="job-1"), Monitor(tag="else")
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, START)])

    def status(one: Monitor, after: int) -> Status:
        return evaluate(one, state, START + after, calendar.of(one)).status

    assert status(monitor, 3 * MINUTE - 1) is Status.UP
    assert status(monitor, 3 * MINUTE) is status(monitor, 63 * MINUTE - 1) is Status.MAINTENANCE
    # Two minutes of its five were left, and are left.
    assert status(monitor, 63 * MINUTE) is status(monitor, 65 * MINUTE) is Status.UP
    assert status(monitor, 65 * MINUTE + 1) is Status.DEGRADED
    assert status(other, 10 * MINUTE + 1) is Status.DOWN


def test_only_those_windows_are_asked_that_may_apply() -> None:
    def window(name: str, **selector: tuple[str, ...]) -> Window:
        return Window(name=name, selector=Selector(**selector), starts_at=START, duration=HOUR)

    exact, glob = window("exact", tags=("a", "b")), window("glob", tags=("a*",))
    grouped = window("grouped", tags=("a",), groups=("x",))
    assert exact.tags() == {"a", "b"}
    assert glob.tags() is window("all").tags() is None
    calendar = Calendar((), (exact, glob, grouped))
    for monitor in (
        Monitor(tag="a"),
        Monitor(tag="a", group="x"),
        Monitor(tag="b"),
        Monitor(tag="ab"),
        Monitor(tag="c"),
    ):
        expected = {one.name for one in calendar.maintenances if one.applies_to(monitor)}
        assert {one.name for one in calendar.of(monitor).maintenances} == expected  # type: ignore[attr-defined]
    assert calendar.of(Monitor(tag="b")) is calendar.of(Monitor(tag="b", name="other"))
