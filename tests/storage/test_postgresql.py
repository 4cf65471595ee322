"""What PostgreSQL alone can do to us: writers side by side, a server that is stopped, restarted or full."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from exporter.core.errors import InvalidValue, StorageConflict, StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.fleet.loader import load
from exporter.recording.statements import Pending
from exporter.storage import engines
from exporter.storage.database import Database
from exporter.storage.engines import postgresql
from exporter.storage.engines.connections import ConnectionPool
from exporter.storage.schema import migrate
from tests.conftest import START, ManualClock
from tests.support.postgres import PASSWORD, Postgres, running
from tests.support.replica import DEADLINE, Replica, execute
from tests.support.tools import run_tool


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create("migrated")


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that tests stop."""
    with running() as server:
        yield server


@pytest.fixture
def there(mortal: Postgres) -> Iterator[Database]:
    database = Database(mortal.create())
    migrate(database)
    yield database
    mortal.resume()
    database.close()


def beats(replica: Replica, *given: tuple[str, Kind, str]) -> None:
    found = [replica.fleet.get(tag) for tag, _, _ in given]
    replica.recorder._commit_despite_conflicts(
        [
            Pending(one, Heartbeat(kind, replica.clock.now(), rid))
            for one, (_, kind, rid) in zip(found, given, strict=True)
            if one is not None
        ]
    )


def under_way(connection: "psycopg.Connection[tuple[object, ...]]", monitor_id: int) -> None:
    """A heartbeat taken by a third process: it has its number, and is not visible yet."""
    connection.execute(
        "INSERT INTO heartbeats (monitor_id, received_at, kind, rid, output, replica) "
        "VALUES (%s, %s, 'success', '', '', 'three')",
        (monitor_id, START),
    )


# ── writers side by side ─────────────────────────────────────────────────────────────────────────────────────────


