"""Wires the parts of one process together: the one place that knows them all.

The service, tests and benchmarks build it; the command line and the doctor build its `Repositories` alone. It starts
no thread, opens no connection and holds no logic of its own.
"""

import uuid
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from exporter.app.alerting import Alerting
from exporter.app.credentials import KeyRing
from exporter.app.repositories import Repositories
from exporter.app.spool import Spool
from exporter.config.settings import Settings
from exporter.core.clock import Clock, ReceiptClock, SystemClock
from exporter.core.fleet import Fleet
from exporter.core.process.threads import Threads
from exporter.core.telemetry import Silent, Telemetry
from exporter.evaluation.calendars import ExclusionSource
from exporter.evaluation.evaluator import Evaluator
from exporter.evaluation.ingest_guard import IngestGuard
from exporter.evaluation.outages import OutageTracker
from exporter.evaluation.outcomes import Evaluations
from exporter.evaluation.runtimes import RuntimeTracker
from exporter.fleet.follower import Follower
from exporter.fleet.job_metrics import JobMetricsView
from exporter.metrics.own.blackouts import BlackoutSeconds
from exporter.metrics.own.instruments import PREFIX
from exporter.metrics.own.job_metrics import JobMetricsCollector
from exporter.presentation.events import EventLog
from exporter.presentation.message import Site
from exporter.recording.managed_monitors import ManagedMonitors
from exporter.recording.recorder import Recorder
from exporter.recording.statements import Pending
from exporter.storage.database import Database
from exporter.storage.pruning_clock import PruningClock
from exporter.storage.repositories.pruning import Pruner


class Container:
    """Repositories, fleet, recorder, evaluator and alerting of one process."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        telemetry: Telemetry | None = None,
        *,
        registry: CollectorRegistry | None = None,
        fleet: Fleet | None = None,
        replica: str | None = None,
        replaced: Callable[[], None] = lambda: None,
        on_committed: Callable[[Sequence[Pending]], None] = lambda group: None,
        synchronised: Callable[[], bool | None] = lambda: None,
        exclusions: ExclusionSource | None = None,
    ) -> None:
        """`registry` gets the collectors that read what is here. `replica` names the process in the database; made up
        when None. `replaced` is called when the database at the URL is no longer the one that was opened,
        `on_committed` with each group of heartbeats whose fate is known. `synchronised` returns what the kernel says
        about the clock.
        `exclusions`: the time that does not count; None is the outages and the maintenance that the database has.
        """
        self.settings = settings
        """Those in force: a reload replaces them."""
        self.clock = clock
        self.telemetry = telemetry or Silent()
        self.registry = registry or CollectorRegistry()
        self.replica = replica or uuid.uuid4().hex[:12]
        self.key = b""
        """The database's secret key, once the database has been open."""
        self.receipts = ReceiptClock(clock)
        self.fleet = fleet if fleet is not None else Fleet()
        self.threads = Threads(SystemClock(), self.telemetry)
        self.database = Database(settings.storage.url, self.telemetry, replaced)
        self.events = EventLog(clock)
        repositories = self.repositories = Repositories(self.database, clock, self.replica, self.events)
        self.lease = repositories.lease
        self.key_ring = KeyRing(self.database, clock)
        self.spool = Spool(settings.storage, self.database, clock, self.telemetry, self.replica, key=lambda: self.key)
        self.alerting = Alerting(
            repositories,
            self.fleet,
            clock,
            self.telemetry,
            self.registry,
            lambda: Site(self.settings.web.url),
            self.threads,
        )
        self.outages = OutageTracker(
            self.database,
            self.fleet,
            clock,
            self.spool.taking_since,
            self.replica,
            synchronised,
            self.receipts.reset,
            spools=settings.storage.spool is not None,
        )
        self.registry.register(BlackoutSeconds(lambda: self.outages.total, PREFIX))
        self.evaluations = Evaluations(self.database, self.fleet, self.replica)
        self.ingest_guard = IngestGuard(
            self.database,
            self.fleet,
            repositories.ingest_suspicions,
            repositories.blackouts,
            clock,
            lambda: self.settings.ingest_guard,
        )
        self.ingest_guard.alarms = self.alerting.engine
        self.alerting.writer.ingest.current = lambda: self.ingest_guard.suspicion
        self.evaluator = Evaluator(
            self.database,
            self.evaluations,
            repositories.history,
            self.lease,
            clock,
            self.telemetry,
            self.alerting.engine,
            calendars=self.outages if exclusions is None else exclusions,
            held_back=lambda: self.spool.behind() or self.outages.waits(),
            minds_clock=exclusions is not None,  # else the outages notice a clock that is set back
            threads=self.threads,
            events=self.events,
            guard=self.ingest_guard,
        )
        self.runtimes = RuntimeTracker(
            self.database, self.fleet, self.lease, lambda: self.settings.storage.heartbeat_log_size, self.threads
        )
        self.job_metrics = JobMetricsView(self.database, self.fleet, clock, self.replica)
        self.registry.register(JobMetricsCollector(self.job_metrics))
        self.recorder = Recorder(
            self.database,
            self.fleet,
            self.telemetry,
            self.replica,
            on_committed=on_committed,
            wake=self.evaluator.wake,
            spooler=self.spool.spooler,
            threads=self.threads,
            on_pushed=self.job_metrics.apply,
        )
        self.evaluator.arrivals = self.recorder
        self.follower = Follower(
            self.database, self.fleet, repositories.monitors, self.recorder.reload, clock, self.replica
        )
        self.managed_monitors = ManagedMonitors(
            repositories.monitors, self.fleet, self.recorder, lambda: self.key, self.evaluator.wake
        )
        self.pruning_clock = PruningClock(self.database, clock)
        self.pruner = Pruner(self.database, self.pruning_clock)
