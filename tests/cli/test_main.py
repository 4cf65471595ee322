"""The command line: what each command does, what it says when it cannot, and that all of it is documented."""

import configparser
import json
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from exporter import __version__
from exporter.cli.main import main
from exporter.resources.monitors import MonitorAnswer
from tests.conftest import made

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "command-line.md").read_text()


NEEDY = ("check-config", "suggest", "incident", "notify", "notification", "assets", "backup", "doctor")
"""Commands that need what these tests do not have."""


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """The URL of a database that a service has made."""
    return made(f"sqlite:///{tmp_path}/cli.db")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def monitor(storage: str, *arguments: str) -> Result:
    return run("monitor", *arguments, "--storage.url", storage)


def refused(result: Result, *said: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    for text in said:
        assert text in result.output


def test_version() -> None:
    assert run("--version").stdout == f"heartbeat-exporter, version {__version__}\n"


def test_due_leaves_out_what_the_service_leaves_out(storage: str, tmp_path: Path) -> None:
    monitor(storage, "add", "job", "--schedule", "0 3 * * *")
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE states SET last_success_at = 1790000000000")  # 2026-09-21 14:13:20 UTC
        away = (1_790_043_000_000, 1_790_046_800_000)  # over 03:00 of the next day
        database.execute("INSERT INTO blackouts (started_at, ended_at) VALUES (?, ?)", away)
    assert json.loads(monitor(storage, "show", "job", "--json").output)["due_at"] == "2026-09-23T03:00:00.000Z"
    (listed,) = json.loads(monitor(storage, "list", "--json").output)
    assert listed["due_at"] == "2026-09-23T03:00:00.000Z"
    strict = tmp_path / "strict.yml"
    strict.write_text("after_outage: strict\n")
    shown = monitor(storage, "show", "job", "--json", "--config.file", str(strict))
    assert json.loads(shown.output)["due_at"] == "2026-09-22T03:00:00.000Z"


def test_a_monitor_from_its_first_day_to_its_last(storage: str, tmp_path: Path) -> None:
    assert "No monitors in" in monitor(storage, "list").output
    added = monitor(
        storage, "add", "job", "--name", "A job", "--schedule", "0 3 * * *", "--label", "team=x", "--down-after", "1h"
    )
    assert added.exit_code == 0, added.output
    line = re.search(
        r"curl -fsS -m 10 --retry 5 --retry-connrefused http://127\.0\.0\.1:10105/ext/heartbeat/job:(\S{32})$",
        added.output,
        re.M,
    )
    assert line is not None
    secret = line[1]
    assert added.output.count(secret) == 1
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
    shown = monitor(storage, "show", "job", "--json")
    facts = json.loads(shown.output)
    assert (facts["tag"], facts["status"], facts["down_after_seconds"], facts["labels"]) == (
        "job",
        "NO_DATA",
        3600,
        {"team": "x"},
    )
    assert facts.keys() == {*MonitorAnswer.model_fields, "not_evaluated_since"}, "the API's shape"
    assert secret not in shown.output + monitor(storage, "show", "job").output
    assert [one["tag"] for one in json.loads(monitor(storage, "list", "--json").output)] == ["job"]
    assert "NO_DATA" in monitor(storage, "list").output
    assert monitor(storage, "pause", "job").stdout == "Paused job.\n"
    assert monitor(storage, "resume", "job").stdout == "Resumed job.\n"
    refused(monitor(storage, "add", "job"), "there is a monitor 'job' already")
    assert monitor(storage, "remove", "job").stdout == "Removed job.\n"
    for command in ("show", "pause", "resume", "remove"):
        refused(monitor(storage, command, "job"), "there is no monitor 'job'")


def test_a_secret_of_ones_own(storage: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("my-own-secret\n")
    assert "job:my-own-secret\n" in monitor(storage, "add", "job", "--secret-file", str(file)).output
    for content in (b"", b"with blanks", b"\xff\xfe"):
        file.write_bytes(content)
        refused(monitor(storage, "add", "other", "--secret-file", str(file)), "secret")
    refused(monitor(storage, "add", "other", "--secret-file", str(tmp_path / "gone")), "does not exist", code=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a b"], "is not a tag"),
        (["x" * 129], "is not a tag"),
        (["ok", "--schedule", "0 0 30 2 *"], "never ticks"),
        (["ok", "--timezone", "Mars"], "is not a timezone"),
        (["ok", "--down-after", "3m"], "must be longer than degraded_after (5m)"),
        (["ok", "--down-after", "soon"], "is not a duration"),
        (["ok", "--label", "a-b=c"], "is not a label key"),
    ],
)
def test_bad_monitors(storage: str, arguments: list[str], said: str) -> None:
    refused(monitor(storage, "add", *arguments), said)


def test_bad_usage(storage: str) -> None:
    refused(monitor(storage, "add", "ok", "--label", "novalue"), "KEY=VALUE", code=2)
    refused(monitor(storage, "add"), "Missing argument", code=2)
    refused(run("check-config"), "FILE", code=2)
    refused(run("nonsense"), "No such command", code=2)


def test_storage_that_cannot_be(tmp_path: Path) -> None:
    refused(monitor("oracle://x", "list"), "this version supports postgresql and sqlite")
    refused(monitor("sqlite:///", "list"), "sqlite:////absolute")
    refused(monitor("sqlite:///:memory:", "list"), "in memory is not supported")
    refused(monitor(f"sqlite:///{tmp_path}/none/x.db", "list"), "there is no database")
    (tmp_path / "text.db").write_text("this is no database, and long enough to be seen as none " * 40)
    refused(monitor(f"sqlite:///{tmp_path}/text.db", "list"), "not a database")
    assert "SESAME" not in monitor("oracle://user:SESAME@host/db", "list").output


def test_check_config(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("monitors: [{tag: a, secret: s}]\n")
    bad.write_text("web: {listen: x}\nlog: {level: loud}\n")
    assert run("check-config", str(good)).stdout == f"{good}: valid, 1 monitor\n"
    warned = run("check-config", str(good)).stderr
    assert f"warning: {good}:1: monitors[0].secret: has fewer than 16 characters" in warned
    good.write_text("monitors: [{tag: a, secret: s}]\nalerts: [{name: x}, {name: y}]\n")
    assert run("check-config", str(good)).stdout == f"{good}: valid, 1 monitor, 2 alert rules\n"
    result = run("check-config", str(bad))
    refused(result, f"{bad}:1: web.listen: ", f"{bad}:2: log.level: ", "2 problems")
    assert json.loads(run("check-config", "--schema").output)["title"] == "Heartbeat Exporter configuration"
    refused(run("check-config", str(tmp_path / "gone")), "no such file")


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stands in for gunicorn: whoever gets that far has started."""
    started: list[object] = []
    monkeypatch.setattr("exporter.server.gunicorn.Server.run", lambda self: started.append(self))
    return started


def test_serve_says_why_it_cannot_start(tmp_path: Path, storage: str, no_server: list[object]) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("nonsense: 1\n")
    refused(run("serve", "--config.file", str(bad)), f"{bad}:1: nonsense: is not a setting")
    refused(
        run("serve", "--web.listen-address", "here", "--storage.url", storage),
        "--web.listen-address",
        "is not an address",
    )
    refused(run("serve", "--web.telemetry-path", "/", "--storage.url", storage), "--web.telemetry-path")
    refused(run("serve", "--log.level", "loud"), "debug", code=2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused(
            run("serve", "--web.listen-address", address, "--storage.url", storage), "address already in use", address
        )
    monitor(storage, "list")
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"), isolation_level=None)) as database:
        database.execute("INSERT INTO schema_migrations (name, applied) VALUES ('9999_future', '2030-01-01')")
    refused(run("serve", "--web.listen-address", "127.0.0.1:0", "--storage.url", storage), "newer version", "backup")
    assert no_server == []


def test_serve_starts_without_a_file(tmp_path: Path, storage: str, no_server: list[object]) -> None:
    assert run("serve", "--web.listen-address", "127.0.0.1:0", "--storage.url", storage).exit_code == 0
    assert len(no_server) == 1


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


@pytest.mark.parametrize("columns", ["80", "100"])
def test_help_is_a_pleasure_to_read(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in the order of use, no line cut or wrapped within an example, every option told on its own line."""
    monkeypatch.setenv("COLUMNS", columns)
    listed = re.findall(r"^  ([a-z-]+)  ", run("monitor", "--help").output, re.M)
    assert listed == ["add", "list", "show", "pause", "resume", "remove", "rotate-secret", "token"]
    for path, command in commands(main, "heartbeat-exporter"):
        text = run(*path.split()[1:], "--help").output
        examples = re.findall(r"^    (heartbeat-exporter .*)$", text, re.M)
        assert all(example.startswith(path) for example in examples), text
        assert max(map(len, text.splitlines())) <= 100
        assert "TEXT" not in text
        if not isinstance(command, click.Group):
            assert "..." not in text.replace("[ARGS]...", ""), "the first sentence is too long for a list of commands"
    overview = run("--help").output
    assert "..." not in overview.replace("[ARGS]...", "")


def test_examples_in_help_are_good(storage: str, no_server: list[object], tmp_path: Path) -> None:
    for path, _ in commands(main, "heartbeat-exporter"):
        if path.split()[1] in (
            "check-config",
            "status",
            "suggest",
            "import",
            "incident",
            "notify",
            "notification",
            "assets",
            "backup",
            "doctor",
        ):
            continue  # they need an incident, a receiver, a file or a database: their own tests run them
        text = run(*path.split()[1:], "--help").output.replace("\\\n", "")
        for line in re.findall(r"^    (heartbeat-exporter .*)$", text, re.M):
            arguments = shlex.split(line, comments=True)[1:]
            if "--config.file" in arguments:
                (tmp_path / "heartbeats.yml").write_text("monitors: [{tag: a, secret: s}]\n")
                arguments[arguments.index("heartbeats.yml")] = str(tmp_path / "heartbeats.yml")
            if arguments[0] == "serve":
                arguments += ["--web.listen-address", "127.0.0.1:0"]
            result = run(*arguments, "--storage.url", storage)
            assert result.exit_code == 0, (line, result.output)
    assert len(no_server) == 3


def test_the_list_names_its_file_and_is_coloured_only_in_a_terminal(storage: str) -> None:
    assert f"No monitors in {storage.removeprefix('sqlite:///')}." in monitor(storage, "list").output
    monitor(storage, "add", "job")
    assert "\x1b" not in monitor(storage, "list").output
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE states SET status = 'DOWN'")
        database.execute("UPDATE stamps SET at = ?", (time.time_ns() // 1_000_000,))  # a service is there
        database.commit()
    coloured = CliRunner().invoke(main, ["monitor", "list", "--storage.url", storage], color=True).output
    assert "\x1b[31mDOWN" in coloured


def section_of(command: str) -> str:
    start = re.search(rf"^#+ `{command}`$", DOCS, re.MULTILINE)
    assert start is not None, f"{command} is not in docs/command-line.md"
    return re.split(r"^#+ ", DOCS[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_service_imports_nothing_that_it_does_not_need() -> None:
    """Idle memory has a bar, and each of these costs some: pydantic and the models, for example, 9 MB.

    What checks settings and answers the API is imported when a request, a notifier or a reload needs it.
    """
    ours = "exporter.cli.main, exporter.app.worker, exporter.app.service, exporter.server.worker"
    code = f"import sys, {ours}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    commands = {module for module in imported if module.startswith("exporter.cli.")}
    assert commands == {"exporter.cli.main", "exporter.cli._options", "exporter.cli._passwords"}
    assert not {module for module in imported if module.startswith(("exporter.notify.notifiers.", "exporter.config.m"))}
    assert imported.isdisjoint(("pydantic", "markdown_it", "playhouse", "urllib3", "yaml", "gunicorn.asgi.protocol"))


def test_the_supervisor_imports_nothing_that_only_workers_need() -> None:
    ours = "exporter.cli.main, exporter.app.log_setup, exporter.server.gunicorn, exporter.app.worker"
    code = f"import sys, {ours}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {module.partition(".")[0] for module in done.stdout.split()}
    assert not imported & {"croniter", "falcon", "jinja2", "peewee", "prometheus_client", "pydantic", "urllib3", "yaml"}
    ours = {module for module in done.stdout.split() if module.startswith("exporter.")}
    assert not {module for module in ours if module.startswith(("exporter.config", "exporter.storage", "exporter.web"))}
    assert {"exporter.server.worker", "exporter.app.service"}.isdisjoint(ours)


def test_every_command_and_option_is_documented_and_no_other() -> None:
    known = {"--help", "--version"}
    for path, command in commands(main, "heartbeat-exporter"):
        section = section_of(path)
        assert command.help, path
        assert run(*path.split()[1:], "--help").exit_code == 0
        for parameter in command.params:
            if not isinstance(parameter, click.Option):
                continue
            option = parameter.opts[0]
            known.add(option)
            assert parameter.help, option
            shared = option in ("--config.file", "--storage.url")
            where = section + (section_of(" ".join(path.split()[:2])) if shared else "")
            assert re.search(rf"`{re.escape(option)}\b", where), (path, option)
    assert set(re.findall(r"`(--[a-z.-]+)", DOCS)) <= known


def test_the_version_is_said_once() -> None:
    """In the program as in the package: it is not looked up, since that would take memory of each process."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["version"] == __version__