def test_groups_of_many_processes_lose_nothing_and_wait_for_each_other_in_order(
    replica: Replica, other: Replica, url: str, clock: ManualClock
) -> None:
    tags = [f"job-{number}" for number in range(20)]
    for tag in tags:
        replica.add(tag)
    other.refresh()
    rounds, failed = 40, []

    def work(one: Replica, step: int) -> None:
        """Each in another order; runs begin and end, one by one and together."""
        try:
            for number in range(rounds):
                order = tags[number % 20 :: step] + tags[: number % 20 : step]
                beats(one, *((tag, Kind.START, f"{one.name}-{number}") for tag in order))
                beats(one, *((tag, Kind.SUCCESS, f"{one.name}-{number}") for tag in reversed(order)))
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            one.db.close()

    threads = [threading.Thread(target=work, args=(one, step)) for one, step in ((replica, 1), (other, -1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert failed == []
    expected: Counter[str] = Counter()
    for number in range(rounds):
        for step in (1, -1):
            expected.update(tags[number % 20 :: step] + tags[: number % 20 : step])
    found = load(replica.db)
    assert {one.monitor.tag: one.state.starts for one in found} == dict(expected)
    assert {one.monitor.tag: one.state.received for one in found} == {tag: 2 * n for tag, n in expected.items()}
    assert [one.state.runs for one in found] == [()] * len(tags)


def test_a_commit_that_comes_after_a_later_number_is_followed(
    replica: Replica, other: Replica, postgres: Postgres, url: str, clock: ManualClock
) -> None:
    for tag in ("slow", "quick"):
        replica.add(tag)
    other.refresh()
    other.follower.start_here()
    slow = replica.fleet.get("slow")
    assert slow is not None
    with psycopg.connect(url) as third:
        under_way(third, slow.id)
        beats(replica, ("quick", Kind.SUCCESS, ""))
        assert other.follower.poll() == 1
        clock.advance(9_000)
        assert other.follower.poll() == 0
    clock.advance(500)
    assert other.follower.poll() == 1
    assert other.follower.poll() == 0
    # Later than any transaction lasts, nothing can have been missed: what is older is not looked at again.
    for _ in range(3):
        clock.advance(10_500)
        assert other.follower.poll() == 0
    beats(replica, ("quick", Kind.SUCCESS, ""))
    assert other.follower.poll() == 1


def test_what_is_under_way_while_a_process_starts_is_followed(
    replica: Replica, other: Replica, url: str, clock: ManualClock
) -> None:
    for tag in ("slow", "quick"):
        replica.add(tag)
    slow = replica.fleet.get("slow")
    assert slow is not None
    with psycopg.connect(url) as third:
        under_way(third, slow.id)
        beats(replica, ("quick", Kind.SUCCESS, ""))
        other.follower.start_here()
        other.refresh()
    assert other.follower.poll() == 1


def test_a_transaction_that_lasts_too_long_is_undone(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    replica.add("job")
    monkeypatch.setattr("exporter.recording.recorder.MAX_TRANSACTION_SECONDS", -1.0)
    with pytest.raises(StorageUnavailable, match="took more than"):
        replica.beat("job")
    monkeypatch.undo()
    assert load(replica.db)[0].state.received == 0
    replica.beat("job")


def test_two_processes_that_provision_the_same_at_once(url: str, clock: ManualClock) -> None:
    from exporter.core.monitor import Monitor

    gate, results, failed = threading.Barrier(4), [], []
    wanted = [(Monitor(tag=f"job-{number}"), b"d" * 32) for number in range(50)]

    def provision(name: str) -> None:
        replica = Replica(url, clock, name)
        gate.wait()
        try:
            results.append(replica.monitors.provision(wanted))
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            replica.db.close()

    threads = [threading.Thread(target=provision, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert failed == []
    assert sorted(results) == [(0, 0, 0), (0, 0, 0), (0, 0, 0), (50, 0, 0)]


def test_a_deadlock_is_told_apart_and_the_group_is_tried_again(
    replica: Replica, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("a", "b"):
        replica.add(tag)
    first, second = sorted(one.id for one in replica.fleet)
    with psycopg.connect(url) as rude:  # whoever takes rows in the other order, a person at a prompt for example
        rude.execute("SET deadlock_timeout = '5s'")  # so that it is not the one that is chosen
        rude.execute("SELECT 1 FROM states WHERE monitor_id = %s FOR UPDATE", (second,))
        conflicts: list[StorageConflict] = []
        commit = replica.recorder._commit

        def counted(batch: list[Pending]) -> None:
            try:
                commit(batch)
            except StorageConflict as error:
                conflicts.append(error)
                rude.rollback()
                raise

        monkeypatch.setattr(replica.recorder, "_commit", counted)
        thread = threading.Thread(target=lambda: beats(replica, ("a", Kind.SUCCESS, ""), ("b", Kind.SUCCESS, "")))
        thread.start()
        deadline = time.monotonic() + DEADLINE
        with psycopg.connect(url, autocommit=True) as watcher:
            while not watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                assert time.monotonic() < deadline
        locker = threading.Thread(target=lambda: _ignoring(rude, first))
        locker.start()
        thread.join(DEADLINE)
        locker.join(DEADLINE)
    assert len(conflicts) == 1
    assert "deadlock" in str(conflicts[0])
    assert [one.state.received for one in load(replica.db)] == [1, 1]


def _ignoring(connection: "psycopg.Connection[tuple[object, ...]]", monitor_id: int) -> None:
    connection.execute("SELECT 1 FROM states WHERE monitor_id = %s FOR UPDATE", (monitor_id,))


# ── a server in trouble ──────────────────────────────────────────────────────────────────────────────────────────


def count(database: Database) -> int:
    with database.read("test"):
        return len(list(database.tables.settings.select().tuples()))


def test_a_server_that_was_restarted_costs_no_error(mortal: Postgres, there: Database) -> None:
    assert count(there) == 0
    mortal.stop()
    with pytest.raises(StorageUnavailable, match=r"refused|closed"):
        count(there)
    assert there.trouble is not None
    mortal.start()
    with there.write("test"):
        pass
    assert there.trouble is None
    count(there)
    mortal.stop()
    mortal.start()
    assert count(there) == 0  # the connection that was kept is known to be gone before anything is asked of it


def test_a_server_that_stands_still_is_not_waited_for_for_ever(
    mortal: Postgres, there: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql._PostgresConnection, "patience", 0.5)
    monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 0.5)
    count(there)
    mortal.pause()
    with pytest.raises(StorageUnavailable, match=r"no answer within 0\.5 s"):
        count(there)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="timeout"):  # a new connection is not answered either
        count(there)
    assert time.monotonic() - began < 8
    mortal.resume()
    assert count(there) == 0


def test_a_slow_statement_is_ended_by_the_server(there: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageUnavailable, match="statement timeout"):
        execute(there, "SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(20)")
    assert count(there) == 0


def test_out_of_connections(mortal: Postgres, there: Database) -> None:
    taken = []
    there.close()
    with suppress(psycopg.OperationalError):
        while True:
            taken.append(psycopg.connect(mortal.url("postgres")))
    with pytest.raises(StorageUnavailable, match=r"too many clients|connection slots"):
        count(there)
    for connection in taken:
        connection.close()
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            assert count(there) == 0
            return
        except StorageUnavailable:
            assert time.monotonic() < deadline


def test_a_commit_without_an_answer_has_the_fleet_read_anew(
    mortal: Postgres, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = mortal.create()
    replica = Replica(name, clock)
    replica.add("job")
    watched = replica.fleet.get("job")
    assert watched is not None

    def lost(peewee: object = replica.db.peewee) -> None:
        """It is made, and the answer never comes."""
        peewee.execute_sql("COMMIT")  # type: ignore[attr-defined]
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(replica.db.peewee, "commit", lost)
    with pytest.raises(StorageUnavailable, match="lost"):
        replica.beat("job")
    monkeypatch.undo()
    assert watched.state.received == 0
    replica.recorder.start()
    replica.follower.poll()
    replica.recorder.stop()
    assert watched.state.received == 1
    replica.db.close()


def test_tls_by_the_url(mortal: Postgres, tmp_path: Path) -> None:
    trusted = mortal.speak_tls()
    copy, other = tmp_path / "root.crt", tmp_path / "other.crt"
    copy.write_bytes(trusted.read_bytes())
    run_tool(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
        "-keyout", str(tmp_path / "other.key"), "-out", str(other),
    )  # fmt: skip
    mortal.stop()
    mortal.start()
    url = mortal.create().replace("127.0.0.1", "localhost")
    database = Database(f"{url}?sslmode=verify-full&sslrootcert={copy}")
    assert execute(database, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    database.close()
    wrong = Database(f"{url}?sslmode=verify-full&sslrootcert={other}")
    with pytest.raises(StorageUnavailable, match="certificate verify failed"):
        execute(wrong, "SELECT 1")
    wrong.close()
    elsewhere = Database(f"{url.replace('localhost', '127.0.0.1')}?sslmode=verify-full&sslrootcert={copy}")
    with pytest.raises(StorageUnavailable, match="127"):  # the certificate is for another name
        execute(elsewhere, "SELECT 1")
    elsewhere.close()


def test_tables_that_are_gone_are_told(mortal: Postgres) -> None:
    told: list[bool] = []
    database = Database(mortal.create(), replaced=lambda: told.append(True))
    migrate(database)
    with database.write("test"):
        database.peewee.execute_sql("DROP TABLE settings")
    with pytest.raises(StorageUnavailable):
        count(database)
    assert told
    database.close()


def test_a_commit_waits_for_no_page(url: str) -> None:
    database = Database(f"{url}?pool_size=1")
    migrate(database)
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        with database.read("page"):
            reading.set()
            done.wait(DEADLINE)

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait(DEADLINE)
    with database.write("commit"):
        pass
    done.set()
    reader.join(DEADLINE)
    database.close()


def test_who_gets_no_connection_is_told_what_to_do(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "WAIT_SECONDS", 0.01)
    database = Database(f"{url}?pool_size=1")
    found: list[str] = []

    def second() -> None:
        try:
            with database.read("second"):
                pass
        except StorageUnavailable as error:
            found.append(str(error))

    with database.read("first"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(DEADLINE)
    assert "raise pool_size in storage.url" in found[0]
    with database.read("third"):
        pass
    database.close()


def test_every_session_is_bounded_and_durable(url: str, postgres: Postgres) -> None:
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = Database(url)
    with database.write("test"):
        shown = [
            database.peewee.execute_sql(f"SHOW {setting}").fetchone()[0]
            for setting in ("statement_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
        ]
        who = database.peewee.execute_sql("SHOW application_name").fetchone()[0]
    assert shown == ["8s", "5s", "on"]
    assert who == "heartbeat-exporter"
    database.close()


# ── the URL ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("?pool_size=0", "pool_size is a number from 1 to 100"),
        ("?pool_size=many", "pool_size is a number"),
        ("?prepare_threshold=x", "prepare_threshold is a number, or none"),
        ("?sesame=1", "libpq does not know"),
        ("/%zz", "percent-encode"),
    ],
)
def test_a_bad_url_is_told_without_what_is_in_it(rest: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        Database(f"postgresql://user:SESAME@host:5432/name{rest}")
    assert "SESAME" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(postgres: Postgres) -> None:
    database = Database(postgres.url("postgres").replace("SESAME", "OPEN"))
    with pytest.raises(StorageUnavailable, match="password authentication failed") as caught:
        count(database)
    assert PASSWORD not in str(caught.value)
    assert "OPEN" not in str(caught.value)
    database.close()


def test_of_several_servers_the_one_that_writes_is_asked_for() -> None:
    parameters, _ = postgresql._parameters("postgresql://u@one,two/name")
    assert parameters["target_session_attrs"] == "read-write"
    parameters, options = postgresql._parameters(
        "postgresql://u@one/name?sslmode=verify-full&connect_timeout=9&pool_size=7&prepare_threshold=none"
    )
    assert "target_session_attrs" not in parameters
    assert (parameters["sslmode"], parameters["connect_timeout"]) == ("verify-full", "9")
    assert options == {"pool_size": "7", "prepare_threshold": "none"}
    assert postgresql._prepare_threshold(options) is None


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name="psycopg")

    monkeypatch.setattr(engines, "import_module", missing)
    with pytest.raises(InvalidValue, match=r"pip install 'heartbeat-exporter\[postgres\]'"):
        engines.open_engine("postgresql://u@h/d")


# ── the connections ──────────────────────────────────────────────────────────────────────────────────────────────


class Fake:
    def __init__(self) -> None:
        self.good, self.closed = True, False

    def usable(self) -> bool:
        return self.good

    def close(self) -> None:
        self.closed = True


def test_connections_are_used_again_while_they_are_good() -> None:
    pool: ConnectionPool[Fake] = ConnectionPool(Fake, 2)
    first, second = pool.take(0), pool.take(0)
    pool.give_back(first)
    assert pool.take(0) is first
    first.good = False
    pool.give_back(first)
    assert first.closed
    pool.give_back(second)
    second.good = False
    third = pool.take(0)
    assert second.closed
    pool.give_back(third)
    fourth, fifth = pool.take(0), pool.take(0)
    pool.give_back(fourth)
    pool.drop(fifth)  # what is idle may have lost the same server
    assert fourth.closed
    assert fifth.closed


def test_a_connection_that_could_not_be_made_leaves_its_place_free() -> None:
    def refuse() -> Fake:
        raise OSError("no")

    pool: ConnectionPool[Fake] = ConnectionPool(refuse, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            pool.take(0)


def test_an_old_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: ConnectionPool[Fake] = ConnectionPool(Fake, 1)
    first = pool.take(0)
    pool.give_back(first)
    monkeypatch.setattr("exporter.storage.engines.connections.IDLE_SECONDS", 0)
    assert pool.take(0) is not first
    assert first.closed


def test_sqlite_needs_no_driver_of_another_engine(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, exporter.app.service; print([name for name in sys.modules if name.startswith('psycopg')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
