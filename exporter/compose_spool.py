"""Puts the spool together, for `compose`."""

from pathlib import Path

from exporter.config.settings import Settings
from exporter.core.clock import Clock
from exporter.periodic import Periodic
from exporter.storage.backlog import Backlog
from exporter.storage.recorder import Recorder

LOOK_AROUND_EVERY = 0.5
"""Seconds between two looks for spool files of processes that are gone, and whether the database is back."""


def backlog(settings: Settings, clock: Clock) -> Backlog | None:
    """None when none is asked for."""
    directory = settings.storage.spool
    return Backlog(Path(directory), clock) if directory is not None else None


def periodics(settings: Settings, recorder: Recorder) -> list[Periodic]:
    if settings.storage.spool is None:
        return []
    return [Periodic("spool", LOOK_AROUND_EVERY, recorder.look_around)]
