"""The configuration: put in force at a start, read again and applied whole at a reload."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from exporter.app.container import Container
from exporter.app.lifespan import SingleProcess
from exporter.app.loader import LoadProgress, Reading, RetainedSettings
from exporter.app.log_setup import set_level
from exporter.config.settings import Settings, needs_restart
from exporter.config.strength import warnings_of
from exporter.core.clock import SECOND
from exporter.core.errors import ConfigError, HeartbeatExporterError, StorageUnavailable
from exporter.recording.managed_monitors import READ_BACK

log = logging.getLogger(__name__)


Apply = Callable[[Settings], None]
Read = Callable[[str, bytes, str, LoadProgress], Reading]
"""Reads the configuration for a database's URL and secret key, on behalf of a replica; see `Loader.read`."""


class Configuration:
    """The settings of one replica, in its container and in its database."""

    def __init__(
        self, container: Container, read: Read, workers: int, *, complete: bool, life: SingleProcess, apply: Apply
    ) -> None:
        """`read` reads the configuration again, which has to be done at the start too unless the container's settings
        are `complete`. `apply` is called with settings that are in force from now on.
        """
        self._container = container
        self._url = container.settings.storage.url
        self._read = read
        self._workers = workers
        self._complete = complete
        self._life = life
        self._apply = apply
        self._reloading = threading.Lock()
        self._begun = False
        """Whether the settings are in the database. Before that a reload only replaces those of the start."""
        self._accepting = False
        self._warnings: Sequence[str] = ()

    def begin(self, progress: LoadProgress) -> None:
        """Puts the settings of the start in force, once the database is open. Raises StorageUnavailable and
        ConfigError.
        """
        parts = self._container
        with self._reloading:
            with closing(self._first_reading(progress)) as reading:
                parts.settings = settings = reading.settings
                stamped_at = parts.outages.begin(settings.after_outage, settings.maintenances)
                if stamped_at is not None:
                    parts.receipts.not_before(stamped_at)
                parts.alerting.prepare(settings)()
                self._provision(reading)
                self._begun = True
            self._warnings = reading.warnings
            self._complete = False  # from now on the file may be another one

    def accept_heartbeats(self) -> None:
        """From now on a reload waits until this process has seen what it changed."""
        self._accepting = True
        self._apply(self._container.settings)
        self._warn(self._container.settings, self._warnings)

    def was_read(self) -> None:
        """Or this process would not be here; a database that is away does not make it a bad one."""
        self._report(True)

    def _first_reading(self, progress: LoadProgress) -> Reading:
        """What the supervisor read, if that is all; otherwise it is read now. A worker that takes the place of another
        one does without a file that has become bad meanwhile: the monitors are in the database.
        """
        settings = self._container.settings
        if self._complete and not self._life.was_ready:
            return Reading(settings, warnings_of(settings))
        try:
            return self._read_anew(progress)
        except ConfigError as error:
            if not self._life.was_ready:
                raise
            log.error("the configuration cannot be used, the one of the start stays:\n%s", error)
            return RetainedSettings(settings)

    def _read_anew(self, progress: LoadProgress) -> Reading:
        return self._read(self._url, self._container.key, self._container.replica, progress)

    def reload(self) -> None:
        """Reads the configuration again and applies it whole; raises ConfigError or StorageUnavailable, and then
        everything stays as it was.
        """
        parts = self._container
        with self._reloading:
            self._life.reloading()
            try:
                with closing(self._read_anew(LoadProgress(parts.clock))) as reading:
                    settings = reading.settings
                    if self._begun:
                        apply = parts.alerting.prepare(settings)
                        self._provision(reading)
                        parts.outages.use(settings.after_outage, settings.maintenances)
                        apply()
            except (ConfigError, StorageUnavailable) as error:
                self._report(False)
                log.error("configuration not reloaded, the old one stays:\n%s", error)
                raise
            finally:
                if self._accepting:
                    self._life.ready()
            for name in needs_restart(parts.settings, settings):
                log.warning("%s has changed: restart to apply it", name)
            parts.settings = settings
            self._complete = False
            self._apply(settings)
            self._warn(settings, reading.warnings)
            set_level(settings.log.level)
            parts.evaluator.wake()
            if self._accepting:
                # A new monitor's heartbeat may follow at once. Applied it is; what cannot be read now is read later.
                with suppress(StorageUnavailable):
                    parts.follower.catch_up(READ_BACK)
            self._report(True)
            log.info("configuration reloaded")

    def reload_all(self) -> None:
        """As `reload`, and the other workers do the same: the supervisor passes the signal on."""
        self.reload()
        if self._workers > 1:
            os.kill(os.getppid(), signal.SIGHUP)

    def reload_by_signal(self) -> None:
        try:
            self.reload()
        except HeartbeatExporterError:
            return  # logged where it happened
        except Exception:  # a signal handler has no caller; the old configuration stays in force
            log.exception("the configuration was not reloaded")
            self._report(False)

    def _provision(self, reading: Reading) -> None:
        parts = self._container
        added, changed, removed = reading.provision(parts.database, parts.repositories.monitors, parts.clock, parts.key)
        if added or changed or removed:
            log.info("provisioned monitors: %d added, %d changed, %d removed", added, changed, removed)
        elif reading.unchanged:
            log.info("the monitors of the configuration have not changed: they are not read again")
        if not isinstance(reading, RetainedSettings):
            parts.key_ring.provision(reading.settings, parts.key)

    def _warn(self, settings: Settings, warnings: Sequence[str]) -> None:
        self._container.alerting.warn_of_idle_rules(settings)
        for warning in warnings:
            log.warning(warning)

    def _report(self, successful: bool) -> None:
        self._container.telemetry.config_reloaded(successful, self._container.clock.now() / SECOND)
