"""Recurrence rules: against dateutil on the wall clock, by what RFC 5545 forbids, and within a time."""

import datetime as datetime_module
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import process_time
from types import ModuleType
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import dateutil.rrule
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.calendar.recurrence import Recurrence, check_rule
from exporter.core.clock import DAY, HOUR
from exporter.core.errors import InvalidValue

ROME = "Europe/Rome"
_SHORT = ModuleType("datetime")
_SHORT.__dict__.update(vars(datetime_module), MAXYEAR=2033)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def at(text: str, zone: str = ROME) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


START = at("2026-12-06T02:00")


def starts(rule: str, number: int, first: int = START, zone: str = ROME) -> list[str]:
    made, found, moment = Recurrence(rule, first, zone), [], first - 1
    for _ in range(number):
        begins = made.after(moment)
        if begins is None:
            break
        found.append(f"{datetime.fromtimestamp(begins / 1000, ZoneInfo(zone)):%Y-%m-%dT%H:%M%z}")
        moment = begins
    return found


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=00", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=\u0661", "one line"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20271231", "not both"),
        ("FREQ=DAILY;UNTIL=2027-12-31", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20270231", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20271231T2500", "UNTIL"),
        ("FREQ=WEEKLY;BYDAY=1MO", "MONTHLY and YEARLY"),
        ("FREQ=DAILY;BYDAY=-1MO", "MONTHLY and YEARLY"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=MO(+1)", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=", "NAME=VALUE"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYWEEKNO"),
        ("FREQ=MONTHLY;BYWEEKNO=20", "YEARLY"),
        ("FREQ=YEARLY;BYWEEKNO=0", "BYWEEKNO"),
        ("FREQ=YEARLY;BYWEEKNO=54", "BYWEEKNO"),
        ("FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY"),
        ("FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
        ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR"),
        ("FREQ=DAILY;BYMINUTE=60", "BYMINUTE"),
        ("FREQ=DAILY;BYSECOND=61", "BYSECOND"),
        ("FREQ=DAILY;BYHOUR=1,", "BYHOUR"),
        ("FREQ=MONTHLY;BYSETPOS=1", "give one"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "BYSETPOS"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=YEARLY;BYEASTER=1", "not a part"),
        ("FREQ=YEARLY;SKIP=OMIT", "not a part"),
        ("FREQ=WEEKLY;WKST=1", "WKST"),
        ("FREQ=DAILY;", "empty part"),
        ("FREQ=DAILY; INTERVAL=2", "blanks"),
        ("EXRULE:FREQ=DAILY", "not a part"),
        ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "YEARLY to HOURLY"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never begins"),
        ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "never begins"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=3", "never begins"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "never begins"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", "never begins"),
        ("FREQ=MONTHLY;BYDAY=6MO", "never begins"),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTH=3", "never begins"),
        ("FREQ=YEARLY;UNTIL=20261201", "never begins"),
        ("FREQ=HOURLY;BYMINUTE=0,1,2,3,4,5,6,7,8,9", "more often"),
        ("FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=" + ",".join(map(str, range(60))), "more often"),
    ],
)
def test_what_is_forbidden_is_refused_soon_with_the_reason(rule: str, said: str) -> None:
    start = process_time()
    with pytest.raises(InvalidValue, match=said):
        check_rule(rule, START, ROME)
    assert process_time() - start < 0.5  # under a tenth, on a machine that does nothing else


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        ("FREQ=DAILY;UNTIL=20261210", "2026-12-10T02:00+0100"),
        ("FREQ=DAILY;UNTIL=20261210T020000", "2026-12-10T02:00+0100"),
        ("FREQ=DAILY;UNTIL=20261210T015959", "2026-12-09T02:00+0100"),
        ("FREQ=DAILY;UNTIL=20261210T010000Z", "2026-12-10T02:00+0100"),
        ("FREQ=DAILY;UNTIL=20261210T005959Z", "2026-12-09T02:00+0100"),
        ("FREQ=DAILY;COUNT=5", "2026-12-10T02:00+0100"),
        ("RRULE:freq=daily;count=0005", "2026-12-10T02:00+0100"),
    ],
)
def test_the_last(rule: str, last: str) -> None:
    assert starts(check_rule(rule, START, ROME), 9)[-1] == last


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("FREQ=YEARLY;BYWEEKNO=20", ["2027-05-23T02:00+0200", "2028-05-21T02:00+0200"]),
        ("FREQ=YEARLY;BYDAY=1MO,-1TU,WE;BYMONTH=1", ["2027-01-04", "2027-01-06", "2027-01-13"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-12-31", "2027-01-29"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-12-31", "2027-01-31", "2027-03-31"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29"]),
        ("FREQ=DAILY;BYHOUR=3;BYSECOND=60", ["2026-12-06T03:00"]),
    ],
)
def test_what_is_allowed_is_right(rule: str, wanted: list[str]) -> None:
    found = starts(check_rule(rule, START, ROME), len(wanted))
    assert [one[: len(text)] for one, text in zip(found, wanted, strict=True)] == wanted


