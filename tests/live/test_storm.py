"""A storm: 64 clients send numbered heartbeats while processes are killed, paused and cut off and the database fails.

Afterwards every acknowledged heartbeat is counted once, every transition is there once and at its moment, and every
alarm was delivered under one key.
"""

import http.client
import json
import random
import signal
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.core.moments import parse_moment
from tests.live.conftest import SECRET, Service, Starter, curl, eventually
from tests.postgres import line, running
from tests.receivers import Receiver, answer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
CLIENTS = 64
JOBS = 32
"""Monitors that the clients beat for, two each."""
DEAD = 12
"""Monitors that beat once and die."""
DEGRADED, DOWN = 5_000, 8_000
SEED = 2026


def configuration(receiver: Receiver) -> str:
    jobs = "".join(f"  - {{tag: job-{n}, secret: {SECRET}}}\n" for n in range(JOBS))
    dead = "".join(
        f"  - {{tag: dead-{n}, secret: {SECRET}, degraded_after: {DEGRADED}ms, down_after: {DOWN}ms}}\n"
        for n in range(DEAD)
    )
    return (
        "after_outage: strict\nstorage: {heartbeats_kept: 10000}\n"
        f"monitors:\n{jobs}{dead}"
        "alerts: [{name: down, monitors: ['dead-*'], notify: [ops]}]\n"
        f'notifiers: [{{name: ops, type: webhook, group_wait: 0s, url: "{receiver.url}/hook"}}]\n'
    )


@dataclass
class Clients:
    """Each request has a number that is never used again, so it is there once if it was acknowledged, and at most once
    if it was not.
    """

    services: list[Service]
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[set[str]] = field(default_factory=lambda: [set() for _ in range(CLIENTS)])
    answers: Counter[int] = field(default_factory=Counter)
    slowest: list[float] = field(default_factory=lambda: [0.0] * CLIENTS)

    def work(self, number: int) -> None:
        dice, pause = random.Random(number), threading.Event()
        sent = 0
        while not self.over.is_set():
            service = dice.choice(self.services)
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
            try:
                for _ in range(20):
                    rid = f"{number}-{sent}"
                    sent += 1
                    began = time.monotonic()
                    connection.request("POST", f"/ext/heartbeat/job-{number % JOBS}:{SECRET}/log?rid={rid}")
                    status = connection.getresponse()
                    status.read()
                    self.answers[status.status] += 1
                    if status.status == 200:
                        self.acknowledged[number].add(rid)
                    self.slowest[number] = max(self.slowest[number], time.monotonic() - began)
                    pause.wait(dice.uniform(0.005, 0.03))
            except (OSError, http.client.HTTPException):
                pause.wait(0.05)  # it was killed, or is paused: another one is asked
            finally:
                connection.close()


@dataclass
class World:
    one: Service
    two: Service
    storage: str
    rows: Callable[[str], list[tuple[Any, ...]]]
    blows: list[Callable[[], None]]
    """What happens, one after the other; each is over when it returns."""
    needed: list[str] = field(default_factory=list)


def killed(service: Service) -> None:
    service.kill()
    service.process = service._start(())


def paused(service: Service, seconds: float) -> None:
    service.send(signal.SIGSTOP, group=True)
    threading.Event().wait(seconds)
    service.send(signal.SIGCONT, group=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answer(200)) as one:
        yield one


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, start: Starter, tmp_path: Path, receiver: Receiver) -> Iterator[World]:
    config = configuration(receiver)
    if request.param == "sqlite":
        path = tmp_path / "live.db"
        one, two = start(config, "one"), start(config, "two")

        def rows(query: str) -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(path)) as database:
                return database.execute(query).fetchall()

        def locked() -> None:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as database:
                database.execute("BEGIN EXCLUSIVE")
                threading.Event().wait(5)
                database.execute("ROLLBACK")

        yield World(one, two, one.storage, rows, [locked])
        return
    with running(durable=True) as server, line(server) as cable:
        url = server.create()
        one, two = start(config, "one", storage=cable.url(url)), start(config, "two", storage=url)

        def cut_off() -> None:
            cable.cut()
            threading.Event().wait(13)
            cable.mend()

        def restarted() -> None:
            server.stop(signal.SIGINT)
            server.start()

        def crashed() -> None:
            server.stop(signal.SIGQUIT)
            server.start()

        name = url.rpartition("/")[2]
        yield World(one, two, url, lambda query: server.execute(query, name), [restarted, cut_off, crashed])


