"""Maintenance windows as they are kept, and what they do to evaluation, alerts and history."""

from collections.abc import Iterator

import pytest

from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.errors import Conflict, NotFound
from exporter.core.maintenance import Window
from exporter.core.telemetry import Silent
from exporter.evaluation.evaluator import Evaluator
from exporter.evaluation.outages import OutageTracker
from exporter.storage.repositories.maintenances import Maintenances
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import START, ManualClock
from tests.support.replica import Replica


class Planned(Replica):
    """A replica that knows of windows."""

    def begin(self) -> "Planned":
        self.presence = OutageTracker(self.db, self.fleet, self.clock)
        self.maintenances = Maintenances(self.db, self.clock)
        self.evaluator = Evaluator(
            self.db,
            self.evaluations,
            self.history,
            self.lease,
            self.clock,
            Silent(),
            self.engine,
            calendars=self.presence,
        )
        self.presence.begin("strict")
        self.refresh()
        return self

    def live(self, milliseconds: int) -> None:
        """A second at a time, as the real one does; no outage comes of it."""
        self.clock.advance(milliseconds)
        self.evaluator.evaluate_due()


def window(name: str = "w", starts_at: int = START, duration: int = HOUR, **options: object) -> Window:
    return Window(name=name, **{"selector": Selector(), **options}, starts_at=starts_at, duration=duration)  # type: ignore[arg-type]


@pytest.fixture
def one(url: str, clock: ManualClock) -> Iterator[Planned]:
    replica = Planned(url, clock).begin()
    yield replica
    replica.db.close()


@pytest.fixture
def two(url: str, clock: ManualClock, one: Planned) -> Iterator[Planned]:
    replica = Planned(url, clock, "two").begin()
    yield replica
    replica.db.close()


def test_a_window_keeps_a_monitor_from_being_late_and_gives_it_its_time_back(one: Planned, clock: ManualClock) -> None:
    one.add("job")
    one.add("other")
    for tag in ("job", "other"):
        one.beat(tag)
    one.evaluator.evaluate_due()
    one.live(3 * MINUTE)
    began = clock.now()
    one.maintenances.add(window(starts_at=began, duration=HOUR, selector=Selector(tags=("job",))))
    one.evaluator.evaluate_due()
    assert one.status("job") == ("MAINTENANCE", "maintenance")
    one.live(59 * MINUTE)
    assert one.status("job") == ("MAINTENANCE", "maintenance")
    assert one.status("other") == ("DOWN", "missed")
    one.live(10 * MINUTE)
    assert one.past("job") == [
        ("NO_DATA", START),
        ("UP", START),
        ("MAINTENANCE", began),
        ("UP", began + HOUR),
        ("DEGRADED", began + HOUR + 2 * MINUTE + 1),
        ("DOWN", began + HOUR + 7 * MINUTE + 1),
    ]


def test_a_window_that_was_planned_begins_and_ends_at_its_moments(one: Planned, clock: ManualClock) -> None:
    one.add("job", down_after=DAY)
    one.beat("job")
    one.evaluator.evaluate_due()
    one.maintenances.add(window(starts_at=START + 2 * MINUTE, duration=MINUTE, rule="FREQ=HOURLY"))
    one.evaluator.evaluate_due()
    assert one.evaluations.next_due() == START + 2 * MINUTE
    one.live(2 * MINUTE)
    assert one.evaluations.next_due() == START + 3 * MINUTE
    one.live(HOUR)
    assert [(status, at) for status, at in one.past("job") if status == "MAINTENANCE"] == [
        ("MAINTENANCE", START + 2 * MINUTE),
        ("MAINTENANCE", START + 62 * MINUTE),
    ]


