"""A clock that steps while something lasts: statuses and alerts are those of the time that really passed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import HOUR, MINUTE, SECOND, PastMoment
from exporter.core.heartbeat import Claim, Heartbeat, Kind
from exporter.core.maintenance import Selector, Window
from exporter.core.telemetry import RejectReason
from exporter.ingest.guesses import Guesses
from exporter.ingest.refusals import Refusals
from exporter.recording.late import LatePending
from exporter.recording.statements import Pending
from exporter.storage.repositories.maintenances import Maintenances
from tests.alerting.test_holds import HOLD, Holding
from tests.conftest import START, ManualClock
from tests.evaluation.test_clock_watch import Machine, one
from tests.recording.test_spool import Spooling, away

__all__ = ["one"]  # a fixture

EVERY = 4 * SECOND
SLACK = 15 * SECOND
"""Between what is right and what may be found: how often the tests look, and how old a stamp may be."""

Steps = Callable[[Machine, ManualClock], None]


def forward_and_back(one: Machine, clock: ManualClock) -> None:
    """The step is believed, and a minute later it is undone."""
    one.synchronised = True
    clock.step(HOUR)
    one.live(MINUTE, EVERY)
    clock.step(-HOUR)
    one.live(EVERY)


def forward_and_back_in_doubt(one: Machine, clock: ManualClock) -> None:
    one.synchronised = False
    forward(one, clock)
    one.live(MINUTE, EVERY)
    clock.step(-HOUR)
    one.live(EVERY)


def forward(one: Machine, clock: ManualClock) -> None:
    clock.step(HOUR)
    one.live(EVERY)


def forward_believed(one: Machine, clock: ManualClock) -> None:
    one.synchronised = True
    forward(one, clock)


def back(one: Machine, clock: ManualClock) -> None:
    one.synchronised = True
    clock.step(-HOUR)
    one.live(EVERY)


STEPS = [forward_and_back, forward_and_back_in_doubt, forward_believed, back]
every_step = pytest.mark.parametrize("steps", STEPS, ids=lambda steps: steps.__name__)


class Elapsed:
    """How long the test has lived, whatever the wall clock says."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._since = clock.steady

    def __call__(self) -> int:
        return self._clock.steady - self._since


def until(one: Machine, tag: str, status: tuple[str, str], limit: int) -> None:
    """Lives until the monitor has this status."""
    elapsed = Elapsed(one.machine)
    while one.status(tag) != status:
        assert elapsed() < limit, (one.status(tag), one.past(tag))
        one.live(EVERY)


