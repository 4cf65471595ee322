"""One replica of the service: a container, its threads, its configuration and its application, started and stopped."""

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.app.container import Container
from exporter.app.lifespan import Lifespan, Replacement, SingleProcess
from exporter.app.loader import LoadProgress
from exporter.app.log_setup import redact_routes
from exporter.app.management import ApiForDialects
from exporter.app.reload import Configuration, Read
from exporter.app.synchronisation import synchronised
from exporter.app.threads import ServiceThreads
from exporter.config.settings import Settings
from exporter.core.clock import Clock
from exporter.core.errors import ConfigError, HeartbeatExporterError, StorageUnavailable
from exporter.core.fleet import Fleet
from exporter.core.process.memory import give_back
from exporter.core.process.reloads import release_reloads
from exporter.core.process.repeats import Repeats
from exporter.core.process.threads import SupervisedThread
from exporter.core.trusted_clock import TrustedClock
from exporter.fleet.loader import load
from exporter.ingest.app import IngestApplication
from exporter.ingest.creation import Creation
from exporter.ingest.credentials import Credentials
from exporter.ingest.dialects import all_dialects
from exporter.ingest.guesses import Guesses
from exporter.ingest.intake import Intake
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.refusals import Refusals
from exporter.ingest.routes import owner_of
from exporter.ingest.waiters import Waiters
from exporter.metrics.exposition.renderer import Exposition
from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.metrics.own.telemetry import ExporterTelemetry
from exporter.metrics.scrape import Scrape
from exporter.recording.statements import Pending
from exporter.storage.repositories.keys import secret_key
from exporter.storage.schema import migrate
from exporter.web.app import create_app
from exporter.web.context import WebContext
from exporter.web.proxies import client_address

log = logging.getLogger(__name__)

LOADING = "loading configuration"
BOOT_PAUSE = 1.0
"""Seconds between two tries to open a database that is not there yet."""
BOOT_GRACE = 5.0
"""Seconds that one of several workers takes no connection while it is not ready; then it says that it is not."""
GC_THRESHOLD = (10_000, 20, 50)
"""Requests make no cycles to speak of; at the default of 700 the collector takes a tenth of the hot path."""


