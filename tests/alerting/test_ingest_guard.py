"""The ingest guard in whole fleets, by a clock that is moved by hand: what is sent while nothing arrives, and after."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.alerts.held import HoldKind
from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.status import Status
from exporter.fleet.calendars import FleetExclusions
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.presentation.message import INGEST_SUSPECT, Event, Message
from exporter.recording.statements import Pending
from tests.alerting.test_evaluator import Scripted
from tests.conftest import START, ManualClock
from tests.support.replica import Replica

DOWN = AlertRule(name="down", notify=("ops",))
UNWELL = AlertRule(name="unwell", notify=("ops",), when=(Status.DEGRADED, Status.DOWN))
MINUTELY = {"degraded_after": MINUTE, "down_after": 2 * MINUTE}
STEP = 5 * SECOND


class Fleet:
    """Jobs that beat by their own clocks, a load balancer that may drop everything, and a person on call."""

    def __init__(self, replica: Replica, *, group_wait: int = 10 * SECOND) -> None:
        self.replica = replica
        self.calendars = use_calendar(replica)
        self.ops = Scripted()
        self.channel = replica.channel(self.ops)
        self.beats: dict[str, tuple[int, int]] = {}
        """Tag → (period, offset)."""
        self.dead: set[str] = set()
        self.drops = False
        self.sent: list[tuple[int, Message]] = []
        self.group_wait = group_wait
        self._seen = 0

    def watch(self, *rules: AlertRule) -> None:
        self.replica.watch(*rules, group_wait=self.group_wait)

    def add(self, count: int, period: int, spread: bool = True, prefix: str = "job", **options: object) -> None:
        for number in range(count):
            tag = f"{prefix}-{number:03}"
            self.replica.monitors.add(_monitor(tag, **options), b"d" * 32)
            self.beats[tag] = (period, period * number // count if spread else 2 * SECOND)
        self.replica.refresh()

    @property
    def now(self) -> int:
        return self.replica.clock.now() - START

    def run(self, length: int, step: int = STEP) -> None:
        """Lets so much time pass."""
        until = self.now + length
        while self.now < until:
            before = self.now
            self.replica.clock.advance(min(step, until - before))
            self._beat(before)
            self.replica.evaluator.evaluate_due()
            if self._is_due():
                self.replica.evaluator.evaluate_due()
            if self.replica.notifications.queues():
                for _ in range(3):
                    self.channel.work()
            for message in self.ops.got[self._seen :]:
                self.sent.append((self.now, message))
            self._seen = len(self.ops.got)

    def _beat(self, before: int) -> None:
        """What arrives since then is committed as one group."""
        group = []
        for tag, (period, offset) in self.beats.items():
            due = (self.now - offset) // period > (before - offset) // period
            watched = self.replica.fleet.get(tag)
            if due and watched is not None and not self.drops and tag not in self.dead:
                group.append(Pending(watched, Heartbeat(Kind.SUCCESS, self.replica.clock.now())))
        if group:
            self.replica.recorder._commit(group)

    def _is_due(self) -> bool:
        moments = (self.replica.evaluations.next_due(), self.replica.engine.next_due())
        return any(moment is not None and moment <= self.replica.clock.now() for moment in moments)

    def told(self) -> list[tuple[str, str, int]]:
        """(event, rule, number of alerts) of each message so far."""
        return [(message.event.value, message.first.rule, len(message.alerts)) for _, message in self.sent]

    def count(self, event: str, *, rule: str = "down") -> Counter[str]:
        """How often each monitor's alert was reported."""
        return Counter(
            facts.tag
            for _, message in self.sent
            for facts in message.alerts
            if message.event.value == event and facts.rule == rule
        )

    def suspicions(self) -> list[tuple[str | None, int]]:
        rows = self.replica.execute("SELECT ending, settled FROM ingest_suspicions ORDER BY id")
        return [(ending, int(settled)) for ending, settled in rows]

    def held(self) -> int:
        return int(self.replica.execute("SELECT COUNT(*) FROM held_alerts")[0][0])


