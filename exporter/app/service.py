"""Puts the parts together: the one place that knows them all."""

import asyncio
import gc
import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.app.alerting import Alerting
from exporter.app.credentials import KeyRing
from exporter.app.loader import LoadProgress, Reading, RetainedSettings
from exporter.app.log_setup import redact_routes, set_level
from exporter.app.management import ApiForDialects
from exporter.app.outages import OutageTracker
from exporter.app.periodic import Periodic
from exporter.app.spool import Spool
from exporter.app.synchronisation import synchronised
from exporter.config.settings import Settings
from exporter.config.strength import warnings_of
from exporter.core.clock import SECOND, Clock, ReceiptClock, SystemClock
from exporter.core.errors import ConfigError, HeartbeatExporterError, StorageUnavailable
from exporter.core.fleet import Fleet
from exporter.core.memory import give_back
from exporter.core.monitor import Monitor
from exporter.core.reloads import release_reloads
from exporter.core.repeats import Repeats
from exporter.core.secret import digest
from exporter.core.threads import SupervisedThread, Threads
from exporter.core.trusted_clock import TrustedClock
from exporter.evaluation.evaluator import Evaluator
from exporter.evaluation.outcomes import Evaluations
from exporter.fleet.follower import Follower
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
from exporter.metrics.own.telemetry import ExporterTelemetry
from exporter.metrics.scrape import Scrape
from exporter.presentation.events import EventLog
from exporter.presentation.message import Site
from exporter.recording.recorder import Recorder
from exporter.storage.database import Database
from exporter.storage.pruning_clock import PruningClock
from exporter.storage.repositories.history import History
from exporter.storage.repositories.keys import secret_key
from exporter.storage.repositories.leases import Lease
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.repositories.pruning import Pruner
from exporter.storage.schema import migrate
from exporter.web.app import create_app
from exporter.web.context import WebContext
from exporter.web.proxies import client_address

log = logging.getLogger(__name__)

Read = Callable[[str, bytes, str, LoadProgress], Reading]
"""Reads the configuration for a database's URL and secret key, on behalf of a replica; see `Loader.read`."""
LOADING = "loading configuration"
BOOT_PAUSE = 1.0
"""Seconds between two tries to open a database that is not there yet."""
BOOT_GRACE = 5.0
"""Seconds that one of several workers takes no connection while it is not ready; then it says that it is not."""
WATCH_EVERY = 1.0
"""Seconds between two looks at the threads."""
ORDERLY_END = 45.0
"""Seconds that a process which has to be replaced may take to end; more than stopping everything takes."""
GC_THRESHOLD = (10_000, 20, 50)
"""Requests make no cycles to speak of; at the default of 700 the collector takes a tenth of the hot path."""
FOLLOW_EVERY = 0.5
PRUNE_EVERY = 2.0
READ_BACK = 5.0
"""Seconds that a change made by the API or a reload waits to be seen by this process."""


