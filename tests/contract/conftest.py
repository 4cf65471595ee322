"""Everything about storage runs against every engine there is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exporter.alerting.channel import Channel
from exporter.alerting.engine import Engine
from exporter.alerting.ledger import Ledger
from exporter.alerting.message import Site
from exporter.alerting.notifier import Notifier
from exporter.alerting.rulebook import Rulebook
from exporter.core.alert import Step
from exporter.core.alert_rule import AlertRule
from exporter.core.clock import DAY
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.telemetry import Silent
from exporter.evaluation.evaluator import Evaluator
from exporter.storage.alert_progress import AlertProgress
from exporter.storage.alerts import Alerts
from exporter.storage.commit import Pending
from exporter.storage.database import Database
from exporter.storage.deliveries import Deliveries
from exporter.storage.evaluations import Evaluations
from exporter.storage.fleet import Fleet
from exporter.storage.follower import Follower
from exporter.storage.history import History
from exporter.storage.incidents import Incidents
from exporter.storage.leases import Lease
from exporter.storage.monitors import Monitors
from exporter.storage.notifications import Notifications
from exporter.storage.outbox import Outbox, Terms
from exporter.storage.recorder import Recorder
from exporter.storage.schema import migrate
from exporter.storage.snapshot import load
from tests.conftest import ManualClock

DEADLINE = 30.0
"""Seconds a test waits for another thread before it gives up."""


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/contract.db"


class Replica:
    """One process's storage and evaluation, without threads of its own until a recorder is asked for."""

    def __init__(self, url: str, clock: ManualClock, name: str = "one") -> None:
        self.clock = clock
        self.name = name
        self.db = Database(url)
        migrate(self.db)
        self.fleet = Fleet()
        self.monitors = Monitors(self.db, clock, name)
        self.history = History(self.db)
        self.lease = Lease(self.db, clock, "evaluation", name)
        self.evaluations = Evaluations(self.db, self.fleet, name)
        self.alerts, self.outbox = Alerts(self.db), Outbox(self.db)
        self.progress = AlertProgress(self.db)
        self.deliveries, self.notifications = Deliveries(self.db), Notifications(self.db)
        self.incidents = Incidents(self.db, clock)
        self.ledger = Ledger(
            self.fleet,
            self.history,
            self.progress,
            self.alerts,
            self.incidents,
            self.outbox,
            Silent(),
            owed=lambda: None,
        )
        self.engine = Engine(self.db, self.fleet, self.monitors, self.progress, self.alerts, self.ledger)
        self.evaluator = Evaluator(self.db, self.evaluations, self.history, self.lease, clock, Silent(), self.engine)
        self.settled: list[Pending] = []
        self.recorder = Recorder(self.db, self.fleet, Silent(), name, settled=self.settled.extend)
        self.follower = Follower(self.db, self.monitors, self.recorder, name)
        self.follower.start_here()
        self.refresh()

    def refresh(self) -> None:
        self.fleet.update(load(self.db))

    def add(self, tag: str, **options: object) -> None:
        self.monitors.add(Monitor(tag=tag, **options), b"d" * 32)  # type: ignore[arg-type]
        self.refresh()

    def beat(self, tag: str, *kinds: Kind, rid: str = "", exit_code: int | None = None) -> None:
        """Commits heartbeats on this thread, at the clock's moment."""
        watched = self.fleet.get(tag)
        assert watched is not None
        beats = [Heartbeat(kind, self.clock.now(), rid, exit_code) for kind in kinds or (Kind.SUCCESS,)]
        self.recorder._commit([Pending(watched, beat) for beat in beats])

    def watch(self, *rules: AlertRule, group_wait: int = 0, give_up_after: int = DAY) -> None:
        """Has these rules in force, and no others."""
        notifiers = {name for rule in rules for name in rule.notify}
        terms = {name: Terms(group_wait, give_up_after) for name in notifiers}
        self.ledger.terms = {**self.ledger.terms, **terms}
        self.engine.use(Rulebook(rules))

    def channel(self, notifier: Notifier, name: str = "ops") -> Channel:
        """Without a thread of its own."""
        return Channel(name, notifier, self.deliveries, self.lease, self.clock, Silent(), lambda: Site("http://here"))

    def open_alerts(self) -> list[str]:
        """The rules of the alerts that are on."""
        return sorted(alert.rule for alert in self.alerts.recent(step=Step.TRIGGERED))

    def status(self, tag: str) -> tuple[str, str]:
        watched = self.fleet.get(tag)
        assert watched is not None
        return watched.standing.status.value, watched.standing.reason.value

    def past(self, tag: str) -> Sequence[tuple[str, int]]:
        """The monitor's transitions as (status, moment)."""
        watched = self.fleet.get(tag)
        assert watched is not None
        return [(one.status.value, one.at) for one in self.history.transitions([watched.id], 0)[watched.id]]


@pytest.fixture
def replica(url: str, clock: ManualClock) -> Iterator[Replica]:
    replica = Replica(url, clock)
    yield replica
    replica.db.close()


@pytest.fixture
def other(url: str, clock: ManualClock, replica: Replica) -> Iterator[Replica]:
    """A second process on the same database."""
    other = Replica(url, clock, "two")
    yield other
    other.db.close()
