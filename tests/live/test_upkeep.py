"""Backup, restore and upgrade, with the real program, as docs/operations.md says."""

import http.client
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from exporter.core.clock import HOUR, SECOND
from exporter.presentation.moments import parse_moment
from tests.live.conftest import ROOT, SECRET, Service, Starter, curl, eventually, monitors
from tests.live.load import Load
from tests.support.receivers import Receiver, answer

pytestmark = pytest.mark.live
OLD = Path(__file__).parent / "schema-0001.sql"
OLD_KEY = "secret_key: a-key-of-the-upgrade-tests-0001\n"
OLD_MONITORS = """monitors:
  - {tag: job, secret: SESAME-live-secret, name: Nightly job, group: nights, labels: {team: storage}}
  - {tag: broken, secret: SESAME-live-secret}
  - tag: scheduled
    secret: SESAME-live-secret
    schedule: "0 3 * * *"
    timezone: Europe/Rome
    degraded_after: 15m
    down_after: 1h
  - {tag: running, secret: SESAME-live-secret, max_runtime: 3650d}
  - {tag: never, secret: SESAME-live-secret}
"""
OLD_NEWEST = 1_795_608_762_618
"""The latest moment in that database."""
AWAY = 7.0
"""Seconds: more than a restart, so a blackout."""
ROWS = 8_000
"""Of 10 kB each: a database for which a backup takes a moment."""
MAX_ANSWER = 2.0
"""Seconds that a heartbeat may take while a backup is made, on a busy machine; without one it takes milliseconds."""


def file_of(service: Service) -> Path:
    return Path(service.storage.removeprefix("sqlite:///"))


def command(service: Service, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "exporter", *arguments, "--storage.url", service.storage]


def told(service: Service) -> dict[tuple[str, ...], float]:
    """What is known of monitors, without what goes on by itself."""
    ours = ("heartbeat_exporter", "heartbeat_age")
    return {
        key: value
        for key, value in service.metrics().items()
        if key[0].startswith("heartbeat_") and not key[0].startswith(ours)
    }


def history(service: Service, tag: str) -> list[tuple[str, int]]:
    found = json.loads(curl(f"{service.url}/api/v1/monitors/{tag}/transitions").body)["transitions"]
    return [(one["status"], parse_moment(one["at"])) for one in found]


def let_pass(seconds: float) -> None:
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, seconds + 1)


def fill(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        (id,) = database.execute("SELECT id FROM monitors WHERE tag = 'job'").fetchone()
        columns = "(monitor_id, received_at, kind, rid, output, replica)"
        database.executemany(
            f"INSERT INTO heartbeats {columns} VALUES (?, 1, 'log', ?, ?, 'x')",
            ((id, f"old-{number}", "x" * 10_000) for number in range(ROWS)),
        )


def test_a_backup_disturbs_nobody(start: Starter, tmp_path: Path) -> None:
    service = start("storage: {heartbeats_kept: 10000}\n" + monitors("job", "probe"))
    service.stop()
    fill(file_of(service))
    service.start_again()
    target = tmp_path / "copy.db"
    waits: list[float] = []
    with Load(service, clients=4) as load:
        eventually(lambda: len(load.acknowledged) > 200)
        before = set(load.acknowledged)
        backup = subprocess.Popen(command(service, "backup", str(target)), cwd=ROOT, stdout=subprocess.PIPE)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        while backup.poll() is None:
            began = time.monotonic()
            connection.request("GET", f"/ext/heartbeat/probe:{SECRET}")
            answered = connection.getresponse()
            answered.read()
            waits.append(time.monotonic() - began)
            assert answered.status == 200
        connection.close()
        backup.communicate()
        load.stop()
    assert backup.returncode == 0
    assert load.refused == {}
    assert load.cut == []
    assert len(waits) > 20
    assert max(waits) < MAX_ANSWER
    with closing(sqlite3.connect(target)) as copy:
        kept = {row[0] for row in copy.execute("SELECT rid FROM heartbeats")}
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert before <= kept
    assert len(load.acknowledged - kept) > 0, "it is of one moment, and heartbeats went on"


def test_a_backup_that_is_stopped_leaves_nothing(start: Starter, tmp_path: Path) -> None:
    service = start()
    service.stop()
    fill(file_of(service))
    folder = tmp_path / "backups"
    folder.mkdir()
    backup = subprocess.Popen(command(service, "backup", str(folder / "copy.db")), cwd=ROOT, stderr=subprocess.DEVNULL)
    while not list(folder.iterdir()):
        assert backup.poll() is None
    backup.send_signal(signal.SIGTERM)
    assert backup.wait(20) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "on another machine"])
