"""The names of a SQLite database's files: whether they still lead to the files that are open."""

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

SETTLED = 0.1
"""Seconds. A folder's time of change is as coarse as the kernel's ticks: so much later it shows every change."""


class Found(NamedTuple):
    """Which files there are; equal as long as they are the same."""

    database: tuple[int, int] | None = None
    log: tuple[int, ...] = ()
    """The write-ahead log and its index; 0 for what is not there."""


class _Seen(NamedTuple):
    folder: tuple[int, ...]
    since: float
    found: Found
    settled: bool


class Names:
    """Any thread may call it. A look costs what looking at one file does: when a name is taken away or given to another
    file, its folder changes, so most looks are at the folder alone.
    """

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._parts: tuple[str, str] | None = None
        self._folder: str | None = None
        """None where the name is a link, which leads elsewhere without a change of the folder."""
        self._seen = _Seen((), 0.0, Found(), settled=False)
        self._lock = threading.Lock()

    @property
    def latest(self) -> Found:
        """What the last look found."""
        return self._seen.found

    def look(self) -> Found:
        seen = self._seen
        if seen.settled and self._folder is not None and _folder(self._folder) == seen.folder:
            return seen.found
        with self._lock:
            return self._look_closely()

    def another_log(self, ours: tuple[int, ...]) -> bool:
        """Whether the log that has the name now is not `ours` and has been written to, by a connection elsewhere."""
        try:
            status = os.stat(self._parts[0]) if self._parts is not None else None
        except OSError:
            return False
        return status is not None and status.st_ino not in ours and status.st_size > 0

    def _look_closely(self) -> Found:
        if self._parts is None and os.path.exists(self._file):
            real = os.path.realpath(self._file)
            self._parts = f"{real}-wal", f"{real}-shm"  # SQLite has them beside what a link leads to
            self._folder = os.path.dirname(real) if real == os.path.abspath(self._file) else None
        folder = () if self._folder is None else _folder(self._folder)
        now, before = time.monotonic(), self._seen
        since = before.since if folder and folder == before.folder else now
        latest = Found(_place(self._file), tuple((_place(part) or (0, 0))[1] for part in self._parts or ()))
        self._seen = _Seen(folder, since, latest, settled=bool(folder) and now - since > SETTLED)
        return latest


def _place(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _folder(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns
