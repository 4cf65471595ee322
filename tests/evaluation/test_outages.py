"""Outages of our own: told by a gap in the stamps, recorded once, and no reason for an alarm."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.core.spans import Span
from exporter.core.telemetry import Silent
from exporter.evaluation.evaluator import Evaluator
from exporter.evaluation.outages import OutageTracker
from exporter.fleet.calendars import FleetExclusions
from exporter.storage.database import Database
from exporter.storage.repositories.blackouts import AHEAD, COURTESY, EVERY, MAX_GAP, Blackouts
from exporter.storage.repositories.leases import Lease
from exporter.storage.repositories.maintenances import Maintenances
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import START, ManualClock
from tests.support.replica import Replica


class Living(Replica):
    """A replica that stamps, and can be stopped and started again."""

    presence: OutageTracker

    def start(self, after_outage: str = "forgive") -> None:
        """A new process takes the place of the last, which knows nothing that is not in the database."""
        self.presence = OutageTracker(self.db, self.fleet, self.clock)
        self.lease = Lease(self.db, self.clock, "evaluation", f"{self.name}, {self.clock.steady}")
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
        self.presence.begin(after_outage)
        self.refresh()
        self.presence.record_liveness()  # ready: heartbeats are accepted

    def live(self, milliseconds: int) -> None:
        """So much time passes while the process does its work; only its end is gone through."""
        self.clock.advance(milliseconds)
        stamps = self.db.tables.stamps
        with self.db.write("test"):
            stamps.update(at=self.clock.now()).execute()
        self.presence._blackouts._seen_at = self.clock.monotonic()
        self.evaluator.evaluate_due()

    def die(self, milliseconds: int, after_outage: str = "forgive") -> None:
        """It ends without a word, and another one is started so much later: long enough for its lease to run out."""
        self.clock.advance(milliseconds)
        self.start(after_outage)
        self.evaluator.evaluate_due()

    def blackouts(self) -> Sequence[Span]:
        return Blackouts(self.db, self.clock).all()


Maker = Callable[..., Living]


@pytest.fixture
def make(url: str, clock: ManualClock) -> Iterator[Maker]:
    """Makes replicas, and closes them with the test."""
    made: list[Living] = []

    def another(name: str, its: ManualClock = clock) -> Living:
        made.append(Living(url, its, name))
        return made[-1]

    yield another
    for replica in made:
        replica.db.close()


@pytest.fixture
def one(make: Maker) -> Living:
    return make("one")


def rows(database: Database) -> list[tuple[int, int]]:
    table = database.tables.blackouts
    with database.read("test"):
        return list(table.select(table.started_at, table.ended_at).order_by(table.id).tuples())


def stamped_at(database: Database) -> int | None:
    table = database.tables.stamps
    with database.read("test"):
        return next(iter(table.select(table.at).tuples()))[0]  # type: ignore[no-any-return]


def refuse(operation: str) -> None:
    """In place of Database.write."""
    raise StorageUnavailable(operation)


# ── stamps ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_first_start_is_no_blackout_whatever_the_database_holds(one: Living, clock: ManualClock) -> None:
    one.add("job")
    one.beat("job")
    clock.advance(DAY)
    one.start()
    assert rows(one.db) == []
    assert stamped_at(one.db) == clock.now()


def test_whoever_is_there_leaves_no_gap(one: Living, clock: ManualClock) -> None:
    one.start()
    for _ in range(100):
        clock.advance(700)
        one.presence.record_liveness()
    assert rows(one.db) == []
    stamp = stamped_at(one.db)
    assert stamp is not None
    assert clock.now() - stamp < EVERY


@pytest.mark.parametrize(("gap", "found"), [(MAX_GAP, False), (MAX_GAP + 1, True), (38 * MINUTE, True)])
def test_a_gap_between_two_processes(one: Living, clock: ManualClock, gap: int, found: bool) -> None:
    one.start()
    clock.advance(1500)
    one.presence.end()
    clock.advance(gap)
    one.start()
    assert rows(one.db) == ([(START + 1500, START + 1500 + gap)] if found else [])
    assert Blackouts(one.db, clock).total() == (gap if found else 0)


def test_a_process_that_was_paused_finds_it_out_itself(one: Living, clock: ManualClock) -> None:
    one.start()
    clock.advance(HOUR)
    one.presence.record_liveness()
    assert rows(one.db) == [(START, START + HOUR)]
    clock.advance(EVERY)
    one.presence.record_liveness()
    assert len(rows(one.db)) == 1


def test_as_long_as_one_replica_is_there_nobody_is_away(make: Maker, one: Living, clock: ManualClock) -> None:
    one.start()
    two = make("two")
    two.start()
    for _ in range(60):
        clock.advance(SECOND)
        two.presence.record_liveness()
    one.presence.record_liveness()
    one.start()
    assert rows(one.db) == []


def test_only_one_of_many_records_it(url: str, one: Living, clock: ManualClock) -> None:
    one.start()
    clock.advance(HOUR)
    crowd = [Blackouts(Database(url), clock) for _ in range(8)]
    at_once = threading.Barrier(len(crowd))
    failed: list[BaseException] = []

    def stamp(blackouts: Blackouts) -> None:
        at_once.wait()
        try:
            blackouts.record_liveness()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            blackouts._db.close()

    threads = [threading.Thread(target=stamp, args=(each,)) for each in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert rows(one.db) == [(START, START + HOUR)]
    assert Blackouts(one.db, clock).total() == HOUR


def test_who_read_the_old_stamp_and_comes_late_records_nothing(one: Living, clock: ManualClock) -> None:
    one.start()
    late = Blackouts(one.db, clock)
    before = late._read()
    clock.advance(HOUR)
    one.presence.record_liveness()
    assert late._move(before, None) == (False, None)
    assert late.record_liveness() is None
    assert rows(one.db) == [(START, START + HOUR)]


def test_a_database_that_was_away(one: Living, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    one.start()

    with monkeypatch.context() as patched:
        patched.setattr(one.db, "write", refuse)
        for _ in range(60):
            clock.advance(SECOND)
            if clock.now() - START > EVERY:
                with pytest.raises(StorageUnavailable):
                    one.presence.record_liveness()
    one.presence.record_liveness()
    assert rows(one.db) == [(START, START + MINUTE)]


@pytest.mark.parametrize(
    ("taking_since", "found"),
    [(-HOUR, None), (0, None), (4 * SECOND, None), (10 * MINUTE, (0, 10 * MINUTE)), (2 * HOUR, (0, HOUR))],
)
def test_what_a_spool_took_is_no_blackout(
    one: Living,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    taking_since: int,
    found: tuple[int, int] | None,
) -> None:
    one.start()
    one.presence._taking_since = lambda: START + taking_since
    with monkeypatch.context() as patched:
        patched.setattr(one.db, "write", refuse)
        for _ in range(HOUR // (5 * SECOND)):
            clock.advance(5 * SECOND)
            with pytest.raises(StorageUnavailable):
                one.presence.record_liveness()
    one.presence.record_liveness()
    assert rows(one.db) == ([(START + found[0], START + found[1])] if found else [])
    assert stamped_at(one.db) == clock.now()


@pytest.mark.parametrize("away", [False, True], ids=["database there", "database away"])
def test_who_was_paused_took_nothing_with_a_spool_either(
    one: Living, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    one.start()
    one.presence._taking_since = lambda: START

    with monkeypatch.context() as patched:
        if away:
            patched.setattr(one.db, "write", refuse)
        for pause in (SECOND, SECOND, HOUR, SECOND, SECOND):
            clock.advance(pause)
            with suppress(StorageUnavailable):
                one.presence.record_liveness()
    one.presence.record_liveness()
    resumed = START + 2 * SECOND + HOUR
    assert rows(one.db) == [(START if away else START + 2 * SECOND, resumed)]
    for _ in range(10):
        clock.advance(SECOND)
        one.presence.record_liveness()
    assert len(rows(one.db)) == 1


# ── processes with spools ────────────────────────────────────────────────────────────────────────────────────────


class Spooling(Living):
    """A process with a spool, which may take heartbeats while the database is away."""

    taking_since: int | None = None

    def start(self, after_outage: str = "forgive") -> None:
        self.presence = OutageTracker(self.db, self.fleet, self.clock, lambda: self.taking_since, spools=True)
        self.lease = Lease(self.db, self.clock, "evaluation", f"{self.name}, {self.clock.steady}")
        self.evaluator = Evaluator(
            self.db,
            self.evaluations,
            self.history,
            self.lease,
            self.clock,
            Silent(),
            calendars=self.presence,
            held_back=self.presence.waits,
        )
        self.presence.begin(after_outage)
        self.refresh()

    def outage(self, milliseconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is there and works, and the database is away."""
        with monkeypatch.context() as patched:
            patched.setattr(self.db, "write", refuse)
            for _ in range(milliseconds // (5 * SECOND)):
                self.clock.advance(5 * SECOND)
                with suppress(StorageUnavailable):
                    self.presence.record_liveness()

    def stamp_for(self, milliseconds: int) -> None:
        for _ in range(milliseconds // 500):
            self.clock.advance(500)
            self.presence.record_liveness()


@pytest.fixture
def spooling(url: str, clock: ManualClock) -> Iterator[Spooling]:
    """One that has taken heartbeats since its start."""
    spooling = Spooling(url, clock, "spooling")
    spooling.start()
    spooling.presence.record_liveness()
    spooling.taking_since = START
    yield spooling
    spooling.db.close()


@pytest.fixture
def starting(url: str, clock: ManualClock) -> Iterator[Spooling]:
    starting = Spooling(url, clock, "starting")
    yield starting
    starting.db.close()


def test_one_that_starts_leaves_it_to_one_that_spooled(
    spooling: Spooling, starting: Spooling, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooling.outage(5 * MINUTE, monkeypatch)
    starting.start()
    assert starting.presence.waits()
    starting.taking_since = clock.now()
    with pytest.raises(StorageUnavailable):
        starting.evaluator.evaluate_due()
    clock.advance(500)
    spooling.presence.record_liveness()
    starting.presence.record_liveness()
    assert not starting.presence.waits()
    starting.evaluator.evaluate_due()
    assert rows(starting.db) == []


def test_a_dead_job_is_found_in_time_after_such_a_start(
    spooling: Spooling, starting: Spooling, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooling.add("job")
    spooling.beat("job")
    spooling.evaluator.evaluate_due()
    spooling.outage(11 * MINUTE, monkeypatch)
    starting.start()
    clock.advance(500)
    spooling.presence.record_liveness()
    starting.presence.record_liveness()
    starting.evaluator.evaluate_due()
    assert starting.past("job")[-1] == ("DOWN", START + 10 * MINUTE + 1)


def test_one_whose_spool_failed_leaves_it_to_one_that_spooled(
    spooling: Spooling, starting: Spooling, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting.start()
    for _ in range(60):
        spooling.outage(5 * SECOND, monkeypatch)
        clock.advance(-5 * SECOND)
        starting.outage(5 * SECOND, monkeypatch)
    starting.presence.record_liveness()
    assert starting.presence.waits()
    spooling.presence.record_liveness()
    starting.presence.record_liveness()
    assert not starting.presence.waits()
    assert rows(starting.db) == []


def test_when_no_other_process_says_more_it_is_a_blackout_until_the_first_was_ready(
    spooling: Spooling, starting: Spooling, clock: ManualClock
) -> None:
    clock.advance(5 * MINUTE)
    starting.start()
    clock.advance(200)
    starting.taking_since = ready = clock.now()
    starting.stamp_for(COURTESY - 1000)
    assert starting.presence.waits()
    starting.stamp_for(1000)
    assert not starting.presence.waits()
    assert rows(starting.db) == [(START, ready)]
    assert stamped_at(starting.db) == clock.now()


def test_one_that_ends_before_it_is_known_records_it(
    spooling: Spooling, starting: Spooling, clock: ManualClock
) -> None:
    clock.advance(5 * MINUTE)
    starting.start()
    starting.taking_since = ready = clock.now()
    clock.advance(SECOND)
    starting.presence.end()
    assert rows(starting.db) == [(START, ready)]
    assert stamped_at(starting.db) == clock.now()


# ── clocks that step ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_set_forward_is_no_blackout_for_who_was_there(one: Living, clock: ManualClock) -> None:
    one.start()
    clock.advance(SECOND)
    clock.step(HOUR)
    clock.advance(SECOND)
    one.presence.record_liveness()
    assert rows(one.db) == []
    assert stamped_at(one.db) == clock.now()


def test_of_a_pause_with_a_step_only_the_pause_is_one(one: Living, clock: ManualClock) -> None:
    one.start()
    clock.step(HOUR)
    clock.advance(10 * MINUTE)
    one.presence.record_liveness()
    assert rows(one.db) == [(START + HOUR, START + HOUR + 10 * MINUTE)]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_set_back_stops_no_stamps_and_makes_no_gap(one: Living, clock: ManualClock, restarted: bool) -> None:
    one.start()
    clock.step(-HOUR)
    clock.advance(EVERY)
    if restarted:
        one.start()
    else:
        one.presence.record_liveness()
    assert stamped_at(one.db) == clock.now()
    for _ in range(30):
        clock.advance(SECOND)
        one.presence.record_liveness()
    assert rows(one.db) == []
    clock.advance(10 * MINUTE)
    one.start()
    assert rows(one.db) == [(clock.now() - 10 * MINUTE, clock.now())]


def test_clocks_that_differ_a_little_do_not_fight(make: Maker, one: Living, clock: ManualClock) -> None:
    one.start()
    behind = ManualClock(clock.now() - AHEAD)
    two = make("two", behind)
    two.start()
    assert stamped_at(one.db) == clock.now()
    behind.advance(EVERY)
    two.presence.end()
    assert stamped_at(one.db) == clock.now()
    behind.step(-1 - EVERY)
    two.start()
    assert stamped_at(one.db) == behind.now()
    assert rows(one.db) == []


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_total_outlives_what_is_forgotten(one: Living, clock: ManualClock) -> None:
    one.start()
    for _ in range(3):
        clock.advance(HOUR)
        one.start()
    clock.advance(DAY)
    one.start()
    Pruner(one.db, clock).prune(100, DAY + 30 * MINUTE)
    assert rows(one.db) == [(START + 2 * HOUR, START + 3 * HOUR), (START + 3 * HOUR, START + 3 * HOUR + DAY)]
    assert Blackouts(one.db, clock).total() == 3 * HOUR + DAY
    # One that joins on to another is read as one with it.
    assert one.blackouts() == (Span(START + 2 * HOUR, START + 3 * HOUR + DAY),)


def test_every_replica_knows_of_it_and_reads_it_once(make: Maker, one: Living, clock: ManualClock) -> None:
    one.add("job")
    one.start()
    two = make("two")
    calendars = FleetExclusions(two.db, two.fleet, Blackouts(two.db, clock), Maintenances(two.db, clock))
    before = calendars.refresh()
    assert calendars.refresh() is before
    clock.advance(HOUR)
    one.presence.record_liveness()
    after = calendars.refresh()
    assert after.blackouts == (Span(START, START + HOUR),)
    assert calendars.refresh() is after
    assert calendars.blackout_total == HOUR
    watched = two.fleet.get("job")
    assert watched is not None
    assert watched.exclusions.blackouts == after.blackouts


# ── statuses ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stopped_over_a_deadline_and_a_dead_job_is_found_when_it_must_be(one: Living, clock: ManualClock) -> None:
    one.watch(AlertRule(name="down"))
    one.start()
    one.add("job")
    one.beat("job")
    one.live(0)
    one.live(2 * MINUTE)
    one.die(38 * MINUTE)
    back = START + 40 * MINUTE
    assert one.blackouts() == (Span(START + 2 * MINUTE, back),)
    assert one.status("job") == ("UP", "on_time")
    one.live(10 * MINUTE)
    # Two of its minutes were over: three more to DEGRADED and eight to DOWN.
    assert one.past("job")[2:] == [("DEGRADED", back + 3 * MINUTE + 1), ("DOWN", back + 8 * MINUTE + 1)]
    (alert,) = one.alerts.recent(step=AlertState.TRIGGERED)
    assert alert.triggered_at == back + 8 * MINUTE + 1


def test_a_heartbeat_after_the_outage_leaves_no_trace_of_it(one: Living, clock: ManualClock) -> None:
    one.start()
    one.add("job")
    one.beat("job")
    one.live(0)
    one.die(HOUR)
    one.beat("job")
    one.live(4 * MINUTE)
    assert one.past("job") == [("NO_DATA", START), ("UP", START)]


def test_paused_between_the_look_at_the_clock_and_the_judgement(
    one: Living, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.start()
    one.add("job")
    one.add("other", degraded_after=HOUR, down_after=2 * HOUR)
    for tag in ("job", "other"):
        one.beat(tag)
    one.live(0)
    real = one.evaluations.due

    def paused(now: int, limit: int) -> object:
        clock.advance(3 * HOUR)
        return real(clock.now(), limit)

    clock.advance(SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(one.evaluations, "due", paused)
        one.evaluator.evaluate_due()
    clock.advance(SECOND)
    one.evaluator.evaluate_due()
    assert one.status("job") == one.status("other") == ("UP", "on_time")
    assert len(rows(one.db)) == 1


def test_a_tick_inside_is_forgiven_and_the_next_is_not(one: Living, clock: ManualClock) -> None:
    clock.wall = 1_790_046_000_000  # 03:00:00
    three = clock.now()
    one.start()
    one.add("nightly", schedule="0 3 * * *")
    clock.advance(MINUTE)
    one.beat("nightly")
    one.live(0)
    one.live(23 * HOUR)
    one.die(2 * HOUR)  # over 03:00
    assert one.status("nightly") == ("UP", "on_time")
    one.live(22 * HOUR)
    assert one.status("nightly") == ("UP", "on_time")
    one.live(2 * HOUR)
    assert one.past("nightly")[-1] == ("DOWN", three + 2 * DAY + 10 * MINUTE + 1)


def test_an_interval_of_25_hours_survives_a_restart_an_hour(one: Living, clock: ManualClock) -> None:
    """And still fires: deadlines live in the database, and every restart puts them off by itself alone."""
    one.start()
    one.add("daily", degraded_after=24 * HOUR, down_after=25 * HOUR)
    one.beat("daily")
    one.live(0)
    for _ in range(25):
        one.live(HOUR - 50 * SECOND)
        assert one.status("daily")[0] in ("UP", "DEGRADED")
        one.die(30 * SECOND)
    away = sum(span.length for span in one.blackouts())
    assert away == 25 * 30 * SECOND
    one.live(HOUR)
    assert one.past("daily")[2:] == [
        ("DEGRADED", START + 24 * HOUR + 24 * 30 * SECOND + 1),
        ("DOWN", START + 25 * HOUR + away + 1),
    ]


def test_strict_counts_everything(one: Living, clock: ManualClock) -> None:
    one.start("strict")
    one.add("job")
    one.beat("job")
    one.live(0)
    one.die(HOUR, "strict")
    assert len(rows(one.db)) == 1
    assert one.past("job")[2:] == [("DEGRADED", START + 5 * MINUTE + 1), ("DOWN", START + 10 * MINUTE + 1)]


def test_a_change_of_after_outage_is_applied_to_the_past(one: Living, clock: ManualClock) -> None:
    one.start()
    one.add("job")
    one.beat("job")
    one.live(0)
    one.die(HOUR)
    assert one.status("job") == ("UP", "on_time")
    one.presence.use("strict")
    one.evaluator.evaluate_due()
    assert one.status("job") == ("DOWN", "missed")
    one.presence.use("forgive")
    one.evaluator.evaluate_due()
    assert one.status("job") == ("UP", "on_time")
    # Also when it was changed while no process ran.
    one.die(11 * SECOND, "strict")
    assert one.status("job") == ("DOWN", "missed")


def test_the_same_after_outage_again_wakes_nobody(one: Living, clock: ManualClock) -> None:
    one.start("strict")
    one.add("job")
    one.beat("job")
    one.live(0)
    one.presence.use("strict")
    assert one.evaluations.due(clock.now(), 10) == []


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alert_does_not_gain_by_an_outage(one: Living, clock: ManualClock) -> None:
    rules = AlertRule(name="half-hour", trigger_after=30 * MINUTE), AlertRule(name="third", failure_threshold=3)
    one.watch(*rules)
    one.start()
    one.add("job")
    one.beat("job", Kind.FAILURE)
    one.live(0)
    one.live(MINUTE)
    one.die(HOUR)
    assert one.open_alerts() == []
    one.live(5 * MINUTE)
    one.live(DAY)
    found = {alert.rule: alert.triggered_at for alert in one.alerts.recent(step=AlertState.TRIGGERED)}
    assert found == {"half-hour": START + HOUR + 30 * MINUTE, "third": START + HOUR + 2 * MINUTE}


def test_an_alert_does_not_end_by_an_outage(one: Living, clock: ManualClock) -> None:
    one.watch(AlertRule(name="down", resolve_after=30 * MINUTE))
    one.start()
    one.add("job", degraded_after=DAY, down_after=2 * DAY)
    one.beat("job", Kind.FAILURE)
    one.live(0)
    one.beat("job")
    one.live(MINUTE)
    one.die(HOUR)
    assert one.open_alerts() == ["down"]
    one.live(HOUR)
    (alert,) = one.alerts.recent(step=AlertState.RESOLVED)
    assert alert.resolved_at is not None
    assert START + HOUR + 30 * MINUTE <= alert.resolved_at <= START + HOUR + 30 * MINUTE + 1


def test_with_strict_an_alert_gains_all_the_time(one: Living, clock: ManualClock) -> None:
    one.watch(AlertRule(name="half-hour", trigger_after=30 * MINUTE))
    one.start("strict")
    one.add("job")
    one.beat("job", Kind.FAILURE)
    one.live(0)
    one.die(HOUR, "strict")
    (alert,) = one.alerts.recent(step=AlertState.TRIGGERED)
    assert alert.triggered_at == START + 30 * MINUTE


def test_ticks_of_evaluation_cron_at_which_nobody_looked_are_none(one: Living, clock: ManualClock) -> None:
    clock.wall = 1_790_000_400_000  # 13:40:00
    begin = clock.now()
    one.watch(AlertRule(name="thrice", failure_threshold=3))
    one.start()
    one.add("ticked", evaluation_cron="*/5 * * * *")
    one.add("fine", evaluation_cron="*/5 * * * *", degraded_after=20 * MINUTE, down_after=30 * MINUTE)
    clock.advance(MINUTE)
    one.beat("ticked", Kind.FAILURE)
    one.beat("fine")
    one.live(0)
    one.live(4 * MINUTE)  # one tick finds it DOWN
    assert one.status("ticked") == ("DOWN", "failed")
    one.live(2 * MINUTE)
    one.die(HOUR)
    assert one.open_alerts() == []
    assert one.status("fine") == ("UP", "on_time")
    one.live(5 * MINUTE)
    assert one.open_alerts() == []
    one.live(5 * MINUTE)
    (alert,) = one.alerts.recent(step=AlertState.TRIGGERED)
    assert alert.triggered_at == begin + 75 * MINUTE
    one.live(10 * MINUTE)
    assert one.status("fine") == ("DEGRADED", "late")


def test_a_reminder_that_came_due_meanwhile_is_told_once(one: Living, clock: ManualClock) -> None:
    one.watch(AlertRule(name="down", repeat_every=10 * MINUTE, notify=("ops",)))
    one.start()
    one.add("job")
    one.beat("job", Kind.FAILURE)
    one.live(0)
    assert one.alerts.next_repeat_at() == START + 10 * MINUTE
    one.die(HOUR)
    assert one.alerts.next_repeat_at() == clock.now() + 10 * MINUTE


def test_what_was_found_after_the_last_stamp_is_not_undone(one: Living, clock: ManualClock) -> None:
    one.start()
    one.add("job")
    one.beat("job")
    one.live(5 * MINUTE)
    clock.advance(EVERY - 1)  # the stamp is not due yet
    one.evaluator.evaluate_due()
    before = one.past("job")
    assert [status for status, _ in before][-1] == "DEGRADED"
    last = clock.now()
    one.die(30 * MINUTE)
    assert list(one.blackouts()) == [Span(last, clock.now())]
    assert one.past("job") == before


def test_a_transition_of_the_future_hides_no_blackout(one: Living, clock: ManualClock) -> None:
    one.start()
    one.add("job")
    one.beat("job")
    one.live(6 * MINUTE)
    stamped = clock.now()
    transitions = one.db.tables.transitions
    with one.db.write("test"):
        transitions.update(observed_at=stamped + DAY).execute()
    one.die(HOUR)
    assert list(one.blackouts()) == [Span(stamped, clock.now())]
