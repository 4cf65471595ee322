"""SQLite: one file, the default."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peewee

from exporter.core.errors import InvalidValue
from exporter.storage.engine import Engine
from exporter.storage.sqlite_names import Names

BUSY_SECONDS = 3.0
"""How long SQLite waits for another program's lock; the sender is answered 503 within five seconds."""


class SqliteEngine(Engine):
    """A thread keeps its connection until it ends: opening one costs more than a commit."""

    errors = (peewee.PeeweeException, sqlite3.Error)

    def __init__(self, url: str) -> None:
        """Raises InvalidValue."""
        path = url.removeprefix("sqlite:///")
        if path == url or not path:
            raise InvalidValue("storage.url: write sqlite:///relative/path.db or sqlite:////absolute/path.db")
        if path == ":memory:":
            raise InvalidValue("storage.url: heartbeats are kept on a disk: write sqlite:///heartbeats.db")
        self.file = Path(path)
        self._file = str(self.file)
        self._names = Names(self.file)
        self.database = _Sqlite(
            self._file,
            # Deferred transactions that turn into writers fail with "database is locked" at once, whatever the timeout.
            lock_type="IMMEDIATE",
            timeout=BUSY_SECONDS,
            factory=_Connection,
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

    def rescue(self) -> bool:
        """The open connection still has the log, and copies what it holds into the database."""
        connection = self._connection()
        if connection is None or connection.in_transaction or self._names.another_log(connection.log):
            return False
        busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        return not busy and frames == copied

    def _connection(self) -> "_Connection | None":
        """The calling thread's, if it has one."""
        return None if self.database.is_closed() else self.database.connection()

    def copy_to(self, file: Path) -> None:
        from exporter.storage.sqlite_copy import copy_sqlite

        copy_sqlite(self._file, file, BUSY_SECONDS)

    def size(self) -> int:
        parts = (Path(f"{self._file}{part}") for part in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def damage(self) -> Sequence[str]:
        found = [str(row[0]) for row in self.database.execute_sql("PRAGMA quick_check(3)").fetchall()]
        return () if found == ["ok"] else found


class _Connection(sqlite3.Connection):
    log: tuple[int, ...] = ()
    """Which files the log and its index are, since there are any."""


class _Sqlite(peewee.SqliteDatabase):
    """Of several that turn a new file to WAL at once, SQLite tells all but one at once that it is locked."""

    def _set_pragmas(self, connection: Any) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                super()._set_pragmas(connection)  # type: ignore[misc]
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)  # as SQLite's own busy handler does: who holds the lock tells nobody when it goes