def use_calendar(replica: Replica) -> FleetExclusions:
    """Blackouts that the database has count; time that a test lets pass is no outage of the exporter."""
    repositories = replica.container.repositories
    calendars = FleetExclusions(replica.db, replica.fleet, repositories.blackouts, repositories.maintenances)
    replica.evaluator._calendars = calendars
    return calendars


def _monitor(tag: str, **options: object) -> Monitor:
    return Monitor(tag=tag, **options)  # type: ignore[arg-type]


@pytest.fixture
def fleet(tmp_path: Path, clock: ManualClock) -> Iterator[Fleet]:
    replica = Replica(f"sqlite:///{tmp_path}/fleet.db", clock)
    yield Fleet(replica)
    replica.db.close()


@pytest.fixture
def fleet_of_each(replica: Replica) -> Fleet:
    """On every engine."""
    return Fleet(replica)


# ── a load balancer ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "spread", "options"),
    [
        (UNWELL, True, {}),
        (UNWELL, False, {"schedule": "* * * * *"}),
        (DOWN, True, {"every": MINUTE}),
        (DOWN, False, {}),
    ],
    ids=["plain", "cron", "every", "together"],
)
def test_three_minutes_without_heartbeats_are_no_alarm(
    fleet: Fleet, rule: AlertRule, spread: bool, options: dict[str, object]
) -> None:
    fleet.watch(rule)
    fleet.add(40, MINUTE, spread, **MINUTELY, **options)
    fleet.run(5 * MINUTE + 30 * SECOND)
    assert fleet.told() == []
    fleet.drops = True
    fleet.run(3 * MINUTE)
    fleet.drops = False
    fleet.run(10 * MINUTE)
    assert [(event, rule) for event, rule, _ in fleet.told()] == [
        ("TRIGGERED", INGEST_SUSPECT),
        ("RESOLVED", INGEST_SUSPECT),
    ]
    assert fleet.suspicions() == [("returned", 1)]
    assert fleet.held() == 0
    assert fleet.replica.open_alerts() == []
    assert fleet.replica.alerts.recent(step=AlertState.TRIGGERED) == []


def test_thirty_minutes_are_all_alarms_once_in_one_message(fleet_of_each: Fleet) -> None:
    fleet = fleet_of_each
    fleet.watch(DOWN)
    fleet.add(40, MINUTE, **MINUTELY)
    fleet.run(5 * MINUTE)
    fleet.drops = True
    fleet.run(30 * MINUTE)
    assert fleet.told() == [
        ("TRIGGERED", INGEST_SUSPECT, 1),
        ("RESOLVED", INGEST_SUSPECT, 1),
        ("TRIGGERED", "down", 40),
    ]
    assert fleet.sent[1][1].first.ending is ResolveReason.HOLD_ENDED
    assert fleet.suspicions() == [("lasted", 0)]
    fleet.drops = False
    fleet.run(10 * MINUTE)
    assert set(fleet.count("TRIGGERED").values()) == set(fleet.count("RESOLVED").values()) == {1}
    assert len(fleet.count("RESOLVED")) == 40
    assert fleet.suspicions() == [("lasted", 1)]
    assert fleet.replica.open_alerts() == []
    (guard, *_) = [message for _, message in fleet.sent]
    figures = guard.first.ingest
    assert figures is not None
    assert figures.last_received_at is not None
    assert abs(figures.last_received_at - (START + 5 * MINUTE)) <= 2 * STEP
    over = fleet.sent[1][1].first.ingest
    assert over is not None
    assert over.late >= figures.late
    assert over.sample >= figures.sample


def test_a_second_silence_is_suspect_again(fleet: Fleet) -> None:
    fleet.watch(DOWN)
    fleet.add(40, MINUTE, **MINUTELY)
    fleet.run(5 * MINUTE)
    for _ in range(2):
        fleet.drops = True
        fleet.run(20 * MINUTE)
        fleet.drops = False
        fleet.run(10 * MINUTE)
    assert fleet.suspicions() == [("lasted", 1), ("lasted", 1)]
    assert set(fleet.count("TRIGGERED").values()) == set(fleet.count("RESOLVED").values()) == {2}


