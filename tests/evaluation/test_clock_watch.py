"""Wall clocks that are wrong: no false alarm by them, none missed, and nothing of the future left."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND, ReceiptClock
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.spans import Span
from exporter.core.telemetry import Silent
from exporter.core.trusted_clock import CATCHING_UP, MAX_DOUBT, TrustedClock
from exporter.evaluation.evaluator import Evaluator, HeldBack
from exporter.evaluation.outages import OutageTracker
from exporter.recording.statements import Pending
from exporter.storage.delivery.outbox import DeliveryPolicy, OutboxItem
from exporter.storage.pruning_clock import PruningClock
from exporter.storage.repositories.blackouts import Blackouts
from exporter.storage.repositories.leases import Lease, LeaseLost
from exporter.storage.repositories.pruning import Pruner
from exporter.storage.server_clock import ServerClock
from tests.conftest import START, ManualClock
from tests.support.replica import Replica

MOMENTS = {
    "states": ("last_received_at", "last_success_at", "last_start_at", "status_since", "evaluated_at"),
    "runs": ("started_at",),
    "heartbeats": ("received_at",),
    "transitions": ("at", "observed_at"),
    "monitors": ("created_at", "removed_at"),
    "alerts": ("triggered_at", "resolved_at", "acknowledged_at"),
    "incidents": ("started_at", "resolved_at", "updated_at"),
    "incident_updates": ("at",),
    "alert_progress": ("at",),
    "held_alerts": ("since", "set_at"),
    "notifications": ("created_at", "ended_at"),
    "blackouts": ("started_at", "ended_at"),
    "stamps": ("at",),
    "maintenances": ("created_at", "ended_at"),
}


class Machine(Replica):
    """A process, and the machine's clock that it may not believe. The database's server has no other."""

    presence: OutageTracker
    after_outage = "forgive"

    def __init__(self, url: str, machine: ManualClock, name: str = "one") -> None:
        super().__init__(url, machine, name)
        self.machine = machine
        self.synchronised: bool | None = False
        self.server: ManualClock | None = None
        self.db.engine.now = lambda: None if self.server is None else self.server.now()  # type: ignore[method-assign]

    def start(self) -> None:
        """A new process takes the place of the last."""
        trusted = TrustedClock(self.machine)
        self.receipts = ReceiptClock(trusted)
        self.clock = trusted  # type: ignore[assignment]
        self.presence = OutageTracker(
            self.db,
            self.fleet,
            trusted,
            replica=self.name,
            synchronised=lambda: self.synchronised,
            set_back=self.receipts.reset,
        )
        self.lease = Lease(self.db, trusted, "evaluation", f"{self.name}{self.machine.steady}"[:12])
        self.evaluator = Evaluator(
            self.db,
            self.evaluations,
            self.history,
            self.lease,
            trusted,
            Silent(),
            self.engine,
            calendars=self.presence,
            held_back=self.presence.waits,
            minds_clock=False,
        )
        stamp = self.presence.begin(self.after_outage)
        if stamp is not None:
            self.receipts.not_before(stamp)
        self.refresh()

    def live(self, milliseconds: int, every: int = SECOND) -> None:
        """So much time passes while the process does its work."""
        for _ in range(max(1, -(-milliseconds // every))):
            self.machine.advance(min(every, milliseconds))
            self.presence.refresh()
            if not self.presence.waits():
                with suppress(LeaseLost):  # as its thread does: a step may let another process take it
                    self.evaluator.evaluate_due()
            self.refresh()

    def send(self, tag: str, kind: Kind = Kind.SUCCESS) -> None:
        watched = self.fleet.get(tag)
        assert watched is not None
        self.recorder._commit([Pending(watched, Heartbeat(kind, self.receipts.now()))])

    def statuses(self, tag: str) -> list[str]:
        return [status for status, _ in self.past(tag)]

    def latest(self) -> int:
        """The latest moment that is in the database."""
        return max(
            int(row[0])
            for table, columns in MOMENTS.items()
            for column in columns
            for row in self.execute(f"SELECT COALESCE(MAX({column}), 0) FROM {table}")
        )


@pytest.fixture
def one(url: str, clock: ManualClock) -> Iterator[Machine]:
    one = Machine(url, clock)
    one.start()
    one.presence.record_liveness()
    yield one
    one.db.close()


def begin(one: Machine) -> None:
    one.watch(AlertRule(name="down", notify=("ops",)))
    for tag in ("dead", "alive"):
        one.add(tag)
        one.send(tag)
    one.live(SECOND)


# ── a clock that is ahead for a while ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ahead", [2 * DAY, 365 * DAY, HOUR, 11 * MINUTE], ids=str)
def test_a_clock_that_is_ahead_for_a_while_leaves_no_trace(one: Machine, clock: ManualClock, ahead: int) -> None:
    begin(one)
    clock.step(ahead)
    one.live(3 * SECOND)
    one.send("alive")
    one.live(6 * SECOND)
    clock.step(-ahead)
    one.live(3 * SECOND)
    assert one.latest() <= clock.now()
    assert one.open_alerts() == []
    one.live(11 * MINUTE, 4 * SECOND)
    assert one.statuses("dead") == ["NO_DATA", "UP", "DEGRADED", "DOWN"]
    assert one.past("dead")[-1][1] == START + 10 * MINUTE + 1
    assert one.past("alive")[-1][1] == START + 10 * MINUTE + 4 * SECOND + 1


@pytest.mark.parametrize("synchronised", [False, True], ids=["in the end", "the kernel says so"])
def test_a_step_forward_that_is_believed_counts_for_no_monitor(
    one: Machine, clock: ManualClock, synchronised: bool
) -> None:
    begin(one)
    one.synchronised = synchronised
    one.add("slow", degraded_after=HOUR, down_after=HOUR)
    one.send("slow")
    clock.step(5 * HOUR)
    one.live(SECOND)
    if not synchronised:
        one.live(MAX_DOUBT, 4 * SECOND)
    assert one.clock.now() == clock.now()
    lived = clock.now() - START - 5 * HOUR
    assert one.status("slow") == ("UP", "on_time")
    assert Blackouts(one.db, clock).all() == ()
    assert [span.length for span in Blackouts(one.db, clock).skipped()] == [5 * HOUR]
    one.live(HOUR - lived - MINUTE, 4 * SECOND)
    assert one.status("slow") == ("UP", "on_time")
    one.live(3 * MINUTE, 4 * SECOND)
    assert one.status("slow") == ("DOWN", "missed")


def test_strict_does_not_count_time_that_never_was(one: Machine, clock: ManualClock) -> None:
    one.presence.use("strict")
    begin(one)
    one.synchronised = True
    clock.step(5 * HOUR)
    one.live(SECOND)
    assert one.status("dead") == ("UP", "on_time")


def test_what_waits_for_its_turn_is_not_given_up_by_a_step(one: Machine, clock: ManualClock) -> None:
    begin(one)
    with one.db.write("test") as transaction:
        one.outbox.enqueue(
            transaction, "ops", "TRIGGERED", [OutboxItem(1, "{}")], DeliveryPolicy(MINUTE, HOUR), clock.now()
        )
    one.synchronised = True
    clock.step(2 * DAY)
    one.live(SECOND)
    (waiting,) = one.notifications.recent()
    assert waiting.expires_at > clock.now() + HOUR - MINUTE
    assert waiting.next_attempt_at > clock.now() + MINUTE - 10 * SECOND
    clock.step(-2 * DAY)
    one.live(SECOND)
    (waiting,) = one.notifications.recent()
    assert waiting.next_attempt_at <= clock.now() + MINUTE


def test_a_clock_that_was_believed_and_is_set_back(one: Machine, clock: ManualClock) -> None:
    """Beats of a time to come, then silence: nothing of the future is left, and the dead job is found."""
    begin(one)
    one.add("paused", paused=True)
    one.synchronised = True
    clock.step(2 * DAY)
    one.live(SECOND)
    one.send("dead", Kind.START)
    one.send("dead")
    one.send("alive", Kind.FAILURE)
    one.live(2 * SECOND)
    assert one.open_alerts() == ["down"]
    one.monitors.remove("paused")
    clock.step(-2 * DAY)
    one.live(SECOND)
    noticed = clock.now()
    assert one.latest() <= noticed
    assert one.receipts.now() == noticed
    assert one.execute("SELECT COUNT(*) FROM states WHERE next_evaluation_at IS NOT NULL")[0][0] >= 1
    one.send("alive")
    one.live(12 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")
    assert one.past("dead")[-1][1] <= noticed + 10 * MINUTE + 1
    assert one.statuses("alive") == ["NO_DATA", "UP", "DOWN", "UP", "DEGRADED", "DOWN"]


def test_a_monitor_that_waits_for_nothing_is_evaluated_again(one: Machine, clock: ManualClock) -> None:
    """`next_evaluation_at` is NULL for what is set aside by nothing but a wrong moment."""
    begin(one)
    one.execute("UPDATE states SET next_evaluation_at = NULL")
    one.synchronised = True
    clock.step(HOUR)
    one.live(SECOND)
    clock.step(-HOUR)
    one.live(12 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")


def test_what_was_under_way_with_a_moment_of_the_future_is_found(one: Machine, clock: ManualClock) -> None:
    begin(one)
    one.synchronised = True
    clock.step(DAY)
    one.live(SECOND)
    watched = one.fleet.get("dead")
    assert watched is not None
    late = Pending(watched, Heartbeat(Kind.SUCCESS, one.receipts.now()))
    clock.step(-DAY)
    one.live(SECOND)
    one.recorder._commit([late])
    one.live(8 * SECOND)
    assert one.latest() <= clock.now()


def test_a_restart_between(one: Machine, clock: ManualClock) -> None:
    begin(one)
    one.synchronised = True
    clock.step(2 * DAY)
    one.live(2 * SECOND)
    one.send("dead")
    clock.step(-2 * DAY)
    clock.advance(20 * SECOND)
    one.start()
    one.live(SECOND)
    assert one.latest() <= clock.now()
    one.live(11 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")


def test_two_processes_set_the_database_back_once(url: str, one: Machine, clock: ManualClock) -> None:
    """What is planned for later is moved once, not once for each process."""
    two = Machine(url, clock, "two")
    two.start()
    try:
        begin(one)
        one.synchronised = two.synchronised = True
        clock.step(2 * DAY)
        one.live(SECOND)
        two.live(SECOND)
        with one.db.write("test") as transaction:
            one.outbox.enqueue(
                transaction, "ops", "TRIGGERED", [OutboxItem(1, "{}")], DeliveryPolicy(10 * MINUTE), clock.now()
            )
        clock.step(-2 * DAY)
        for each in (one, two, one, two):
            each.live(SECOND)
        (waiting,) = one.notifications.recent()
        assert 9 * MINUTE < waiting.next_attempt_at - clock.now() <= 10 * MINUTE + 2 * SECOND
    finally:
        two.db.close()


# ── a clock that is behind at the start ──────────────────────────────────────────────────────────────────────────


def test_a_start_with_an_old_clock_waits_for_the_step(one: Machine, clock: ManualClock) -> None:
    begin(one)
    stamp = clock.now()
    clock.advance(30 * SECOND)
    clock.step(-5 * HOUR)
    one.start()
    assert one.presence.waits()
    assert one.presence.notice() is not None
    with pytest.raises(HeldBack):
        one.evaluator.evaluate_due()
    one.live(5 * SECOND)
    one.send("alive")
    watched = one.fleet.get("alive")
    assert watched is not None
    assert watched.state.last_success_at is not None
    assert watched.state.last_success_at >= stamp - SECOND
    clock.step(5 * HOUR)
    one.live(2 * SECOND)
    assert not one.presence.waits()
    (away,) = Blackouts(one.db, clock).all()
    assert stamp - 2 * SECOND <= away.start <= stamp
    assert away.end == clock.now()
    assert one.statuses("dead") == ["NO_DATA", "UP"]
    one.live(9 * MINUTE, 4 * SECOND)
    assert one.status("dead")[0] != "DOWN"
    one.live(2 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")


@pytest.mark.parametrize("synchronised", [False, True], ids=["ten minutes", "the kernel says so"])
def test_a_start_with_the_right_clock_does_not_wait_for_ever(
    one: Machine, clock: ManualClock, synchronised: bool
) -> None:
    begin(one)
    one.synchronised = synchronised
    clock.step(-5 * HOUR)
    one.start()
    assert one.presence.waits() is not synchronised
    one.live(SECOND if synchronised else MAX_DOUBT, 4 * SECOND)
    assert not one.presence.waits()
    assert one.latest() <= clock.now()
    one.live(11 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")
    assert one.statuses("dead")[:2] == ["NO_DATA", "UP"]


def test_what_is_received_behind_the_clock_is_of_the_moment_at_which_the_clock_is_right(
    one: Machine, clock: ManualClock
) -> None:
    """With `strict`, so that no blackout hides that it seems to be from before the outage."""
    one.after_outage = "strict"
    one.start()
    begin(one)
    one.add("ended")
    one.send("ended", Kind.START)
    one.live(5 * SECOND)
    clock.advance(30 * MINUTE)
    clock.step(-5 * HOUR)
    one.start()
    one.send("alive")
    one.send("ended", Kind.FAILURE)
    one.live(5 * SECOND)
    assert one.presence.waits()
    clock.step(5 * HOUR)
    one.live(5 * SECOND)
    assert not one.presence.waits()
    assert one.statuses("alive") == ["NO_DATA", "UP"]
    assert one.statuses("ended")[-1] == "DOWN"
    watched = one.fleet.get("alive")
    assert watched is not None
    moment = watched.state.last_success_at
    assert moment is not None
    assert clock.now() - 6 * SECOND < moment <= clock.now()
    assert one.execute(f"SELECT COUNT(*) FROM heartbeats WHERE received_at = {moment}")[0][0] == 2
    one.live(11 * MINUTE, 4 * SECOND)
    assert one.status("alive") == ("DOWN", "missed")


@pytest.mark.parametrize("after", [SECOND, 30 * SECOND])
def test_a_kernel_that_is_wrong_about_an_old_clock_raises_no_alarm(
    one: Machine, clock: ManualClock, after: int
) -> None:
    begin(one)
    one.synchronised = True
    clock.step(-5 * HOUR)
    one.start()
    one.live(after)
    one.synchronised = False
    clock.step(5 * HOUR)
    one.live(5 * SECOND)
    assert one.clock.now() == clock.now()
    assert one.statuses("dead") == ["NO_DATA", "UP"]
    one.live(11 * MINUTE, 4 * SECOND)
    assert one.status("dead") == ("DOWN", "missed")


def test_a_stop_while_it_waits_keeps_the_stamp(one: Machine, clock: ManualClock) -> None:
    begin(one)
    clock.step(-5 * HOUR)
    one.start()
    before = one.execute("SELECT at FROM stamps")
    one.live(5 * SECOND)
    one.presence.end()
    assert one.execute("SELECT at FROM stamps") == before


# ── several machines ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_servers_clock_decides(url: str, one: Machine, clock: ManualClock) -> None:
    wrong = ManualClock(clock.now())
    two = Machine(url, wrong, "two")
    one.server = two.server = clock
    try:
        two.start()
        begin(one)
        two.refresh()
        wrong.step(2 * DAY)
        for _ in range(20):
            wrong.advance(SECOND)
            one.live(SECOND)
            two.presence.refresh()
            two.evaluator.evaluate_due()
            assert abs(two.clock.now() - clock.now()) <= 2 * SECOND
        two.send("alive")
        assert one.latest() <= clock.now() + 2 * SECOND
        assert one.statuses("dead") == ["NO_DATA", "UP"]
        # So does one that starts with the wrong clock.
        two.start()
        assert abs(two.clock.now() - clock.now()) <= 2 * SECOND
        assert Blackouts(one.db, clock).all() == ()
        ahead = {one.replica: one.ahead for one in ServerClock(one.db, clock).kept(START)}
        assert ahead["two"] == pytest.approx(2 * DAY, abs=2 * SECOND)
    finally:
        two.db.close()


# ── pruning ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_pruned_by_a_clock_that_jumped(one: Machine, clock: ManualClock, restarted: bool) -> None:
    begin(one)
    pruning = PruningClock(one.db, clock)
    Pruner(one.db, pruning).prune(100, 90 * DAY)
    before = one.execute("SELECT COUNT(*) FROM transitions")
    clock.step(365 * DAY)
    clock.advance(9 * SECOND)
    if restarted:
        pruning = PruningClock(one.db, clock)
    Pruner(one.db, pruning).prune(100, 90 * DAY)
    assert one.execute("SELECT COUNT(*) FROM transitions") == before
    assert pruning.now() <= START + (9 * SECOND + SECOND) * CATCHING_UP
    clock.step(-365 * DAY)
    assert pruning.now() <= clock.now()


def test_a_machine_that_was_off_prunes_again(one: Machine, clock: ManualClock) -> None:
    begin(one)
    PruningClock(one.db, clock).now()
    clock.advance(30 * DAY)
    pruning = PruningClock(one.db, clock)
    for _ in range(32):
        pruning.now()
        clock.advance(HOUR)
    assert pruning.now() == clock.now()


# ── a first start ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_slow_first_start_is_no_blackout(url: str, clock: ManualClock) -> None:
    first = Machine(url, clock)
    try:
        first.start()
        clock.advance(MINUTE)
        first.presence.record_liveness()
        assert Blackouts(first.db, clock).all() == ()
        assert first.execute("SELECT at FROM stamps") == [(START + MINUTE,)]
        clock.advance(MINUTE)  # the next start is not the first
        first.start()
        assert Blackouts(first.db, clock).all() == (Span(START + MINUTE, START + 2 * MINUTE),)
    finally:
        first.db.close()
