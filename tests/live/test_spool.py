"""The spool of the real program: a database that is away costs nobody a heartbeat, whatever is killed."""

import contextlib
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, fetch, monitors
from tests.live.load import Load
from tests.live.test_durability import check, recorded
from tests.live.test_storage_trouble import lock
from tests.support.postgres import running

pytestmark = pytest.mark.live

KEEP = "heartbeats_kept: 10000"


def config(tmp_path: Path, *tags: str, **options: str) -> str:
    return f"storage: {{{KEEP}, spool: {tmp_path}/spool}}\n" + monitors(*tags, **options)


def waiting(service: Service) -> float:
    return service.metrics()["heartbeat_exporter_spooled_heartbeats",]


def rows(service: Service) -> list[tuple[str, int]]:
    """(rid, moment) in the order in which they were recorded."""
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        return list(database.execute("SELECT rid, received_at FROM heartbeats ORDER BY id"))


def in_order(service: Service, load: Load) -> None:
    """Each client sends one after the other: so they are in the log, at moments that never go back."""
    last: dict[str, tuple[int, int]] = {}
    for rid, at in rows(service):
        client, _, number = rid.partition("-")
        if rid in load.acknowledged:
            before, moment = last.get(client, (-1, 0))
            assert int(number) > before
            assert at >= moment
            last[client] = (int(number), at)


@pytest.mark.parametrize("killed", [False, True])
def test_a_database_locked_for_20_seconds_under_load(start: Starter, tmp_path: Path, killed: bool) -> None:
    service = start(config(tmp_path, "job"))
    with Load(service, clients=16) as load:
        eventually(lambda: len(load.acknowledged) > 100)
        held = lock(service)
        locked_at, until = time.time(), time.monotonic() + 20
        before = len(load.acknowledged)
        eventually(lambda: waiting(service) > 100)
        slowest = 0.0
        while time.monotonic() < until:
            began = time.monotonic()
            assert service.ping("job", "/log").status == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2, "what is spooled does not wait for the database"
        if killed:
            service.kill()
            service.process = service._start(())
            eventually(lambda: fetch(f"{service.url}/-/healthy").status == 200)
            assert service.ping("job").status == 503, "it knows no monitors yet"
        assert len(load.acknowledged) - before > 500
        held.execute("ROLLBACK")
        held.close()
        unlocked_at = time.time()
        service.ready()
        after = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > after + 100)
        load.stop()
    eventually(lambda: waiting(service) == 0)
    eventually(lambda: service.metrics()["heartbeat_exporter_storage_up",] == 1)
    found = [rid for rid, _ in rows(service) if rid]
    assert len(found) == len(set(found))
    assert not load.acknowledged - set(found)
    in_order(service, load)
    spooled = [at for rid, at in rows(service) if rid in load.acknowledged and locked_at < at / 1000 < unlocked_at]
    assert len(spooled) > 500, "with the moments at which they came"
    assert service.received("job") == len(rows(service))
    assert service.stop() == 0
    assert "Traceback" not in service.output()


def test_without_a_spool_the_same_is_refused_in_time_and_nothing_is_lost(start: Starter) -> None:
    service = start(f"storage: {{{KEEP}}}\n" + monitors("job"))
    with Load(service, clients=16) as load:
        eventually(lambda: len(load.acknowledged) > 100)
        held = lock(service)
        eventually(lambda: load.refused.get(503, 0) >= 16)
        for _ in range(4):
            began = time.monotonic()
            answer = service.ping("job", "/log")
            assert answer.status == 503
            assert answer.header("retry-after") == "5"
            assert time.monotonic() - began < 5
        held.execute("ROLLBACK")
        held.close()
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 100)
        load.stop()
    assert set(load.refused) == {503}
    found = {rid for rid in recorded(service) if rid}
    assert not load.acknowledged - found


def test_kill_9_again_and_again_while_it_spools_and_replays(start: Starter, tmp_path: Path) -> None:
    service = start(config(tmp_path, "job"))
    with Load(service, clients=8) as load:
        for round_ in range(4):
            eventually(lambda: waiting(service) == 0)
            held = lock(service)
            eventually(lambda: waiting(service) > 300)
            if round_ % 2:
                service.kill()  # while it spools
                held.close()
            else:
                held.close()
                eventually(lambda: service.metrics()["heartbeat_exporter_replayed_total",] > 0)
                service.kill()  # while it replays, or just after
            service.start_again()
        load.stop()
    eventually(lambda: waiting(service) == 0)
    check(service, load)
    in_order(service, load)
    assert service.stop() == 0
    service.start_again()
    eventually(lambda: sorted(path.suffix for path in (tmp_path / "spool").iterdir()) == ["", ".spool"])


