"""Puts the spool together, for `container`: without one, nothing of it is even imported."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.app.periodic import Periodic
from exporter.config.settings import StorageSettings
from exporter.core.clock import Clock
from exporter.core.process.threads import Threads
from exporter.core.secret import digest
from exporter.core.telemetry import Telemetry
from exporter.storage.database import Database

if TYPE_CHECKING:
    from exporter.recording.recorder import Recorder
    from exporter.recording.spool.spooler import Spooler

LOOK_AROUND_EVERY = 0.5
"""Seconds between two looks for spool files of processes that are gone, and whether the database is back."""
MEGABYTE = 1024 * 1024


class Spool:
    """The spool, or that there is none."""

    def __init__(
        self,
        settings: StorageSettings,
        database: Database,
        clock: Clock,
        telemetry: Telemetry,
        replica: str,
        key: Callable[[], bytes],
    ) -> None:
        """`key` is the database's secret key, once it has been open: it identifies the database."""
        self.spooler: Spooler | None = None
        if settings.spool is not None:
            from exporter.recording.spool import backlog, spooler

            directory, most = Path(settings.spool), settings.spool_megabytes * MEGABYTE
            files = backlog.Backlog(directory, clock, most, lambda: digest("owner of a spool", key()).hex())
            self.spooler = spooler.Spooler(database, files, clock, telemetry, replica)

    def behind(self) -> bool:
        return self.spooler is not None and self.spooler.behind

    def taking_since(self) -> int | None:
        return self.spooler.taking_since if self.spooler is not None else None

    def notice(self) -> str | None:
        return self.spooler.notice() if self.spooler is not None else None

    def periodics(self, threads: Threads, recorder: "Recorder") -> list[Periodic]:
        return [] if self.spooler is None else [Periodic(threads, "spool", LOOK_AROUND_EVERY, recorder.look_around)]
