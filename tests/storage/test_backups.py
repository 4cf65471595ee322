"""A backup is made while others write, holds all that was committed before, and is whole or not there."""

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exporter.core.errors import Conflict, InvalidValue, StorageError, StorageUnavailable
from exporter.storage.backups import back_up
from exporter.storage.database import Database
from exporter.storage.engines import open_engine
from exporter.storage.schema import pending
from tests.conftest import ManualClock
from tests.support.postgres import PASSWORD, Postgres
from tests.support.replica import DEADLINE, Replica, execute
from tests.support.tools import run_tool


@contextmanager
def restored(url: str, backup: Path, postgres: Postgres) -> Iterator[Database]:
    """What the documents say: the file itself, or an empty database and pg_restore."""
    if url.startswith("sqlite"):
        database = Database(f"sqlite:///{backup}")
    else:
        empty = postgres.create()
        run_tool("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={empty}", str(backup))
        database = Database(empty)
    try:
        yield database
    finally:
        database.close()


class Writer:
    """Commits heartbeats from a process of its own, as far as the database can tell, and counts them."""

    def __init__(self, url: str) -> None:
        self._replica = Replica(url, ManualClock(), "writer")
        self._over = threading.Event()
        self._some = threading.Condition()
        self._thread = threading.Thread(target=self._write)
        self.committed = 0
        self.failed: list[BaseException] = []

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(DEADLINE)

    def wait_for(self, count: int) -> int:
        with self._some:
            assert self._some.wait_for(lambda: self.committed >= count or self.failed, DEADLINE)
            return self.committed

    def _write(self) -> None:
        try:
            while not self._over.is_set():
                self._replica.beat("job")
                with self._some:
                    self.committed += 1
                    self._some.notify_all()
        except BaseException as error:
            self.failed.append(error)
            raise
        finally:
            self._replica.db.close()


def test_a_backup_while_others_write(url: str, replica: Replica, postgres: Postgres, tmp_path: Path) -> None:
    replica.add("job")
    target = tmp_path / "copy"
    with Writer(url) as writer:
        before = writer.wait_for(50)
        size = back_up(open_engine(url), target)
        writer.wait_for(before + 50)
    assert writer.failed == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.stat().st_size == size
    assert not [file for file in tmp_path.iterdir() if "copy" in file.name and file != target]
    with restored(url, target, postgres) as copy:
        assert pending(copy) == []
        (received,) = execute(copy, "SELECT received FROM states")[0]
        (logged,) = execute(copy, "SELECT COUNT(*) FROM heartbeats")[0]
        (tag,) = execute(copy, "SELECT tag FROM monitors")[0]
    assert tag == "job"
    assert before <= received == logged < writer.committed


def test_an_sqlite_backup_is_one_file_for_readers_of_any_kind(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path}/a database #1?.db"
    replica = Replica(url, clock)
    replica.add("job")
    target = tmp_path / "copy.db"
    back_up(open_engine(url), target)  # its log is still there: the original is open
    with closing(sqlite3.connect(f"file:{target}?immutable=1", uri=True)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT tag FROM monitors").fetchall() == [("job",)]
    replica.db.close()


def test_nothing_is_replaced_unasked(replica: Replica, url: str, tmp_path: Path) -> None:
    engine, target = open_engine(url), tmp_path / "copy"
    target.write_text("precious")
    with pytest.raises(Conflict, match="--force"):
        back_up(engine, target)
    assert target.read_text() == "precious"
    assert back_up(engine, target, replace=True) == target.stat().st_size > 1000
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_nothing_that_was_made_meanwhile_is_replaced(
    replica: Replica, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, target = open_engine(url), tmp_path / "copy"
    copy_to = engine.copy_to

    def slow(file: Path) -> None:
        copy_to(file)
        target.write_text("precious")

    monkeypatch.setattr(engine, "copy_to", slow)
    with pytest.raises(Conflict):
        back_up(engine, target)
    assert target.read_text() == "precious"
    assert not list(tmp_path.glob(".*"))


def test_places_where_no_backup_can_be(replica: Replica, url: str, tmp_path: Path) -> None:
    engine = open_engine(url)
    with pytest.raises(InvalidValue, match="is a folder"):
        back_up(engine, tmp_path)
    with pytest.raises(InvalidValue, match="no such folder"):
        back_up(engine, tmp_path / "none" / "copy")
    if engine.file is not None:
        link = tmp_path / "link.db"
        link.symlink_to(engine.file)
        for live in (engine.file, link, Path(f"{engine.file}-wal")):
            with pytest.raises(InvalidValue, match="the database itself"):
                back_up(engine, live, replace=True)


def test_a_database_that_is_not_there(tmp_path: Path, postgres: Postgres) -> None:
    for url, said in (
        (f"sqlite:///{tmp_path}/none.db", "unable to open"),
        (postgres.url("nobody_made_it"), "does not exist"),
    ):
        with pytest.raises(StorageUnavailable, match=said) as caught:
            back_up(open_engine(url), tmp_path / "copy")
        assert PASSWORD not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_is_said_to_be(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path}/damaged.db"
    replica = Replica(url, clock)
    for number in range(200):
        replica.add(f"job-{number}")
    replica.db.close()
    file = tmp_path / "damaged.db"
    with closing(sqlite3.connect(file)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'states'").fetchone()
        (page,) = database.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * page)
        opened.write(b"\xff" * page)
    with pytest.raises(StorageError, match="damaged"):
        back_up(open_engine(url), tmp_path / "copy.db")
    assert [one.name for one in tmp_path.iterdir() if "copy" in one.name] == []


@pytest.mark.parametrize("before", [None, "precious"])
def test_a_full_disk_leaves_nothing_half(replica: Replica, url: str, tmp_path: Path, before: str | None) -> None:
    """A limit on the size of files stands in for it."""
    replica.add("job")
    folder = tmp_path / "full"
    folder.mkdir()
    target = folder / "copy"
    if before is not None:
        target.write_text(before)
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "backup", str(target), "--force", "--storage.url", url],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "\nError: backup" in f"\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert [(one.name, one.read_text()) for one in folder.iterdir()] == ([("copy", before)] if before else [])


def test_a_password_is_in_no_command_line(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs in front of the real ones write down how they were called."""
    url = postgres.create("migrated")
    for name in ("pg_dump", "pg_restore"):
        real = run_tool("which", name).strip()
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >> {tmp_path}/calls\nexec {real} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    back_up(open_engine(url), tmp_path / "copy")
    calls = (tmp_path / "calls").read_text()
    assert "pg_dump" in calls
    assert "pg_restore" in calls
    assert "SESAME" not in calls


def test_without_its_programs(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageUnavailable, match=r"pg_dump is not installed.*postgresql-client"):
        back_up(open_engine(postgres.url("migrated")), tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