def test_ended_early(one: Planned, two: Planned, clock: ManualClock) -> None:
    one.add("job")
    two.refresh()
    one.beat("job")
    one.maintenances.add(window())
    one.evaluator.evaluate_due()
    one.live(20 * MINUTE)
    assert two.maintenances.end("w").name == "w"
    one.live(SECOND)
    assert one.past("job")[-1] == ("UP", START + 20 * MINUTE)
    one.live(10 * MINUTE + SECOND)
    assert one.past("job")[-1] == ("DOWN", START + 30 * MINUTE + 1)
    with pytest.raises(NotFound, match="not over"):
        one.maintenances.end("w")
    # The name is free again, and another process knows at once.
    two.maintenances.add(window(starts_at=clock.now()))
    assert len(one.presence.refresh().maintenances) == 2


def test_one_that_never_began_leaves_nothing(one: Planned) -> None:
    one.maintenances.add(window(starts_at=START + DAY))
    with pytest.raises(Conflict, match="already"):
        one.maintenances.add(window())
    one.maintenances.end("w")
    assert one.maintenances.all() == []


def test_an_alert_neither_begins_nor_ends_in_a_window(one: Planned, clock: ManualClock) -> None:
    one.watch(AlertRule(name="down", failure_threshold=3))
    one.add("job")
    one.beat("job")
    one.evaluator.evaluate_due()
    one.live(11 * MINUTE)
    one.maintenances.add(window(starts_at=clock.now()))
    one.evaluator.evaluate_due()
    one.live(59 * MINUTE)
    assert one.open_alerts() == []
    one.live(2 * MINUTE)
    one.live(2 * MINUTE)
    assert one.open_alerts() == ["down"]
    one.maintenances.add(window("again", starts_at=clock.now()))
    one.beat("job")
    one.live(30 * MINUTE)
    assert one.open_alerts() == ["down"]
    one.live(31 * MINUTE)
    one.beat("job")
    one.live(MINUTE)
    assert one.open_alerts() == []


def test_of_the_file(one: Planned, two: Planned, clock: ManualClock) -> None:
    nightly = window("nightly", starts_at=START - 10 * DAY, rule="FREQ=DAILY", timezone="Europe/Rome", description="x")
    once = window("once", starts_at=START - DAY)
    provision = one.maintenances.provision
    assert provision([nightly, once]) == (2, 0)
    assert two.maintenances.provision([nightly, once]) == (0, 0)
    assert [kept.window for kept in two.maintenances.all()] == [nightly, once]
    with pytest.raises(Conflict, match="configuration file"):
        one.maintenances.end("nightly")
    clock.advance(MINUTE)
    longer = window("nightly", starts_at=START - 10 * DAY, duration=2 * HOUR, rule="FREQ=DAILY", timezone="Europe/Rome")
    assert provision([longer]) == (1, 1)
    assert provision([longer]) == (0, 0)
    assert provision([]) == (0, 1)
    # What was keeps counting as it did.
    ended = [kept.window.ended_at for kept in one.maintenances.all()]
    assert ended == [clock.now(), None, clock.now()]


def test_what_is_over_is_forgotten_with_the_transitions(one: Planned, clock: ManualClock) -> None:
    one.maintenances.add(window("old"))
    one.maintenances.add(window("rule", rule="FREQ=DAILY"))
    one.maintenances.provision([window("file")])
    clock.advance(2 * DAY)
    one.maintenances.end("rule")
    clock.advance(89 * DAY)
    Pruner(one.db, clock).prune(100, 90 * DAY)
    assert [kept.window.name for kept in one.maintenances.all()] == ["rule", "file"]
    clock.advance(2 * DAY)
    Pruner(one.db, clock).prune(100, 90 * DAY)
    assert [kept.window.name for kept in one.maintenances.all()] == ["file"]


def test_a_process_that_starts_knows_the_windows_before_it_judges(one: Planned, url: str, clock: ManualClock) -> None:
    one.add("job")
    one.beat("job")
    one.maintenances.add(window())
    one.evaluator.evaluate_due()
    clock.advance(30 * MINUTE)
    one.lease.release()
    another = Planned(url, clock, "three").begin()
    another.evaluator.evaluate_due()
    assert another.status("job") == ("MAINTENANCE", "maintenance")
    another.db.close()
