"""The worlds of a storm: processes, and the database that they share."""

import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live.conftest import Service, fetch
from tests.live.wall_clock import WallClock
from tests.storm.monitors import EXTRAS, Plan
from tests.support.pgbouncer import PgBouncer, pooling
from tests.support.postgres import Line, Postgres, line
from tests.support.receivers import Receiver, answer

ROOM = {"sqlite": 128, "postgresql": 400}
"""Megabytes of the small disk that the database lies on."""


@dataclass
class World:
    """Everything that blows may hit. `services` are those that clients ask; each has a lock for whoever hits it."""

    name: str
    plan: Plan
    folder: Path
    receiver: Receiver
    services: list[Service] = field(default_factory=list)
    rows: Callable[[str], list[tuple[Any, ...]]] = lambda query: []
    storage: Callable[[int], str] = lambda number: ""
    """The database's URL for the replica with this number."""
    sqlite: Path | None = None
    postgres: Postgres | None = None
    database: str = ""
    cable: Line | None = None
    pooler: PgBouncer | None = None
    disk: Path | None = None
    """A small file system that the database lies on, if one could be mounted."""
    workers: int = 1
    spare: bool = True
    """Whether another replica may join."""
    clock: WallClock | None = None
    """The wall clock of all processes, where it can be moved."""
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    extras: list[int] = field(default_factory=lambda: list(range(EXTRAS)))

    def lock(self, what: str) -> threading.Lock:
        return self.locks.setdefault(what, threading.Lock())

    def ports(self) -> Sequence[int]:
        return [service.port for service in list(self.services)]

    def configuration(self) -> str:
        return self.plan.configuration(self.receiver.url, self.folder / "spool", self.extras)

    def add(self, name: str) -> Service:
        """One more replica, not ready yet."""
        options = ("--workers", str(self.workers)) if self.workers > 1 else ()
        environment = self.clock.environment if self.clock is not None else {}
        storage = self.storage(len(self.services))
        service = Service(self.folder, self.configuration(), name, options, storage, environment)
        self.services.append(service)
        return service

    def ready(self, seconds: float = 60) -> None:
        for service in list(self.services):
            _until(lambda service=service: fetch(f"{service.url}/-/ready").status == 200, seconds, service)

    def close(self) -> None:
        for service in self.services:
            with suppress(ProcessLookupError):
                service.send(signal.SIGCONT, group=True)
            service.kill()


def _until(what: Callable[[], object], seconds: float, service: Service) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.1)):
        if what():
            return
        pause.wait(0.1)
    state = f"{service.url} is not ready within {seconds} s, its exit status is {service.process.poll()}"
    raise AssertionError(f"{state}:\n{service.output()[-3000:]}")


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Path | None]:
    """A file system of its own at `path`, where this process may mount one; else None, and no disk is filled."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver(answer(200)) as one:
        yield one


@contextmanager
def _sqlite(world: World, stack: ExitStack, processes: int) -> Iterator[World]:
    folder = world.folder / "disk"
    world.disk = stack.enter_context(small_disk(folder, ROOM["sqlite"]))
    path = world.sqlite = folder / "live.db"

    def rows(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=30)) as database:
            return database.execute(query).fetchall()

    world.rows, world.storage, world.spare = rows, lambda number: f"sqlite:///{path}", processes > 1
    yield from _started(world, processes)


@contextmanager
def _postgresql(world: World, stack: ExitStack, replicas: int, pooler: str = "") -> Iterator[World]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-", ignore_cleanup_errors=True)))
    world.disk = stack.enter_context(small_disk(folder, ROOM["postgresql"]))
    folder.chmod(0o755)
    server = world.postgres = Postgres(folder, durable=True)
    stack.callback(server.stop)
    stack.callback(server.resume)
    if world.disk is not None:
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("max_wal_size = 64MB\nmin_wal_size = 32MB\n")
        server.stop()
        server.start()
    url = server.create()
    world.database = name = url.rpartition("/")[2]
    world.rows = lambda query: server.execute(query, name)
    cable = world.cable = stack.enter_context(line(server))
    if pooler:
        between = world.pooler = stack.enter_context(pooling(server, pooler))
        world.storage = lambda number: between.url(url)
    else:
        world.storage = lambda number: cable.url(url) if number == 0 else url
    yield from _started(world, replicas)


def _started(world: World, processes: int) -> Iterator[World]:
    try:
        for number in range(processes):
            world.add(f"replica-{number}")
        world.ready()
        yield world
    finally:
        world.close()


WORLDS: dict[str, Callable[[World, ExitStack], Any]] = {
    "sqlite": lambda world, stack: _sqlite(world, stack, 1),
    "sqlite-2": lambda world, stack: _sqlite(world, stack, 2),
    "postgresql": lambda world, stack: _postgresql(world, stack, 2),
    "workers": lambda world, stack: _postgresql(world, stack, 1),
    "pgbouncer-session": lambda world, stack: _postgresql(world, stack, 2, "session"),
    "pgbouncer-transaction": lambda world, stack: _postgresql(world, stack, 2, "transaction"),
}
"""One process on SQLite; two on one file; two replicas on PostgreSQL; one of two workers; two through PgBouncer."""


@contextmanager
def made(name: str, plan: Plan, folder: Path) -> Iterator[World]:
    """The world with that name, with its processes ready."""
    with ExitStack() as stack:
        receiving = stack.enter_context(receiver())
        world = World(name, plan, folder, receiving)
        if plan.clocks:
            world.clock = WallClock(folder)
            stack.callback(world.clock.close)
        if name == "workers":
            world.workers, world.spare = 2, False
        yield stack.enter_context(WORLDS[name](world, stack))
