"""The command line says when nobody evaluates: a status of five minutes ago is not shown as one of now."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli.main import main
from exporter.core.clock import MINUTE, SECOND, SystemClock
from exporter.storage.attendance import Attendance
from exporter.storage.database import Database
from tests.cli.test_main import monitor, run
from tests.conftest import START, ManualClock, made

Set = Callable[[int | None, int, int | None], None]


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return made(f"sqlite:///{tmp_path}/cli.db")


@pytest.fixture
def left(storage: str) -> Set:
    """Leaves the traces of a service: its stamp, when its lease ends, and what is due."""

    def set(stamp: int | None, lease: int, due: int | None) -> None:
        with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
            database.execute("UPDATE stamps SET at = ?", (stamp,))
            database.execute("DELETE FROM leases")
            row = ("evaluation", "one", 1, lease)
            database.execute("INSERT INTO leases (name, holder, token, expires_at) VALUES (?, ?, ?, ?)", row)
            database.execute("UPDATE states SET next_evaluation_at = ?", (due,))

    return set


@pytest.mark.parametrize(
    ("stamp", "lease", "due", "since"),
    [
        (None, 0, None, 0),
        (START - SECOND, START + 9 * SECOND, None, None),
        (START - SECOND, START + 9 * SECOND, START + MINUTE, None),
        (START - SECOND, START + 9 * SECOND, START - 2 * SECOND, None),
        (START + 3 * SECOND, START + 9 * SECOND, None, None),
        (START - 5 * MINUTE, START - 5 * MINUTE, START - 4 * MINUTE, START - 5 * MINUTE),
        (START - SECOND, START - MINUTE, None, START - MINUTE),
        (START - SECOND, START + 9 * SECOND, START - MINUTE, START - MINUTE),
        (START - SECOND, 0, None, None),
    ],
)
def test_since_when(storage: str, left: Set, stamp: int | None, lease: int, due: int | None, since: int | None) -> None:
    monitor(storage, "add", "job")
    left(stamp, lease, due)
    database = Database(storage)
    assert Attendance(database, ManualClock()).absent_since() == since
    database.close()


def test_a_service_that_is_gone(storage: str, left: Set) -> None:
    monitor(storage, "add", "job")
    now = SystemClock().now()
    left(now - 5 * MINUTE - SECOND, now - 5 * MINUTE, None)
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE states SET status = 'UP'")
    options = ("--storage.url", storage)
    listed = CliRunner().invoke(main, ["monitor", "list", *options], color=True)
    assert "\x1b[32m" not in listed.stdout
    assert "not evaluated for 5 min" in listed.stdout
    assert "No service has evaluated this database for 5 min: the statuses shown are those of 20" in listed.stderr
    (facts,) = json.loads(run("monitor", "list", "--json", *options).stdout)
    assert facts["not_evaluated_since"].startswith("20")
    shown = run("monitor", "show", "job", *options)
    assert "No service has evaluated this database for 5 min" in shown.stderr
    assert "not evaluated since" in shown.stdout
    assert "No service has evaluated this database for 5 min" in run("incident", "list", *options).stderr


def test_a_service_that_is_there(storage: str, left: Set) -> None:
    monitor(storage, "add", "job")
    now = SystemClock().now()
    left(now, now + 10 * SECOND, None)
    for command in (["monitor", "list"], ["monitor", "show", "job"], ["incident", "list"], ["notification", "list"]):
        assert run(*command, "--storage.url", storage).stderr == ""
    (facts,) = json.loads(monitor(storage, "list", "--json").stdout)
    assert facts["not_evaluated_since"] is None


def test_by_when_a_heartbeat_is_expected(storage: str) -> None:
    monitor(storage, "add", "job")
    success = SystemClock().now() - MINUTE
    for at, label in ((success, "expected by "), (success - 60 * MINUTE, "late since ")):
        with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
            database.execute("UPDATE states SET last_success_at = ?", (at,))
        text = monitor(storage, "show", "job").stdout
        assert label in text
        assert "\ndue " not in text