def test_ages_go_on_statuses_wait_and_there_is_no_false_alarm(start: Starter, tmp_path: Path) -> None:
    """The job pings all along, over its deadline; the other one does not, and is found when the database is back."""
    service = start(config(tmp_path, "job", "dead", degraded_after="6s", down_after="9s"))
    service.ping("job")
    service.ping("dead")
    eventually(lambda: service.status("job") == service.status("dead") == "UP")
    held = lock(service)
    until = time.monotonic() + 15
    while time.monotonic() < until:
        assert service.ping("job").status == 200  # the first of them waits for the database, some three seconds
    metrics = service.metrics()
    assert metrics["heartbeat_exporter_storage_up",] == 0
    assert metrics["heartbeat_age_seconds", "job"] < 2
    assert metrics["heartbeat_age_seconds", "dead"] > 14
    assert service.status("dead") == "UP"
    assert curl(f"{service.url}/-/ready").status == 200
    page = curl(f"{service.url}/")
    assert page.status == 200
    assert "The database does not answer since" in page.body
    assert "in the spool" in page.body
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "spool").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert SECRET.encode() not in file.read_bytes()
    held.close()
    eventually(lambda: service.ping("job").status == 200 and service.status("dead") == "DOWN", 5)
    assert service.status("job") == "UP"
    assert "in the spool" not in curl(f"{service.url}/").body
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        query = "SELECT tag, t.status, at FROM transitions t JOIN monitors m ON m.id = monitor_id ORDER BY t.id"
        past = list(database.execute(query))
        (success,) = database.execute(
            "SELECT last_success_at FROM states JOIN monitors ON id = monitor_id WHERE tag = 'dead'"
        ).fetchone()
    assert [status for tag, status, _ in past if tag == "job"] == ["NO_DATA", "UP"]
    dead = [(status, at) for tag, status, at in past if tag == "dead"]
    assert dead[2:] == [("DEGRADED", success + 6001), ("DOWN", success + 9001)], "found late, dated right"


def test_a_spool_that_cannot_be_written_is_503_again(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    service = start(f"storage: {{spool: {tmp_path}/in-the-way/spool}}\n" + monitors("job"))
    assert "Not a directory" in service.output()
    assert service.ping("job").status == 200
    held = lock(service)
    began = time.monotonic()
    answer = service.ping("job")
    assert answer.status == 503
    assert answer.header("retry-after") == "5"
    assert time.monotonic() - began < 5
    assert curl(f"{service.url}/-/ready").status == 503
    (tmp_path / "in-the-way").unlink()
    assert service.ping("job").status == 200
    assert curl(f"{service.url}/-/ready").status == 200
    held.close()
    eventually(lambda: service.received("job") >= 2)
    eventually(lambda: waiting(service) == 0)


def test_a_database_deleted_under_us_gets_what_was_spooled(start: Starter, tmp_path: Path) -> None:
    service = start(config(tmp_path, "job"))
    assert service.ping("job", "?rid=before").status == 200
    worker = service.worker()
    for file in tmp_path.glob("live.db*"):
        file.unlink()
    assert service.ping("job", "?rid=after").status == 200
    eventually(lambda: service.worker() != worker)
    service.ready()
    eventually(lambda: service.received("job") == 1)
    assert recorded(service) == ["after"]


def test_two_processes_share_a_spool_and_one_takes_over_from_the_other(start: Starter, tmp_path: Path) -> None:
    one = start(config(tmp_path, "job"), "one")
    two = start(config(tmp_path, "job"), "two")
    held = lock(one)
    assert one.ping("job", "?rid=one").status == 200
    assert two.ping("job", "?rid=two").status == 200
    one.kill()
    eventually(lambda: waiting(two) == 2)
    held.close()
    eventually(lambda: waiting(two) == 0)
    assert sorted(recorded(two)) == ["one", "two"]
    assert two.received("job") == 2


def test_postgresql_crashes_stops_and_freezes_under_load(start: Starter, tmp_path: Path) -> None:
    """A crash in the middle of commits leaves groups of which nobody knows whether they were committed."""
    tags = [f"job{number}" for number in range(8)]
    with running(durable=True) as server:
        url = server.create()
        service = start(config(tmp_path, *tags), storage=url)

        def gone_for(seconds: float, number: int) -> None:
            server.stop(number)
            down = time.monotonic()
            eventually(lambda: waiting(service) > 50)
            eventually(lambda: time.monotonic() > down + seconds)
            server.start()
            eventually(lambda: waiting(service) == 0)
            eventually(lambda: service.metrics()["heartbeat_exporter_storage_up",] == 1, 3)

        with contextlib.ExitStack() as stack:
            loads = {tag: stack.enter_context(Load(service, tag, clients=1)) for tag in tags}
            eventually(lambda: all(len(load.acknowledged) > 20 for load in loads.values()))
            gone_for(3, signal.SIGQUIT)
            gone_for(3, signal.SIGINT)
            assert not any(load.refused for load in loads.values()), "nobody noticed"
            server.pause()
            eventually(lambda: waiting(service) > 50)  # who came before that was noticed is answered 503
            service.kill()
            server.resume()
            service.start_again()
            eventually(lambda: waiting(service) == 0)
            before = {tag: len(load.acknowledged) for tag, load in loads.items()}
            eventually(lambda: all(len(loads[tag].acknowledged) > before[tag] + 20 for tag in tags))
        eventually(lambda: waiting(service) == 0)
        for tag, load in loads.items():
            assert set(load.refused) <= {503}
            query = f"FROM {{}} JOIN monitors m ON m.id = monitor_id WHERE tag = '{tag}'"
            name = url.rpartition("/")[2]
            found = [str(row[0]) for row in server.execute(f"SELECT rid {query.format('heartbeats')} ORDER BY 1", name)]
            assert len(found) == len(set(found))
            assert not load.acknowledged - set(found)
            assert server.execute(f"SELECT received {query.format('states')}", name) == [(len(found),)]
            in_order = server.execute(f"SELECT rid {query.format('heartbeats')} ORDER BY heartbeats.id", name)
            numbers = [int(str(rid).partition("-")[2]) for (rid,) in in_order if rid in load.acknowledged]
            assert numbers == sorted(numbers)
        service.stop()
