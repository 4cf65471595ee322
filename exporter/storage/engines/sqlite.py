"""SQLite: one file, the default."""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee

from exporter.config.storage_url import sqlite_file
from exporter.storage.engines.engine import Engine
from exporter.storage.engines.sqlite_names import Names
from exporter.storage.engines.sqlite_sizes import Sizes

log = logging.getLogger(__name__)

BUSY_SECONDS = 3.0
"""How long SQLite waits for another program's lock; the sender is answered 503 within five seconds."""


class SqliteEngine(Engine):
    """A thread keeps its connection until it ends: opening one costs more than a commit."""

    errors = (peewee.PeeweeException, sqlite3.Error)
    refusals = (peewee.IntegrityError, peewee.DataError, sqlite3.IntegrityError, sqlite3.DataError)

    def __init__(self, url: str) -> None:
        """`url` is canonical."""
        file = sqlite_file(url)
        assert file is not None, "another engine's URL"
        self.file = file
        self._private = False
        """Whether this process has seen to it that no other user can read the file."""
        self.name = str(file.absolute())
        self._file = str(self.file)
        self._names = Names(self.file)
        self._sizes = Sizes(self.file)
        self.database = _Sqlite(
            self._file,
            # Deferred transactions that turn into writers fail with "database is locked" at once, whatever the timeout.
            lock_type="IMMEDIATE",
            timeout=BUSY_SECONDS,
            factory=_SqliteConnection,
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",
                "cache_size": -16_000,
                # Pages of 4 kB: a checkpoint stops the commits for some milliseconds, so not every quarter of a second.
                "wal_autocheckpoint": 8000,
                # Else a statement of many rows notes in a temporary file how to take itself back: half of all writes.
                "temp_store": "memory",
            },
        )

    def connect(self, *, writing: bool) -> None:
        if not self._private:
            keep_private(Path(self._file))
            self._private = True
        self.database.connect(reuse_if_open=True)

    def discard(self) -> None:
        """So that the next try opens the file as it is by then."""
        try:
            self.database.close()
        except self.errors:
            self.database._state.reset()

    def close(self) -> None:
        self.database.close()

    def place(self) -> object:
        """SQLite goes on writing to an open file that has lost its name, and says nothing."""
        return self._names.look().database

    def intact(self) -> bool:
        """While a connection is open, SQLite neither removes nor replaces its log."""
        connection = self._connection()
        if connection is None:
            return True
        log = self._names.latest.log
        if any(before not in (0, now) for before, now in zip(connection.log, log, strict=False)):
            return False
        connection.log = log  # SQLite makes them when it first needs them
        return True

    def truncated(self) -> str | None:
        """SQLite notices it when the file is next opened."""
        return self._sizes.truncated()

    def rescue(self) -> bool:
        """The open connection still has the log, and copies what it holds into the database."""
        connection = self._connection()
        if connection is None or connection.in_transaction or self._names.another_log(connection.log):
            return False
        busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        return not busy and frames == copied

    def _connection(self) -> "_SqliteConnection | None":
        """The calling thread's, if it has one."""
        return None if self.database.is_closed() else self.database.connection()

    def ours(self) -> bool:
        """Opened read-only: an ordinary connection would turn the file to WAL."""
        uri = f"file:{quote(self.name)}?mode=ro"
        table = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_migrations'"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            return bool(connection.execute(table).fetchone()[0])

    def reason(self, error: BaseException) -> str:
        """With the path and the cure: SQLite names neither."""
        text = super().reason(error)
        if "unable to open" in text or "readonly" in text or "not a database" in text:
            return f"{text}: {_cause(Path(self.name), text)}"
        return f"{text} ({self.name})" if "disk" in text else text

    def copy_to(self, file: Path) -> None:
        from exporter.storage.engines.sqlite_copy import copy_sqlite

        copy_sqlite(self._file, file, BUSY_SECONDS)

    def size(self) -> int:
        parts = (Path(f"{self._file}{part}") for part in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def damage(self) -> Sequence[str]:
        lines = [str(row[0]) for row in self.database.execute_sql("PRAGMA quick_check(3)").fetchall()]
        return () if lines == ["ok"] else lines


def _cause(file: Path, text: str) -> str:
    """What is wrong with the place of a database, and what to do."""
    folder = file.parent
    user = f"uid {os.geteuid()}"
    if "not a database" in text:
        return f"{file} is another kind of file; move it away, or change storage.url"
    if not folder.is_dir():
        return f"the folder {folder} does not exist; create it for {user}, or change storage.url"
    if file.is_dir():
        return f"{file} is a folder; name a file in storage.url"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} is on a file system that is mounted read-only; choose another in storage.url"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{user} may not write in {folder}, where SQLite keeps its log beside the database; use chown or chmod"
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"{user} may not read and write {file}; use chown or chmod"
    return f"{file}"


class _SqliteConnection(sqlite3.Connection):
    log: tuple[int, ...] = ()
    """Which files the log and its index are, since there are any."""


def keep_private(file: Path) -> None:
    """Has the database readable by its owner alone, whatever the umask is.

    A new one is made so, and SQLite gives its log and its index the mode of the database. One that all users may read
    was made by an earlier version, and is closed. One that a group may read and others may not was opened to that group
    by an administrator, and stays.
    """
    with suppress(FileExistsError, OSError):  # an error is reported when the file is opened
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for part in ("", "-wal", "-shm"):
        with suppress(OSError):  # not there, or another user's: doctor warns of that
            path = Path(f"{file}{part}")
            if path.stat().st_mode & stat.S_IRWXO:
                path.chmod(0o600)
                log.warning("%s could be read by every user of this machine: only its owner may read it now", path)


class _Sqlite(peewee.SqliteDatabase):
    """Of several processes that turn a new file to WAL at once, SQLite refuses all but one as locked."""

    def _set_pragmas(self, connection: Any) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                super()._set_pragmas(connection)  # type: ignore[misc]
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)  # as SQLite's own busy handler does: the release of the lock is not announced
