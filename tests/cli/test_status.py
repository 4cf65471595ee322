"""`status`: the worst status as an exit code, with a reason for each monitor in trouble."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.cli.main import main
from exporter.storage.database import Database
from exporter.storage.schema import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = Database(f"sqlite:///{tmp_path}/heartbeats.db")
    migrate(database)
    database.close()
    return tmp_path / "heartbeats.db"


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage.url", f"sqlite:///{path}"])


def set_up(path: Path, evaluated: bool = True, **statuses: tuple[str, str]) -> None:
    for tag in statuses:
        label = ["--label", "team=db"] if tag.startswith("db") else []
        assert run(path, "monitor", "add", tag, "--group", tag[:2], *label).exit_code == 0
    with closing(sqlite3.connect(path)) as database, database:
        for tag, (status, reason) in statuses.items():
            database.execute(
                "UPDATE states SET status = ?, reason = ?, status_since = ? "
                "WHERE monitor_id = (SELECT id FROM monitors WHERE tag = ?)",
                (status, reason, 1_795_532_612_000 - 1000 * len(tag), tag),
            )
        if evaluated:
            database.execute("UPDATE stamps SET at = ?", (time.time_ns() // 1_000_000,))


ALL = {
    "db-main": ("UP", "on_time"),
    "db-copy": ("DEGRADED", "late"),
    "web": ("DOWN", "missed"),
    "web-old": ("DOWN", "failed"),
    "new": ("NO_DATA", "never_received"),
    "off": ("PAUSED", "paused"),
}
COUNTS = "down=2 degraded=1 no_data=1 up=1 maintenance=0 paused=1"


@pytest.mark.parametrize(
    ("arguments", "code", "first"),
    [
        ((), 2, f"HEARTBEATS CRITICAL: 2 DOWN, 1 DEGRADED of 6 monitors | {COUNTS}"),
        (("db-*",), 1, "HEARTBEATS WARNING: 1 DEGRADED of 2 monitors | "),
        (("db-main", "off"), 0, "HEARTBEATS OK: none in trouble of 2 monitors | "),
        (("db-main",), 0, "HEARTBEATS OK: none in trouble of 1 monitor | "),
        (("--group", "ne"), 0, "HEARTBEATS OK: none in trouble of 1 monitor | "),
        (("--label", "team=d?"), 1, "HEARTBEATS WARNING: 1 DEGRADED of 2 monitors | "),
        (("gone",), 3, "HEARTBEATS UNKNOWN: there is no such monitor"),
        (("--label", "team"), 3, "HEARTBEATS UNKNOWN: "),
        (("--no-such-option",), 3, "HEARTBEATS UNKNOWN: No such option"),
    ],
)
def test_states(path: Path, arguments: tuple[str, ...], code: int, first: str) -> None:
    set_up(path, **ALL)
    result = run(path, "status", *arguments)
    assert result.stdout.startswith(first), result.output
    assert result.exit_code == code


def test_the_worst_first(path: Path) -> None:
    set_up(path, **ALL)
    lines = run(path, "status").stdout.splitlines()[1:]
    assert lines == [
        "DOWN web-old: failed since 2026-11-24T15:03:25.000Z",
        "DOWN web: missed since 2026-11-24T15:03:29.000Z",
        "DEGRADED db-copy: late since 2026-11-24T15:03:25.000Z",
    ]


def test_many_in_trouble(path: Path) -> None:
    set_up(path, **{f"job-{number}": ("DOWN", "missed") for number in range(55)})
    assert run(path, "status").stdout.splitlines()[-1] == "and 5 more"


def test_what_nobody_evaluates_is_unknown(path: Path, tmp_path: Path) -> None:
    set_up(path, evaluated=False, **ALL)
    assert run(path, "status").stdout == "HEARTBEATS UNKNOWN: no service has ever evaluated this database\n"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE stamps SET at = ?", (time.time_ns() // 1_000_000 - 3_600_000,))
    result = run(path, "status")
    assert (result.exit_code, result.stdout) == (
        3,
        "HEARTBEATS UNKNOWN: no service has evaluated this database for 1 h\n",
    )
    missing = run(tmp_path / "none.db", "status")
    assert missing.exit_code == 3
    assert missing.stdout.startswith("HEARTBEATS UNKNOWN: ")
    assert not (tmp_path / "none.db").exists()