class SingleProcess:
    """Stands for a supervisor where there is none: what this worker reports goes nowhere."""

    was_ready = False
    """Whether any worker ever was ready."""

    def ready(self) -> None: ...

    def reloading(self) -> None: ...

    def give_up(self) -> None: ...


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
        `cancel` ends a reading that is under way.
        """
        self.settings = settings
        self._read = read
        self._complete = complete
        self._life = life or SingleProcess()
        self._cancel = cancel
        # What follows goes by it: a wall clock that is set is not believed at once.
        clock = self._clock = TrustedClock(clock)
        self._receipts = ReceiptClock(clock)
        self._replica = uuid.uuid4().hex[:12]
        self._registry = CollectorRegistry()
        self._fleet = Fleet()
        self._events = EventLog(clock)
        self._workers = workers
        self._telemetry = ExporterTelemetry(self._registry, self._fleet, __version__, workers)
        self._threads = Threads(SystemClock(), self._telemetry)
        self._db_url = settings.storage.url
        self._db = Database(settings.storage.url, self._telemetry, self._start_over)
        self._spool = Spool(settings.storage, self._db, clock, self._telemetry, self._replica, key=lambda: self._key)
        self._monitors = Monitors(self._db, clock, self._replica, self._events)
        self._key_ring = KeyRing(self._db, clock)
        self._history = History(self._db)
        self._lease = Lease(self._db, clock, "evaluation", self._replica)
        self._alerting = Alerting(
            self._db,
            self._fleet,
            self._history,
            self._lease,
            clock,
            self._telemetry,
            self._registry,
            lambda: Site(self.settings.web.url),
            self._threads,
            self._events,
        )
        evaluations = Evaluations(self._db, self._fleet, self._replica)
        self._presence = OutageTracker(
            self._db,
            self._fleet,
            clock,
            self._registry,
            self._spool.taking_since,
            self._replica,
            synchronised,
            self._receipts.reset,
            spools=settings.storage.spool is not None,
        )
        self._evaluator = Evaluator(
            self._db,
            evaluations,
            self._history,
            self._lease,
            clock,
            self._telemetry,
            self._alerting.engine,
            calendars=self._presence,
            held_back=lambda: self._spool.behind() or self._presence.waits(),
            minds_clock=False,
            threads=self._threads,
            events=self._events,
        )
        self._pruning_clock = PruningClock(self._db, clock)
        self._pruner = Pruner(self._db, self._pruning_clock)
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="reader")
        self._lookout = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lookout")
        self._guesses = Guesses(clock, self._telemetry.refusal_delayed)
        self._refusals = Refusals(clock, self._guesses)
        self._reloading = threading.Lock()
        self._ingest: Intake | None = None
        self._ingest_app: IngestApplication | None = None
        self._recorder: Recorder | None = None
        self._follower: Follower | None = None
        self._waiters: Waiters | None = None
        self._periodic: list[Periodic] = []
        self._key = b""
        self._configured = False
        """Whether the settings are in force; before, a reload only changes what will be."""
        self._starting: str | None = "opening the database"
        self._lost: str | None = None
        """Why only a new process can go on."""
        self._watch: asyncio.TimerHandle | None = None
        self._boot_troubles = Repeats()
        self._stopping = threading.Event()
        # A migration may take any time.
        self._boot_thread = SupervisedThread("boot", self._boot, self._threads, vital=True, hanging_after=None)

    def app(self) -> Any:
        """The ASGI application."""
        dialects = all_dialects()
        app = create_app(
            WebContext(
                fleet=self._fleet,
                clock=self._clock,
                executor=self._executor,
                readiness=self.readiness,
                health=lambda: self._lost,
                notice=self._notice,
                starting=lambda: self._starting,
                history=self._history,
                monitors=ManagedMonitors(self),
                alerts=self._alerting.alerts,
                incidents=self._alerting.incidents,
                notifications=self._alerting.notifications,
                refusals=self._refusals,
                scrape=Scrape(Exposition(self._fleet, self._clock), self._registry, self._telemetry),
                reload=self.reload_all,
                settings=lambda: self.settings.web,
                version=__version__,
                observe=self._telemetry.request_served,
            ),
            self._guesses,
            owner_of(dialects),
        )
        app.add_middleware(Lifespan(self))
        redact_routes(route for dialect in dialects for route in dialect.routes)
        self._telemetry.expect_dialects(dialect.name for dialect in dialects)
        self._ingest_app = IngestApplication(
            app,
            dialects,
            self._receipts,
            self._telemetry,
            intake=lambda: self._ingest,
            observe=self._telemetry.request_served,
            client_address=self._client_address,
            guesses=self._guesses,
            refusals=self._refusals,
            management=ApiForDialects(
                self._fleet, ManagedMonitors(self), self._executor, lambda: self.settings, lambda: self._key
            ),
        )
        self._use_dialects(self.settings)
        return self._ingest_app

    @property
    def telemetry(self) -> ExporterTelemetry:
        return self._telemetry

    def readiness(self) -> str | None:
        """None when heartbeats can be taken, else why not."""
        return self._lost or self._starting or (None if self._spool.taking_since() is not None else self._db.trouble)

    def _notice(self) -> str | None:
        return self._spool.notice() or self._presence.notice()

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        # It was read, or we would not be here; a database that is away does not make it a bad one.
        self._telemetry.config_reloaded(True, self._clock.now() / SECOND)
        loop = asyncio.get_running_loop()
        self._waiters = Waiters(loop, self._clock)
        self._recorder = Recorder(
            self._db,
            self._fleet,
            self._telemetry,
            self._replica,
            on_committed=self._waiters.settled,
            wake=self._evaluator.wake,
            spooler=self._spool.spooler,
            threads=self._threads,
        )
        self._evaluator.arrivals = self._recorder
        loop.add_signal_handler(signal.SIGHUP, lambda: self._executor.submit(self._reload_by_signal))
        release_reloads()
        self._boot_thread.start()
        self._look_at_threads(loop)
        if self._workers > 1:  # until we are ready, the others take what comes
            await loop.run_in_executor(None, self._boot_thread.join, BOOT_GRACE)

    async def stop(self) -> None:
        """Everything that was accepted is committed before this returns."""
        self._stopping.set()
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._stop_threads)
        self._guesses.sum_up()
        self._events.close()
        if self._waiters is not None:
            self._waiters.close()

    def _look_at_threads(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second, on the event loop, which gunicorn's supervisor watches in its turn."""
        self._watch = loop.call_later(WATCH_EVERY, self._look_at_threads, loop)
        trouble = self._threads.look()
        if trouble is not None:
            self._start_over(trouble)

    def _start_over(self, reason: str = "the database was removed or replaced") -> None:
        """Only a new process can go on: the supervisor starts one when this one ends. Any thread may call it."""
        if self._lost is None:
            self._lost = f"{reason}: starting over"
            log.critical(self._lost)
            # A thread that hangs may keep this process from ending in an orderly way.
            last_resort = threading.Timer(ORDERLY_END, os._exit, (1,))
            last_resort.daemon = True
            last_resort.start()
            os.kill(os.getpid(), signal.SIGTERM)

    def _stop_threads(self) -> None:
        self._cancel()
        self._boot_thread.stop(10.0)
        for periodic in self._periodic:
            periodic.stop()
        if self._ingest is not None and self._recorder is not None:
            self._recorder.stop()
            self._presence.end()
            self._alerting.stop()
            self._evaluator.stop()
        self._executor.shutdown(cancel_futures=True)
        self._lookout.shutdown(cancel_futures=True)

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
            self._db.close()
        self._boot_thread.ask_to_stop()
        return 0

    def _open(self) -> None:
        assert self._recorder is not None
        assert self._waiters is not None
        applied = migrate(self._db)
        if applied:
            log.info("database migrated: %s", ", ".join(applied))
        configured = self.settings.secret_key
        self._key = secret_key(self._db, configured.reveal() if configured is not None else None)
        progress = LoadProgress(self._clock)
        with self._reloading:
            self._starting = LOADING
            with closing(self._first_reading(progress)) as reading:
                self.settings = settings = reading.settings
                stamped_at = self._presence.begin(settings.after_outage, settings.maintenances)
                if stamped_at is not None:
                    self._receipts.not_before(stamped_at)
                self._alerting.prepare(settings)()
                self._provision(reading)
                self._configured = True
            warnings = reading.warnings
            self._complete = False  # from now on the file may be another one
        follower = self._follower = Follower(
            self._db, self._fleet, self._monitors, self._recorder.reload, self._clock, self._replica
        )
        follower.start_here()
        gc.disable()  # all of it stays
        self._fleet.update(load(self._db, progress=lambda count: progress.tell(f"{count:,} monitors are in memory")))
        self._recorder.start()
        credentials = Credentials(self._fleet, self._key)
        credentials.built_in_tokens = self.settings.built_in_tokens
        self._key_ring.follow(credentials)
        self._key_ring.refresh()

        def catch_up(seconds: float) -> None:
            self._key_ring.refresh()
            follower.catch_up(seconds)

        self._ingest = Intake(
            credentials,
            self._recorder,
            self._waiters,
            Newcomers(catch_up, self._clock, self._lookout),
            Creation(self._monitors, self._fleet, self._key, self._show_number, self._executor),
            self._telemetry.heartbeat_recorded,
        )
        self._alerting.warn_of_idle_rules(self.settings)
        self._warn_of_short_secrets(warnings)
        self._evaluator.start()
        self._alerting.start()
        self._periodic = [
            Periodic(
                self._threads,
                "follower",
                FOLLOW_EVERY,
                follower.poll,
                self._key_ring.refresh,
                self._presence.refresh,
                vital=True,
            ),
            *self._spool.periodics(self._threads, self._recorder),
            Periodic(self._threads, "pruner", PRUNE_EVERY, self._events.flush, self._prune),
            *self._alerting.periodics(self.settings, lambda: self._evaluator.worked_at),
        ]
        for periodic in self._periodic:
            periodic.start()
        # What is there now stays for as long as the process does: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        give_back()
        self._starting = None
        count = len(self._fleet)
        where = self.settings.web.listen_address
        name = self._db.engine.name
        log.info("ready: %d monitor%s on %s, database %s", count, "" if count == 1 else "s", where, name)
        self._life.ready()

    def _first_reading(self, progress: LoadProgress) -> Reading:
        """What the supervisor read, if that is all; otherwise it is read now. A worker that takes the place of another
        one does without a file that has become bad meanwhile: the monitors are in the database.
        """
        if self._complete and not self._life.was_ready:
            return Reading(self.settings, warnings_of(self.settings))
        try:
            return self._read(self._db_url, self._key, self._replica, progress)
        except ConfigError as error:
            if not self._life.was_ready:
                raise
            log.error("the configuration cannot be used, the one of the start stays:\n%s", error)
            return RetainedSettings(self.settings)

    def _prune(self) -> None:
        if self._lease.held:
            storage = self.settings.storage
            self._pruner.prune(storage.heartbeat_log_size, storage.history_retention)
            self._alerting.expire_orphaned()
        else:
            self._pruning_clock.forget()

    # ── configuration ────────────────────────────────────────────────────────────────────────────────────────

    def reload(self) -> None:
        """Reads the configuration anew and applies it whole; raises ConfigError or StorageUnavailable, and then
        everything stays as it was.
        """
        with self._reloading:
            self._life.reloading()
            try:
                progress = LoadProgress(self._clock)
                with closing(self._read(self._db_url, self._key, self._replica, progress)) as reading:
                    settings = reading.settings
                    if self._configured:
                        apply = self._alerting.prepare(settings)
                        self._provision(reading)
                        self._presence.use(settings.after_outage, settings.maintenances)
                        apply()
            except (ConfigError, StorageUnavailable) as error:
                self._telemetry.config_reloaded(False, self._clock.now() / SECOND)
                log.error("configuration not reloaded, the old one stays:\n%s", error)
                raise
            finally:
                if self._ingest is not None:
                    self._life.ready()
            for name in needs_restart(self.settings, settings):
                log.warning("%s has changed: restart to apply it", name)
            self.settings = settings
            self._complete = False
            self._use_dialects(settings)
            self._alerting.warn_of_idle_rules(settings)
            self._warn_of_short_secrets(reading.warnings)
            set_level(settings.log.level)
            self._evaluator.wake()
            self._see_changes()
            self._telemetry.config_reloaded(True, self._clock.now() / SECOND)
            log.info("configuration reloaded")

    def reload_all(self) -> None:
        """As `reload`, and the other workers do the same: the supervisor passes the signal on."""
        self.reload()
        if self._workers > 1:
            os.kill(os.getppid(), signal.SIGHUP)

    def _see_changes(self) -> None:
        """Whoever reloads may send a new monitor's heartbeat at once."""
        if self._ingest is not None and self._follower is not None:
            # Applied it is; what cannot be read now is read as soon as it can.
            with suppress(StorageUnavailable):
                self._follower.catch_up(READ_BACK)

    def _reload_by_signal(self) -> None:
        try:
            self.reload()
        except HeartbeatExporterError:
            return  # logged where it happened
        except Exception:
            log.exception("the configuration was not reloaded")
            self._telemetry.config_reloaded(False, self._clock.now() / SECOND)

    @staticmethod
    def _warn_of_short_secrets(warnings: Sequence[str]) -> None:
        for warning in warnings:
            log.warning(warning)

    def _provision(self, reading: Reading) -> None:
        added, changed, removed = reading.provision(self._db, self._monitors, self._clock, self._key)
        if added or changed or removed:
            log.info("provisioned monitors: %d added, %d changed, %d removed", added, changed, removed)
        elif reading.unchanged:
            log.info("the monitors of the configuration have not changed: they are not read again")
        if not isinstance(reading, RetainedSettings):
            self._key_ring.provision(reading.settings, self._key)

    # ── for the web ──────────────────────────────────────────────────────────────────────────────────────────

    def add_monitor(self, monitor: Monitor, secret: str) -> None:
        self._monitors.add(monitor, digest(secret, self._key))
        self._show(monitor.tag)

    def set_paused(self, tag: str, paused: bool) -> None:
        self._monitors.set_paused(tag, paused)
        self._show(tag)
        self._evaluator.wake()

    def remove_monitor(self, tag: str) -> None:
        watched = self._fleet.get(tag)
        self._monitors.remove(tag)
        if watched is not None and self._recorder is not None:
            self._recorder.reload([watched.id]).wait(READ_BACK)

    def _use_dialects(self, settings: Settings) -> None:
        if self._ingest_app is not None:
            self._ingest_app.switch_off(settings.dialects_off)
        if self._ingest is not None:
            self._ingest.credentials.built_in_tokens = settings.built_in_tokens

    def _show_number(self, number: int) -> None:
        """Blocks until the fleet has the monitor of this number as the database has it."""
        if self._recorder is not None:
            self._recorder.reload([number]).wait(READ_BACK)

    def _show(self, tag: str) -> None:
        """The next request sees the change; other processes within a second."""
        if self._recorder is not None:
            self._recorder.reload([self._monitors.find(tag)]).wait(READ_BACK)

    def _client_address(self, peer: str, forwarded: str | None) -> str:
        return client_address(peer, forwarded, self.settings.web.trusted_proxies)


