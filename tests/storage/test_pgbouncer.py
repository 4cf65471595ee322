"""Behind a real PgBouncer: nothing that is relied on is left to the session."""

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.fleet.loader import load
from exporter.recording.statements import Pending
from exporter.storage.database import Database
from exporter.storage.schema import migrate
from tests.conftest import START, ManualClock
from tests.support.pgbouncer import PgBouncer, pooling
from tests.support.postgres import USER, Postgres, running
from tests.support.replica import DEADLINE, Replica, execute

SETTINGS = ("synchronous_commit", "statement_timeout", "idle_in_transaction_session_timeout")
SAFE = ["on", "8s", "5s"]


@pytest.fixture(scope="module")
def careless() -> Iterator[Postgres]:
    """A server whose role says that a commit need not be on a disk."""
    with running() as server:
        server.execute(f"ALTER ROLE {USER} SET synchronous_commit = off")
        yield server


@pytest.fixture(params=["session", "transaction"], scope="module")
def pooler(request: pytest.FixtureRequest, careless: Postgres) -> Iterator[PgBouncer]:
    with pooling(careless, request.param, default_pool_size="3") as one:
        yield one


@pytest.fixture
def url(careless: Postgres, pooler: PgBouncer) -> str:
    return pooler.url(careless.create())


def in_force(database: Database) -> list[str]:
    return [database.peewee.execute_sql(f"SHOW {name}").fetchone()[0] for name in SETTINGS]


def test_every_writing_transaction_is_durable_and_bounded(url: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as client:
        assert client.execute("SHOW synchronous_commit").fetchone() == ("off",)
    database = Database(url)
    for _ in range(20):
        with database.write("test"):
            assert in_force(database) == SAFE
        with database.read("test"):
            assert in_force(database)[1:] == SAFE[1:]
    database.close()


def test_what_another_client_sets_is_not_in_force_with_us(url: str, careless: Postgres) -> None:
    """In transaction mode it stays set in the server's session, which is ours next. pg_dump leaves such a path."""
    database = Database(url)
    migrate(database)
    with database.read("look"):
        assert list(database.tables.settings.select().tuples()) == []
    for _ in range(8):
        with closing(psycopg.connect(url, autocommit=True)) as client:
            client.execute("SET synchronous_commit = off; SET statement_timeout = 0; SET search_path = ''")
        with database.write("test"):
            assert in_force(database) == SAFE
            list(database.tables.settings.select().tuples())
        with database.read("test"):
            assert in_force(database) == SAFE
            list(database.tables.settings.select().tuples())
    fresh = Database(url)  # begins in such a session
    with fresh.write("test"):
        assert in_force(fresh) == SAFE
        list(fresh.tables.settings.select().tuples())
    fresh.close()
    database.close()


def test_we_leave_nothing_behind_in_anothers_session(url: str) -> None:
    database = Database(url)
    migrate(database)
    for _ in range(5):
        with database.read("test"):
            pass
    database.close()
    with closing(psycopg.connect(url, autocommit=True)) as client:
        assert client.execute("SHOW statement_timeout").fetchone() == ("0",)
        assert client.execute("SHOW synchronous_commit").fetchone() == ("off",)


def test_two_processes_record_and_evaluate(url: str) -> None:
    """With fewer sessions than connections, so that each transaction finds another one; no statement is prepared."""
    clock = ManualClock()
    one, two = Replica(url, clock, "one"), Replica(url, clock, "two")
    for number in range(20):
        one.monitors.add(Monitor(tag=f"job{number}"), b"d" * 32)
    failed: list[BaseException] = []

    def work(replica: Replica) -> None:
        try:
            replica.refresh()
            for number in range(60):
                group = [
                    Heartbeat(kind, START + number, f"{replica.name}{number}") for kind in (Kind.START, Kind.SUCCESS)
                ]
                replica.recorder._commit([Pending(one, beat) for one in replica.fleet for beat in group])
                replica.evaluator.evaluate_due()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
        finally:
            replica.db.close()

    threads = [threading.Thread(target=work, args=(replica,)) for replica in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    if failed:
        raise failed[0]
    found = load(one.db)
    assert [one.state.received for one in found] == [240] * 20
    assert [one.state.runs for one in found] == [()] * 20
    assert execute(one.db, "SELECT COUNT(*) FROM pg_prepared_statements") == [(0,)]
    one.db.close()


def test_statements_are_prepared_where_the_url_says_so(careless: Postgres) -> None:
    with pooling(careless, "session") as pooler:
        database = Database(f"{pooler.url(careless.create())}?prepare_threshold=1")
        migrate(database)
        for _ in range(3):
            with database.write("test"):
                list(database.tables.settings.select().where(database.tables.settings.key == "a").tuples())
        assert execute(database, "SELECT COUNT(*) FROM pg_prepared_statements") != [(0,)]
        database.close()


def test_a_pooler_that_was_restarted_costs_one_try(careless: Postgres) -> None:
    with pooling(careless, "transaction") as pooler:
        database = Database(pooler.url(careless.create()))
        migrate(database)
        pooler.stop()
        pooler.start()
        with database.write("test"):
            assert in_force(database) == SAFE
        database.close()
