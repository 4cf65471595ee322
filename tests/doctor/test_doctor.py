"""The doctor: each check finds the trouble that it is for, none where all is well, and tells no secret."""

import json
import re
import shutil
import sqlite3
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from exporter.cli._console import read_config
from exporter.cli.main import main
from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND, SystemClock
from exporter.core.heartbeat import Kind
from exporter.core.maintenance import Window
from exporter.core.monitor import Monitor
from exporter.doctor.checks import CHECKS, habits, reach, run_checks
from exporter.doctor.checks.configuration import secrets_of
from exporter.doctor.checks.disk import CRITICAL_FREE, MIN_FREE, file_system_of
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, Result
from exporter.notify.notifiers import NOTIFIERS, notifier_class
from exporter.notify.transport.endpoints import Endpoint
from exporter.storage.database import Database
from exporter.storage.repositories.blackouts import Blackouts
from exporter.storage.repositories.maintenances import Maintenances
from exporter.storage.server_clock import ServerClock
from tests.conftest import ManualClock
from tests.notify.entries import entry
from tests.support.ports import free_port
from tests.support.postgres import running
from tests.support.receivers import Receiver, answer, self_signed
from tests.support.replica import Replica, execute

ROOT = Path(__file__).parent.parent.parent
ROOMY = namedtuple("usage", "total used free")(10**12, 0, 10**12)
CONFIG = """
secret_key: a-key-of-the-doctors-tests
web: {auth: {token: token-of-the-page}}
monitors: [{tag: job, secret: secret-of-the-job}]
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def clock() -> ManualClock:
    """Of today: the database's own clock is looked at, too."""
    return ManualClock(SystemClock().now())


class Installation:
    """An installation whose process has just done all that it should: a replica, a configuration, and its doctor."""

    def __init__(self, replica: Replica, url: str, folder: Path) -> None:
        self.replica = replica
        self.clock = replica.clock
        self._url = url
        for one in folder.glob("contract.db*"):
            one.chmod(0o600)
        self._file = folder / "heartbeats.yml"
        self._opened: list[DoctorContext] = []
        self.mounts = folder / "mounts"
        self.mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
        self.configure(CONFIG)
        replica.add("job")
        self.work()

    def configure(self, text: str) -> None:
        self._file.write_text(text)
        self._file.chmod(0o600)

    def work(self) -> None:
        """What the service does all the time; it stamps before it evaluates."""
        self.replica.beat("job")
        Blackouts(self.replica.db, self.clock).record_liveness(now=True)
        self.replica.evaluator.evaluate_due()
        self.replica.lease.hold()
        Blackouts(self.replica.db, self.clock).record_liveness(now=True)
        execute(self.replica.db, "UPDATE monitors SET provisioned = (1 = 1)")

    def context(self, **changes: object) -> DoctorContext:
        loaded = read_config(self._file)
        context = DoctorContext(self._file, loaded.settings, clock=self.clock, mounts=self.mounts)
        context.opened = Database(self._url)
        for name, value in changes.items():
            setattr(context, name, value)
        self._opened.append(context)
        return context

    def run(self, name: str, **changes: object) -> list[Finding]:
        (check,) = (one for one in CHECKS if one.name == name)
        return list(check.run(self.context(**changes)))

    def finding(self, name: str, result: Result, said: str, **changes: object) -> Finding:
        """Exactly one finding of this kind, which says what to do; and no other that is not well."""
        findings = [one for one in self.run(name, **changes) if one.result is not Result.OK]
        assert [one.result for one in findings] == [result], findings
        assert re.search(said, findings[0].text), findings[0].text
        assert bool(findings[0].advice) is (result is not Result.SKIPPED)
        return findings[0]

    def well(self, name: str, **changes: object) -> None:
        findings = self.run(name, **changes)
        assert {one.result for one in findings} <= {Result.OK, Result.SKIPPED}, findings

    def close(self) -> None:
        for context in self._opened:
            context.close()


