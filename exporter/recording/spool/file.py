"""A spool file: heartbeats that the database could not take, fsynced, one checksummed line each, until it can.

    <crc32> {"spool":1,"id":"…","created":…}
    <crc32> [group, tag, kind, received_at, rid, exit_code, output]
    <crc32> [group, tag, kind, received_at, rid, exit_code, output, duration]
    <crc32> [group, tag, kind, received_at, rid, exit_code, output, duration, claimed_at, arrived_at]

A line that is not whole at the end was never acknowledged and is cut off. A damaged line costs itself alone: it is put
aside, and the next one is found by its beginning. How far a file has been replayed is kept in the database, in the
transaction that recorded it, as the offset of the first line that has not.
"""

import errno
import fcntl
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Claim, Heartbeat, Kind

VERSION = 1
SUFFIX, DONE, DAMAGED, NEW = ".spool", ".done", ".damaged", ".new"
_CHUNK = 1 << 20
"""Bytes read at a time: far more than the longest line."""
_BIGINT = 2**63
LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999; later ones can be neither shown nor calculated with."""
_KINDS = frozenset(kind.value for kind in Kind)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Record(NamedTuple):
    """One heartbeat in a spool."""

    tag: str
    """Names the monitor: the database that takes it may be another than the one that did not."""
    beat: Heartbeat
    group: int = 0
    """The group whose commit failed so that the outcome is unknown; 0 if none."""
    claim: Claim | None = None
    """What its sender said of its moment, if it is late."""


class Piece(NamedTuple):
    """What was read from one offset up to another."""

    records: Sequence[Record]
    lines: int
    end: int
    damaged: Sequence[tuple[int, bytes]]
    """(offset, line) of what cannot be read."""


class SpoolUnusable(StorageUnavailable):
    """The spool cannot take this: its disk is full, it is too large, it may not be written."""


def encode(record: Record) -> bytes:
    kind, received_at, rid, exit_code, output, duration = record.beat
    content = [record.group, record.tag, kind.value, received_at, rid, exit_code, output]
    if record.claim is not None:
        return _line([*content, duration, *record.claim])
    return _line(content if duration is None else [*content, duration])


def decode(line: bytes) -> Record | dict[str, object] | None:
    """A record, the header, or None for what is neither; `line` is without its end."""
    checksum, _, content = line.partition(b" ")
    if len(checksum) != 8 or checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        return value
    return _record(value)


def _record(value: object) -> Record | None:
    """None for what no version of the exporter writes. The checksum says only that it is what was written: by a newer
    version, perhaps, or by another program.
    """
    if not isinstance(value, list) or len(value) not in (7, 8, 10):
        return None
    group, tag, kind, received_at, rid, exit_code, output, *more = value
    duration, *moments = more or [None]
    if not (_is_count(duration) or (duration is None and len(value) != 8)):
        return None
    if not all(_is_count(at) and at <= LATEST for at in moments):
        return None
    if not (_is_count(group) and _is_count(received_at) and received_at <= LATEST):
        return None
    if not (all(map(_is_text, (tag, kind, rid, output))) and kind in _KINDS):
        return None
    if not (exit_code is None or (_is_integer(exit_code) and abs(exit_code) < _BIGINT)):
        return None
    beat = Heartbeat(Kind(kind), received_at, rid, exit_code, output, duration)
    return Record(tag, beat, group, Claim(*moments) if moments else None)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_integer(value) and 0 <= value < _BIGINT  # type: ignore[operator]


def _is_text(value: object) -> bool:
    """Without half a character, which no database can store."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def _line(content: object) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


