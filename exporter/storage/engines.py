"""The engines: how a storage URL becomes a peewee database. The only place that knows one from another."""

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import peewee

from exporter.core.errors import InvalidValue

BUSY_SECONDS = 3.0
"""How long SQLite waits for another program's lock; the sender is answered 503 within five seconds."""


@dataclass(frozen=True, slots=True)
class Engine:
    database: Any
    """The peewee database, not connected yet."""
    errors: tuple[type[Exception], ...]
    """What it raises when it cannot do its work."""
    place: Callable[[], object]
    """What is at the URL now: equal as long as it is the same database, None when there is none."""


def open_engine(url: str) -> Engine:
    """The engine for `url`, unconnected. Raises InvalidValue, which does not quote the URL's password."""
    scheme = urlsplit(url).scheme
    opener = _ENGINES.get(scheme)
    if opener is None:
        known = ", ".join(f"{name}://" for name in sorted(_ENGINES))
        raise InvalidValue(f"storage.url: {scheme or 'no'} engine: this version knows {known}")
    return opener(url)


def _open_sqlite(url: str) -> Engine:
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise InvalidValue("storage.url: write sqlite:///relative/path.db or sqlite:////absolute/path.db")
    if path == ":memory:":
        raise InvalidValue("storage.url: heartbeats are kept on a disk: write sqlite:///heartbeats.db")
    file = str(Path(path))
    database = _Sqlite(
        file,
        # Deferred transactions that turn into writers fail with "database is locked" at once, whatever the timeout.
        lock_type="IMMEDIATE",
        timeout=BUSY_SECONDS,
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
    return Engine(database, (peewee.PeeweeException, sqlite3.Error), lambda: _file_identity(file))


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


def _file_identity(path: str) -> tuple[int, int] | None:
    """SQLite goes on writing to an open file that has lost its name, and says nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_ENGINES: dict[str, Callable[[str], Engine]] = {"sqlite": _open_sqlite}
