"""Which database a command works on: the service's, named, and never a new one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from exporter.cli._console import read_config
from exporter.cli.main import main
from tests.cli.test_main import commands, refused, run
from tests.conftest import made

READING = [
    ["monitor", "token", "job"],
    ["ping-key", "list"],
    ["monitor", "list"],
    ["monitor", "show", "job"],
    ["maintenance", "list"],
    ["incident", "list"],
    ["incident", "show", "1"],
    ["notification", "list"],
    ["suggest"],
]
WRITING = [
    ["monitor", "add", "job"],
    ["monitor", "rotate-secret", "job"],
    ["monitor", "pause", "job"],
    ["monitor", "pause", "job", "--for", "1h"],
    ["monitor", "resume", "job"],
    ["monitor", "remove", "job"],
    ["ping-key", "add", "ci"],
    ["ping-key", "rotate", "ci"],
    ["ping-key", "remove", "ci"],
    ["maintenance", "add", "upgrade", "--for", "2h", "--all"],
    ["maintenance", "end", "upgrade"],
    ["incident", "ack", "1"],
    ["incident", "update", "1", "--text", "x"],
    ["incident", "resolve", "1"],
    ["notification", "retry", "--dead"],
    ["backup", "copy.db"],
]
MAKING = ("serve", "migrate")
ELSEWHERE = ("check-config", "notify", "assets", "doctor", "run")
"""These open no database, or look at it without making one."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def leaves(group: click.Group) -> Iterator[list[str]]:
    for path, command in commands(group, ""):
        if not isinstance(command, click.Group):
            yield path.split()


def test_every_command_is_in_one_of_the_lists() -> None:
    known = [words[: 1 if words[0] == "backup" else 2] for words in (*READING, *WRITING)]
    rest = [path for path in leaves(main) if path not in known]
    assert {path[0] for path in rest} == {*MAKING, *ELSEWHERE}


@pytest.mark.parametrize("command", READING + WRITING, ids=" ".join)
def test_no_command_makes_a_database(command: list[str], folder: Path) -> None:
    refused(run(*command), f"there is no database {folder}/heartbeats.db", "heartbeat-exporter serve", "--config.file")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [*READING, WRITING[0]], ids=" ".join)
def test_another_programs_database_is_left_as_it_is(command: list[str], folder: Path) -> None:
    other = folder / "heartbeats.db"
    other.touch()
    refused(run(*command), f"{other} is not a database of Heartbeat Exporter")
    assert other.read_bytes() == b""
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
    before = other.read_bytes()
    refused(run(*command), f"{other} is not a database of Heartbeat Exporter")
    assert other.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ["heartbeats.db"]


def test_commands_that_write_name_the_database(folder: Path) -> None:
    made("sqlite:///heartbeats.db")
    named = f"Database: {folder}/heartbeats.db\n"
    for command in WRITING[:7]:
        done = run(*command)
        assert done.exit_code == 0, (command, done.output)
        assert done.stderr == named, command
        assert named not in done.stdout
    for command in READING[:1]:
        assert named not in run(*command).output
    assert run("notification", "retry", "--dead").stderr == named


def test_a_relative_path_in_a_file_belongs_to_the_file(folder: Path, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    file = conf / "heartbeats.yml"
    for text in ("storage: {url: 'sqlite:///data.db', spool: spool}\n", "storage: {url_file: url, spool: spool}\n"):
        file.write_text(text)
        (conf / "url").write_text("sqlite:///data.db\n")
        for named in (file, Path("../conf/heartbeats.yml")):
            storage = read_config(named).settings.storage
            assert Path(storage.url.removeprefix("sqlite:///")).resolve() == conf / "data.db"
            assert storage.spool is not None
            assert Path(storage.spool).resolve() == conf / "spool"
    made(f"sqlite:///{conf}/data.db")
    added = run("monitor", "add", "job", "--config.file", str(file))
    assert added.exit_code == 0, added.output
    assert added.stderr == f"Database: {conf}/data.db\n"
    listed = run("monitor", "list", "--json", "--config.file", "../conf/heartbeats.yml")
    assert [one["tag"] for one in json.loads(listed.stdout)] == ["job"]
    assert list(folder.iterdir()) == []


def test_what_is_not_in_the_file_belongs_to_the_working_directory(folder: Path, tmp_path: Path) -> None:
    """So does what the command line says, whatever a file says."""
    file = tmp_path / "heartbeats.yml"
    file.write_text("storage: {url: 'sqlite:///data.db'}\n")
    made("sqlite:///mine.db")
    said = run("monitor", "add", "job", "--config.file", str(file), "--storage.url", "sqlite:///mine.db").stderr
    assert said == f"Database: {folder}/mine.db\n"
    file.write_text("log: {level: info}\n")
    refused(run("monitor", "list", "--config.file", str(file)), f"there is no database {folder}/heartbeats.db")


def test_a_database_where_earlier_versions_made_it(folder: Path, tmp_path: Path) -> None:
    """Neither a command nor the service goes on with a new one beside it."""
    file = tmp_path / "heartbeats.yml"
    file.write_text("storage: {url: 'sqlite:///old.db'}\n")
    made("sqlite:///old.db")
    for command in (["monitor", "list"], ["serve"], ["migrate"], ["backup", "copy.db"]):
        refused(
            run(*command, "--config.file", str(file)), f"but there is {folder}/old.db", f"sqlite:///{folder}/old.db"
        )
    assert not (tmp_path / "old.db").exists()


def test_a_folder_that_may_not_be_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that there is no database: perhaps there is."""

    def denied(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", denied)
    refused(run("monitor", "list"), "permission denied", "as the service's user")
