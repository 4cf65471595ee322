"""Everything about storage runs against every engine there is."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.alerting.ruleset import RuleSet
from exporter.app.container import Container
from exporter.config.settings import Settings, StorageSettings
from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.clock import DAY
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.process.threads import Threads
from exporter.core.telemetry import Silent, Telemetry
from exporter.evaluation.calendars import NoExclusions
from exporter.fleet.loader import load
from exporter.notify.notifier import Notifier
from exporter.notify.worker import DeliveryWorker
from exporter.presentation.message import Site
from exporter.recording.statements import Pending
from exporter.storage.database import Database
from exporter.storage.delivery.outbox import DeliveryPolicy
from exporter.storage.schema import migrate
from tests.conftest import ManualClock
from tests.support.postgres import Postgres, running

DEADLINE = 30.0
"""Seconds a test waits for another thread before it gives up."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        server.execute("CREATE DATABASE migrated")
        database = Database(server.url("migrated"))
        migrate(database)
        database.close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Callable[[Path], str]) -> str:
    """A database that is migrated."""
    if request.param == "sqlite":
        return migrated_file(tmp_path / "contract.db")
    return str(request.getfixturevalue("postgres").create("migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return str(request.getfixturevalue("postgres").create())


def execute(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement that no query builder made; its rows."""
    with database.write("test"):
        cursor = database.peewee.execute_sql(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def away(url: str) -> Iterator[None]:
    """The database takes nothing meanwhile."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
            lock.execute("ROLLBACK")
        return
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


class Replica:
    """One process's storage and evaluation, without threads of its own until a recorder is asked for."""

    def __init__(self, url: str, clock: ManualClock, name: str = "one") -> None:
        self.clock = clock
        self.name = name
        self.settled: list[Pending] = []
        # Tests let hours pass in which nothing is stamped: without further ado no outage comes of it.
        parts = self.container = Container(
            Settings(storage=StorageSettings(url=url)),
            clock,
            replica=name,
            on_committed=lambda group: self.settled.extend(group),
            exclusions=NoExclusions(),
        )
        self.db = parts.database
        migrate(self.db)
        self.fleet = parts.fleet
        self.monitors = parts.repositories.monitors
        self.history = parts.repositories.history
        self.lease = parts.repositories.lease
        self.evaluations = parts.evaluations
        self.alerts, self.outbox = parts.repositories.alerts, parts.repositories.outbox
        self.progress = parts.repositories.alert_progress
        self.deliveries, self.notifications = parts.repositories.deliveries, parts.repositories.notifications
        self.incidents = parts.repositories.incidents
        self.writer = parts.alerting.writer
        self.engine = parts.alerting.engine
        self.evaluator = parts.evaluator
        self.recorder = parts.recorder
        self.follower = parts.follower
        self.follower.start_here()
        self.refresh()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return execute(self.db, statement)

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
        terms = {name: DeliveryPolicy(group_wait, give_up_after) for name in notifiers}
        self.writer.policies = {**self.writer.policies, **terms}
        self.engine.use(RuleSet(rules))

    def channel(
        self,
        notifier: Notifier,
        name: str = "ops",
        changed: bool = False,
        telemetry: Telemetry | None = None,
        threads: Threads | None = None,
    ) -> DeliveryWorker:
        """Without a thread of its own."""
        site = Site("http://here")
        return DeliveryWorker(
            name,
            notifier,
            self.deliveries,
            self.lease,
            self.clock,
            telemetry or Silent(),
            lambda: site,
            changed=changed,
            threads=threads,
        )

    def open_alerts(self) -> list[str]:
        """The rules of the alerts that are on."""
        return sorted(alert.rule for alert in self.alerts.recent(step=AlertState.TRIGGERED))

    def status(self, tag: str) -> tuple[str, str]:
        watched = self.fleet.get(tag)
        assert watched is not None
        return watched.current.status.value, watched.current.reason.value

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
