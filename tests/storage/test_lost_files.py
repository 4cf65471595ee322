"""Files of a SQLite database that are taken away from under it: noticed before anything more is acknowledged."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.storage.database import Database
from exporter.storage.engines.sqlite_names import SETTLED
from exporter.storage.schema import migrate
from tests.support.replica import execute


class Opened:
    def __init__(self, folder: Path, file: Path) -> None:
        self.folder, self.file = folder, file
        self.replaced = 0
        self.db = Database(f"sqlite:///{file}", replaced=self.count)
        migrate(self.db)

    def count(self) -> None:
        self.replaced += 1

    def put(self, key: str) -> None:
        with self.db.write("test"):
            self.db.tables.settings.insert(**{"key": key, "value": "x"}).execute()


@pytest.fixture(params=["plain", "link"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    folder = tmp_path / "data"
    folder.mkdir()
    file = folder / "lost.db"
    if request.param == "link":
        file = tmp_path / "link.db"
        file.symlink_to(folder / "lost.db")
    opened = Opened(folder, file)
    opened.put("first")
    yield opened
    opened.db.close()


def settle(opened: Opened) -> None:
    """Long enough for a look at the folder to be all."""
    if opened.db.engine._names._folder is None:  # type: ignore[attr-defined]
        return
    seen = opened.db.engine._names  # type: ignore[attr-defined]
    seen._seen = seen._seen._replace(since=seen._seen.since - 2 * SETTLED)
    opened.put("settled")
    assert seen._seen.settled


def kept(file: Path) -> set[str]:
    """What is in the file alone, as after kill -9."""
    copy = file.parent / "copy.db"
    shutil.copy(file, copy)
    with closing(sqlite3.connect(copy)) as database:
        return {row[0] for row in database.execute("SELECT key FROM settings")}


def remove(*suffixes: str) -> Callable[[Path], None]:
    return lambda file: [file.with_name(file.name + suffix).unlink() for suffix in suffixes] and None


def empty_log(file: Path) -> None:
    log = file.with_name(file.name + "-wal")
    log.unlink()
    log.touch()


def move_log(file: Path) -> None:
    os.rename(f"{file}-wal", f"{file}-elsewhere")


LOSSES = {
    "log": remove("-wal"),
    "log and index": remove("-wal", "-shm"),
    "index": remove("-shm"),
    "an empty log": empty_log,
    "log moved": move_log,
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("settled", [False, True], ids=["fresh", "settled"])
def test_a_lost_log_is_noticed_and_saved(opened: Opened, loss: Callable[[Path], None], settled: bool) -> None:
    if settled:
        settle(opened)
    opened.put("acknowledged")
    loss(opened.folder / "lost.db")
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        opened.put("too late")
    assert opened.replaced
    found = kept(opened.folder / "lost.db")
    assert "acknowledged" in found
    assert "too late" not in found


def test_a_reading_notices_it_too(opened: Opened) -> None:
    opened.put("acknowledged")
    (opened.folder / "lost.db-wal").unlink()
    with pytest.raises(StorageUnavailable, match="removed or replaced"), opened.db.read("test"):
        pass
    assert opened.replaced
    assert "acknowledged" in kept(opened.folder / "lost.db")


def test_a_log_that_is_lost_within_a_transaction(opened: Opened) -> None:
    opened.put("acknowledged")
    with pytest.raises(StorageUnavailable, match="removed or replaced"), opened.db.write("test"):
        (opened.folder / "lost.db-wal").unlink()
    assert "acknowledged" in kept(opened.folder / "lost.db")


def test_a_database_that_is_moved_away_has_all_that_was_acknowledged(opened: Opened) -> None:
    settle(opened)
    opened.put("acknowledged")
    (opened.folder / "lost.db").rename(opened.folder / "moved.db")
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        opened.put("too late")
    assert "acknowledged" in kept(opened.folder / "moved.db")


def test_a_folder_that_goes(opened: Opened) -> None:
    settle(opened)
    shutil.rmtree(opened.folder)
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        opened.put("too late")
    assert opened.replaced


def test_what_is_done_around_a_database_is_no_loss(opened: Opened) -> None:
    settle(opened)
    (opened.folder / "other").touch()
    opened.put("one")
    opened.db.close()  # SQLite removes the log with its last connection
    opened.put("two")
    with closing(sqlite3.connect(opened.folder / "lost.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    opened.put("three")
    assert not opened.replaced
    assert {"one", "two", "three"} <= {row[0] for row in execute(opened.db, "SELECT key FROM settings")}