class SpoolFile:
    """One file, locked for as long as this process has it open. Not thread-safe."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.id = path.name.removesuffix(SUFFIX)
        self.position = 0
        """Everything before it is in the database."""
        self.waiting = 0
        """Lines from `position` on."""
        self.end = 0
        self.created = 0
        self.headed = False
        """Whether its first line is the header; else that line is damaged, or a heartbeat."""
        self.broken = False
        """Whether something that is no line may follow `end`, so that nothing can be added."""
        self._descriptor = descriptor

    @classmethod
    def create(cls, directory: Path, id: str, created: int) -> Self:
        """A new file; it has its name only once it is locked and on the disk. Raises OSError."""
        temporary = directory / f"{id}{NEW}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made = cls(directory / f"{id}{SUFFIX}", descriptor)
            made.created, made.headed = created, True
            header = _line({"spool": VERSION, "id": id, "created": created})
            _write(descriptor, header)
            os.fsync(descriptor)
            os.rename(temporary, made.path)
            sync_directory(directory)
        except OSError:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
        made.position = made.end = len(header)
        return made

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """A file whose process is gone, without its torn end; None when it is in use or not there. Raises OSError, and
        SpoolUnusable if a newer version wrote it.
        """
        descriptor = open_and_lock(path)
        if descriptor is None:
            return None
        file = cls(path, descriptor)
        try:
            file._look_through()
        except (OSError, SpoolUnusable):
            file.close()
            raise
        return file

    def append(self, records: Iterable[Record], room: int) -> None:
        """On the disk when it returns. Raises SpoolUnusable, and then nothing was added; also if that would take more
        than `room` bytes.
        """
        lines = [encode(record) for record in records]
        content = b"".join(lines)
        if self.broken or len(content) > room:
            raise SpoolUnusable("the spool is broken" if self.broken else "the spool is full")
        try:
            _write(self._descriptor, content)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise SpoolUnusable(f"the spool: {error.strerror}") from error
        self.end += len(content)
        self.waiting += len(lines)

    def skip_to(self, position: int) -> None:
        """The database has everything before `position`."""
        if position > self.position:
            self.position = position
            self.waiting = self._count(position)

    def read(self, lines: int) -> Piece:
        """From `position` on, at most so many lines. Raises OSError."""
        offset = self.position
        records: list[Record] = []
        damaged: list[tuple[int, bytes]] = []
        seen = 0
        while offset < self.end and seen < lines:
            chunk = os.pread(self._descriptor, min(_CHUNK, self.end - offset), offset)
            if not chunk:
                raise OSError(errno.EIO, "the spool is shorter than it was")
            whole = chunk[: chunk.rfind(b"\n") + 1] or chunk
            for line in _lines(whole):
                content = decode(line.rstrip(b"\n"))
                if isinstance(content, Record):
                    records.append(content)
                elif content is None:
                    damaged.append((offset, line))
                offset += len(line)
                seen += not isinstance(content, dict)
                if seen == lines:
                    break
        return Piece(records, seen, offset, damaged)

    def line_at(self, offset: int) -> bytes:
        """Raises OSError."""
        return _lines(os.pread(self._descriptor, min(_CHUNK, self.end - offset), offset))[0]

    def replayed(self, piece: Piece) -> None:
        """The database has this piece."""
        self.position = piece.end
        self.waiting = max(0, self.waiting - piece.lines)

    def put_aside(self, damaged: Sequence[tuple[int, bytes]]) -> None:
        """Saves lines that cannot be read, for an administrator to look at. Raises OSError."""
        for offset, line in damaged:
            path = self.path.with_name(f"{self.id}.{offset}{DAMAGED}")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                _write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def finish(self) -> None:
        """Marks a file of which the database has everything. It goes in steps, because after a crash between any two
        the rest must be neither replayed again nor left forever. First its name, then its row, then the file.
        Raises OSError.
        """
        os.rename(self.path, self.path.with_suffix(DONE))
        sync_directory(self.path.parent)
        self.close()

    def close(self) -> None:
        """Unlocks the file: another process may adopt it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _look_through(self) -> None:
        size = os.fstat(self._descriptor).st_size
        self.end = self._last_line_end(size)
        if self.end < size:
            os.ftruncate(self._descriptor, self.end)
            os.fsync(self._descriptor)
        first = decode(os.pread(self._descriptor, 4096, 0).partition(b"\n")[0])
        if isinstance(first, dict):
            if first.get("spool") != VERSION:
                raise SpoolUnusable(f"{self.path.name} was written by a newer version")
            created = first.get("created")
            self.created = created if isinstance(created, int) else 0
            self.headed = True
        self.waiting = self._count(0)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.end)
            os.fsync(self._descriptor)
        except OSError:
            self.broken = True

    def _last_line_end(self, size: int) -> int:
        end = size
        while end:
            start = max(0, end - _CHUNK)
            offset = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if offset >= 0:
                return start + offset + 1
            end = start
        return 0

    def _count(self, position: int) -> int:
        """Lines from `position` on, without the header."""
        count = -1 if position == 0 and self.end and self.headed else 0
        while position < self.end:
            chunk = os.pread(self._descriptor, min(_CHUNK, self.end - position), position)
            if not chunk:
                break
            count += chunk.count(b"\n")
            position += len(chunk)
        return count


def open_and_lock(path: Path) -> int | None:
    """A descriptor; None when another process has the file, or it lost its name meanwhile. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        check_own(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # another process has it, or has finished it
    except PermissionError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def check_own(descriptor: int) -> None:
    """Raises PermissionError for what another user made or may change, who could put heartbeats into it: only a plain
    file under one name, which belongs to this user or to root, and which not every user may write.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "not a plain file under one name")
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, "another user made it or may change it")


def check_directory(directory: Path) -> None:
    """Raises SpoolUnusable for a directory in which another user may put, replace or remove files."""
    status = directory.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise SpoolUnusable(f"the spool {directory} belongs to another user: chown it to the service's")
    if status.st_mode & stat.S_IWOTH:
        raise SpoolUnusable(f"every user may write to the spool {directory}: chmod o-w it")


def sync_directory(directory: Path) -> None:
    """Makes names durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(content: bytes) -> list[bytes]:
    """Only at line feeds: what is damaged may hold anything."""
    *lines, rest = content.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