@pytest.fixture
def installation(replica: Replica, url: str, tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(replica, url, tmp_path)
    yield installation
    installation.close()


@pytest.fixture
def file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def test_a_healthy_installation(installation: Installation, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ROOMY)
    results = dict(run_checks(installation.context(offline=True)))
    assert list(results) == [check.name for check in CHECKS]
    unwell = {name: one for name, one in results.items() if one.result not in (Result.OK, Result.SKIPPED)}
    # The tests' PostgreSQL is quick because it does not wait for the disk, and the doctor sees that.
    assert set(unwell) == ({"durability"} if url.startswith("postgresql") else set())
    offline = {name for name, one in results.items() if one.text == "not run with --offline"}
    assert offline == {"notifiers", "self heartbeat", "service", "refusals", "external address"}


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────


def test_configuration(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("web: {listen: x}\nlog: {level: loud}\nsecret_key: SESAME\n")
    done = CliRunner().invoke(main, ["doctor", "--offline", "--json", "--config.file", str(bad)])
    found = json.loads(done.output)
    assert done.exit_code == 1
    problems = [one["text"] for one in found["checks"] if one["result"] == "problem"]
    assert len(problems) == found["problems"] == 3
    assert all(problem.startswith(f"{bad}:") for problem in problems)
    assert {one["result"] for one in found["checks"] if one["check"] == "database"} == {"skipped"}
    assert "SESAME" not in done.output
    odd = tmp_path / "odd.yml"
    odd.write_text("alerts: [{name: none, create_incident: true}]\n")
    done = CliRunner().invoke(main, ["doctor", "--offline", "--json", "--config.file", str(odd)])
    first = json.loads(done.output)["checks"][0]
    assert (first["check"], first["result"]) == ("configuration", "warning")
    assert "matches no monitor" in first["text"]


@on_sqlite
def test_permissions(installation: Installation, tmp_path: Path) -> None:
    installation.well("permissions")
    secret, other = tmp_path / "secret", tmp_path / "other"
    secret.write_text("secret-in-a-file\n")
    other.write_text("not what this is about")
    installation.configure("monitors: [{tag: job, secret_file: secret}]\n")
    for one in (secret, other, tmp_path / "heartbeats.yml"):
        one.chmod(0o644)
    assert str(secret) in installation.finding("permissions", Result.WARNING, "every user of this machine").text
    secret.chmod(0o640)
    installation.well("permissions")  # a configuration without secrets is everybody's to read
    installation.configure(CONFIG)
    (tmp_path / "heartbeats.yml").chmod(0o644)
    installation.finding("permissions", Result.WARNING, r"heartbeats\.yml")


@on_sqlite
def test_permissions_of_included_files(installation: Installation, tmp_path: Path) -> None:
    included, secret = tmp_path / "more" / "jobs.yml", tmp_path / "more" / "secret"
    included.parent.mkdir()
    secret.write_text("secret-in-a-file\n")
    included.write_text("monitors: [{tag: job, secret_file: secret}, {tag: b, secret: secret-in-another-file}]\n")
    installation.configure("include: [more/*.yml]\n")
    for one in (secret, included):
        one.chmod(0o600)
    installation.well("permissions")
    secret.chmod(0o644)
    installation.finding("permissions", Result.WARNING, re.escape(str(secret)))
    secret.chmod(0o600)
    included.chmod(0o644)
    installation.finding("permissions", Result.WARNING, re.escape(str(included)))


@on_sqlite
def test_permissions_of_the_database(installation: Installation, file: Path) -> None:
    installation.well("permissions")
    file.chmod(0o644)
    installation.finding("permissions", Result.WARNING, re.escape(str(file)))


@on_sqlite
def test_access(installation: Installation) -> None:
    installation.well("access")
    for address in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        installation.configure(f'web: {{listen_address: "{address}"}}\n')
        installation.well("access")
    for address in (":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1"):
        installation.configure(f'web: {{listen_address: "{address}"}}\n')
        installation.finding("access", Result.WARNING, "jobs' output")
        installation.configure(f'web: {{listen_address: "{address}", auth: {{token: some-token}}}}\n')
        installation.well("access")


# ── database and disk ────────────────────────────────────────────────────────────────────────────────────────────


def test_database_and_schema(installation: Installation, empty_url: str, tmp_path: Path) -> None:
    installation.well("database")
    installation.well("schema")
    before = set(tmp_path.iterdir())
    empty = Database(empty_url)
    if empty_url.startswith("sqlite"):
        installation.finding("database", Result.PROBLEM, "there is no database", opened=empty)
    assert set(tmp_path.iterdir()) == before, "looking makes nothing"
    installation.finding("schema", Result.PROBLEM, r"older version.*0001_initial", opened=empty)
    execute(
        installation.replica.db, "INSERT INTO schema_migrations (name, applied) VALUES ('9999_future', '2030-01-01')"
    )
    installation.finding("schema", Result.PROBLEM, "newer version")


def test_a_database_that_is_away(installation: Installation, tmp_path: Path) -> None:
    away = f"postgresql://somebody:SESAME@127.0.0.1:{free_port()}/none"
    results = dict(run_checks(installation.context(opened=Database(away), offline=True)))
    assert results["database"].result is Result.PROBLEM
    assert results["schema"].result is results["lease"].result is Result.SKIPPED
    assert "SESAME" not in str(results)


def test_writing(installation: Installation, url: str) -> None:
    installation.well("writing")
    assert execute(installation.replica.db, "SELECT COUNT(*) FROM settings WHERE key = 'doctor'") == [(0,)]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            results = dict(run_checks(installation.context(offline=True)))
        assert results["writing"].result is Result.PROBLEM
        assert "locked" in results["writing"].text
        assert results["writing"].advice


@on_sqlite
def test_integrity(installation: Installation, file: Path) -> None:
    installation.well("integrity")
    for number in range(200):
        installation.replica.add(f"job-{number}")
    installation.replica.db.close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'states'").fetchone()
        (page,) = database.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * page)
        opened.write(b"\xff" * page)
    assert "restore" in installation.finding("integrity", Result.PROBLEM, "damaged").advice


@on_postgresql
def test_durability(installation: Installation) -> None:
    installation.finding("durability", Result.PROBLEM, "fsync is off")


def test_durability_of_a_server_as_it_should_be() -> None:
    with running(durable=True) as server:
        database = Database(server.create())
        (check,) = (one for one in CHECKS if one.name == "durability")
        (finding,) = check.run(DoctorContext(None, None, opened=database))
        assert finding.result is Result.OK
        database.close()
        kept = []
        most = int(str(server.execute("SHOW max_connections")[0][0]))
        try:
            for _ in range(most - 7):
                kept.append(psycopg.connect(server.url("postgres")))
            (finding,) = check.run(DoctorContext(None, None, opened=database))
            assert finding.result is Result.PROBLEM
            assert re.search(r"\d+ of the server's 60 connections are taken", finding.text)
        finally:
            for one in kept:
                one.close()
            database.close()


@on_sqlite
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nfs4", "network file system"),
        ("cifs", "network"),
        ("tmpfs", "in memory"),
        ("overlay", "own layer"),
    ],
)
def test_file_system(installation: Installation, file: Path, kind: str, said: str) -> None:
    installation.well("file system")
    installation.mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nhost:/x {file.parent} {kind} rw 0 0\n")
    installation.finding("file system", Result.WARNING, said)


