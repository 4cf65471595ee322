"""Whatever happens in a family of monitors, over restarts and between two processes: no alert is lost, none is sent
twice, and none is held for longer than a day.
"""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule, Selector
from exporter.core.alerts.held import HoldKind
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.heartbeat import Kind
from exporter.core.status import Status
from exporter.fleet.loader import load
from exporter.presentation.message import Event
from tests.alerting.test_evaluator import REFUSED, Scripted
from tests.conftest import ManualClock, made
from tests.support.replica import Replica

FAMILY: dict[str, tuple[str, ...]] = {
    "power": (),
    "db": ("power",),
    "cache": ("power",),
    "web": ("db", "c*"),
    "mail": ("db",),
    "alone": (),
}
RULES = (
    AlertRule(name="down", notify=("ops",), create_incident=True),
    AlertRule(name="late", when=(Status.DOWN, Status.DEGRADED), notify=("team",), trigger_after=2 * MINUTE),
    AlertRule(name="web", notify=("ops", "team"), selector=Selector(tags=("web",)), repeat_every=HOUR),
)
TAGS = st.sampled_from(sorted(FAMILY))
WAITS = st.sampled_from([SECOND, MINUTE, 4 * MINUTE, 6 * MINUTE, 11 * MINUTE, HOUR])
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), WAITS),
    st.tuples(st.just("wait"), WAITS),
    st.tuples(st.just("beat"), TAGS),
    st.tuples(st.just("beat"), TAGS),
    st.tuples(st.just("fail"), TAGS),
    st.tuples(st.just("pause"), TAGS),
    st.tuples(st.just("resume"), TAGS),
    st.tuples(st.just("deliver"), st.booleans()),
    st.tuples(st.just("move"), st.none()),
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in this version's schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    made(f"sqlite:///{path}")
    return path


class World:
    """Processes on one database, and what their notifiers received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = ManualClock()
        self.alarms: Counter[tuple[str, str]] = Counter()
        """Deliveries of an alarm by (alert, notifier)."""
        self.ends: Counter[tuple[str, str]] = Counter()
        self.unannounced: set[tuple[str, str]] = set()
        self.replicas = 0
        self.replica = self.another()
        for tag, parents in FAMILY.items():
            self.replica.add(tag, depends_on=parents)
            self.replica.beat(tag)
        self.replica.evaluator.evaluate_due()

    def another(self) -> Replica:
        self.replicas += 1
        replica = Replica(self.url, self.clock, f"r{self.replicas}")
        replica.watch(*RULES)
        return replica

    def act(self, action: str, argument: object) -> None:
        replica = self.replica
        if action == "wait":
            assert isinstance(argument, int)
            self.clock.advance(argument)
        elif action == "beat":
            replica.beat(str(argument))
        elif action == "fail":
            replica.beat(str(argument), Kind.FAILURE, exit_code=1)
        elif action in ("pause", "resume"):
            replica.monitors.set_paused(str(argument), action == "pause")
            watched = replica.fleet.get(str(argument))
            assert watched is not None
            replica.fleet.update(load(replica.db, [watched.id]))
        elif action == "deliver":
            self.deliver(refused=bool(argument))
        else:  # the process is killed, and another one goes on when its lease has expired
            replica.db.close()
            self.clock.advance(MINUTE)
            self.replica = self.another()
        self.replica.evaluator.evaluate_due()
        self.check()

    def deliver(self, refused: bool = False) -> None:
        for name in ("ops", "team"):
            notifier = Scripted(*([REFUSED] if refused else []))
            channel = self.replica.channel(notifier, name)
            channel.work()
            channel.work()
            for message in notifier.got:
                for facts in message.alerts:
                    if message.event is Event.TRIGGERED:
                        self.alarms[facts.alert_id, name] += 1
                    elif message.event is Event.RESOLVED:
                        self.ends[facts.alert_id, name] += 1
                        if facts.alert_id in message.unannounced:
                            self.unannounced.add((facts.alert_id, name))

    def check(self) -> None:
        """At every moment."""
        assert all(count == 1 for count in self.alarms.values()), self.alarms
        assert all(count == 1 for count in self.ends.values()), self.ends
        assert self.ends.keys() <= self.alarms.keys() | self.unannounced
        now = self.clock.now()
        for alert in self.replica.alerts.recent(step=AlertState.TRIGGERED):
            for hold in alert.holds:
                assert hold.kind is HoldKind.DEPENDENCY
                assert hold.until is None or now < hold.until <= hold.since + DAY

    def settle(self) -> None:
        """A day and more without any heartbeat; then every open alert was announced, or its monitor rests."""
        for _ in range(26):
            self.clock.advance(HOUR)
            self.replica.evaluator.evaluate_due()
            self.deliver()
            self.check()
        dead = self.given_up()
        for alert in self.replica.alerts.recent(step=AlertState.TRIGGERED):
            watched = self.replica.fleet.with_id(alert.monitor_id)
            assert watched is not None
            if watched.current.status in (Status.PAUSED, Status.UP):
                continue
            for name in alert.notify:
                assert self.alarms[alert.uid, name] == 1 or (alert.uid, name) in dead, (alert.tag, alert.rule, name)

    def given_up(self) -> set[tuple[str, str]]:
        """Alarms that their notifiers refused."""
        rows = self.replica.execute(
            "SELECT alerts.uid, notifications.notifier FROM notifications "
            "JOIN notification_alerts ON notification_alerts.notification_id = notifications.id "
            "JOIN alerts ON alerts.id = notification_alerts.alert_id "
            "WHERE notifications.state = 'dead' AND notifications.event = 'TRIGGERED'"
        )
        return {(uid, notifier) for uid, notifier in rows}


@contextmanager
def world_on_a_copy(template: Path) -> Iterator[World]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        path = Path(folder) / "copy.db"
        shutil.copy(template, path)
        world = World(f"sqlite:///{path}")
        try:
            yield world
        finally:
            world.replica.db.close()


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])
@given(actions=st.lists(ACTIONS, min_size=5, max_size=40))
def test_no_alert_is_lost_or_sent_twice(template: Path, actions: list[tuple[str, object]]) -> None:
    with world_on_a_copy(template) as world:
        for action, argument in actions:
            world.act(action, argument)
        world.settle()


def test_the_family_that_goes_down_together_is_one_message(template: Path) -> None:
    """So that the property does not hold because nothing is ever held."""
    with world_on_a_copy(template) as world:
        world.act("wait", 11 * MINUTE)
        world.deliver()
        by_notifier: defaultdict[str, set[str]] = defaultdict(set)
        tags = {alert.uid: alert.tag for alert in world.replica.alerts.recent()}
        for uid, notifier in world.alarms:
            by_notifier[notifier].add(tags[uid])
        assert by_notifier["ops"] == {"power", "alone"}
        world.settle()
        assert {tags[uid] for uid, notifier in world.alarms if notifier == "ops"} == set(FAMILY)
