"""What hits a service in a storm. A blow is over when it returns, and has undone what it did."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import psycopg

from tests.live.conftest import Service, eventually, fetch
from tests.storm.clients import Client, Clients
from tests.storm.worlds import World
from tests.support.receivers import answer, reset, silence


@dataclass
class Hit:
    """What a blow works with."""

    world: World
    clients: Clients
    dice: random.Random
    ordered: "list[int]"
    """Monitors that are left for `out_of_order`."""

    def wait(self, shortest: float, longest: float | None = None) -> None:
        time.sleep(self.dice.uniform(shortest, longest) if longest is not None else shortest)

    def service(self) -> Service:
        return self.dice.choice(self.world.services)


Blow = Callable[[Hit], None]
BLOWS: dict[str, Blow] = {}
_MULTIPLE = {"sqlite-2", "postgresql", "pgbouncer-session", "pgbouncer-transaction"}
_POSTGRESQL = {"postgresql", "workers", "pgbouncer-session", "pgbouncer-transaction"}
_WHERE: dict[str, Callable[[World], bool]] = {}


def _blow(where: Callable[[World], bool] = lambda world: True) -> Callable[[Blow], Blow]:
    def named(blow: Blow) -> Blow:
        BLOWS[blow.__name__] = blow
        _WHERE[blow.__name__] = where
        return blow

    return named


def possible(world: World) -> list[str]:
    return [name for name in BLOWS if _WHERE[name](world)]


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────


@_blow()
def killed(hit: Hit) -> None:
    service = hit.service()
    with hit.world.lock(service.url):
        service.kill()
        hit.wait(0, 1)
        service.process = service._start(())


@_blow()
def killed_for_long(hit: Hit) -> None:
    """Longer than any restart: a blackout where nothing else accepts heartbeats."""
    service = hit.service()
    with hit.world.lock(service.url):
        service.kill()
        hit.wait(7, 12)
        service.process = service._start(())


@_blow()
def worker_killed(hit: Hit) -> None:
    """gunicorn replaces it."""
    service = hit.service()
    with hit.world.lock(service.url), suppress(ProcessLookupError, IndexError, FileNotFoundError):
        os.kill(hit.dice.choice(service.workers()), signal.SIGKILL)


@_blow()
def restarted(hit: Hit) -> None:
    service = hit.service()
    with hit.world.lock(service.url):
        assert service.stop() in (0, -signal.SIGTERM), service.output()[-2000:]
        service.process = service._start(())


def _paused(hit: Hit, service: Service, shortest: float, longest: float) -> None:
    with hit.world.lock(service.url):
        service.send(signal.SIGSTOP, group=True)
        try:
            hit.wait(shortest, longest)
        finally:
            service.send(signal.SIGCONT, group=True)


@_blow()
def paused(hit: Hit) -> None:
    """Shorter than the lease, long enough that what waits in the queue is old."""
    _paused(hit, hit.service(), 2, 6.5)


@_blow()
def paused_beyond_the_lease(hit: Hit) -> None:
    _paused(hit, hit.service(), 11, 14)


@_blow(lambda world: world.name in _MULTIPLE)
def replica_added_and_removed(hit: Hit) -> None:
    name = f"spare-{time.monotonic_ns()}"
    with hit.world.lock("spare"):
        service = hit.world.add(name)
        try:
            hit.wait(4, 8)
        finally:
            with hit.world.lock(service.url):
                hit.world.services.remove(service)
                if hit.dice.random() < 0.5:
                    service.kill()
                else:
                    service.stop()


@_blow()
def reloaded(hit: Hit) -> None:
    """A monitor goes or comes back, at all replicas."""
    world = hit.world
    with world.lock("reload"):
        number = hit.dice.randrange(3)
        world.extras = [*(set(world.extras) ^ {number})]
        for service in world.services:
            service.config.write_text(world.configuration())
        for service in world.services:
            with suppress(ProcessLookupError):
                service.send(signal.SIGHUP)
        hit.wait(0.5, 2)


@_blow()
def notifications_refused(hit: Hit) -> None:
    """Whatever receives notifications hangs, resets connections or answers 503."""
    with hit.world.lock("receiver"):
        hit.world.receiver.behave(hit.dice.choice([silence, reset, answer(503), answer(429, Retry_After="3")]))
        hit.wait(3, 8)
        hit.world.receiver.behave(answer(200))


@_blow(lambda world: world.clock is not None)
def clock_moved(hit: Hit) -> None:
    """The wall clock of every process is wrong for a while, by seconds or by days."""
    clock = hit.world.clock
    assert clock is not None
    with hit.world.lock("clock"):
        clock.set(hit.dice.choice([-1, 1]) * hit.dice.choice([4_000, 60_000, 3_600_000, 2 * 86_400_000]))
        hit.wait(2, 6)
        clock.set(0)


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────────


@_blow(lambda world: world.sqlite is not None)
def locked(hit: Hit) -> None:
    assert hit.world.sqlite is not None
    with (
        hit.world.lock("database"),
        closing(sqlite3.connect(hit.world.sqlite, isolation_level=None, timeout=30)) as database,
        suppress(sqlite3.OperationalError),  # the disk may be full just now
    ):
        database.execute("BEGIN EXCLUSIVE")
        hit.wait(2, 8)
        database.execute("ROLLBACK")


@_blow(lambda world: world.disk is not None)
def disk_full(hit: Hit) -> None:
    world = hit.world
    assert world.disk is not None
    with world.lock("database"):
        filler, until = world.disk / "filler", time.monotonic() + hit.dice.uniform(3, 8)
        try:
            with filler.open("ab", buffering=0) as file:
                while time.monotonic() < until:
                    with suppress(OSError):
                        while True:  # what a database deletes is room again
                            file.write(bytes(65536))
                    with suppress(OSError):
                        while True:
                            file.write(bytes(512))
                    time.sleep(0.05)
        finally:
            filler.unlink()
        if world.postgres is not None and not _survives(world):
            world.postgres.start()


def _survives(world: World) -> bool:
    """PostgreSQL recovers from a full disk by itself, or ends; before it has done either it answers nothing."""
    server = world.postgres
    assert server is not None

    def decided() -> bool:
        with suppress(psycopg.OperationalError):
            return server.process.poll() is not None or bool(server.execute("SELECT pg_current_xact_id()"))
        return False

    _within(20, decided)
    return server.process.poll() is None


# ── PostgreSQL, and the way to it ────────────────────────────────────────────────────────────────────────────────


@_blow(lambda world: world.cable is not None and world.pooler is None)
def line_cut(hit: Hit) -> None:
    """Nothing goes through between one replica and the database, and neither is told."""
    cable = hit.world.cable
    assert cable is not None
    with hit.world.lock("cable"):
        cable.cut()
        hit.wait(*hit.dice.choice([(1, 4), (11, 14)]))
        cable.mend()


def _stopped(hit: Hit, number: int) -> None:
    server = hit.world.postgres
    assert server is not None
    with hit.world.lock("database"):
        server.stop(number)
        hit.wait(0, 4)
        server.start()


@_blow(lambda world: world.postgres is not None)
def database_restarted(hit: Hit) -> None:
    _stopped(hit, signal.SIGINT)


@_blow(lambda world: world.postgres is not None)
def database_crashed(hit: Hit) -> None:
    _stopped(hit, signal.SIGQUIT)


@_blow(lambda world: world.postgres is not None)
def database_frozen(hit: Hit) -> None:
    server = hit.world.postgres
    assert server is not None
    with hit.world.lock("database"):
        server.pause()
        try:
            hit.wait(2, 9)
        finally:
            server.resume()


@_blow(lambda world: world.postgres is not None)
def connections_ended(hit: Hit) -> None:
    """As an administrator, or a failover, would."""
    assert hit.world.postgres is not None
    with hit.world.lock("database"):
        hit.world.postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{hit.world.database}' AND pid <> pg_backend_pid()"
        )


@_blow(lambda world: world.pooler is not None)
def pooler_restarted(hit: Hit) -> None:
    pooler = hit.world.pooler
    assert pooler is not None
    with hit.world.lock("database"):
        pooler.stop(hit.dice.choice([signal.SIGTERM, signal.SIGKILL]))
        hit.wait(0, 3)
        pooler.start()


@_blow(lambda world: world.name in _MULTIPLE & _POSTGRESQL)
def out_of_order(hit: Hit) -> None:
    """A row lock holds one replica, which has received a failure; a success comes later, to another, and is stored
    before it.
    """
    world = hit.world
    if not hit.ordered or len(world.services) < 2:
        return
    with world.lock("database"):
        one, two = hit.dice.sample(world.services, 2)
        with world.lock(one.url), world.lock(two.url):
            _out_of_order(hit, f"ordered-{hit.ordered.pop()}", one, two)


def _out_of_order(hit: Hit, tag: str, one: Service, two: Service) -> None:
    world, client = hit.world, hit.clients.client(tag)
    assert world.postgres is not None
    for service in (one, two):  # one may have been started again just now
        eventually(lambda service=service: fetch(f"{service.url}/-/ready").status == 200, 60)
    eventually(lambda: client.once(tag, "success", f"{tag}.first.{time.monotonic_ns()}"), 60)
    (hold,) = world.rows("SELECT id FROM monitors WHERE tag = 'hold-0'")[0]
    blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    evaluated = f"SELECT evaluated_at FROM states JOIN monitors ON id = monitor_id WHERE tag = '{tag}'"
    with psycopg.connect(world.postgres.url(world.database)) as connection:
        connection.execute("SELECT 1 FROM states WHERE monitor_id = %s FOR UPDATE", (hold,))
        held = _sending(hit.clients.client(f"{tag}-held"), "hold-0", "log", f"{tag}.held", one.port)
        _within(1.0, lambda: world.rows(blocked))
        failing_client = hit.clients.client(f"{tag}-fails")
        failing = _sending(failing_client, tag, "failure", f"{tag}.fails", one.port)
        _within(0.5, lambda: failing_client.waiting)
        fetch(f"{one.url}/-/healthy")  # one event loop: what came before this has been received
        eventually(lambda: client.once(tag, "success", f"{tag}.last.{time.monotonic_ns()}", port=two.port), 10)
        answered_at = time.time_ns() // 1_000_000
        _within(1.0, lambda: world.rows(evaluated)[0][0] >= answered_at)
        connection.rollback()
    held.join(20)
    failing.join(20)


def _within(seconds: float, what: Callable[[], object]) -> None:
    """Waits for it, but no longer: what a replica commits waits for no lock of ours for more than three seconds."""
    with suppress(AssertionError):
        eventually(what, seconds)


def _sending(client: Client, tag: str, kind: str, rid: str, port: int) -> threading.Thread:
    thread = threading.Thread(target=client.once, args=(tag, kind, rid), kwargs={"port": port})
    thread.start()
    return thread