@every_step
def test_an_open_run_overruns_when_it_has_run_for_too_long(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.add("job", max_runtime=5 * MINUTE)
    one.send("job")
    one.live(EVERY)
    elapsed = Elapsed(clock)
    one.send("job", Kind.START)
    one.live(2 * MINUTE, EVERY)
    steps(one, clock)
    assert one.status("job") == ("UP", "on_time")
    until(one, "job", ("DOWN", "overrun"), HOUR)
    assert 5 * MINUTE <= elapsed() <= 5 * MINUTE + SLACK


@every_step
def test_a_run_is_as_long_as_it_was(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.add("long", min_runtime=2 * MINUTE)
    one.add("short", min_runtime=10 * MINUTE)
    for tag in ("long", "short"):
        one.send(tag, Kind.START)
    one.live(3 * MINUTE, EVERY)
    steps(one, clock)
    for tag in ("long", "short"):
        one.send(tag)
    one.live(EVERY)
    assert one.status("long") == ("UP", "on_time")
    assert one.status("short") == ("DEGRADED", "too_short")
    (took,) = one.execute("SELECT last_duration FROM states WHERE outcome_duration < 600000 ORDER BY 1 LIMIT 1")
    assert 3 * MINUTE - SLACK <= took[0] <= 4 * MINUTE + SLACK


@every_step
@pytest.mark.parametrize("tolerance", [0, 1])
def test_an_interval_ends_when_it_has_passed(one: Machine, clock: ManualClock, steps: Steps, tolerance: int) -> None:
    one.add("job", every=6 * MINUTE, degraded_after=MINUTE, down_after=2 * MINUTE, failure_tolerance=tolerance)
    one.send("job")
    one.live(EVERY)
    elapsed = Elapsed(clock)
    one.send("job", Kind.FAILURE if tolerance else Kind.SUCCESS)
    one.live(3 * MINUTE, EVERY)
    steps(one, clock)
    assert one.status("job") == (("DEGRADED", "failing") if tolerance else ("UP", "on_time"))
    until(one, "job", ("DOWN", "missed"), HOUR)
    # What was received less than a step ago becomes the moment at which the step back is noticed.
    again = 3 * MINUTE + EVERY if steps is back else 0
    assert 8 * MINUTE <= elapsed() <= 8 * MINUTE + SLACK + again


@every_step
def test_tolerated_failures_are_counted_across_it(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.add("job", failure_tolerance=2, down_after=HOUR, degraded_after=30 * MINUTE)
    one.watch(AlertRule(name="down", notify=("ops",)))
    one.send("job")
    for _ in range(2):
        one.live(MINUTE, EVERY)
        one.send("job", Kind.FAILURE)
    one.live(EVERY)
    assert one.status("job") == ("DEGRADED", "failing")
    steps(one, clock)
    assert one.status("job") == ("DEGRADED", "failing")
    assert one.open_alerts() == []
    one.send("job", Kind.FAILURE)
    one.live(EVERY)
    assert one.status("job") == ("DOWN", "failed")
    assert one.open_alerts() == ["down"]
    one.send("job")
    one.live(EVERY)
    assert one.status("job") == ("UP", "on_time")


@pytest.mark.parametrize("steps", [forward_and_back, forward_and_back_in_doubt], ids=lambda steps: steps.__name__)
def test_an_early_success_serves_its_tick(one: Machine, clock: ManualClock, steps: Steps) -> None:
    """At 14:19:10, with a tick at 14:20."""
    one.add("job", schedule="*/20 * * * *", degraded_after=MINUTE, down_after=2 * MINUTE, early=MINUTE)
    one.send("job")
    one.live(5 * MINUTE + 50 * SECOND, EVERY)
    one.send("job")
    steps(one, clock)
    one.live(8 * MINUTE, EVERY)
    assert one.statuses("job") == ["NO_DATA", "UP"]


@every_step
def test_a_late_heartbeat_that_was_kept(one: Machine, clock: ManualClock, steps: Steps) -> None:
    """Of two outcomes the later one decides, also when both become the same moment."""
    one.add("job", down_after=HOUR, degraded_after=30 * MINUTE, max_runtime=2 * HOUR)
    one.live(EVERY)

    def late(kind: Kind, ago: int) -> None:
        watched, now = one.fleet.get("job"), one.receipts.now()
        assert watched is not None
        one.recorder._commit([LatePending(watched, Heartbeat(kind, now - ago), Claim(now - ago, now))])

    one.send("job", Kind.FAILURE)
    late(Kind.SUCCESS, 10 * MINUTE)
    one.live(EVERY)
    assert one.status("job") == ("DOWN", "failed")
    steps(one, clock)
    assert one.status("job") == ("DOWN", "failed")
    late(Kind.LOG, 5 * MINUTE)
    late(Kind.START, 6 * MINUTE)
    one.live(EVERY)
    assert one.status("job") == ("DOWN", "failed")
    assert one.latest() <= clock.now()
    one.send("job")
    one.live(EVERY)
    assert one.status("job")[0] == "UP"
    assert [at for _, at in one.past("job")] == sorted(at for _, at in one.past("job"))


@every_step
def test_a_pause_lasts_as_long_as_it_was_made_for(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.add("job", degraded_after=MINUTE, down_after=2 * MINUTE)
    one.send("job")
    one.live(EVERY)
    elapsed = Elapsed(clock)
    pause = Window(name="pause", selector=Selector(tags=("job",)), starts_at=one.clock.now(), duration=6 * MINUTE)
    Maintenances(one.db, one.clock).add(pause)
    one.live(2 * MINUTE, EVERY)
    assert one.status("job") == ("MAINTENANCE", "maintenance")
    steps(one, clock)
    if steps is not forward_believed:  # until then people wanted it, by the clock
        assert one.status("job") == ("MAINTENANCE", "maintenance")
        until(one, "job", ("UP", "on_time"), HOUR)
        assert 6 * MINUTE - SLACK <= elapsed() <= 6 * MINUTE + SLACK
    until(one, "job", ("DOWN", "missed"), HOUR)


@every_step
def test_an_alert_triggers_after_its_time(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.watch(AlertRule(name="down", notify=("ops",), failure_threshold=6))
    one.add("job")
    one.send("job", Kind.FAILURE)
    elapsed = Elapsed(clock)
    one.live(3 * MINUTE, EVERY)
    steps(one, clock)
    assert one.open_alerts() == []
    while one.open_alerts() == []:
        assert elapsed() < HOUR
        one.live(EVERY)
    lost = 3 * MINUTE + EVERY if steps is back else 0
    assert 5 * MINUTE <= elapsed() <= 5 * MINUTE + SLACK + lost


def test_what_a_clock_that_was_ahead_has_spooled(one: Machine, clock: ManualClock, tmp_path: Path) -> None:
    one.add("job")
    spooling = Spooling(one, tmp_path / "spool")
    spooling.begin()
    since = spooling.spooler.taking_since
    assert since == clock.now()
    watched = one.fleet.get("job")
    assert watched is not None
    with away(one.db):
        clock.step(HOUR)
        ahead = clock.now()
        claim = Claim(START - MINUTE, ahead)
        for pending in (
            Pending(watched, Heartbeat(Kind.SUCCESS, ahead)),
            LatePending(watched, Heartbeat(Kind.START, START - MINUTE, "r"), claim),
        ):
            assert spooling.recorder.record(pending)
        spooling.recorder._take()
        clock.step(-HOUR)
        clock.advance(MINUTE)
    assert spooling.spooler.taking_since == since
    assert spooling.backlog.since == clock.now() - MINUTE
    spooling.catch_up()
    assert one.latest() <= clock.now()
    assert one.execute("SELECT received_at, arrived_at FROM heartbeats ORDER BY id") == [
        (clock.now(), None),
        (START - MINUTE, clock.now()),
    ]
    spooling.die()


def test_moments_in_memory_stay_as_long_ago_as_they_are() -> None:
    clock = ManualClock()
    clock.step(HOUR)
    moment, refusals = PastMoment(clock), Refusals(clock, Guesses(clock))
    refusals.note(RejectReason.UNKNOWN_TAG, "", "")
    clock.advance(MINUTE)
    clock.step(-HOUR)
    assert moment.at == refusals.since == refusals.recent()[0].at == clock.now() - MINUTE


@pytest.mark.parametrize("steps", STEPS[:3], ids=lambda steps: steps.__name__)
def test_a_held_alert_is_announced_when_its_time_is_over(one: Machine, clock: ManualClock, steps: Steps) -> None:
    one.writer.holds.deciders = (Holding(),)
    one.watch(AlertRule(name="down", notify=("ops",)))
    one.add("job", degraded_after=MINUTE, down_after=2 * MINUTE)
    one.send("job")
    until(one, "job", ("DOWN", "missed"), HOUR)
    elapsed = Elapsed(clock)
    one.live(2 * MINUTE, EVERY)
    steps(one, clock)
    assert one.status("job") == ("DOWN", "missed")
    assert one.open_alerts() == ["down"]
    assert list(one.notifications.recent()) == []
    while not one.notifications.recent():
        assert elapsed() < HOUR
        one.live(EVERY)
    assert HOLD - EVERY <= elapsed() <= HOLD + SLACK
    assert len(one.notifications.recent()) == 1
