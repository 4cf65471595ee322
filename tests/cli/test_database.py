"""`backup` and `migrate` on the command line: what they say, and with which exit status."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.storage.database import Database
from exporter.storage.schema import migrate
from tests.cli.test_main import monitor, refused, run
from tests.conftest import made


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/upkeep.db"


def as_of(storage: str, *, without: str) -> None:
    """Makes it a database of a version that had all migrations but one."""
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
        database.execute("DELETE FROM schema_migrations WHERE name = ?", (without,))
        database.execute("DROP TABLE blackouts")
        database.execute("DROP TABLE stamps")


def from_the_future(storage: str) -> None:
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
        database.execute("INSERT INTO schema_migrations (name, applied) VALUES ('9999_future', '2030-01-01')")


def everything(storage: str) -> bytes:
    return Path(storage.removeprefix("sqlite:///")).read_bytes()


def test_a_backup_and_what_it_says(storage: str, tmp_path: Path) -> None:
    monitor(made(storage), "add", "job")
    target = tmp_path / "copy.db"
    done = run("backup", str(target), "--storage.url", storage)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{target}: {target.stat().st_size / 1e6:.1f} MB, verified\n"
    assert "job" in monitor(f"sqlite:///{target}", "list").output
    refused(run("backup", str(target), "--storage.url", storage), "is there already", "--force")
    assert run("backup", str(target), "--force", "--storage.url", storage).exit_code == 0
    refused(run("backup", "--storage.url", storage), "Missing argument", code=2)


def test_a_backup_takes_the_database_as_it_is(storage: str, tmp_path: Path) -> None:
    """It is made before an upgrade, by the version that is installed by then or by the next one."""
    monitor(made(storage), "add", "job")
    as_of(storage, without="0003_blackouts")
    target = tmp_path / "copy.db"
    before = everything(storage)
    assert run("backup", str(target), "--storage.url", storage).exit_code == 0
    assert everything(storage) == before
    assert run("migrate", "--check", "--storage.url", f"sqlite:///{target}").stdout == "pending: 0003_blackouts\n"
    from_the_future(storage)
    assert run("backup", str(target), "--force", "--storage.url", storage).exit_code == 0


def test_migrate_says_what_it_did(storage: str) -> None:
    monitor(made(storage), "add", "job")
    as_of(storage, without="0003_blackouts")
    before = everything(storage)
    checked = run("migrate", "--check", "--storage.url", storage)
    assert (checked.exit_code, checked.output) == (1, "pending: 0003_blackouts\n")
    assert everything(storage) == before
    done = run("migrate", "--storage.url", storage)
    assert (done.exit_code, done.stdout) == (0, "applied 0003_blackouts\n")
    for arguments in (["migrate"], ["migrate", "--check"]):
        again = run(*arguments, "--storage.url", storage)
        assert (again.exit_code, again.stdout) == (0, "The schema is up to date.\n")


def test_a_check_makes_no_database(storage: str, tmp_path: Path) -> None:
    checked = run("migrate", "--check", "--storage.url", storage)
    assert checked.exit_code == 1
    assert checked.output.startswith("pending: 0001_initial\n")
    assert list(tmp_path.iterdir()) == []
    migrated = run("migrate", "--storage.url", storage)
    assert migrated.stdout.startswith("applied 0001_initial\n")
    database = Database(storage)
    assert migrate(database) == []
    database.close()


def test_what_cannot_be_told_or_done(storage: str, tmp_path: Path) -> None:
    monitor(made(storage), "add", "job")
    from_the_future(storage)
    before = everything(storage)
    refused(run("migrate", "--check", "--storage.url", storage), "newer version", "9999_future", code=2)
    refused(run("migrate", "--storage.url", storage), "newer version", code=1)
    assert everything(storage) == before
    refused(run("migrate", "--check", "--storage.url", "oracle://x"), "this version supports", code=2)
    text = tmp_path / "text.db"
    text.write_text("this is no database, and long enough to be seen as none " * 40)
    refused(run("migrate", "--check", "--storage.url", f"sqlite:///{text}"), "not a database", code=2)
