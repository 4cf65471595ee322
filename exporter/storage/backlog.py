"""The backlog: every spool file that this process has, its own and those of processes that are gone."""

import logging
import os
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from exporter.core.clock import Clock
from exporter.storage.spool import DONE, NEW, SUFFIX, Record, SpoolFile, SpoolUnusable, open_and_lock, sync_directory

log = logging.getLogger(__name__)


class Backlog:
    """Files are replayed oldest first, the own one last. One thread works on them; `adopt`, `holding`, `waiting` and
    `since` may be used on any.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self.id = uuid.uuid4().hex
        """Of the own file, whether it is there yet or not."""
        self.since: int | None = None
        """The moment from which heartbeats wait; None when none do."""
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
    def waiting(self) -> int:
        """Heartbeats yet to be replayed."""
        own = self._own
        return sum(file.waiting for file in (*self._older, *self._found, *([own] if own is not None else ())))

    def open(self) -> None:
        """Makes the own file, and adopts what is there. Raises SpoolUnusable."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own = SpoolFile.create(self.directory, self.id, self._clock.now())
        except OSError as error:
            raise SpoolUnusable(f"the spool {self.directory}: {error.strerror}") from error
        finally:
            self.adopt()

    def adopt(self) -> None:
        """Takes over the files of processes that are gone; what cannot be is told, once, and left."""
        found = []
        for path in self._paths():
            if path in self._refused:
                continue
            try:
                if path.suffix == NEW:
                    self._drop(path)
                file = SpoolFile.adopt(path) if path.suffix == SUFFIX else None
                if file is not None and file.waiting:
                    log.warning("%d heartbeats were left in %s: they are recorded now", file.waiting, path.name)
                    found.append(file)
                elif file is not None:
                    file.finish()
            except (OSError, SpoolUnusable) as error:
                self._refused.add(path)
                log.error("the spool file %s is left as it is: %s", path.name, error)
        self._found.extend(sorted(found, key=lambda file: file.created))
        if found and self.since is None:
            self.since = self._clock.now()

    def put(self, records: Sequence[Record]) -> None:
        """On the disk when it returns. Raises SpoolUnusable, and then nothing was added."""
        own = self._own
        if own is None or own.broken:
            own = self._renew()
        own.append(records)
        if self.since is None:
            self.since = self._clock.now()

    def first(self) -> SpoolFile | None:
        """The file to replay next."""
        while self._found:
            self._older.append(self._found.popleft())
        if self._older:
            return self._older[0]
        return self._own if self.holding else None

    def settle(self, file: SpoolFile) -> None:
        """The database has everything of this file."""
        try:
            if file is self._own:
                self._renew()
            if file in self._older:
                file.finish()
                self._older.remove(file)
        except (OSError, SpoolUnusable) as error:
            log.warning("the spool file %s is recorded, and stays: %s", file.path.name, error)
            if file in self._older:
                self._older.remove(file)
                self._stuck.append(file)
        if not self.holding:
            self.since = None

    def finished(self) -> list[Path]:
        """Files that are done with, but for their rows in the database. That they are is durable."""
        found = [path for path in self._paths() if path.suffix == DONE]
        try:
            if found:
                sync_directory(self.directory)
        except OSError:
            return []
        return found

    def close(self) -> None:
        """Lets go of all files: the next process adopts what waits."""
        own = self._own
        if own is not None and own.position == own.end and not own.broken:
            try:
                own.finish()
            except OSError as error:
                log.warning("the spool file %s stays: %s", own.path.name, error)
        for file in (*self._older, *self._found, *self._stuck, *([own] if own is not None else ())):
            file.close()

    def _renew(self) -> SpoolFile:
        """Another own file; the one before is to be replayed, or done with."""
        id = self.id if self._own is None else uuid.uuid4().hex
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = SpoolFile.create(self.directory, id, self._clock.now())
        except OSError as error:
            raise SpoolUnusable(f"the spool {self.directory}: {error.strerror}") from error
        if self._own is not None:
            self._older.append(self._own)
        self._own, self.id = made, id
        return made

    def _paths(self) -> list[Path]:
        try:
            return [self.directory / name for name in sorted(os.listdir(self.directory))]
        except OSError:
            return []  # told whenever it is written to

    @staticmethod
    def _drop(path: Path) -> None:
        """A file whose process died before it had its name."""
        descriptor = open_and_lock(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
