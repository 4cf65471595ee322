"""Files of a SQLite database that are truncated under it: noticed before anything more is acknowledged."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from exporter.core.errors import StorageUnavailable
from tests.storage.test_lost_files import Opened, settle

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
connection.close()
"""


LATE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
for number in range(100):
    connection.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (f"late {number}", "x" * 4000))
print("begun", flush=True)
input()
connection.execute("COMMIT")
print("committed", flush=True)
input()
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path, tmp_path / "lost.db")
    opened.put("first")
    yield opened
    opened.db.close()


def by_another_program(file: Path, *statements: str) -> None:
    """Never in this process: closing the file would drop the locks of its connections."""
    subprocess.run([sys.executable, "-c", OTHER, str(file), *statements], check=True, timeout=60)


def fill(opened: Opened, rows: int, prefix: str = "row") -> None:
    for number in range(rows):
        opened.put(f"{prefix} {number}")


def checkpoint(opened: Opened) -> None:
    by_another_program(opened.folder / "lost.db", "PRAGMA wal_checkpoint(PASSIVE)")


def after_a_crash(opened: Opened) -> set[str]:
    """What a process finds that opens the files as they are now."""
    with suppress(FileNotFoundError):
        shutil.rmtree(opened.folder / "crash")
    (opened.folder / "crash").mkdir()
    for part in ("", "-wal"):
        shutil.copy(opened.folder / f"lost.db{part}", opened.folder / "crash" / f"lost.db{part}")
    with closing(sqlite3.connect(opened.folder / "crash" / "lost.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in database.execute("SELECT key FROM settings")}


@pytest.mark.parametrize("share", [0, 0.5, 0.99], ids=["empty", "half", "the last bytes"])
@pytest.mark.parametrize("part", ["", "-wal"], ids=["database", "log"])
def test_it_is_noticed_before_anything_more_is_written(opened: Opened, part: str, share: float) -> None:
    fill(opened, 30)
    if not part:
        checkpoint(opened)
        fill(opened, 3, "later")
    settle(opened)
    file = opened.folder / f"lost.db{part}"
    os.truncate(file, int(file.stat().st_size * share))
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="was truncated"):
            opened.put("too late")
    with pytest.raises(StorageUnavailable, match="was truncated"), opened.db.read("test"):
        pass
    assert opened.replaced


@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_a_log_that_is_truncated_within_a_transaction(opened: Opened, share: float) -> None:
    """The commit itself succeeds, behind a hole."""
    checkpoint(opened)
    fill(opened, 30)
    log = opened.folder / "lost.db-wal"

    def commit() -> None:
        with opened.db.write("test"):
            opened.db.tables.settings.insert(**{"key": "too late", "value": "x"}).execute()
            os.truncate(log, int(log.stat().st_size * share))

    with pytest.raises(StorageUnavailable, match="was truncated"):
        commit()
    assert opened.replaced
    opened.db.close()
    found = after_a_crash(opened)
    assert "first" in found
    assert "too late" not in found
    kept = [f"row {number}" in found for number in range(30)]
    assert kept == sorted(kept, reverse=True), "transactions are there in their order"


def test_a_hole_that_another_process_left(opened: Opened) -> None:
    """It was in a transaction when the log was truncated, so the log is larger than before by now."""
    fill(opened, 30)
    size = (opened.folder / "lost.db-wal").stat().st_size
    # It holds a transaction while the log is truncated, and knows nothing of sizes.
    program = subprocess.Popen(
        [sys.executable, "-c", LATE, str(opened.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    os.truncate(opened.folder / "lost.db-wal", 0)
    program.stdin.write("commit\n")
    program.stdin.flush()
    assert program.stdout.readline() == "committed\n"
    assert (opened.folder / "lost.db-wal").stat().st_size > size
    with pytest.raises(StorageUnavailable, match="was truncated"):
        opened.put("too late")
    program.communicate("\n", timeout=60)


@pytest.mark.parametrize("rows", [1, 400])
def test_what_a_checkpoint_or_a_vacuum_shortens_is_whole(opened: Opened, rows: int) -> None:
    file = opened.folder / "lost.db"
    for turn in range(3):
        fill(opened, 30, f"turn {turn}")
        with opened.db.write("test"):
            for number in range(rows):
                opened.db.tables.settings.insert(**{"key": f"{turn} {number}", "value": "x" * 3000}).execute()
        checkpoint(opened)
        size = file.stat().st_size
        by_another_program(
            file, "DELETE FROM settings WHERE length(value) > 2000", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"
        )
        assert rows == 1 or file.stat().st_size < size
        opened.put(f"after {turn}")
        by_another_program(file, "PRAGMA wal_checkpoint(RESTART)")
        fill(opened, 2, f"again {turn}")
    assert not opened.replaced