def test_file_systems_are_told_by_the_last_mount() -> None:
    mounts = "a / ext4 rw 0 0\nb /data xfs rw 0 0\nc /data/my\\040disk nfs rw 0 0\nd / overlay rw 0 0\n"
    assert file_system_of(Path("/data/x"), mounts) == "xfs"
    assert file_system_of(Path("/data/my disk/x"), mounts) == "nfs"
    assert file_system_of(Path("/database"), mounts) == "overlay"


@on_sqlite
def test_disk_space(installation: Installation, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, result in ((MIN_FREE - 1, Result.WARNING), (CRITICAL_FREE - 1, Result.PROBLEM)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: ROOMY._replace(free=free))
        installation.finding("disk space", result, "GB free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ROOMY)
    installation.well("disk space")


@on_sqlite
def test_disk_speed(installation: Installation, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr("exporter.doctor.checks.disk.time.monotonic", lambda: next(now) * 0.06)
    installation.finding("disk speed", Result.WARNING, r"takes 60\.0 ms")
    monkeypatch.setattr(
        "exporter.doctor.checks.disk.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    installation.finding("disk speed", Result.PROBLEM, "no space left")


# ── clock and work ───────────────────────────────────────────────────────────────────────────────────────────────


class Away(SystemClock):
    """A machine's clock that is wrong, and goes on: one that stands still is soon behind the database's."""

    def __init__(self, ahead: int = 0) -> None:
        self._ahead = ahead

    def now(self) -> int:
        return super().now() + self._ahead


def test_clock(installation: Installation) -> None:
    installation.well("clock", clock=Away())
    installation.finding("clock", Result.WARNING, "behind this machine's", clock=Away(5 * SECOND))
    installation.finding(
        "clock", Result.PROBLEM, r"database's clock is 1 min .* behind", clock=Away(MINUTE + 5 * SECOND)
    )
    execute(installation.replica.db, "UPDATE stamps SET at = NULL")
    installation.finding("clock", Result.WARNING, "ahead of this machine's", clock=Away(-5 * SECOND))


def test_a_clock_that_is_behind_those_of_others(installation: Installation) -> None:
    for table, column in (("stamps", "at"), ("heartbeats", "received_at"), ("transitions", "observed_at")):
        before = execute(installation.replica.db, f"SELECT MAX({column}) FROM {table}")[0][0]
        future = SystemClock().now() + 10 * MINUTE
        execute(installation.replica.db, f"UPDATE {table} SET {column} = {future}")
        installation.finding("clock", Result.PROBLEM, r"is (10|9 min \d+) ?\w+ in the future", clock=Away())
        execute(installation.replica.db, f"UPDATE {table} SET {column} = {before}")
        installation.well("clock", clock=Away())


@pytest.mark.parametrize(("one", "other"), [(0, 3 * SECOND), (-3 * SECOND, 0), (-1500, 1500)])
def test_clocks_of_replicas_that_differ(installation: Installation, one: int, other: int) -> None:
    """Each measures how far it is from the database's; on SQLite all are on one machine, and have its clock."""
    measured = ServerClock(installation.replica.db, SystemClock())
    measured.keep("one", one)
    if not installation.replica.db.engine.locks_rows:
        measured.keep("other", other)
        installation.well("clock", clock=Away())
        return
    measured.keep("other", one + SECOND // 2)
    installation.well("clock", clock=Away())
    measured.keep("other", other)
    installation.finding("clock", Result.WARNING, "the clocks of replicas differ by 3 s", clock=Away())


def test_a_replica_that_is_gone_has_no_clock(installation: Installation) -> None:
    measured = ServerClock(installation.replica.db, SystemClock())
    measured.keep("gone", 5 * SECOND)
    execute(installation.replica.db, f"UPDATE clocks SET measured_at = {SystemClock().now() - 6 * MINUTE}")
    measured.keep("here", 0)
    installation.well("clock", clock=Away())


@pytest.mark.parametrize(
    ("said", "result"), [("yes", Result.OK), ("no", Result.WARNING), ("", Result.SKIPPED), (None, Result.SKIPPED)]
)
def test_clock_synchronisation(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, result: Result
) -> None:
    """systemd is not there in tests; a program in its place says what it would."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if said is not None:
        program = tmp_path / "timedatectl"
        program.write_text(f'#!/bin/sh\n[ "$*" = "show --property=NTPSynchronized --value" ] && echo {said}\n')
        program.chmod(0o755)
    (finding,) = installation.run("clock synchronisation")
    assert finding.result is result


def test_presence_lease_and_evaluation(installation: Installation) -> None:
    for name in ("presence", "lease", "evaluation"):
        installation.well(name)
    installation.clock.advance(HOUR)
    installation.finding("presence", Result.PROBLEM, "no process has accepted heartbeats for 1 h")
    installation.finding("lease", Result.PROBLEM, "no process holds the lease")
    installation.finding("evaluation", Result.PROBLEM, r"is 5\d min late")
    installation.work()
    installation.finding("presence", Result.WARNING, "for 1 h in the last day, in 1 blackout")
    installation.well("lease")
    installation.clock.advance(DAY)
    Blackouts(installation.replica.db, installation.clock).record_liveness()
    execute(installation.replica.db, "DELETE FROM blackouts WHERE id > 1")
    installation.well("presence")


def test_where_nobody_ever_was(installation: Installation) -> None:
    execute(installation.replica.db, "UPDATE stamps SET at = NULL")
    execute(installation.replica.db, "DELETE FROM leases")
    installation.finding("presence", Result.PROBLEM, "accepted heartbeats yet")
    installation.finding("lease", Result.PROBLEM, "no process has ever evaluated")


def test_monitors(installation: Installation) -> None:
    installation.well("monitors")
    for number in range(12):
        installation.replica.add(f"silent-{number:02}")
    found = installation.finding("monitors", Result.WARNING, "12 of 13 have never received a heartbeat: silent-00, ")
    assert found.text.endswith("silent-09 and 2 more")
    installation.replica.beat("silent-03", Kind.LOG)
    installation.finding("monitors", Result.WARNING, "11 of 13")
    for number in range(12):
        installation.replica.monitors.remove(f"silent-{number:02}")
    installation.well("monitors")
    installation.replica.monitors.set_paused("job", True)
    installation.finding("monitors", Result.WARNING, "no active monitors")


def test_maintenances(installation: Installation) -> None:
    installation.well("maintenances")
    rule = "FREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1"  # an earlier version took it
    database = installation.context().database
    window = Window(name="old", selector=Selector(), starts_at=installation.clock.now(), duration=HOUR, rule=rule)
    Maintenances(database, installation.clock).add(window)
    installation.finding("maintenances", Result.PROBLEM, "'old' never starts, because its rule is invalid: INTERVAL")
    installation.clock.advance(SECOND)
    Maintenances(database, installation.clock).end("old")
    installation.well("maintenances")


def test_dependencies(installation: Installation) -> None:
    replica = installation.replica
    installation.well("dependencies")
    replica.add("db")
    replica.add("web", depends_on=("db", "c*"))
    installation.well("dependencies")
    replica.monitors.create_for(Monitor(tag="cache", depends_on=("web",)), b"d" * 32, "key", 10)
    installation.finding("dependencies", Result.PROBLEM, "has no effect: cache → web → cache")
    replica.monitors.remove("cache")
    replica.monitors.remove("db")
    installation.finding("dependencies", Result.WARNING, r"1 monitor depending on .* do not exist \(db\): web$")


def test_provisioning(installation: Installation) -> None:
    installation.well("provisioning")
    installation.configure("monitors: [{tag: new, secret: s}]\n")
    installation.finding("provisioning", Result.WARNING, "missing in the service: new; missing in the file: job")
    installation.finding("provisioning", Result.WARNING, "1 monitor from a configuration file", config_file=None)


# ── notifications ────────────────────────────────────────────────────────────────────────────────────────────────

OPS = 'notifiers: [{{name: ops, type: webhook, url: "http://127.0.0.1:{port}/path-of-the-hook"}}]\n'


def owed(installation: Installation, notifier: str, state: str, created_at: int, key: str) -> None:
    table = installation.replica.db.tables.notifications
    ended = created_at if state == "dead" else None
    row = {"key": key, "notifier": notifier, "event": "TRIGGERED", "state": state, "sealed": True, "attempts": 3}
    moments = {"created_at": created_at, "next_attempt_at": created_at, "expires_at": created_at + DAY}
    with installation.replica.db.write("test"):
        table.insert(**row, **moments, ended_at=ended, failure="connect", error="refused").execute()


def test_outbox(installation: Installation) -> None:
    installation.configure(CONFIG + OPS.format(port=1))
    installation.well("outbox")
    now = installation.clock.now()
    owed(installation, "ops", "pending", now - MINUTE, "k1")
    owed(installation, "ops", "dead", now - 2 * DAY, "k2")
    installation.well("outbox")
    owed(installation, "ops", "pending", now - HOUR, "k3")
    installation.finding("outbox", Result.WARNING, "2 messages to ops pending, the oldest for 1 h")
    execute(installation.replica.db, "DELETE FROM notifications")
    owed(installation, "ops", "dead", now - HOUR, "k4")
    installation.finding("outbox", Result.WARNING, "1 message to ops given up")
    execute(installation.replica.db, "DELETE FROM notifications")
    owed(installation, "gone", "pending", now, "k5")
    installation.finding("outbox", Result.WARNING, "messages to gone are pending")


def test_a_notifier_that_waits_for_its_receiver(installation: Installation) -> None:
    installation.configure(CONFIG + OPS.format(port=1))
    now = installation.clock.now()
    hold = f"'ops', {now - MINUTE}, {now + 12 * MINUTE}, 'hooks.example.org answered 429'"
    execute(installation.replica.db, f'INSERT INTO notifier_holds (notifier, since, "until", error) VALUES ({hold})')
    installation.finding("outbox", Result.WARNING, "ops is paused for another 12 min at the request of its receiver")
    installation.clock.advance(12 * MINUTE)
    installation.well("outbox")


def test_rules(installation: Installation) -> None:
    installation.configure(CONFIG + "alerts: [{name: down, notify: ops}]\n" + OPS.format(port=1))
    installation.well("rules")
    installation.configure(CONFIG + "alerts: [{name: down}]\n")
    installation.finding("rules", Result.WARNING, "without notify and create_incident: down")
    installation.configure(CONFIG + OPS.format(port=1))
    installation.finding("rules", Result.WARNING, "no rule uses: ops")
    installation.configure(CONFIG + 'alerts: [{name: others, create_incident: true, monitors: ["x-*"]}]\n')
    installation.finding("rules", Result.WARNING, "match no monitor: others")


# ── reachability ─────────────────────────────────────────────────────────────────────────────────────────────────


@on_sqlite
def test_notifiers(installation: Installation) -> None:
    with Receiver(answer()) as receiver:
        installation.configure(CONFIG + OPS.format(port=receiver.port))
        installation.well("notifiers")
        assert receiver.received == [], "no message is sent"
    closed = free_port()
    installation.configure(CONFIG + OPS.format(port=closed))
    found = installation.finding("notifiers", Result.PROBLEM, f"ops: 127.0.0.1:{closed}: connection refused")
    assert "notify test" in found.advice
    assert "path-of-the-hook" not in str(found)
    installation.configure(CONFIG + 'notifiers: [{name: ops, type: webhook, url: "http://no-such-host.invalid/x"}]\n')
    installation.finding("notifiers", Result.PROBLEM, "host name cannot be resolved")


@on_sqlite
def test_notifiers_by_tls(installation: Installation, tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    hook = 'notifiers: [{{name: ops, type: webhook, url: "https://localhost:{port}/x"{more}}}]\n'
    with Receiver(answer(), tls=context) as receiver:
        installation.configure(CONFIG + hook.format(port=receiver.port, more=""))
        installation.finding("notifiers", Result.PROBLEM, "TLS failed: self-signed certificate")
    with Receiver(answer()) as receiver:
        installation.configure(CONFIG + hook.format(port=receiver.port, more=""))
        installation.finding("notifiers", Result.PROBLEM, "TLS failed: the server does not support TLS")
    with Receiver(answer(), tls=context) as receiver:
        endpoint = Endpoint("localhost", receiver.port, True, str(certificate))
        finding = reach.connect(reach.Task("ops", endpoint))
        assert (finding.result, "certificate is valid" in finding.text) == (Result.OK, True), finding


@on_sqlite
def test_private_addresses_and_proxies(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(answer()) as receiver:
        text = OPS.format(port=receiver.port).replace("name: ops", "name: ops, allow_private_addresses: false")
        installation.configure(CONFIG + text)
        installation.finding("notifiers", Result.PROBLEM, "private address")
        installation.configure(CONFIG + 'notifiers: [{name: ops, type: webhook, url: "http://somewhere.invalid/x"}]\n')
        monkeypatch.setenv("http_proxy", f"http://user:SESAME@127.0.0.1:{receiver.port}")
        (finding,) = installation.run("notifiers")
        assert finding.result is Result.OK
        assert "through the proxy 127.0.0.1" in finding.text
        assert "SESAME" not in finding.text
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        installation.finding("notifiers", Result.PROBLEM, "proxy of the environment is invalid")


@on_sqlite
def test_one_that_does_not_answer_holds_up_nobody(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TOTAL_TIMEOUT", 0.5)
    over = threading.Event()
    real = reach.connect

    def hanging(task: reach.Task) -> Finding:
        if task.name == "slow":
            over.wait(20)  # as a name server that says nothing
        return real(task)

    monkeypatch.setattr(reach, "connect", hanging)
    with Receiver(answer()) as receiver:
        two = OPS.format(port=receiver.port).replace("[{", "[{name: slow, type: slack, url: 'http://127.0.0.1:1/x'}, {")
        installation.configure(CONFIG + two)
        slow, good = installation.run("notifiers")
        over.set()
    assert (slow.result, good.result) == (Result.PROBLEM, Result.OK)
    assert "no result within 0.5 s" in slow.text


@pytest.mark.parametrize("type", sorted(NOTIFIERS))
def test_every_notifier_tells_where_it_connects_to(type: str) -> None:
    described = entry(type)
    made = notifier_class(type)
    options = made.Options.model_validate({"name": "ops", "type": type, **described.options("http://127.0.0.1:4321")})
    endpoints = [str(one) for one in made(options).endpoints()]
    elsewhere = {"apprise": [], "email": ["127.0.0.1:587"]}
    assert endpoints == elsewhere.get(type, ["127.0.0.1:4321"])
    for secret in described.secrets:
        assert secret not in repr(made(options).endpoints())


@on_sqlite
def test_self_heartbeat(installation: Installation) -> None:
    installation.finding("self heartbeat", Result.SKIPPED, "no other system watches the exporter")
    closed = free_port()
    installation.configure(CONFIG + f'self_heartbeat: {{url: "http://127.0.0.1:{closed}/path-of-ours"}}\n')
    assert "path-of-ours" not in str(installation.finding("self heartbeat", Result.PROBLEM, "connection refused"))


@on_sqlite
def test_service(installation: Installation) -> None:
    installation.finding(
        "service", Result.PROBLEM, "does not answer: connection failed", url=f"http://127.0.0.1:{free_port()}"
    )
    with Receiver(answer(200, b'{"status": "OK"}')) as receiver:
        installation.well("service", url=receiver.url)
        receiver.behave(answer(503, b'{"error": "Not ready: the disk is full."}'))
        installation.finding(
            "service", Result.PROBLEM, "accepts no heartbeats: Not ready: the disk is full", url=receiver.url
        )
        receiver.behave(answer(404))
        installation.finding("service", Result.PROBLEM, "answered 404", url=receiver.url)
        installation.configure(CONFIG.replace("web: {", f'web: {{listen_address: ":{receiver.port}", '))
        receiver.behave(answer(200))
        installation.well("service")


@on_sqlite
def test_external_address(installation: Installation) -> None:
    installation.finding("external address", Result.SKIPPED, "not set")
    with Receiver(answer(200)) as receiver:
        installation.configure(f"web: {{external_url: {receiver.url}}}\n")
        installation.well("external address")
        receiver.behave(answer(502))
        installation.finding("external address", Result.WARNING, "answered 502")
    installation.configure(f"web: {{external_url: http://127.0.0.1:{free_port()}}}\n")
    installation.finding("external address", Result.WARNING, "does not answer")


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_told(installation: Installation, url: str, tmp_path: Path) -> None:
    notifiers = []
    for number, type in enumerate(sorted(NOTIFIERS)):
        options = entry(type).options(f"http://127.0.0.1:{free_port()}")
        notifiers.append({"name": f"n{number}", "type": type, **options})
    config = {
        "secret_key": "secret-key-of-the-doctor",
        "storage": {"url": url},
        "web": {"auth": {"token": "token-of-the-page", "metrics_token": "token-of-metrics"}},
        "monitors": [{"tag": "job", "secret": "secret-of-the-job"}],
        "notifiers": notifiers,
        "self_heartbeat": {"url": f"http://127.0.0.1:{free_port()}/path-of-ours"},
    }
    file = tmp_path / "all.yml"
    file.write_text(json.dumps(config))
    file.chmod(0o644)
    secrets = secrets_of(read_config(file).settings)
    assert {"token-of-metrics", "secret-of-the-job", "secret-key-of-the-doctor", "password-of-the-test"} <= secrets
    for options in ([], ["--json"]):
        output = CliRunner().invoke(main, ["doctor", "--config.file", str(file), *options]).output
        assert "Traceback" not in output
        assert "n0" in output
        assert [secret for secret in secrets if secret in output] == []


def test_every_check_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()
    told = re.findall(r"^\| `([a-z ]+)` \|", text, re.MULTILINE)
    assert told == [check.name for check in CHECKS]
    assert all(check.run.__doc__ for check in CHECKS)


# ── habits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def every(installation: Installation, tag: str, pause: int, times: int = 12, **options: object) -> None:
    """A monitor with so many successes, the last of them now."""
    replica = installation.replica
    if replica.fleet.get(tag) is None:
        replica.add(tag, **options)
    installation.clock.wall -= pause * (times - 1)
    for number in range(times):
        replica.beat(tag)
        installation.clock.wall += pause if number < times - 1 else 0


def test_monitors_that_beat_hourly_and_are_allowed_a_day(installation: Installation) -> None:
    every(installation, "right", HOUR, down_after=2 * HOUR)
    every(installation, "scheduled", DAY, schedule="0 3 * * *", down_after=2 * HOUR)
    every(installation, "few", MINUTE, times=9, down_after=DAY)
    installation.well("allowances")
    every(installation, "lax", HOUR, down_after=DAY)
    every(installation, "daily", HOUR, schedule="0 3 * * *")
    every(installation, "resting", HOUR, down_after=DAY)
    installation.replica.monitors.set_paused("resting", True)
    found = installation.finding("allowances", Result.WARNING, r"2 monitors .*: daily, lax \(daily: every 1 h, DOWN")
    assert "suggest" in found.advice


def test_habits_read_so_many_logs_and_no_more(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that beat most and may be silent for longest."""
    for tag, down_after in (("lax", DAY), ("laxer", 2 * DAY), ("strict", 2 * HOUR)):
        every(installation, tag, HOUR, down_after=down_after)
    installation.finding("allowances", Result.WARNING, r"2 monitors .*: lax, laxer ")
    monkeypatch.setattr(habits, "MAX_LOGS", 1)
    installation.finding("allowances", Result.WARNING, r"1 monitor .*: laxer ")
    monkeypatch.setattr(habits, "_successes", lambda context, id: [])
    (found,) = installation.run("allowances")
    assert found.text.startswith("the 1 most frequent and least strict of 3 monitors")


def test_monitors_that_are_always_seconds_early(installation: Installation) -> None:
    clock = installation.clock
    now, clock.wall = clock.wall, clock.wall // DAY * DAY + 3 * HOUR - 20 * SECOND
    every(installation, "often", MINUTE, schedule="* * * * *")
    every(installation, "unscheduled", DAY)
    every(installation, "few", DAY, times=9, schedule="0 3 * * *")
    clock.wall += 21 * SECOND
    every(installation, "right", DAY, schedule="0 3 * * *")
    every(installation, "mostly", DAY, schedule="0 3 * * *")
    clock.wall += DAY - 10 * SECOND
    installation.replica.beat("mostly")
    clock.wall -= DAY + 11 * SECOND
    installation.well("early heartbeats")
    every(installation, "early", DAY, schedule="0 3 * * *")
    clock.wall = now
    installation.finding("early heartbeats", Result.WARNING, "1 monitor always early, .*: early$")


def test_monitors_that_were_forgotten(installation: Installation) -> None:
    replica, clock = installation.replica, installation.clock
    for tag in ("resting", "broken"):
        replica.add(tag)
        replica.beat(tag)
    replica.monitors.set_paused("resting", True)
    replica.refresh()
    clock.advance(HOUR)
    replica.evaluator.evaluate_due()
    clock.advance(6 * DAY)
    installation.well("paused monitors")
    clock.advance(2 * DAY)
    installation.finding("paused monitors", Result.WARNING, "1 monitor PAUSED for over 7 days, .*: resting$")
    installation.well("down monitors")
    clock.advance(7 * DAY)
    found = installation.finding("down monitors", Result.WARNING, "2 monitors DOWN for over 14 days, .*: broken, job$")
    assert "remove" in found.advice
    replica.monitors.remove("resting")
    installation.well("paused monitors")


def test_monitors_that_never_start_while_their_group_does(installation: Installation) -> None:
    replica = installation.replica
    for tag in ("a", "b", "odd"):
        replica.add(tag, group="backups")
        replica.beat(tag, *([Kind.START, Kind.SUCCESS] if tag != "odd" else [Kind.SUCCESS]))
    for tag in ("c", "d"):
        replica.add(tag, group="plain")
        replica.beat(tag, *([Kind.START, Kind.SUCCESS] if tag == "c" else [Kind.SUCCESS]))
    replica.add("silent", group="backups")
    installation.finding("starts", Result.WARNING, "1 monitor without starts .*: odd$")
    replica.beat("odd", Kind.START)
    installation.well("starts")
