"""Ways to have one process commit its heartbeats long after it received them, and after others received later ones."""

import http.client
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from tests.live.conftest import SECRET, Service, eventually, fetch
from tests.support.postgres import Line


class Sent:
    """A heartbeat that is not answered soon. When this has been made, the service has received it."""

    def __init__(self, service: Service, tag: str, suffix: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        self._connection.request("GET", f"/ext/heartbeat/{tag}:{SECRET}{suffix}")
        assert fetch(f"{service.url}/-/healthy").status == 200  # its one loop has seen what came before
        self._statuses: list[int] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with closing(self._connection), self._connection.getresponse() as answer:
            answer.read()
            self._statuses.append(answer.status)

    def status(self) -> int:
        """What it was answered with, in the end."""
        self._thread.join(30)
        return self._statuses[0]


class Pulse:
    """Sends a success every so many seconds, until it is left."""

    def __init__(self, service: Service, tag: str, every: float = 0.2) -> None:
        self.acknowledged = 0
        self._service, self._tag, self._every = service, tag, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.acknowledged += self._service.ping(self._tag).status == 200


def _stand_still(service: Service) -> bool:
    """Whether every thread has stopped: a signal that has been sent may not have arrived."""
    threads = [
        path for pid in (service.process.pid, *service.workers()) for path in Path(f"/proc/{pid}/task").iterdir()
    ]
    return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)


@contextmanager
def paused(service: Service) -> Iterator[None]:
    """All its processes stand still meanwhile."""
    service.send(signal.SIGSTOP, group=True)
    try:
        eventually(lambda: _stand_still(service))
        yield
    finally:
        service.send(signal.SIGCONT, group=True)


@contextmanager
def file_locked(storage: str) -> Iterator[None]:
    """Nothing commits to the SQLite database meanwhile."""
    path = storage.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as database:
        database.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")


@contextmanager
def cut_off(cable: Line) -> Iterator[None]:
    """Who uses this line to the server gets no answer meanwhile, and gets it afterwards."""
    cable.cut()
    try:
        yield
    finally:
        cable.mend()


@contextmanager
def row_locked(storage: str, tag: str) -> Iterator[None]:
    """Nothing commits heartbeats of this monitor to the PostgreSQL database meanwhile; a process that tries commits no
    others either.
    """
    with psycopg.connect(storage) as rude:
        rude.execute(
            "SELECT 1 FROM states WHERE monitor_id = (SELECT id FROM monitors WHERE tag = %s) FOR UPDATE", (tag,)
        )
        try:
            yield
        finally:
            rude.rollback()
