"""`import … --apply`: monitors in the database, their old credentials in force, and nothing twice."""

import sqlite3
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner

from exporter.cli.main import main
from exporter.storage.database import Database
from exporter.storage.schema import migrate
from tests.importing import test_healthchecks, test_kener
from tests.importing.conftest import command, write


def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/heartbeats.db"
    opened = Database(url)
    migrate(opened)
    opened.close()
    return url


def test_it_can_be_repeated_and_brings_changes(tmp_path: Path) -> None:
    url, source = database(tmp_path), write(tmp_path / "hc.sqlite", test_healthchecks.TABLES)
    arguments = ("healthchecks", source, "--apply", "--storage.url", url)
    first = command(*arguments)
    assert "Monitors: 3 added, 0 changed, 0 as they were. Ping keys: 1 added or changed." in first.stderr
    assert "monitors:" not in first.stdout.replace("    monitors:", ""), "only what the database does not hold"
    assert "notifiers:" in first.stdout
    assert "Monitors: 0 added, 0 changed, 3 as they were. Ping keys: 0 added" in command(*arguments).stderr
    with closing(sqlite3.connect(source)) as changed, changed:
        changed.execute("UPDATE api_check SET grace = 7200000000 WHERE id = 1")
        changed.execute("UPDATE api_check SET code = 'eeeeeeee000040008000000000000001' WHERE id = 2")
    assert "Monitors: 0 added, 2 changed, 1 as they were" in command(*arguments).stderr
    shown = CliRunner().invoke(main, ["monitor", "show", "nightly-backup", "--storage.url", url])
    assert "down after            2h" in shown.output
    CliRunner().invoke(main, ["monitor", "remove", "cron", "--storage.url", url], catch_exceptions=False)
    assert "Monitors: 1 added, 0 changed, 2 as they were" in command(*arguments).stderr


def test_a_monitor_of_the_file_is_not_touched(tmp_path: Path) -> None:
    url, source = database(tmp_path), write(tmp_path / "kener.db", test_kener.TABLES)
    with closing(sqlite3.connect(tmp_path / "heartbeats.db")) as opened, opened:
        command("kener", source, "--apply", "--storage.url", url)
        opened.execute("UPDATE monitors SET provisioned = 1, name = 'Other' WHERE tag = 'nightly'")
    result = command("kener", source, "--apply", "--storage.url", url)
    assert result.exit_code == 1
    assert "'nightly' comes from the configuration file" in result.stderr


def test_a_token_that_opens_something_else(tmp_path: Path) -> None:
    url, source = database(tmp_path), write(tmp_path / "hc.sqlite", test_healthchecks.TABLES)
    key = tmp_path / "key"
    key.write_text(test_healthchecks.A)
    arguments = ["ping-key", "add", "ops", "--key-file", str(key), "--storage.url", url]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    result = command("healthchecks", source, "--apply", "--storage.url", url)
    assert result.exit_code == 1
    assert "a token is in use elsewhere already" in result.stderr
    assert test_healthchecks.A not in result.output
    listed = CliRunner().invoke(main, ["monitor", "list", "--storage.url", url])
    assert listed.output.startswith("No monitors"), "all or nothing"


def test_it_makes_no_database(tmp_path: Path) -> None:
    source = write(tmp_path / "kener.db", test_kener.TABLES)
    result = command("kener", source, "--apply", "--storage.url", f"sqlite:///{tmp_path}/none.db")
    assert result.exit_code == 1
    assert "none.db" in result.stderr
    assert not (tmp_path / "none.db").exists()