@pytest.mark.parametrize(
    ("spread", "options"),
    [(True, {}), (False, {}), (False, {"schedule": "* * * * *"})],
    ids=["spread", "together", "cron"],
)
def test_half_of_the_fleet_on_one_dead_host_is_reported_at_once(
    fleet: Fleet, spread: bool, options: dict[str, object]
) -> None:
    fleet.watch(DOWN)
    fleet.add(40, MINUTE, spread, **MINUTELY, **options)
    fleet.run(5 * MINUTE)
    died_at = fleet.now
    fleet.dead = set(list(fleet.beats)[::2])
    fleet.run(20 * MINUTE)
    alarms = fleet.count("TRIGGERED")
    assert set(alarms) == fleet.dead
    assert set(alarms.values()) == {1}
    assert fleet.count("RESOLVED") == {}
    last = max(at for at, message in fleet.sent if message.first.rule == "down")
    assert last - died_at <= 3 * MINUTE + 2 * fleet.group_wait + MINUTE
    assert fleet.held() == 0


def test_a_group_that_dies_alone_is_reported_at_once(fleet: Fleet) -> None:
    """All that beats is one group: nothing speaks for the network rather than for its host."""
    fleet.watch(DOWN)
    fleet.add(20, MINUTE, group="db1", **MINUTELY)
    fleet.run(5 * MINUTE)
    fleet.dead = set(fleet.beats)
    fleet.run(4 * MINUTE)
    assert len(fleet.count("TRIGGERED")) == 20
    assert fleet.suspicions() == []


def test_of_daily_jobs_the_one_that_dies_in_the_gap_is_found(fleet: Fleet) -> None:
    """A load balancer drops what they send; all but one have come before, and that one never comes."""
    fleet.watch(DOWN)
    options = {"degraded_after": 10 * MINUTE, "down_after": 30 * MINUTE}
    fleet.add(20, DAY, spread=False, prefix="daily", schedule="0 0 * * *", **options)
    fleet.add(1, DAY, spread=False, prefix="gap", schedule="10 0 * * *", **options)
    for tag in fleet.beats:
        fleet.replica.beat(tag)
    midnight = -START % DAY
    fleet.beats = dict.fromkeys(fleet.beats, (DAY, midnight + 2 * SECOND))
    fleet.run(midnight - 5 * MINUTE, step=DAY)
    fleet.add(20, MINUTE, prefix="often", **MINUTELY)
    fleet.run(13 * MINUTE, step=10 * SECOND)  # eight minutes past midnight
    assert fleet.replica.status("daily-000") == ("UP", "on_time")
    fleet.drops = True
    fleet.dead.add("gap-000")
    fleet.run(4 * MINUTE + 30 * SECOND, step=10 * SECOND)
    fleet.drops = False
    fleet.run(29 * MINUTE, step=10 * SECOND)
    assert fleet.count("TRIGGERED") == {}
    fleet.run(4 * MINUTE, step=10 * SECOND)
    assert dict(fleet.count("TRIGGERED")) == {"gap-000": 1}
    (alarm,) = [message for _, message in fleet.sent if message.first.rule == "down"]
    ((_, back_at),) = fleet.replica.execute("SELECT started_at, ended_at FROM blackouts")
    assert alarm.first.due_at == back_at  # such a tick is due when heartbeats arrive again
    assert fleet.count("RESOLVED") == {}


def test_a_straggler_does_not_blind_the_guard(fleet: Fleet) -> None:
    """A job that was late just before the silence must not make everything before look like an answer to it."""
    fleet.watch(DOWN)
    fleet.add(40, MINUTE, **MINUTELY)
    fleet.run(5 * MINUTE)
    fleet.dead = {"job-007"}
    fleet.run(2 * MINUTE + 30 * SECOND)
    fleet.drops = True
    fleet.run(3 * MINUTE)
    fleet.drops = False
    fleet.run(10 * MINUTE)
    assert set(fleet.count("TRIGGERED")) == {"job-007"}
    assert fleet.count("RESOLVED") == {}


