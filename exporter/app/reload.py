"""The configuration: put in force at a start, read again and applied whole at a reload."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable

from exporter.app.container import Container
from exporter.app.log_setup import set_level
from exporter.config.settings import Settings
from exporter.config.strength import warnings_of
from exporter.core.clock import SECOND
from exporter.core.errors import ConfigError, HeartbeatExporterError, StorageUnavailable
from exporter.core.secret import digest
from exporter.recording.managed_monitors import READ_BACK

log = logging.getLogger(__name__)


class Configuration:
    """The settings of one replica, in its container and in its database."""

    def __init__(self, container: Container, reread: Callable[[], Settings], workers: int) -> None:
        """`reread` reads the file again, and raises ConfigError."""
        self._container = container
        self._reread = reread
        self._workers = workers
        self._reloading = threading.Lock()
        self._begun = False
        """Whether the settings are in the database. Before that a reload only replaces those of the start."""

    def begin(self) -> None:
        """Applies the settings of the start, once the database is open. Raises StorageUnavailable and ConfigError."""
        parts = self._container
        with self._reloading:
            settings = parts.settings
            stamped_at = parts.outages.begin(settings.after_outage, settings.maintenances)
            if stamped_at is not None:
                parts.receipts.not_before(stamped_at)
            parts.alerting.prepare(settings)()
            self._provision(settings)

    def accept_heartbeats(self) -> None:
        """From now on a reload changes what is in the database too."""
        self._begun = True
        self._warn(self._container.settings)

    def read(self) -> None:
        """It was read, or this process would not be here; a database that is away does not make it a bad one."""
        self._report(True)

    def reload(self) -> None:
        """Reads the configuration again and applies it whole; raises ConfigError or StorageUnavailable, and then
        everything stays as it was.
        """
        parts = self._container
        with self._reloading:
            try:
                settings = self._reread()
                if self._begun:
                    apply = parts.alerting.prepare(settings)
                    self._provision(settings)
                    parts.outages.use(settings.after_outage, settings.maintenances)
                    apply()
            except (ConfigError, StorageUnavailable) as error:
                self._report(False)
                log.error("configuration not reloaded, the old one stays:\n%s", error)
                raise
            for name in needs_restart(parts.settings, settings):
                log.warning("%s has changed: restart to apply it", name)
            parts.settings = settings
            self._warn(settings)
            set_level(settings.log.level)
            parts.evaluator.wake()
            if self._begun:
                # A new monitor's heartbeat may follow at once. Applied it is; what cannot be read now is read later.
                with contextlib.suppress(StorageUnavailable):
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
        except Exception:
            log.exception("the configuration was not reloaded")
            self._report(False)

    def _provision(self, settings: Settings) -> None:
        parts = self._container
        wanted = [(one.monitor, digest(one.secret.reveal(), parts.key)) for one in settings.monitors]
        added, changed, removed = parts.repositories.monitors.provision(wanted)
        if added or changed or removed:
            log.info("provisioned monitors: %d added, %d changed, %d removed", added, changed, removed)

    def _warn(self, settings: Settings) -> None:
        self._container.alerting.warn_of_idle_rules(settings)
        for warning in warnings_of(settings):
            log.warning(warning)

    def _report(self, successful: bool) -> None:
        self._container.telemetry.config_reloaded(successful, self._container.clock.now() / SECOND)


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
        "self_heartbeat": (_self_heartbeat(old), _self_heartbeat(new)),
        "secret_key": (_revealed(old), _revealed(new)),
    }
    return [name for name, (before, after) in pairs.items() if before != after]


def _self_heartbeat(settings: Settings) -> tuple[str, int] | None:
    heartbeat = settings.self_heartbeat
    return (heartbeat.url.reveal(), heartbeat.interval) if heartbeat is not None else None


def _revealed(settings: Settings) -> str | None:
    return settings.secret_key.reveal() if settings.secret_key is not None else None
