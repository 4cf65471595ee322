"""A database that refuses, and several processes on one: 503 in time, never a lie, and back by itself."""

import contextlib
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, fetch, monitors
from tests.live.load import Load
from tests.support.tools import need_tool

pytestmark = pytest.mark.live


def lock(service: Service) -> sqlite3.Connection:
    connection = sqlite3.connect(service.storage.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def refused_in_time(service: Service) -> None:
    began = time.monotonic()
    answer = service.ping("job")
    assert answer.status == 503
    assert time.monotonic() - began < 5
    assert answer.header("retry-after") == "5"


def test_a_locked_database(start: Starter) -> None:
    service = start(monitors("job"))
    assert service.ping("job").status == 200
    held = lock(service)
    refused_in_time(service)
    refused_in_time(service)
    eventually(lambda: fetch(f"{service.url}/-/ready").status == 503)
    assert curl(f"{service.url}/-/healthy").status == 200
    metrics = service.metrics()
    assert metrics["heartbeat_exporter_storage_up",] == 0
    assert metrics["heartbeat_received_total", "job"] == 1
    assert metrics["heartbeat_exporter_heartbeats_rejected_total", "native", "storage"] == 2
    assert curl("-H", "Accept: text/html", service.url + "/").status in (200, 503)
    held.execute("ROLLBACK")
    held.close()
    eventually(lambda: service.ping("job").status == 200)
    eventually(lambda: fetch(f"{service.url}/-/ready").status == 200)
    metrics = service.metrics()
    assert metrics["heartbeat_exporter_storage_up",] == 1
    # What was answered 503 may have been counted, never what was answered 200 not.
    assert metrics["heartbeat_received_total", "job"] >= 2


def test_curl_with_retries_loses_nothing(start: Starter) -> None:
    service = start(monitors("job"))
    held = lock(service)
    with Load(service, clients=2) as load:
        eventually(lambda: load.refused.get(503, 0) >= 2)
        held.execute("ROLLBACK")
        held.close()
        answer = service.ping("job", "/fail", "--retry", "5", "-f")
        load.stop()
    assert answer.status == 200
    assert service.metrics()["heartbeat_failures_total", "job"] == 1


def test_a_database_that_is_locked_at_the_start(start: Starter, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "live.db")) as database:
        database.execute("PRAGMA journal_mode=wal")
    held = sqlite3.connect(tmp_path / "live.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    service = start(monitors("job"), ready=False)
    eventually(lambda: fetch(f"{service.url}/-/healthy").status == 200)
    assert curl(f"{service.url}/-/ready").status == 503
    refused_in_time(service)
    assert curl(f"{service.url}/metrics").status == 200
    held.execute("ROLLBACK")
    held.close()
    service.ready()
    assert service.ping("job").status == 200


def test_a_database_that_may_not_be_written(start: Starter, tmp_path: Path) -> None:
    """Root may write anything, so as root the program runs without that power."""
    service = start(monitors("job"))
    assert service.ping("job").status == 200
    service.stop()
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        prefix = (need_tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search")
    for file in tmp_path.glob("live.db*"):
        file.chmod(0o444)
    tmp_path.chmod(0o555)
    service.log.touch()
    service.process = service._start(prefix)
    eventually(lambda: fetch(f"{service.url}/-/healthy").status == 200)
    refused_in_time(service)
    assert "readonly" in curl(f"{service.url}/-/ready").body
    tmp_path.chmod(0o755)
    for file in tmp_path.glob("live.db*"):
        file.chmod(0o644)
    service.ready()
    assert service.ping("job").status == 200
    assert service.received("job") == 2


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_is_deleted_or_replaced_under_us(start: Starter, tmp_path: Path, replaced: bool) -> None:
    """Nothing is acknowledged into a file that has lost its name; the service comes back on what is there."""
    clients = 2
    service = start("storage: {heartbeats_kept: 10000}\n" + monitors("job"))
    assert service.ping("job").status == 200
    if replaced:
        with closing(sqlite3.connect(tmp_path / "live.db")) as database:
            database.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    with Load(service, clients=clients) as load:
        eventually(lambda: len(load.acknowledged) > 50)
        for file in tmp_path.glob("live.db*"):
            file.unlink()
        if replaced:
            (tmp_path / "backup.db").rename(tmp_path / "live.db")
        before = set(load.acknowledged)
        eventually(lambda: len(load.acknowledged - before) > 50)
        load.stop()
    service.stop()
    with closing(sqlite3.connect(tmp_path / "live.db")) as database:
        found = {row[0] for row in database.execute("SELECT rid FROM heartbeats")}
        (received,) = database.execute("SELECT received FROM states").fetchone()
    # An answer may be on its way while the file goes, one for each client.
    assert len(load.acknowledged - before - found) <= clients
    assert received == len(found)
    assert "starting over" in service.output()


@pytest.mark.parametrize("share", [0, 0.5], ids=["empty", "half"])
def test_a_log_that_is_truncated_under_us(start: Starter, tmp_path: Path, share: float) -> None:
    """What is acknowledged afterwards is kept, and the database is whole."""
    clients = 2
    service = start("storage: {heartbeats_kept: 10000}\n" + monitors("job"))
    log = tmp_path / "live.db-wal"
    with Load(service, clients=clients) as load:
        eventually(lambda: len(load.acknowledged) > 50)
        os.truncate(log, int(log.stat().st_size * share))
        before = set(load.acknowledged)
        eventually(lambda: len(load.acknowledged - before) > 50)
        load.stop()
    service.stop()
    with closing(sqlite3.connect(tmp_path / "live.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {row[0] for row in database.execute("SELECT rid FROM heartbeats")}
        (received,) = database.execute("SELECT received FROM states").fetchone()
    # An answer may be on its way while the file is truncated, one for each client.
    assert len(load.acknowledged - before - found) <= clients
    assert received == len(found)
    assert f"{log} was truncated" in service.output()
    assert "starting over" in service.output()


def test_a_database_that_is_truncated_under_us(start: Starter, tmp_path: Path) -> None:
    """Nothing is acknowledged into what is left of it, and the service says why."""
    clients = 2
    service = start(monitors("job"))
    with Load(service, clients=clients) as load:
        eventually(lambda: len(load.acknowledged) > 50)
        os.truncate(tmp_path / "live.db", 0)
        before = set(load.acknowledged)
        eventually(lambda: "cannot be opened" in service.output())
        load.stop()
    assert len(load.acknowledged - before) <= clients
    ready = curl(f"{service.url}/-/ready")
    assert (ready.status, "cannot be opened" in ready.body) == (503, True)
    assert "live.db was truncated to 0 bytes" in service.output()


def test_a_database_that_is_replaced_before_it_was_ever_open(start: Starter, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "live.db")) as database:
        database.execute("PRAGMA journal_mode=wal")
    held = sqlite3.connect(tmp_path / "live.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    service = start(monitors("job"), ready=False)
    eventually(lambda: "locked; trying again" in service.output())
    for file in tmp_path.glob("live.db*"):
        file.unlink()
    service.ready()
    assert service.ping("job").status == 200
    held.close()


def test_two_processes_on_one_database(start: Starter) -> None:
    config = monitors("job", degraded_after="3s", down_after="4s")
    one, two = start(config, "one"), start(config, "two")

    def leaders() -> list[Service]:
        return [service for service in (one, two) if service.metrics()["heartbeat_exporter_lease_held",]]

    eventually(lambda: len(leaders()) == 1)
    one.ping("job")
    two.ping("job")
    eventually(lambda: one.received("job") == two.received("job") == 2, 2)
    eventually(lambda: one.status("job") == two.status("job") == "DOWN", 10)
    assert len(leaders()) == 1
    with closing(sqlite3.connect(one.storage.removeprefix("sqlite:///"))) as database:
        found = [row[0] for row in database.execute("SELECT status FROM transitions ORDER BY id")]
    assert found == ["NO_DATA", "UP", "DEGRADED", "DOWN"]
    leader = leaders()[0]
    other = two if leader is one else one
    leader.kill()
    eventually(lambda: other.metrics()["heartbeat_exporter_lease_held",] == 1, 20)
    other.ping("job")
    eventually(lambda: other.status("job") == "UP", 3)


def test_the_command_line_is_seen_by_a_running_service(start: Starter) -> None:
    service = start(monitors("job"))
    added = service.cli("monitor", "add", "fresh")
    secret = added.split("fresh:")[1].split()[0]
    eventually(lambda: service.ping("fresh", secret=secret).status == 200, 2)
    eventually(lambda: service.status("fresh") == "UP", 2)
    service.cli("monitor", "pause", "fresh")
    eventually(lambda: service.status("fresh") == "PAUSED", 2)
    service.cli("monitor", "resume", "fresh")
    eventually(lambda: service.status("fresh") == "UP", 2)
    service.cli("monitor", "remove", "fresh")
    eventually(lambda: service.ping("fresh", secret=secret).status == 404, 2)
    assert secret not in service.output()
    assert service.ping("job", secret=SECRET).status == 200


class SmallDisk:
    """A file system with room for SQLite's log between two checkpoints, 32 MB, and for what a load makes meanwhile."""

    says = "full"

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self, service: Service) -> bool:
        """Takes all there is. What SQLite deletes when it gives up a connection is room again, so: again and again."""
        with (self.path / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        return True

    def free(self, service: Service) -> None:
        (self.path / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)  # the service may still be there


class NoLongerFiles:
    """The process may make no file longer than SQLite's log is: the kernel answers a write as on a full disk, but for
    the error's number. It takes no rights to have that.
    """

    says = "disk I/O error"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: sqlite3.Connection | None = None
        path.mkdir()

    def fill(self, service: Service) -> bool:
        if self._reader is None:
            self._reader = sqlite3.connect(self.path / "live.db", isolation_level=None)
            self._reader.execute("BEGIN")  # as long as it reads, SQLite cannot begin its log anew
            self._reader.execute("SELECT COUNT(*) FROM heartbeats").fetchone()
            longest = (self.path / "live.db-wal").stat().st_size
            assert longest > 1_000_000, "the log and a spool have to fit in"
            resource.prlimit(service.worker(), resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
        return True

    def free(self, service: Service) -> None:
        resource.prlimit(service.worker(), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def may_mount() -> bool:
    """Whether a file system can be mounted here; tried where nobody sees it."""
    try:
        command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(params=[NoLongerFiles, *([SmallDisk] if may_mount() else [])])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | NoLongerFiles]:
    disk = request.param(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.mark.parametrize("spool", [False, True])
def test_a_full_disk(start: Starter, tmp_path: Path, disk: SmallDisk | NoLongerFiles, spool: bool) -> None:
    """With a spool on another disk nobody notices."""
    config = f"storage: {{heartbeats_kept: 10000{f', spool: {tmp_path}/spool' if spool else ''}}}\n" + monitors("job")
    url = f"sqlite:///{disk.path}/live.db"
    service = start(config, options=("--storage.url", url))
    service.storage = url
    with Load(service, clients=2) as load:
        eventually(lambda: len(load.acknowledged) > 20)
        if isinstance(disk, NoLongerFiles):
            eventually(lambda: (disk.path / "live.db-wal").stat().st_size > 1_000_000)
        disk.fill(service)
        if spool:
            eventually(lambda: disk.fill(service) and waiting_in_spool(service) > 20)
            assert service.ping("job").status == 200
        else:
            eventually(lambda: disk.fill(service) and refused_in_time(service) is None)
            eventually(lambda: disk.fill(service) and load.refused.get(503, 0) >= 2)
            eventually(lambda: disk.fill(service) and disk.says in fetch(f"{service.url}/-/ready").body)
            eventually(lambda: disk.fill(service) and disk.says in fetch(f"{service.url}/").body)
        eventually(lambda: disk.fill(service) and service.metrics()["heartbeat_exporter_storage_up",] == 0)
        assert service.metrics()["heartbeat_received_total", "job"] >= 20
        assert curl(f"{service.url}/").status == 200
        disk.free(service)
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 20)
        load.stop()
    eventually(lambda: service.metrics()["heartbeat_exporter_storage_up",] == 1)
    eventually(lambda: waiting_in_spool(service) == 0)
    with closing(sqlite3.connect(disk.path / "live.db")) as database:
        found = [row[0] for row in database.execute("SELECT rid FROM heartbeats WHERE rid != ''")]
    assert len(found) == len(set(found))
    assert not load.acknowledged - set(found)
    assert set(load.refused) == (set() if spool else {503})


def waiting_in_spool(service: Service) -> float:
    return service.metrics()["heartbeat_exporter_spooled_heartbeats",]