# ── small things ─────────────────────────────────────────────────────────────────────────────────────────────


def silent(fleet: Fleet, count: int = 20, *rules: AlertRule) -> None:
    """Held since about 5 minutes and 5 seconds; nothing arrives."""
    fleet.watch(*(rules or (DOWN,)))
    fleet.add(count, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    fleet.run(2 * MINUTE + 30 * SECOND)
    assert fleet.suspicions() == [(None, 0)]
    assert fleet.held() > 0


def test_a_failure_is_sent_meanwhile(fleet: Fleet) -> None:
    silent(fleet)
    fleet.replica.beat("job-003", Kind.FAILURE, exit_code=1)
    fleet.run(30 * SECOND)
    assert dict(fleet.count("TRIGGERED")) == {"job-003": 1}
    assert fleet.suspicions() == [(None, 0)]


def test_it_works_without_rules_and_tells_nobody(fleet: Fleet) -> None:
    fleet.watch()
    fleet.add(20, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    fleet.run(3 * MINUTE)
    assert fleet.suspicions() == [(None, 0)]
    assert fleet.replica.container.ingest_guard.suspicion is not None
    fleet.drops = False
    fleet.run(MINUTE)
    assert fleet.suspicions() == [("returned", 1)]
    assert fleet.sent == []


def test_a_fleet_below_min_monitors_is_left_alone(fleet: Fleet) -> None:
    fleet.watch(DOWN)
    fleet.add(9, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    fleet.run(4 * MINUTE)
    assert len(fleet.count("TRIGGERED")) == 9
    assert fleet.suspicions() == []


def test_ten_monitors_are_enough(fleet: Fleet) -> None:
    silent(fleet, 10)


def test_it_is_switched_off_while_it_holds(fleet: Fleet) -> None:
    silent(fleet)
    container = fleet.replica.container
    container.settings = replace(container.settings, ingest_guard=None)
    fleet.run(30 * SECOND)
    assert fleet.suspicions() == [("switched_off", 1)]
    assert fleet.held() == 0
    assert len(fleet.count("TRIGGERED")) > 0
    assert ("RESOLVED", INGEST_SUSPECT, 1) in fleet.told()
    fleet.run(4 * MINUTE)
    assert len(fleet.count("TRIGGERED")) == 20


def test_it_is_off(fleet: Fleet) -> None:
    container = fleet.replica.container
    container.settings = replace(container.settings, ingest_guard=None)
    fleet.watch(DOWN)
    fleet.add(20, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    fleet.run(4 * MINUTE)
    assert len(fleet.count("TRIGGERED")) == 20
    assert fleet.suspicions() == []


def test_a_paused_monitor_is_not_in_the_sample(fleet: Fleet) -> None:
    fleet.watch(DOWN)
    fleet.add(12, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    for number in range(3):
        fleet.replica.monitors.set_paused(f"job-{number:03}", True)
    fleet.drops = True
    fleet.run(4 * MINUTE)
    assert fleet.suspicions() == []
    assert len(fleet.count("TRIGGERED")) == 9


def test_alarms_that_wait_to_be_grouped_are_held_after_all(fleet: Fleet) -> None:
    """The first few monitors to be late are no sign yet; what they are about to say is taken back when it is one."""
    fleet.group_wait = MINUTE
    fleet.watch(UNWELL)
    fleet.add(40, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    fleet.run(2 * MINUTE)
    assert fleet.count("TRIGGERED", rule="unwell") == {}
    assert fleet.held() == 40
    fleet.run(10 * MINUTE)
    assert set(fleet.count("TRIGGERED", rule="unwell").values()) == {1}
    assert len(fleet.count("TRIGGERED", rule="unwell")) == 40


def test_one_that_failed_since_is_not_taken_back(fleet: Fleet) -> None:
    """It was late, its message waits to be grouped, and then its job reported a failure."""
    fleet.group_wait = MINUTE
    fleet.watch(UNWELL)
    fleet.add(40, MINUTE, **MINUTELY)
    fleet.run(3 * MINUTE)
    fleet.drops = True
    while not fleet.replica.open_alerts():
        fleet.run(STEP)
    (alert, *_) = fleet.replica.alerts.recent()
    fleet.replica.beat(alert.tag, Kind.FAILURE)
    fleet.run(2 * MINUTE)
    assert fleet.suspicions() == [(None, 0)]
    assert dict(fleet.count("TRIGGERED", rule="unwell")) == {alert.tag: 1}


def test_monitors_that_are_removed_do_not_have_to_return(fleet: Fleet) -> None:
    """Most of the fleet is gone for good: what is left of it decides whether heartbeats arrive."""
    silent(fleet)
    for number in range(16):
        fleet.replica.monitors.remove(f"job-{number:03}")
        del fleet.beats[f"job-{number:03}"]
    removed = [watched.id for watched in fleet.replica.fleet if watched.monitor.tag not in fleet.beats]
    fleet.replica.fleet.update(removed=removed)
    fleet.drops = False
    fleet.run(MINUTE + 30 * SECOND)
    assert fleet.suspicions() == [("returned", 1)]
    fleet.run(5 * MINUTE)
    assert fleet.count("TRIGGERED") == {}
    assert fleet.held() == 0


def test_each_notifier_is_told_once(replica: Replica) -> None:
    fleet = Fleet(replica)
    late = AlertRule(name="late", notify=("boss",), trigger_after=2 * MINUTE)
    silent(fleet, 20, DOWN, late)
    boss = Scripted()
    channel = replica.channel(boss, "boss")
    fleet.run(20 * SECOND)
    channel.work()
    assert boss.told() == []
    fleet.run(2 * MINUTE)
    channel.work()
    assert [message.first.rule for message in boss.got] == [INGEST_SUSPECT]
    fleet.drops = False
    fleet.run(2 * MINUTE)
    channel.work()
    assert [(message.event.value, message.first.rule) for message in boss.got] == [
        ("TRIGGERED", INGEST_SUSPECT),
        ("RESOLVED", INGEST_SUSPECT),
    ]
    assert [rule for _, rule, _ in fleet.told()] == [INGEST_SUSPECT, INGEST_SUSPECT]
    assert len({message.first.alert_id for _, message in fleet.sent} | {boss.got[0].first.alert_id}) == 1


def test_the_notifier_that_is_told_is_removed(fleet: Fleet) -> None:
    """Its message waits for it as any other, and the end follows in order when it is there again."""
    fleet.ops.answers = [_busy()] * 100
    silent(fleet)
    fleet.replica.watch(AlertRule(name="down", notify=("boss",)))
    fleet.run(10 * SECOND)
    boss = Scripted()
    fleet.replica.channel(boss, "boss").work()
    assert [message.first.rule for message in boss.got] == [INGEST_SUSPECT]
    fleet.drops = False
    fleet.run(2 * MINUTE)
    fleet.ops.answers = []
    fleet.run(10 * MINUTE)
    assert [(event, rule) for event, rule, _ in fleet.told()] == [("RESOLVED", INGEST_SUSPECT)]
    assert fleet.sent[0][1].unannounced


def _busy() -> Exception:
    return DeliveryFailed(Failure.SERVER_ERROR, "there answered 500", retry=True)


def test_another_process_goes_on_with_it(replica: Replica, other: Replica) -> None:
    fleet = Fleet(replica)
    silent(fleet)
    use_calendar(other)
    other.watch(DOWN, group_wait=fleet.group_wait)
    other.refresh()
    replica.lease.release()
    other.evaluator.evaluate_due()
    assert other.container.ingest_guard.suspicion is not None
    replica.clock.advance(6 * MINUTE)
    other.evaluator.evaluate_due()
    other.evaluator.evaluate_due()
    assert fleet.held() == 0
    assert fleet.suspicions() == [("lasted", 0)]
    replica.clock.advance(MINUTE)
    ops = Scripted()
    channel = other.channel(ops)
    channel.work()
    channel.work()
    channel.work()
    alarms = [facts.tag for message in ops.got for facts in message.alerts if facts.rule == "down"]
    assert len(alarms) == len(set(alarms)) == 20


def test_the_span_is_a_blackout_of_its_own_kind(fleet: Fleet) -> None:
    silent(fleet)
    fleet.drops = False
    fleet.run(2 * MINUTE)
    ((started_at, ended_at, kind),) = fleet.replica.execute("SELECT started_at, ended_at, kind FROM blackouts")
    assert kind == "unreachable"
    assert abs(started_at - START - 3 * MINUTE) <= 2 * STEP
    assert abs(ended_at - START - 5 * MINUTE - 30 * SECOND) <= 2 * STEP


def test_an_alert_shows_what_holds_it(fleet: Fleet) -> None:
    silent(fleet)
    held = [alert for alert in fleet.replica.alerts.recent() if alert.holds]
    assert held
    guard = fleet.replica.container.ingest_guard.suspicion
    assert guard is not None
    assert {(hold.kind, hold.until) for alert in held for hold in alert.holds} == {(HoldKind.INGEST_GUARD, guard.until)}


def test_with_after_outage_strict_nothing_is_excused(fleet: Fleet) -> None:
    """What has not sent again when heartbeats return is sent at once."""
    fleet.calendars.forgive(False, fleet.replica.clock.now())
    silent(fleet)
    fleet.drops = False
    fleet.run(10 * MINUTE)
    alarms = fleet.count("TRIGGERED")
    ends = fleet.count("RESOLVED")  # some report both, as their monitors were well before the alarm could be sent
    assert 0 < len(alarms) <= len(ends) < 20
    assert alarms.keys() <= ends.keys()
    assert set(alarms.values()) == set(ends.values()) == {1}
    assert fleet.suspicions() == [("returned", 1)]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_nothing_is_lost_and_nothing_told_twice(fleet: Fleet, seed: int) -> None:
    """Load balancers, dead jobs, failures, pauses and processes that die, by chance."""
    chance = Random(seed)
    fleet.watch(DOWN)
    fleet.add(16, MINUTE, chance.random() < 0.5, **MINUTELY, **chance.choice([{}, {"schedule": "* * * * *"}]))
    tags = list(fleet.beats)
    fleet.run(3 * MINUTE, step=10 * SECOND)
    for _ in range(10):
        match chance.randrange(6):
            case 0 | 1:
                fleet.drops = not fleet.drops
            case 2:
                fleet.dead ^= set(chance.sample(tags, chance.choice([1, 3, 8])))
            case 3:
                fleet.replica.beat(chance.choice(tags), Kind.FAILURE)
            case 4:
                fleet.replica.monitors.set_paused(chance.choice(tags), chance.random() < 0.5)
            case 5:
                fleet.replica.lease.release()  # as if another process had held it meanwhile
        fleet.run(chance.choice([20, 70, 200, 400]) * SECOND, step=10 * SECOND)
    fleet.drops = False
    for tag in tags:
        fleet.replica.monitors.set_paused(tag, False)
    fleet.run(20 * MINUTE, step=20 * SECOND)
    assert fleet.held() == 0
    open_alerts = {alert.tag for alert in fleet.replica.alerts.recent(step=AlertState.TRIGGERED)}
    assert open_alerts == fleet.dead == {tag for tag in tags if fleet.replica.status(tag)[0] == "DOWN"}
    told: dict[str, list[str]] = {tag: [] for tag in tags}
    alarms: list[str] = []
    for _, message in fleet.sent:
        for facts in message.alerts:
            if message.event is Event.TRIGGERED or facts.alert_id in message.unannounced:
                alarms.append(facts.alert_id)
                told.get(facts.tag, []).append("TRIGGERED")
            if message.event is Event.RESOLVED:
                told.get(facts.tag, []).append("RESOLVED")
    assert len(alarms) == len(set(alarms))
    for tag, events in told.items():
        # An alarm and its end by turns; the last is an alarm if the job is dead.
        assert events == ["TRIGGERED", "RESOLVED"] * (len(events) // 2) + ["TRIGGERED"] * (len(events) % 2), tag
        assert len(events) % 2 == (tag in fleet.dead), tag