def test_restored(start: Starter, tmp_path: Path, in_place: bool) -> None:
    with Receiver(answer(200)) as receiver:
        config = (
            monitors("job", "broken")
            + "alerts: [{name: down, create_incident: true, notify: [ops]}]\n"
            + f'notifiers: [{{name: ops, type: webhook, group_wait: 0s, url: "{receiver.url}/hook"}}]\n'
        )
        service = start(config)
        secret = tmp_path / "secret"
        secret.write_text("a-secret-made-by-hand")
        service.cli("monitor", "add", "by-hand", "--secret-file", str(secret))
        eventually(lambda: service.ping("by-hand", secret="a-secret-made-by-hand").status == 200)
        service.ping("job")
        service.ping("broken", "/3")
        eventually(lambda: receiver.received)
        eventually(lambda: '"delivered"' in service.cli("notification", "list", "--json"))
        eventually(lambda: service.status("job") == "UP" and service.status("by-hand") == "UP")
        before, incidents = told(service), service.cli("incident", "list", "--json")
        past = {tag: history(service, tag) for tag in ("job", "broken", "by-hand")}
        target = tmp_path / "copy.db"
        service.cli("backup", str(target))
        taken = time.time() * SECOND
        service.ping("job")  # what comes later is not in it
        service.ping("broken")
        eventually(lambda: service.status("broken") == "UP")
        eventually(lambda: len(receiver.received) == 2)
        service.kill()
        if in_place:
            shutil.copy(target, file_of(service))
            for part in ("-wal", "-shm"):
                Path(f"{file_of(service)}{part}").unlink()
            let_pass(AWAY)
        else:
            service.storage = f"sqlite:///{target}"
        service.start_again()
        assert told(service) == before
        assert {tag: history(service, tag) for tag in past} == past
        assert service.cli("incident", "list", "--json") == incidents
        assert '"tag": "broken"' in incidents
        assert service.ping("by-hand", secret="a-secret-made-by-hand").status == 200
        assert service.ping("job").status == 200
        assert service.ping("job", secret="another").status == 404
        if in_place:
            (away,) = json.loads(curl(f"{service.url}/api/v1/blackouts").body)["blackouts"]
            assert parse_moment(away["started_at"]) <= taken
            assert parse_moment(away["ended_at"]) >= taken + AWAY * SECOND
        # The alarm was told before the backup and is not told again. Its end is: the backup knows of none.
        assert service.ping("broken").status == 200
        eventually(lambda: len(receiver.received) == 3)
        events = [request.json["event"] for request in receiver.received]
        assert events == ["TRIGGERED", "RESOLVED", "RESOLVED"]
        assert "Traceback" not in service.output()


def old_database(file: Path) -> int:
    """Makes it, with its latest moment an hour ago; returns by how much its moments were moved."""
    move = round(time.time() * SECOND) - HOUR - OLD_NEWEST
    text = re.sub(r"\b1795\d{9}\b", lambda match: str(int(match[0]) + move), OLD.read_text())
    with closing(sqlite3.connect(file)) as database:
        database.executescript(text)
    return move