def test_clocks_that_skip_and_repeat() -> None:
    spring = at("2027-03-28T00:00")
    assert starts("FREQ=HOURLY;BYMINUTE=0,30", 8, spring) == [
        "2027-03-28T00:00+0100",
        "2027-03-28T00:30+0100",
        "2027-03-28T01:00+0100",
        "2027-03-28T01:30+0100",
        "2027-03-28T03:00+0200",  # 02:00 and 03:00 are the same moment
        "2027-03-28T03:30+0200",
        "2027-03-28T04:00+0200",
        "2027-03-28T04:30+0200",
    ]
    assert starts("FREQ=DAILY", 3, at("2027-03-27T02:30")) == [
        "2027-03-27T02:30+0100",
        "2027-03-28T03:30+0200",
        "2027-03-29T02:30+0200",
    ]
    autumn = starts("FREQ=DAILY", 3, at("2027-10-30T02:30"))
    assert autumn == ["2027-10-30T02:30+0200", "2027-10-31T02:30+0200", "2027-11-01T02:30+0100"]
    # A day of the calendar that did not exist.
    assert starts("FREQ=DAILY", 3, at("2011-12-29T12:00", "Pacific/Apia"), "Pacific/Apia") == [
        "2011-12-29T12:00-1000",
        "2011-12-31T12:00+1400",
        "2012-01-01T12:00+1400",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY",
        "FREQ=HOURLY;COUNT=999999999999999999",
        "FREQ=DAILY;COUNT=1000000",
        "FREQ=HOURLY;INTERVAL=7;COUNT=100000",
        "FREQ=YEARLY;INTERVAL=99999999999999",
        "FREQ=DAILY;INTERVAL=99999999999999",
        "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=-1;COUNT=5000",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=YEARLY;BYDAY=MO,TU,WE;BYHOUR=1,2,3;BYSETPOS=5,-366",
    ],
)
def test_searches_are_short_however_long_ago_it_began(rule: str) -> None:
    for first in (0, START):
        start = process_time()
        check_rule(rule, first, "America/New_York")
        made = Recurrence(rule, first, "America/New_York")
        made.after(START + 3 * DAY)
        made.between(START, START + 31 * DAY)
        assert process_time() - start < 1  # a tenth of it, on a machine that does nothing else


def test_counts_from_decades_ago() -> None:
    made = Recurrence("FREQ=HOURLY;COUNT=20000", 0, "UTC")
    assert made.after(19_998 * HOUR) == 19_999 * HOUR
    assert made.after(19_999 * HOUR) is None


def _numbers(low: int, high: int, signed: bool = False) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    if signed:
        number = st.one_of(number, number.map(lambda one: -one))
    return st.lists(number, min_size=1, max_size=4).map(lambda some: ",".join(map(str, some)))


@st.composite
def rules(draw: Any) -> str:
    """Rules on which dateutil and RFC 5545 agree."""
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = {"INTERVAL": str(draw(st.integers(1, 5)))}
    limits: dict[str, st.SearchStrategy[str]] = {"BYMONTH": _numbers(1, 12), "BYHOUR": _numbers(0, 23)}
    limits["BYMINUTE"] = _numbers(0, 59)
    weekday = st.sampled_from(DAYS)
    limits["BYDAY"] = st.lists(weekday, min_size=1, max_size=4, unique=True).map(",".join)
    if frequency != "WEEKLY":
        limits["BYMONTHDAY"] = _numbers(1, 31, True)
    if frequency in ("YEARLY", "HOURLY"):
        limits["BYYEARDAY"] = _numbers(1, 366, True)
    for name in draw(st.lists(st.sampled_from(sorted(limits)), max_size=3, unique=True)):
        parts[name] = draw(limits[name])
    if frequency in ("YEARLY", "MONTHLY") and draw(st.booleans()):
        top = 5 if frequency == "MONTHLY" or "BYMONTH" in parts else 53
        ordinal = st.tuples(st.integers(-top, top).filter(bool), weekday).map(lambda one: f"{one[0]}{one[1]}")
        parts["BYDAY"] = draw(st.lists(ordinal, min_size=1, max_size=3).map(",".join))
    if frequency == "YEARLY" and parts.get("BYDAY", "MO")[0].isalpha() is not False and draw(st.booleans()):
        parts["BYWEEKNO"], parts["INTERVAL"] = draw(_numbers(1, 53, True)), "1"
        parts.setdefault("BYDAY", "SU")  # dateutil takes the whole week, RFC 5545 the weekday of DTSTART
    if frequency != "WEEKLY" and any(name.startswith("BY") for name in parts) and draw(st.booleans()):
        parts["BYSETPOS"] = draw(_numbers(1, 10, True))
    if draw(st.booleans()):
        parts["WKST"] = draw(weekday)
    if draw(st.booleans()):
        parts["COUNT"] = str(draw(st.integers(1, 30)))
    return f"FREQ={frequency};" + ";".join(f"{name}={value}" for name, value in parts.items())


@settings(deadline=None, max_examples=300)
@given(rules(), st.integers(0, 2000), st.integers(0, 23))
def test_begins_when_dateutil_says(rule: str, day: int, hour: int) -> None:
    start = datetime(2024, 1, 1, hour, 20) + timedelta(days=day)  # noqa: DTZ001 - wall time
    first = round(start.replace(tzinfo=UTC).timestamp() * 1000)
    end = start + timedelta(days=800)
    oracle = []
    with patch.object(dateutil.rrule, "datetime", _SHORT):  # a rule that never occurs is searched to the year 9999
        try:
            for wall in dateutil.rrule.rrulestr(rule, dtstart=start):
                if wall >= end or len(oracle) >= 2000:
                    break
                oracle.append(round(wall.replace(tzinfo=UTC).timestamp() * 1000))
        except ValueError as error:
            assert "empty set" in str(error)
    found = Recurrence(rule, first, "UTC").between(first, first + 800 * DAY)
    assert list(islice(found, 2000)) == oracle
