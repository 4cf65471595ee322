"""The sizes of a SQLite database's files: whether another program truncated one of them while it is open.

SQLite keeps where its log ends in an index in memory. When the log is truncated, it writes the next commit to where the
end was, behind a hole, and reports success. After a crash it reads the log up to the hole only.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

_LOG_HEADER = 32
_FRAME_HEADER = 24
_INDEX_HEADER = 48
_MAGIC = b"\x37\x7f\x06"
_TRIES = 20
_PAUSE = 0.002
"""Seconds between two tries to read an index that a commit is changing."""


class _Size(NamedTuple):
    file: tuple[int, int]
    """Device and inode."""
    bytes: int


class Sizes:
    """Any thread may call it. A look costs two `stat`, and after a commit two small reads of the log."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._real: str | None = None
        """What a link leads to: SQLite has its log beside that."""
        self._database: _Size | None = None
        self._log: _Size | None = None
        self._lost: str | None = None
        """What was found to be truncated: only a process that opens the files afterwards sees them as they are."""
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, int], int] = {}
        """Descriptors that were opened for a closer look. They are never closed: closing one would drop the locks that
        SQLite has on the same file."""

    def truncated(self) -> str | None:
        """The file that lost its end, with how much is left of it; None while nothing is missing."""
        if self._lost is not None:
            return self._lost
        if self._real is None and os.path.exists(self._file):
            self._real = os.path.realpath(self._file)
        if self._real is None:
            return None
        database, log = _size(self._real), _size(f"{self._real}-wal")
        if _shrank(self._database, database) or _shrank(self._log, log) or self._has_hole(log):
            with self._lock:
                self._lost = self._lost or self._look_closely(self._real)
                return self._lost
        self._database, self._log = database, log
        return None

    def _has_hole(self, log: _Size | None) -> bool:
        """Whether there is nothing left where the last frame was at the last look."""
        before = self._log
        if log is None or before is None or log == before or log.file != before.file or before.bytes < _LOG_HEADER:
            return False
        try:
            descriptor = os.open(f"{self._real}-wal", os.O_RDONLY | os.O_CLOEXEC)  # SQLite has no locks on the log
        except OSError:
            return False
        try:
            header = os.pread(descriptor, _LOG_HEADER, 0)
            if not header.startswith(_MAGIC):
                return True
            frame = _FRAME_HEADER + int.from_bytes(header[8:12], "big")
            frames = (before.bytes - _LOG_HEADER) // frame
            at = _LOG_HEADER + (frames - 1) * frame
            return frames > 0 and not any(os.pread(descriptor, _FRAME_HEADER, at))
        finally:
            os.close(descriptor)

    def _look_closely(self, file: str) -> str | None:
        """A file may also become smaller by VACUUM or a checkpoint, and then it says itself how large it has to be."""
        database, log = _size(file), _size(f"{file}-wal")
        if _shrank(self._database, database) and database is not None and not self._is_whole(file, database):
            return f"{file} was truncated to {database.bytes} bytes"
        if log is not None:
            end = self._end_of_log(file)
            if end is not None:
                # Else SQLite copies the hole into the database when the last connection is closed.
                os.truncate(f"{file}-wal", end)
                return f"{file}-wal was truncated: what is left of it are {end} bytes"
        self._database, self._log = database, log
        return None

    def _is_whole(self, file: str, size: _Size) -> bool:
        header = os.pread(self._descriptor(file, size.file), 100, 0)
        if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
            return False
        page = int.from_bytes(header[16:18], "big")
        return int.from_bytes(header[28:32], "big") * (65536 if page == 1 else page) <= size.bytes

    def _end_of_log(self, file: str) -> int | None:
        """The end of the last transaction before a hole in the log; None when there is no hole."""
        index = _size(f"{file}-shm")
        if index is None:
            return None
        descriptor = self._descriptor(f"{file}-shm", index.file)
        for _ in range(_TRIES):
            header = os.pread(descriptor, 2 * _INDEX_HEADER, 0)
            if len(header) == 2 * _INDEX_HEADER and header[:_INDEX_HEADER] == header[_INDEX_HEADER:]:
                hole = _hole(f"{file}-wal", header)
                if hole is None or os.pread(descriptor, 2 * _INDEX_HEADER, 0) == header:
                    return hole
            time.sleep(_PAUSE)  # it is being changed
        return None

    def _descriptor(self, path: str, file: tuple[int, int]) -> int:
        if file not in self._kept:
            self._kept[file] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._kept[file]


def _hole(log: str, index: bytes) -> int | None:
    """The end of the last transaction before the first frame that is missing of those that the index knows."""
    page = int.from_bytes(index[14:16], sys.byteorder)
    frame = _FRAME_HEADER + (page & 0xFE00) + ((page & 1) << 16)
    frames, salts = int.from_bytes(index[16:20], sys.byteorder), index[32:40]
    if not index[12] or not frames:
        return None
    end = 0
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if not os.pread(descriptor, _LOG_HEADER, 0).startswith(_MAGIC):
            return 0
        for number in range(frames):
            at = _LOG_HEADER + number * frame
            header = os.pread(descriptor, _FRAME_HEADER, at)
            if header[8:16] != salts or size < at + frame:
                return end
            if any(header[4:8]):  # the last of a transaction
                end = at + frame
    finally:
        os.close(descriptor)
    return None


def _shrank(before: _Size | None, now: _Size | None) -> bool:
    return before is not None and now is not None and now.file == before.file and now.bytes < before.bytes


def _size(path: str) -> _Size | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _Size((status.st_dev, status.st_ino), status.st_size)
