"""What was acknowledged is there: after kill -9, after a stop, after a restart."""

import http.client
import os
import random
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, eventually, monitors
from tests.live.load import Load

pytestmark = pytest.mark.live
CONFIG = "storage: {heartbeats_kept: 10000}\n" + monitors("job")


def recorded(service: Service) -> list[str]:
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        return [row[0] for row in database.execute("SELECT rid FROM heartbeats")]


def check(service: Service, load: Load) -> None:
    """Every acknowledged heartbeat is in the log once, and the counter counts what is in the log."""
    found = recorded(service)
    assert len(found) == len(set(found))
    lost = load.acknowledged - set(found)
    assert not lost
    assert service.received("job") == len(found)


def wait_for_some(load: Load, count: int) -> None:
    eventually(lambda: len(load.acknowledged) >= count)


def test_kill_9_under_load(start: Starter) -> None:
    service = start(CONFIG)
    with Load(service) as load:
        for round_ in range(3):
            wait_for_some(load, len(load.acknowledged) + random.Random(round_).randint(50, 400))
            service.kill()
            service.start_again()
        wait_for_some(load, len(load.acknowledged) + 100)
        load.stop()
    check(service, load)


def sound(service: Service) -> None:
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("suffixes", [("-wal",), ("-wal", "-shm")], ids=" ".join)
@pytest.mark.parametrize("times", [1, 3])
def test_a_log_that_is_removed_under_load_and_kill_9(
    start: Starter, tmp_path: Path, suffixes: tuple[str, ...], times: int
) -> None:
    service = start(CONFIG)
    with Load(service) as load:
        for round_ in range(times):
            wait_for_some(load, len(load.acknowledged) + 200)
            for suffix in suffixes:
                (tmp_path / f"live.db{suffix}").unlink()
            eventually(lambda count=round_ + 1: service.output().count("was saved into it") >= count)
            wait_for_some(load, len(load.acknowledged) + 50)
        service.kill()
        load.stop()
    service.start_again()
    check(service, load)
    sound(service)


@pytest.mark.parametrize("suffixes", [("-wal",), ("-wal", "-shm"), ("-shm",)], ids=" ".join)
def test_a_log_that_is_removed_while_nothing_comes_and_kill_9(
    start: Starter, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    """The evaluation notices it, without a heartbeat."""
    service = start(CONFIG)
    with Load(service) as load:
        wait_for_some(load, 100)
        load.stop()
    for suffix in suffixes:
        (tmp_path / f"live.db{suffix}").unlink()
    eventually(lambda: "was saved into it" in service.output())
    service.kill()
    service.start_again()
    check(service, load)
    sound(service)
    assert service.ping("job").status == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_replaced(start: Starter, number: int) -> None:
    service = start(CONFIG)
    with Load(service) as load:
        wait_for_some(load, 100)
        old = service.worker()
        os.kill(old, number)
        eventually(lambda: service.worker() != old)
        service.ready()
        wait_for_some(load, len(load.acknowledged) + 100)
        load.stop()
    check(service, load)


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2])
def test_a_signal_that_gunicorn_knows_and_we_do_not(start: Starter, number: int) -> None:
    service = start()
    worker = service.worker()
    service.send(number)
    eventually(lambda: "ignored a signal: only --workers sets" in service.output())
    assert service.workers() == [worker]
    assert service.ping("job").status == 200


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGTERM, True)])
def test_a_stop_cuts_nothing(start: Starter, number: int, group: bool) -> None:
    service = start(CONFIG)
    with Load(service) as load:
        wait_for_some(load, 300)
        assert service.stop(number, group) == 0
        load.stop()
    assert load.cut == []
    assert set(load.refused) <= {503}
    service.start_again()
    check(service, load)
    assert "Traceback" not in service.output()


def test_an_idle_connection_holds_up_no_stop(start: Starter) -> None:
    service = start()
    idle = http.client.HTTPConnection("127.0.0.1", service.port)
    idle.request("GET", "/-/healthy")
    idle.getresponse().read()
    with socket.create_connection(("127.0.0.1", service.port)):
        service.send(signal.SIGTERM)
        assert service.process.wait(10) == 0, "a stop must not wait for connections that say nothing"
    idle.close()


def test_counters_and_statuses_survive_a_restart(start: Starter) -> None:
    service = start(monitors("job", "broken"))
    service.ping("job", "/start?rid=a")
    service.ping("job", "?rid=a")
    service.ping("broken", "/3")
    eventually(lambda: service.status("broken") == "DOWN")
    before = service.metrics()
    assert service.stop() == 0
    service.start_again()
    after = service.metrics()
    for key, value in before.items():
        if key[0].startswith("heartbeat_") and not key[0].startswith(("heartbeat_exporter", "heartbeat_age")):
            assert after[key] == value, key
    assert after["heartbeat_received_total", "job"] == 2
    assert after["heartbeat_last_exit_code", "broken"] == 3


def test_nothing_of_what_was_sent_is_kept_but_a_digest(start: Starter) -> None:
    service = start()
    service.ping("job")
    assert service.stop() == 0
    for file in service.config.parent.glob("live.db*"):
        assert SECRET.encode() not in file.read_bytes()
