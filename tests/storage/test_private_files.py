"""Files that hold secrets, digests or output: their owner's alone, whatever the umask; and nobody's trap."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.core.clock import SystemClock
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.recording.spool.backlog import OWNER, Backlog
from exporter.recording.spool.file import Record, SpoolFile, SpoolUnusable
from exporter.storage.backups import back_up
from exporter.storage.database import Database
from exporter.storage.schema import migrate
from tests.conftest import made

RECORD = Record("job", Heartbeat(Kind.SUCCESS, 1))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_new_database_and_a_backup(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    migrate(database)
    back_up(database.engine, tmp_path / "copy.db")
    assert {file.name: oct(mode(file)) for file in tmp_path.iterdir()} == dict.fromkeys(
        ("new.db", "new.db-wal", "new.db-shm", "copy.db"), "0o600"
    )
    (tmp_path / "copy.db").chmod(0o644)
    back_up(database.engine, tmp_path / "copy.db", replace=True)
    assert mode(tmp_path / "copy.db") == 0o600
    database.close()


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o666, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_one_that_is_there(tmp_path: Path, before: int, after: int, caplog: pytest.LogCaptureFixture) -> None:
    """What everybody could read is closed; what was opened to a group on purpose stays."""
    file = tmp_path / "old.db"
    url = made(f"sqlite:///{file}")
    file.chmod(before)
    with caplog.at_level(logging.WARNING, "exporter"):
        database = Database(url)
        migrate(database)
    assert mode(file) == after
    assert mode(Path(f"{file}-wal")) == after
    assert ("could be read by every user" in caplog.text) == (before != after)
    database.close()


def backlog(directory: Path) -> Backlog:
    return Backlog(directory, SystemClock(), 1 << 20, lambda: "ours")


@pytest.mark.usefixtures("umask")
def test_the_spool(tmp_path: Path) -> None:
    files = backlog(tmp_path / "spool")
    files.open()
    files.put([RECORD])
    assert mode(tmp_path / "spool") == 0o700
    assert {mode(file) for file in (tmp_path / "spool").iterdir()} == {0o600}
    files.close()


@pytest.mark.parametrize("bits", [0o777, 0o1777, 0o702])
def test_a_spool_that_everybody_may_write_to(tmp_path: Path, bits: int) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    planted = SpoolFile.create(spool, "planted", 1)
    planted.append([RECORD], 1 << 20)
    planted.close()
    spool.chmod(bits)
    files = backlog(spool)
    with pytest.raises(SpoolUnusable, match="every user may write to the spool"):
        files.open()
    assert not files.holding, "what another user may have put there is not recorded"
    assert not (spool / OWNER).exists()
    spool.chmod(0o700)
    files.open()
    assert files.waiting == 1
    files.close()


def test_a_spool_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(spool, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SpoolUnusable, match="belongs to another user"):
        backlog(spool).open()


@pytest.mark.parametrize("trap", ["symlink", "hard link", "open to all", "pipe"])
def test_an_owner_file_that_is_a_trap(tmp_path: Path, trap: str) -> None:
    spool, victim = tmp_path / "spool", tmp_path / "victim"
    spool.mkdir(mode=0o700)
    victim.write_text("precious")
    owner = spool / OWNER
    if trap == "symlink":
        owner.symlink_to(victim)
    elif trap == "hard link":
        owner.hardlink_to(victim)
    elif trap == "open to all":
        owner.write_text("precious")
        owner.chmod(0o666)
    else:
        os.mkfifo(owner)
    with pytest.raises(SpoolUnusable):
        backlog(spool).open()
    assert victim.read_text() == "precious"
    if trap == "open to all":
        assert owner.read_text() == "precious"


def test_a_spool_file_that_is_a_link_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    spool.mkdir(mode=0o700)
    elsewhere.mkdir()
    planted = SpoolFile.create(elsewhere, "planted", 1)
    planted.append([RECORD], 1 << 20)
    planted.close()
    (spool / "planted.spool").symlink_to(planted.path)
    files = backlog(spool)
    files.open()
    assert not files.holding
    assert "is left as it is" in caplog.text
    files.close()
