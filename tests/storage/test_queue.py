"""The queue of our own threads before the database: who is sent away, and what counts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee
import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.telemetry import Silent
from exporter.storage.database import Database
from exporter.storage.schema import migrate
from tests.support.replica import DEADLINE


class Counting(Silent):
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.up: list[bool] = []

    def storage_failed(self, operation: str) -> None:
        self.errors.append(operation)

    def storage_up(self, up: bool) -> None:
        self.up.append(up)


@pytest.fixture
def telemetry() -> Counting:
    return Counting()


@pytest.fixture
def database(url: str, telemetry: Counting) -> Iterator[Database]:
    database = Database(url, telemetry)
    migrate(database)
    telemetry.up.clear()
    yield database
    database.close()


@contextmanager
def queue(database: Database, count: int, done: list[Any]) -> Iterator[None]:
    """So many threads queue behind what is done within; each tells its operation, or what was raised."""

    def work(name: str) -> None:
        try:
            with database.write(name):
                pass
            done.append(name)
        except StorageUnavailable as error:
            done.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(count)]
    arrived = threading.Semaphore(0)
    lock = database._one_writer

    class Lock:
        def __enter__(self) -> None:
            arrived.release()
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    database._one_writer = Lock()  # type: ignore[assignment]
    with lock:
        for thread in threads:
            thread.start()
        for _ in threads:
            assert arrived.acquire(timeout=DEADLINE)
        database._one_writer = lock
        yield
    for thread in threads:
        thread.join(DEADLINE)


def test_who_queues_behind_one_that_waits_in_vain_is_sent_away(
    database: Database, telemetry: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the last of five would wait for five times as long. What was not tried is no error; a database that is back
    is used by the next one that comes.
    """
    tried = []

    def connect(writing: bool) -> None:
        tried.append(writing)
        raise peewee.OperationalError("locked")

    done: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(database, "_connect", connect)
        with queue(database, 5, done):
            pass
    assert len(tried) == len(telemetry.errors) == 1
    assert sorted("not tried after thread" in str(error) for error in done) == [False, True, True, True, True]
    assert telemetry.up == [False], "one outage"
    for _ in range(2):
        with database.write("again"):
            pass
    assert len(telemetry.errors) == 1
    assert telemetry.up[:2] == [False, True]
    assert database.trouble is None


def test_what_fails_otherwise_sends_nobody_away(
    database: Database, telemetry: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that has begun, or a reading: that tells nothing of the next one."""
    done: list[Any] = []
    with queue(database, 2, done), pytest.raises(StorageUnavailable), database.read("a page"):
        raise peewee.OperationalError("too slow")
    assert sorted(done) == ["thread 0", "thread 1"]
    done.clear()
    real = database._still_there
    fails = iter([True, False])

    def still_there() -> None:
        if next(fails, False):
            raise peewee.OperationalError("at the end")
        real()

    monkeypatch.setattr(database, "_connect", lambda writing: database._engine.connect(writing=writing))
    monkeypatch.setattr(database, "_still_there", still_there)
    with queue(database, 3, done):
        pass
    assert len([one for one in done if isinstance(one, str)]) == 2
    assert database.trouble is None
