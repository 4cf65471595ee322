"""Puts the parts together: the one place that knows them all."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.alerting.message import Site
from exporter.compose_alerting import Alerting
from exporter.compose_blackouts import Presence
from exporter.compose_credentials import KeyRing
from exporter.compose_management import ApiForDialects
from exporter.compose_spool import Spool
from exporter.config.settings import Settings
from exporter.config.strength import warnings_of
from exporter.core.clock import SECOND, Clock, ReceiptClock, SystemClock
from exporter.core.errors import ConfigError, HeartbeatExporterError, StorageUnavailable
from exporter.core.monitor import Monitor
from exporter.core.repeats import Repeats
from exporter.core.secret import digest
from exporter.core.threads import SupervisedThread, Threads
from exporter.core.trusted_clock import TrustedClock
from exporter.evaluation.evaluator import Evaluator
from exporter.ingest.app import IngestApplication
from exporter.ingest.creation import Creation
from exporter.ingest.credentials import Credentials
from exporter.ingest.dialects import all_dialects
from exporter.ingest.guesses import Guesses
from exporter.ingest.intake import Intake
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.routes import owner_of
from exporter.ingest.waiters import Waiters
from exporter.logs import redact_routes, set_level
from exporter.metrics.exposition import Exposition
from exporter.metrics.scrape import Scrape
from exporter.metrics.telemetry import ExporterTelemetry
from exporter.periodic import Periodic
from exporter.storage.database import Database
from exporter.storage.evaluations import Evaluations
from exporter.storage.fleet import Fleet
from exporter.storage.follower import Follower
from exporter.storage.history import History
from exporter.storage.keys import secret_key
from exporter.storage.leases import Lease
from exporter.storage.monitors import Monitors
from exporter.storage.pruning import Pruner
from exporter.storage.pruning_clock import PruningClock
from exporter.storage.recorder import Recorder
from exporter.storage.schema import migrate
from exporter.storage.snapshot import load
from exporter.synchronisation import synchronised
from exporter.web.app import create_app
from exporter.web.parts import Parts
from exporter.web.proxies import client_address

log = logging.getLogger(__name__)

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


class Service:
    """One replica: every part, from the start of the event loop to its end."""

    def __init__(self, settings: Settings, reread: Callable[[], Settings], clock: Clock, workers: int = 1) -> None:
        self.settings = settings
        self._reread = reread
        # What follows goes by it: a wall clock that is set is not believed at once.
        clock = self._clock = TrustedClock(clock)
        self._receipts = ReceiptClock(clock)
        self._replica = uuid.uuid4().hex[:12]
        self._registry = CollectorRegistry()
        self._fleet = Fleet()
        self._workers = workers
        self._telemetry = ExporterTelemetry(self._registry, self._fleet, __version__, workers)
        self._threads = Threads(SystemClock(), self._telemetry)
        self._db = Database(settings.storage.url, self._telemetry, self._start_over)
        self._spool = Spool(settings.storage, self._db, clock, self._telemetry, self._replica, key=lambda: self._key)
        self._monitors = Monitors(self._db, clock, self._replica)
        self._key_ring = KeyRing(self._db, clock)
        self._history = History(self._db)
        self._lease = Lease(self._db, clock, "evaluation", self._replica)
        self._alerting = Alerting(
            self._db,
            self._fleet,
            self._monitors,
            self._history,
            self._lease,
            clock,
            self._telemetry,
            self._registry,
            lambda: Site(self.settings.web.url),
            self._threads,
        )
        evaluations = Evaluations(self._db, self._fleet, self._replica)
        self._presence = Presence(
            self._db,
            self._fleet,
            clock,
            self._registry,
            self._spool.taking_since,
            self._replica,
            synchronised,
            self._receipts.reset,
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
        )
        self._pruning_clock = PruningClock(self._db, clock)
        self._pruner = Pruner(self._db, self._pruning_clock)
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="reader")
        self._lookout = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lookout")
        self._guesses = Guesses(clock, self._telemetry.refusal_delayed)
        self._reloading = threading.Lock()
        self._ingest: Intake | None = None
        self._ingest_app: IngestApplication | None = None
        self._recorder: Recorder | None = None
        self._follower: Follower | None = None
        self._waiters: Waiters | None = None
        self._periodic: list[Periodic] = []
        self._key = b""
        self._starting: str | None = "the database is being opened"
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
            Parts(
                fleet=self._fleet,
                clock=self._clock,
                executor=self._executor,
                readiness=self.readiness,
                health=lambda: self._lost,
                notice=self._notice,
                history=self._history,
                monitors=ManagedMonitors(self),
                alerts=self._alerting.alerts,
                incidents=self._alerting.incidents,
                notifications=self._alerting.notifications,
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
            settled=self._waiters.settled,
            attention=self._evaluator.attend,
            spooler=self._spool.spooler,
            threads=self._threads,
        )
        loop.add_signal_handler(signal.SIGHUP, lambda: self._executor.submit(self._reload_by_signal))
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
        except StorageUnavailable as error:
            self._starting = f"the database cannot be opened: {error}"
            if self._boot_troubles.is_due(self._starting):
                log.error("%s; trying again", self._starting)
            return BOOT_PAUSE
        except HeartbeatExporterError as error:
            self._starting = str(error)
            log.critical("cannot start: %s", error)
        finally:
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
        with self._reloading:
            stamped_at = self._presence.begin(self.settings.after_outage, self.settings.maintenances)
            if stamped_at is not None:
                self._receipts.not_before(stamped_at)
            self._alerting.prepare(self.settings)()
            self._provision(self.settings)
        follower = self._follower = Follower(
            self._db, self._fleet, self._monitors, self._recorder, self._clock, self._replica
        )
        follower.start_here()
        self._fleet.update(load(self._db))
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
        self._warn_of_short_secrets(self.settings)
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
            Periodic(self._threads, "pruner", PRUNE_EVERY, self._prune),
            *self._alerting.periodics(self.settings, lambda: self._evaluator.worked_at),
        ]
        for periodic in self._periodic:
            periodic.start()
        # What is there now stays for as long as the process does: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        self._starting = None
        count = len(self._fleet)
        where = self.settings.web.listen_address
        name = self._db.engine.name
        log.info("ready: %d monitor%s on %s, database %s", count, "" if count == 1 else "s", where, name)

    def _prune(self) -> None:
        if self._lease.held:
            storage = self.settings.storage
            self._pruner.prune(storage.heartbeats_kept, storage.transitions_kept)
            self._alerting.bury()
        else:
            self._pruning_clock.forget()

    # ── configuration ────────────────────────────────────────────────────────────────────────────────────────

    def reload(self) -> None:
        """Reads the configuration anew and applies it whole; raises ConfigError or StorageUnavailable, and then
        everything stays as it was.
        """
        with self._reloading:
            try:
                settings = self._reread()
                if self._ingest is not None:
                    apply = self._alerting.prepare(settings)
                    self._provision(settings)
                    self._presence.use(settings.after_outage, settings.maintenances)
                    apply()
            except (ConfigError, StorageUnavailable) as error:
                self._telemetry.config_reloaded(False, self._clock.now() / SECOND)
                log.error("configuration not reloaded, the old one stays:\n%s", error)
                raise
            for name in needs_restart(self.settings, settings):
                log.warning("%s has changed: restart to apply it", name)
            self.settings = settings
            self._use_dialects(settings)
            self._alerting.warn_of_idle_rules(settings)
            self._warn_of_short_secrets(settings)
            set_level(settings.log.level)
            self._evaluator.attend()
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
            with contextlib.suppress(StorageUnavailable):
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
    def _warn_of_short_secrets(settings: Settings) -> None:
        for warning in warnings_of(settings):
            log.warning(warning)

    def _provision(self, settings: Settings) -> None:
        wanted = [(one.monitor, digest(one.secret.reveal(), self._key)) for one in settings.monitors]
        added, changed, removed = self._monitors.provision(wanted)
        if added or changed or removed:
            log.info("provisioned monitors: %d added, %d changed, %d removed", added, changed, removed)
        self._key_ring.provision(settings, self._key)

    # ── for the web ──────────────────────────────────────────────────────────────────────────────────────────

    def add_monitor(self, monitor: Monitor, secret: str) -> None:
        self._monitors.add(monitor, digest(secret, self._key))
        self._show(monitor.tag)

    def set_paused(self, tag: str, paused: bool) -> None:
        self._monitors.set_paused(tag, paused)
        self._show(tag)
        self._evaluator.attend()

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