class ManagedMonitors:
    """What the API may do to monitors; blocks."""

    def __init__(self, service: Service) -> None:
        self.add = service.add_monitor
        self.set_paused = service.set_paused
        self.remove = service.remove_monitor


class Lifespan:
    """Falcon's middleware hooks for the start and the end of the event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def process_startup(self, scope: Any, event: Any) -> None:
        await self._service.start()

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        await self._service.stop()


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The settings that differ and take effect only at a start."""
    pairs = {
        "storage.url": (old.storage.url, new.storage.url),
        "storage.spool": (old.storage.spool, new.storage.spool),
        "storage.spool_megabytes": (old.storage.spool_megabytes, new.storage.spool_megabytes),
        "web.listen_address": (old.web.listen_address, new.web.listen_address),
        "web.telemetry_path": (old.web.telemetry_path, new.web.telemetry_path),
        "web.keepalive": (old.web.keepalive, new.web.keepalive),
        "log.format": (old.log.format, new.log.format),
        "self_heartbeat": (_told(old), _told(new)),
        "secret_key": (_revealed(old), _revealed(new)),
    }
    return [name for name, (before, after) in pairs.items() if before != after]


def _told(settings: Settings) -> tuple[str, int] | None:
    one = settings.self_heartbeat
    return (one.url.reveal(), one.interval) if one is not None else None


def _revealed(settings: Settings) -> str | None:
    return settings.secret_key.reveal() if settings.secret_key is not None else None