class Service:
    """One replica: every part, from the start of the event loop to its end."""

    def __init__(
        self,
        settings: Settings,
        read: Read,
        clock: Clock,
        workers: int = 1,
        *,
        complete: bool = True,
        life: SingleProcess | None = None,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """`read` reads the configuration again, which has to be done at the start too unless `settings` are `complete`.
        `workers`: how many processes share the listening socket, of which this is one. `cancel` ends a reading that is
        under way.
        """
        registry, fleet = CollectorRegistry(), Fleet()
        self.telemetry = ExporterTelemetry(registry, fleet, __version__, workers)
        self._replacement = Replacement(lambda: self.container.threads)
        self.container = Container(
            settings,
            TrustedClock(clock),  # a wall clock that is set is not believed at once
            self.telemetry,
            registry=registry,
            fleet=fleet,
            replaced=self._replacement.begin,
            on_committed=self._settled,
            synchronised=synchronised,
        )
        self._life = life or SingleProcess()
        self.configuration = Configuration(
            self.container, read, workers, complete=complete, life=self._life, apply=self._use_dialects
        )
        self._cancel = cancel
        self._workers = workers
        self._threads = ServiceThreads(self.container)
        self._guesses = Guesses(self.container.clock, self.telemetry.refusal_delayed)
        self._refusals = Refusals(self.container.clock, self._guesses)
        self._ingest: Intake | None = None
        self._ingest_app: IngestApplication | None = None
        self._waiters: Waiters | None = None
        self._starting: str | None = "opening the database"
        self._boot_troubles = Repeats()
        self._stopping = threading.Event()
        # A migration may take any time.
        self._boot_thread = SupervisedThread("boot", self._boot, self.container.threads, vital=True, hanging_after=None)

    def app(self) -> Any:
        """The ASGI application."""
        parts, dialects = self.container, all_dialects()
        app = create_app(
            WebContext(
                fleet=parts.fleet,
                clock=parts.clock,
                executor=self._threads.readers,
                readiness=self.readiness,
                health=lambda: self.lost,
                notice=self._notice,
                suspicion=lambda: parts.alerting.suspicion,
                starting=lambda: self._starting,
                history=parts.repositories.history,
                monitors=parts.managed_monitors,
                alerts=parts.repositories.alerts,
                incidents=parts.repositories.incidents,
                notifications=parts.repositories.notifications,
                refusals=self._refusals,
                scrape=Scrape(Exposition(parts.fleet, parts.clock), parts.registry, self.telemetry),
                job_metrics=JobMetricsScrape(parts.job_metrics),
                reload=self.configuration.reload_all,
                settings=lambda: parts.settings.web,
                version=__version__,
                observe=self.telemetry.request_served,
            ),
            self._guesses,
            owner_of(dialects),
        )
        app.add_middleware(Lifespan(self.start, self.stop))
        self.telemetry.expect_dialects(dialect.name for dialect in dialects)
        self._ingest_app = IngestApplication(
            app,
            dialects,
            parts.receipts,
            self.telemetry,
            intake=lambda: self._ingest,
            observe=self.telemetry.request_served,
            client_address=self._client_address,
            guesses=self._guesses,
            refusals=self._refusals,
            management=ApiForDialects(
                parts.fleet,
                parts.managed_monitors,
                self._threads.readers,
                lambda: parts.settings,
                lambda: parts.key,
                parts.repositories.history,
                self._catch_up,
            ),
        )
        redact_routes(self._ingest_app.routes)
        self._use_dialects(parts.settings)
        return self._ingest_app

    @property
    def lost(self) -> str | None:
        """Why only a new process can go on; None while this one can."""
        return self._replacement.reason

    def readiness(self) -> str | None:
        """None when heartbeats can be taken, else why not."""
        parts = self.container
        return (
            self.lost or self._starting or (None if parts.spool.taking_since() is not None else parts.database.trouble)
        )

    def _notice(self) -> str | None:
        return self.container.spool.notice() or self.container.outages.notice()

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        self.configuration.was_read()
        loop = asyncio.get_running_loop()
        self._waiters = Waiters(loop, self.container.clock)
        reload = self.configuration.reload_by_signal
        loop.add_signal_handler(signal.SIGHUP, lambda: self._threads.readers.submit(reload))
        release_reloads()
        self._boot_thread.start()
        self._replacement.watch(loop)
        if self._workers > 1:  # until we are ready, the others take what comes
            await loop.run_in_executor(None, self._boot_thread.join, BOOT_GRACE)

    async def stop(self) -> None:
        """Everything that was accepted is committed before this returns."""
        self._stopping.set()
        self._replacement.stop_watching()
        await asyncio.get_running_loop().run_in_executor(None, self._stop_threads)
        self._guesses.sum_up()
        self.container.events.close()
        if self._waiters is not None:
            self._waiters.close()

    def _stop_threads(self) -> None:
        self._cancel()
        self._boot_thread.stop(10.0)
        self._threads.stop(accepted=self._ingest is not None)

    def _boot(self) -> float:
        """Opens the database as soon as it lets us; until then we answer, and say that we are not ready. Returns after
        how many seconds it is to be tried again.
        """
        try:
            self._open()
        except ConfigError as error:
            self._starting = "the configuration cannot be used"
            if not self._stopping.is_set():
                for problem in error.problems:
                    log.critical("cannot start: %s", problem)
                if not self._life.was_ready:
                    self._life.give_up()
        except StorageUnavailable as error:
            self._starting = f"the database cannot be opened: {error}"
            if self._boot_troubles.is_due(self._starting):
                log.error("%s; trying again", self._starting)
            return BOOT_PAUSE
        except HeartbeatExporterError as error:
            self._starting = str(error)
            log.critical("cannot start: %s", error)
        finally:
            gc.enable()
            self.container.database.close()
        self._boot_thread.ask_to_stop()
        return 0

    def _open(self) -> None:
        assert self._waiters is not None
        parts = self.container
        applied = migrate(parts.database)
        if applied:
            log.info("database migrated: %s", ", ".join(applied))
        configured = parts.settings.secret_key
        parts.key = secret_key(parts.database, configured.reveal() if configured is not None else None)
        progress = LoadProgress(parts.clock)
        self._starting = LOADING
        self.configuration.begin(progress)
        parts.follower.start_here()
        gc.disable()  # all of it stays
        parts.fleet.update(
            load(parts.database, progress=lambda count: progress.report(f"{count:,} monitors are in memory"))
        )
        parts.recorder.start()
        credentials = Credentials(parts.fleet, parts.key)
        parts.key_ring.follow(credentials)
        parts.key_ring.refresh()
        monitors = parts.repositories.monitors
        self._ingest = Intake(
            credentials,
            parts.recorder,
            self._waiters,
            Newcomers(self._catch_up, parts.clock, self._threads.lookout),
            Creation(monitors, parts.fleet, parts.key, parts.managed_monitors.show, self._threads.readers),
            self.telemetry.heartbeat_recorded,
            parts.job_metrics,
            self.telemetry,
        )
        self.configuration.accept_heartbeats()
        self._threads.start_evaluating()
        # What is there now stays for as long as the process does: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        give_back()
        self._starting = None
        count = len(parts.fleet)
        where = parts.settings.web.listen_address
        name = parts.database.engine.name
        log.info("ready: %d monitor%s on %s, database %s", count, "" if count == 1 else "s", where, name)
        self._life.ready()

    # ── for the other parts ──────────────────────────────────────────────────────────────────────────────────

    def _settled(self, group: Sequence[Pending]) -> None:
        """On the recorder's thread, which commits nothing before the first request waits."""
        if self._waiters is not None:
            self._waiters.settled(group)

    def _catch_up(self, seconds: float) -> None:
        self.container.key_ring.refresh()
        self.container.follower.catch_up(seconds)

    def _use_dialects(self, settings: Settings) -> None:
        if self._ingest_app is not None:
            self._ingest_app.switch_off(settings.dialects_off)
        if self._ingest is not None:
            self._ingest.credentials.built_in_tokens = settings.built_in_tokens

    def _client_address(self, peer: str, forwarded: str | None) -> str:
        return client_address(peer, forwarded, self.container.settings.web.trusted_proxies)