def test_upgraded_from_the_first_schema(start: Starter, tmp_path: Path) -> None:
    service = start(OLD_KEY + OLD_MONITORS, ready=False)
    service.kill()
    for file in tmp_path.glob("live.db*"):
        file.unlink()
    move = old_database(file_of(service))
    content = file_of(service).read_bytes()
    checked = subprocess.run(
        command(service, "migrate", "--check"), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 1
    todo = re.findall(r"^pending: (\S+)$", checked.stdout, re.MULTILINE)
    assert todo[:2] == ["0002_alerting", "0003_blackouts"]
    target = tmp_path / "before-upgrade.db"
    service.cli("backup", str(target))
    service.start_again()
    assert f"database migrated: {', '.join(todo)}" in service.output()
    metrics = service.metrics()
    totals = {"job": 4, "broken": 1, "scheduled": 1, "running": 1, "never": 0, "by-hand": 1}
    assert {tag: metrics["heartbeat_received_total", tag] for tag in totals} == totals
    assert metrics["heartbeat_info", "nights", "storage", "Nightly job", "", "job", "UTC"] == 1
    assert metrics["heartbeat_last_exit_code", "broken"] == 3
    success = 1_795_608_758_539 + move
    assert round(metrics["heartbeat_last_success_timestamp_seconds", "job"] * SECOND) == success
    assert (service.status("broken"), service.status("by-hand")) == ("DOWN", "PAUSED")
    assert (service.status("running"), service.status("never")) == ("NO_DATA", "NO_DATA")
    # It was away for an hour, and the old version left no stamp by which that could be told: it is not forgiven.
    eventually(lambda: service.status("job") == "DOWN")
    assert history(service, "job") == [
        ("NO_DATA", 1_795_608_755_793 + move),
        ("UP", 1_795_608_758_530 + move),
        ("DEGRADED", success + 300_001),
        ("DOWN", success + 600_001),
    ]
    assert "all is well" in curl(f"{service.url}/api/v1/monitors/job/heartbeats").body
    for tag in totals:
        assert service.ping(tag).status == 200, tag
    eventually(lambda: service.status("job") == "UP")
    assert service.received("job") == 5
    assert service.stop() == 0
    with closing(sqlite3.connect(target)) as copy, closing(sqlite3.connect(":memory:")) as original:
        original.deserialize(content)
        assert list(copy.iterdump()) == list(original.iterdump()), "the way back is the backup"


def test_the_doctor_of_a_healthy_service_and_of_one_that_is_stopped(start: Starter, tmp_path: Path) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(
            monitors("job")
            + "web: {auth: {token: token-of-the-page}}\nalerts: [{name: down, notify: [ops]}]\n"
            + f'notifiers: [{{name: ops, type: webhook, url: "{receiver.url}/path-of-the-hook"}}]\n'
            + f'self_heartbeat: {{url: "{receiver.url}/path-of-ours"}}\n'
        )
        for file in (service.config, *tmp_path.glob("live.db*")):
            file.chmod(0o600)
        service.ping("job")
        eventually(lambda: service.status("job") == "UP")

        def examined(*options: str) -> subprocess.CompletedProcess[str]:
            arguments = ("doctor", "--config.file", str(service.config), "--url", service.url, *options)
            return subprocess.run(
                command(service, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )

        well = examined("--json")
        found = json.loads(well.stdout)
        unwell = {one["check"] for one in found["checks"] if one["result"] != "ok"}
        # What the tests' machine is like is not what is looked at here.
        assert unwell <= {"clock synchronisation", "disk space", "file system", "external address", "disk speed"}, found
        assert (well.returncode, found["problems"], well.stderr) == (0, 0, "")
        assert service.received("job") == 1
        assert not [one for one in receiver.received if "hook" in one.target]
        service.kill()
        let_pass(AWAY)
        sick = examined()
        assert sick.returncode == 1
        assert re.search(r"^problem +service ", sick.stdout, re.MULTILINE)
        assert re.search(r"^problem +presence +no process has accepted heartbeats", sick.stdout, re.MULTILINE)
        assert "→ Start" in sick.stdout
        assert not re.search("token-of|path-of|SESAME", well.stdout + sick.stdout)
