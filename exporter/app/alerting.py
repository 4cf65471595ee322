"""Puts the parts of alerting together, for `container`."""

import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from exporter.alerting.dependencies import DependencyHolds
from exporter.alerting.evaluator import AlertEvaluator
from exporter.alerting.ruleset import RuleSet
from exporter.alerting.suppressions import SuppressionTracker
from exporter.alerting.writer import AlertWriter
from exporter.app.periodic import Periodic
from exporter.app.repositories import Repositories
from exporter.config.settings import Settings
from exporter.core.clock import SECOND, Clock
from exporter.core.fleet import Fleet
from exporter.core.ingest_guard import Suspicion
from exporter.core.process.threads import Threads
from exporter.core.telemetry import Telemetry
from exporter.metrics.own.alerts import AlertCollector
from exporter.metrics.own.instruments import PREFIX
from exporter.notify.dispatcher import Dispatcher
from exporter.presentation.message import Site
from exporter.storage.delivery.outbox import DeliveryPolicy
from exporter.storage.repositories.alert_board import AlertBoard

log = logging.getLogger(__name__)

POLL_EVERY = 0.5
STALLED_AFTER = 60 * SECOND
"""An evaluator that has not come round for so long does not work."""


class Alerting:
    """Rules, incidents and notifiers of one replica."""

    def __init__(
        self,
        repositories: Repositories,
        fleet: Fleet,
        clock: Clock,
        telemetry: Telemetry,
        registry: CollectorRegistry,
        site: Callable[[], Site],
        threads: Threads,
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._telemetry = telemetry
        self._threads = threads
        self._board = AlertBoard(
            repositories.alerts,
            repositories.incidents,
            repositories.notifications,
            clock,
            repositories.ingest_suspicions,
        )
        self._alarms = AlertCollector(self._board, clock, PREFIX)
        registry.register(self._alarms)
        self._sender = Dispatcher(
            repositories.deliveries,
            repositories.notifications,
            repositories.lease,
            clock,
            telemetry,
            site,
            threads,
            repositories.events,
        )
        self.writer = AlertWriter(
            fleet,
            repositories.history,
            repositories.alert_progress,
            repositories.alerts,
            repositories.incidents,
            repositories.outbox,
            telemetry,
            self._sender.wake,
            repositories.held_alerts,
            repositories.ingest_suspicions,
            repositories.events,
        )
        tracker = SuppressionTracker(repositories.database, fleet, repositories.suppressions)
        dependencies = DependencyHolds(
            tracker, fleet, repositories.held_alerts, repositories.alerts, repositories.outbox
        )
        self.writer.hold_by_dependencies(dependencies)
        self.engine = AlertEvaluator(
            repositories.database,
            fleet,
            repositories.alert_progress,
            repositories.alerts,
            self.writer,
            tracker,
            dependencies,
        )

    @property
    def suspicion(self) -> Suspicion | None:
        """Why heartbeats may not arrive, as the database has it; None while nothing is held because of that."""
        return self._board.suspicion

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Makes what the settings ask for, and returns what puts it in force. Raises ConfigError."""
        change_notifiers = self._sender.prepare(settings.notifiers)
        rules = RuleSet(settings.alerts)

        def apply() -> None:
            change_notifiers()
            names = [notifier.name for notifier in settings.notifiers]
            self._telemetry.expect_notifiers(names)
            self._alarms.notifiers = tuple(names)
            self.writer.policies = {
                notifier.name: DeliveryPolicy(notifier.group_wait, notifier.give_up_after)
                for notifier in settings.notifiers
            }
            self.engine.use(rules)

        return apply

    def warn_of_idle_rules(self, settings: Settings) -> None:
        for name in RuleSet(settings.alerts).idle(watched.monitor for watched in self._fleet):
            log.warning("the alert rule %r fits no monitor", name)

    def start(self) -> None:
        """Once the database is open. Raises StorageUnavailable."""
        self._board.poll()
        self._sender.start()

    def stop(self) -> None:
        self._sender.stop()

    def expire_orphaned(self) -> None:
        """Called every so often: gives up messages that can no longer be delivered."""
        self._sender.expire_orphaned()

    def periodics(self, settings: Settings, worked_at: Callable[[], int | None]) -> list[Periodic]:
        """`worked_at` returns when the evaluator last completed all its work, by the steady clock."""
        periodics = [Periodic(self._threads, "board", POLL_EVERY, self._board.poll)]
        if settings.self_heartbeat is not None:
            # Imported only when asked for: it brings an HTTP library along.
            from exporter.notify.self_heartbeat import SelfHeartbeat

            heartbeat = SelfHeartbeat(settings.self_heartbeat, lambda: self._trouble(worked_at()))
            periodics.append(Periodic(self._threads, "self-heartbeat", heartbeat.seconds, heartbeat.beat))
        return periodics

    def _trouble(self, worked_at: int | None) -> str | None:
        """Which of the threads that alarms depend on does not work; None when they all do."""
        if worked_at is None or self._clock.monotonic() - worked_at > STALLED_AFTER:
            return "the evaluator does not work"
        return None if self._sender.alive else "the sender does not work"
