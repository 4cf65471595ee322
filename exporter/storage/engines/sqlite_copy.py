"""Copies an SQLite file while others write to it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from exporter.core.errors import StorageError

PAGES = 4096
"""Copied at a time, 16 MB, and sent to the disk at once: with more, commits that wait for that disk would wait long."""


def copy_sqlite(source: str, target: Path, busy_seconds: float) -> None:
    """All that was committed when it was called, into `target`, which then needs no file beside it.

    It reads one state from beginning to end, in a transaction that holds up no writer; the write-ahead log grows
    meanwhile. Raises sqlite3.Error, and StorageError when the copy is damaged, and so the database.
    """
    uri = f"file:{quote(str(Path(source).absolute()))}?mode=ro"  # else a missing one would be made
    with (
        closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_seconds)) as original,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
        target.open("rb") as written,
    ):
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        original.execute("BEGIN")
        original.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        original.backup(copy, pages=PAGES, progress=lambda *_: os.fdatasync(written.fileno()))
        # As copied it would need a log beside it, even for a reader.
        copy.execute("PRAGMA journal_mode = DELETE")
        lines = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
    if lines != ["ok"]:
        raise StorageError(
            f"the database is damaged, so no backup was made: {'; '.join(lines)}. Restore the last good backup"
        )