def test_a_storm(world: World, receiver: Receiver) -> None:
    one, two, clients = world.one, world.two, Clients([world.one, world.two])
    threads = [threading.Thread(target=clients.work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for number in range(DEAD):
        _beat(two, f"dead-{number}")
    blows = [
        lambda: killed(one),
        lambda: paused(two, 3),
        *world.blows,
        lambda: killed(two),
        lambda: paused(one, 12),  # longer than the lease
        lambda: killed(one),
    ]
    for blow in blows:
        before = sum(map(len, clients.acknowledged))
        blow()
        # Heartbeats are taken again after each, by themselves.
        eventually(lambda before=before: sum(map(len, clients.acknowledged)) > before + 50, 40)
    one.ready()
    two.ready()
    clients.over.set()
    for thread in threads:
        thread.join(30)
    acknowledged = set().union(*clients.acknowledged)
    assert len(acknowledged) > 2_000
    assert set(clients.answers) <= {200, 503}, clients.answers

    # Every acknowledged heartbeat is counted exactly once, and nothing else is.
    found = Counter(row[0] for row in world.rows("SELECT rid FROM heartbeats WHERE kind = 'log'"))
    assert not acknowledged - set(found)
    assert not [rid for rid, times in found.items() if times > 1]
    per_monitor = Counter(
        dict(world.rows("SELECT monitor_id, COUNT(*) FROM heartbeats WHERE kind = 'log' GROUP BY monitor_id"))
    )
    states = dict(world.rows("SELECT monitor_id, received FROM states"))
    for monitor_id, count in per_monitor.items():
        assert states[monitor_id] == count
    for service in (one, two):
        eventually(lambda service=service: _received(service) == sum(found.values()))

    # Every transition exists once, at its moment.
    for number in range(DEAD):
        tag = f"dead-{number}"
        eventually(lambda tag=tag: two.status(tag) == one.status(tag) == "DOWN", 40)
        success = round(two.metrics()["heartbeat_last_success_timestamp_seconds", tag] * 1000)
        told = json.loads(curl(f"{two.url}/api/v1/monitors/{tag}/transitions").body)["transitions"]
        past = [(each["status"], parse_moment(each["at"])) for each in told]
        assert [status for status, _ in past] == ["NO_DATA", "UP", "DEGRADED", "DOWN"], (tag, past)
        assert [at for _, at in past[2:]] == [success + DEGRADED + 1, success + DOWN + 1], tag

    # Every alarm was delivered, under one key.
    keys: defaultdict[str, set[str]] = defaultdict(set)

    def all_told() -> bool:
        for request in receiver.received:
            assert request.json["event"] == "TRIGGERED"
            for alert in request.json["alerts"]:
                keys[alert["monitor_tag"]].add(request.headers["idempotency-key"])
        return len(keys) == DEAD

    eventually(all_told, 40)
    assert [len(each) for each in keys.values()] == [1] * DEAD
    assert world.rows("SELECT COUNT(*) FROM alerts") == [(DEAD,)]


def _beat(service: Service, tag: str) -> None:
    eventually(lambda: service.ping(tag).status == 200)


def _received(service: Service) -> float:
    with suppress(KeyError):
        metrics = service.metrics()
        return sum(
            value
            for key, value in metrics.items()
            if key[0] == "heartbeat_received_total" and key[1].startswith("job-")
        )
    return -1
