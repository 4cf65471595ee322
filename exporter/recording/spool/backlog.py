"""The backlog: every spool file that this process has, its own and those of processes that are gone.

All processes that share a directory have the same database: else one would record what another left.
"""

import fcntl
import logging
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.core.clock import Clock, PastMoment
from exporter.recording.spool.file import (
    DONE,
    NEW,
    SUFFIX,
    Record,
    SpoolFile,
    SpoolUnusable,
    check_directory,
    check_own,
    open_and_lock,
    sync_directory,
)

log = logging.getLogger(__name__)

MAX_SIZE = 16 * 1024 * 1024
"""Bytes in one file, or a group more: what is replayed makes room on the disk a file at a time."""
OWNER = "owner"
"""The file that says whose directory it is."""


class Backlog:
    """Files are replayed oldest first, the own one last. One thread works on them; `adopt`, `holding`, `waiting` and
    `since` may be used on any.
    """

    def __init__(self, directory: Path, clock: Clock, most: int, database: Callable[[], str]) -> None:
        """`most` bytes may wait. `database` returns what identifies the database, once it has been open."""
        self.directory = directory
        self.most = most
        self._database = database
        self._clock = clock
        self._claim: int | None = None
        """Descriptor of the file that says whose directory it is, as long as it is ours."""
        self._claiming = threading.Lock()
        self.id = uuid.uuid4().hex
        """Of the own file, whether it is there yet or not."""
        self._since: PastMoment | None = None
        self._own: SpoolFile | None = None
        self._older: list[SpoolFile] = []
        self._found: deque[SpoolFile] = deque()
        """Adopted, and not yet taken over by the thread that works on them."""
        self._stuck: list[SpoolFile] = []
        """Replayed, but the disk would not let them go: kept open, or we should adopt them again."""
        self._refused: set[Path] = set()

    @property
    def holding(self) -> bool:
        """Whether anything is yet to be replayed."""
        own = self._own
        return bool(self._older or self._found or (own is not None and own.position < own.end))

    @property
    def since(self) -> int | None:
        """The moment from which heartbeats wait; None when none do."""
        since = self._since
        return None if since is None else since.at

    @property
    def waiting(self) -> int:
        """Heartbeats yet to be replayed."""
        return sum(file.waiting for file in self._files())

    def open(self) -> None:
        """Makes the own file, and adopts what is there. Raises SpoolUnusable."""
        try:
            self._renew()
        except SpoolUnusable:
            self.adopt()
            raise
        self.adopt()

    def adopt(self) -> None:
        """Takes over the files of processes that are gone; one that cannot be is logged once, and left."""
        adopted = []
        try:
            if not self._ours():
                return
        except (OSError, SpoolUnusable):
            return  # logged whenever it is written to
        for path in self._paths():
            if path in self._refused:
                continue
            try:
                if path.suffix == NEW:
                    self._drop(path)
                file = SpoolFile.adopt(path) if path.suffix == SUFFIX else None
                if file is not None and file.waiting:
                    log.warning("%d heartbeats were left in %s: replaying them", file.waiting, path.name)
                    adopted.append(file)
                elif file is not None:
                    file.finish()
            except (OSError, SpoolUnusable) as error:
                self._refused.add(path)
                log.error("the spool file %s is left as it is: %s", path.name, error)
        self._found.extend(sorted(adopted, key=lambda file: file.created))
        if adopted and self._since is None:
            self._since = PastMoment(self._clock)

    def put(self, records: Sequence[Record]) -> None:
        """On the disk when it returns. Raises SpoolUnusable, and then nothing was added."""
        own = self._own
        if own is None or own.broken:
            made = self._renew()
            if own is not None and any(record.group for record in records):
                raise SpoolUnusable("the spool is broken")  # whether they were committed is noted for that file
            own = made
        own.append(records, self.most - sum(file.end - file.position for file in self._files()))
        if self._since is None:
            self._since = PastMoment(self._clock)
        if own.end >= MAX_SIZE:
            try:
                self._renew()
            except SpoolUnusable as error:
                log.warning("cannot begin a new spool file, adding to %s: %s", own.path.name, error)

    def first(self) -> SpoolFile | None:
        """The file to replay next."""
        while self._found:
            self._older.append(self._found[0])  # first, so that it is never in neither
            self._found.popleft()
        if self._older:
            return self._older[0]
        return self._own if self.holding else None

    def give_up(self, file: SpoolFile) -> None:
        """Leaves a file that cannot be read as it is, for an administrator, and stops waiting for it."""
        if file is self._own:
            self._own = None
            self.id = uuid.uuid4().hex
        if file in self._older:
            self._older.remove(file)
        self._stuck.append(file)
        if not self.holding:
            self._since = None

    def settle(self, file: SpoolFile) -> None:
        """The database has everything of this file."""
        try:
            if file is self._own:
                self._renew()
            if file in self._older:
                file.finish()
                self._older.remove(file)
        except (OSError, SpoolUnusable) as error:
            log.warning("cannot finish the replayed spool file %s: %s", file.path.name, error)
            if file in self._older:
                self._older.remove(file)
                self._stuck.append(file)
        if not self.holding:
            self._since = None

    def finished(self) -> list[Path]:
        """Files that are done with, but for their rows in the database. That they are is durable."""
        paths = [path for path in self._paths() if path.suffix == DONE]
        try:
            if paths:
                sync_directory(self.directory)
        except OSError:
            return []
        return paths

    def close(self) -> None:
        """Lets go of all files: the next process adopts what waits."""
        own = self._own
        if own is not None and own.position == own.end and not own.broken:
            try:
                own.finish()
            except OSError as error:
                log.warning("cannot remove the spool file %s: %s", own.path.name, error)
        for file in (*self._files(), *self._stuck):
            file.close()
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _files(self) -> list[SpoolFile]:
        """All that may hold something."""
        own = self._own
        return [*self._older, *self._found, *([own] if own is not None else ())]

    def _renew(self) -> SpoolFile:
        """Another own file; the one before is to be replayed, or done with."""
        id = self.id if self._own is None else uuid.uuid4().hex
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._ours():
                raise SpoolUnusable(f"the spool {self.directory} is used by processes with another database")
            made = SpoolFile.create(self.directory, id, self._clock.now())
        except OSError as error:
            raise SpoolUnusable(f"the spool {self.directory}: {error.strerror}") from error
        if self._own is not None:
            self._older.append(self._own)
        self._own, self.id = made, id
        return made

    def _ours(self) -> bool:
        """Whether the directory is there, and all other processes that use it have the same database. Raises OSError,
        and SpoolUnusable when other users may change what is in it.
        """
        with self._claiming:
            if self._claim is None and self.directory.is_dir():
                check_directory(self.directory)
                self._claim = _claim(self.directory / OWNER, self._database().encode())
            return self._claim is not None

    def _paths(self) -> list[Path]:
        try:
            return [self.directory / name for name in sorted(os.listdir(self.directory))]
        except OSError:
            return []  # logged whenever it is written to

    @staticmethod
    def _drop(path: Path) -> None:
        """A file whose process died before it had its name."""
        descriptor = open_and_lock(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _claim(path: Path, name: bytes) -> int | None:
    """A descriptor of the file, locked together with all others of that name; None if another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        check_own(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another process uses it
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, name, 0)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.pread(descriptor, 4096, 0) == name:
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
