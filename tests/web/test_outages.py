"""What the pages tell of outages of our own."""

import re

from falcon import testing

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Calendar
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, Kind, apply
from exporter.core.monitor import Monitor
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus
from exporter.storage.repositories.history import Transition
from exporter.web.pages.bar import bar
from exporter.web.pages.outages import outage
from exporter.web.pages.rows import row
from tests.support.scenes import NOW, World, been_away, every_status

THREE = 1_790_046_000_000  # 03:00:00 UTC


def page(world: World, path: str = "/") -> str:
    text = testing.TestClient(world.app()).simulate_get(path).text
    return re.sub(r"\s+", " ", text)


def test_one_outage_is_told_in_a_sentence_and_for_a_day() -> None:
    calendar = Calendar((Span(THREE + 2 * MINUTE, THREE + 40 * MINUTE),))
    told = "The exporter accepted no heartbeats from 03:02 to 03:40 UTC (38 min). "
    told += "This time does not count against any monitor."
    assert outage(calendar, THREE + HOUR) == told
    assert outage(calendar, THREE + 40 * MINUTE + DAY) == ""
    short = Calendar((Span(THREE, THREE + 9 * SECOND),))
    assert outage(short, THREE + HOUR).startswith("The exporter accepted no heartbeats at 03:00 UTC (9 s). ")
    assert outage(Calendar(), THREE) == ""


def test_with_strict_it_says_that_it_counts() -> None:
    calendar = Calendar((Span(THREE + 2 * MINUTE, THREE + 40 * MINUTE),), forgives=False)
    assert outage(calendar, THREE + HOUR).endswith("(38 min). This time counts like any other (after_outage: strict).")


def test_several_are_summed_up_and_the_last_is_told() -> None:
    spans = Span(THREE - 30 * HOUR, THREE - 29 * HOUR), Span(THREE - HOUR, THREE), Span(THREE + HOUR, THREE + 2 * HOUR)
    assert outage(Calendar(spans), THREE + 3 * HOUR) == (
        "The exporter had 2 outages in the last 24 hours, 2 h in total; "
        "the last was from 04:00 to 05:00 UTC (1 h). This time does not count against any monitor."
    )


def test_one_that_began_long_ago_is_told_with_its_day() -> None:
    calendar = Calendar((Span(THREE - 3 * DAY, THREE),))
    assert "from Sat 19 Sep 2026, 03:00 to 03:00 UTC (3 d)" in outage(calendar, THREE + HOUR)


def test_the_bar_is_cut_and_says_so() -> None:
    up = [Transition(NOW - 3 * DAY, Status.UP, Reason.ON_TIME, NOW)]
    spans = Span(NOW - 30 * HOUR, NOW - 23 * HOUR), Span(NOW - HOUR, NOW - HOUR + 8 * SECOND), Span(NOW - SECOND, NOW)
    drawn = bar(up, NOW, "UTC", spans)
    assert [(gap.x, gap.width) for gap in drawn.gaps] == [("0", "60"), ("1380", "4"), ("1436", "4")]
    assert re.fullmatch(r"Exporter outage, until \d\d:\d\d \(1 h\)", drawn.gaps[0].title)
    assert drawn.description == "Last 24 hours: up 1 d; exporter outages 1 h"
    assert bar(up, NOW, "UTC").gaps == ()


def test_pages_show_it() -> None:
    assert "The exporter had 2 outages" in page(been_away())
    assert "The exporter had" not in page(every_status())
    monitor = page(been_away(), "/monitors/search-reindex")
    lines = re.findall(r"<tr><td>.*?</tr>", monitor)
    away = [number for number, line in enumerate(lines) if ">Exporter outage<" in line]
    assert len(away) == 3
    assert "excluded" in lines[away[0]]
    assert "9 s" in lines[away[0]]
    # The one 11 hours ago stands between the changes after it and those before.
    assert away == [0, 4, 5]
    assert "<td>counted</td>" in page(been_away(forgives=False), "/monitors/search-reindex")


def test_when_it_will_be_late_leaves_them_out() -> None:
    monitor, success = Monitor(tag="job"), THREE - MINUTE
    state = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, success)])
    watched = FleetMonitor(1, monitor, b"", CurrentStatus(Status.UP, Reason.ON_TIME, success), state)
    away = Span(THREE, THREE + HOUR)
    texts = (("Expected", "within 4 min"), ("Late", "for 56 min"))
    for calendar, late in zip((Calendar((away,)), Calendar((away,), forgives=False)), texts, strict=True):
        watched.exclusions = calendar.of(monitor)
        shown = row(watched, (), away.end)
        assert shown.due is not None
        assert (shown.due_label, shown.due.text) == late


def test_what_was_before_a_monitor_is_not_in_its_history() -> None:
    assert page(been_away(), "/monitors/new-etl").count(">Exporter outage<") == 1


def test_they_are_told_while_the_database_is_away() -> None:
    world = been_away()
    world.break_storage()
    assert "The exporter had 2 outages" in page(world)
