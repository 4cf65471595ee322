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
from exporter.core.alert_rule import Selector
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND, SystemClock
from exporter.core.heartbeat import Kind
from exporter.core.maintenance import Window
from exporter.doctor.checks import CHECKS, examine, reach
from exporter.doctor.checks.configuration import secrets_of
from exporter.doctor.checks.disk import LITTLE, TOO_LITTLE, file_system_of
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
from tests.support.postgres import running
from tests.support.receivers import Receiver, answer, free_port, self_signed
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

    def patient(self, **changes: object) -> DoctorContext:
        loaded = read_config(self._file)
        patient = DoctorContext(self._file, loaded.settings, clock=self.clock, mounts=self.mounts)
        patient.opened = Database(self._url)
        for name, value in changes.items():
            setattr(patient, name, value)
        self._opened.append(patient)
        return patient

    def look(self, name: str, **changes: object) -> list[Finding]:
        (check,) = (one for one in CHECKS if one.name == name)
        return list(check.look(self.patient(**changes)))

    def found(self, name: str, result: Result, said: str, **changes: object) -> Finding:
        """Exactly one finding of this kind, which says what to do; and no other that is not well."""
        findings = [one for one in self.look(name, **changes) if one.result is not Result.OK]
        assert [one.result for one in findings] == [result], findings
        assert re.search(said, findings[0].found), findings[0].found
        assert bool(findings[0].advice) is (result is not Result.SKIPPED)
        return findings[0]

    def well(self, name: str, **changes: object) -> None:
        findings = self.look(name, **changes)
        assert {one.result for one in findings} <= {Result.OK, Result.SKIPPED}, findings

    def close(self) -> None:
        for patient in self._opened:
            patient.close()


@pytest.fixture
def ward(replica: Replica, url: str, tmp_path: Path) -> Iterator[Installation]:
    ward = Installation(replica, url, tmp_path)
    yield ward
    ward.close()


@pytest.fixture
def file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def test_a_healthy_installation(ward: Installation, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ROOMY)
    results = dict(examine(ward.patient(offline=True)))
    assert list(results) == [check.name for check in CHECKS]
    unwell = {name: one for name, one in results.items() if one.result not in (Result.OK, Result.SKIPPED)}
    # The tests' PostgreSQL is quick because it does not wait for the disk, and the doctor sees that.
    assert set(unwell) == ({"durability"} if url.startswith("postgresql") else set())
    offline = {name for name, one in results.items() if one.found == "not with --offline"}
    assert offline == {"notifiers", "self heartbeat", "service", "external address"}


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────


def test_configuration(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("web: {listen: x}\nlog: {level: loud}\nsecret_key: SESAME\n")
    done = CliRunner().invoke(main, ["doctor", "--offline", "--json", "--config.file", str(bad)])
    found = json.loads(done.output)
    assert done.exit_code == 1
    problems = [one["found"] for one in found["checks"] if one["result"] == "problem"]
    assert len(problems) == found["problems"] == 3
    assert all(problem.startswith(f"{bad}:") for problem in problems)
    assert {one["result"] for one in found["checks"] if one["check"] == "database"} == {"skipped"}
    assert "SESAME" not in done.output
    odd = tmp_path / "odd.yml"
    odd.write_text("alerts: [{name: none, create_incident: true}]\n")
    done = CliRunner().invoke(main, ["doctor", "--offline", "--json", "--config.file", str(odd)])
    first = json.loads(done.output)["checks"][0]
    assert (first["check"], first["result"]) == ("configuration", "warning")
    assert "fits no monitor" in first["found"]


@on_sqlite
def test_permissions(ward: Installation, tmp_path: Path) -> None:
    ward.well("permissions")
    secret, other = tmp_path / "secret", tmp_path / "other"
    secret.write_text("secret-in-a-file\n")
    other.write_text("not what this is about")
    ward.configure("monitors: [{tag: job, secret_file: secret}]\n")
    for one in (secret, other, tmp_path / "heartbeats.yml"):
        one.chmod(0o644)
    assert str(secret) in ward.found("permissions", Result.WARNING, "everybody on this machine").found
    secret.chmod(0o640)
    ward.well("permissions")  # a configuration without secrets is everybody's to read
    ward.configure(CONFIG)
    (tmp_path / "heartbeats.yml").chmod(0o644)
    ward.found("permissions", Result.WARNING, r"heartbeats\.yml")


@on_sqlite
def test_permissions_of_the_database(ward: Installation, file: Path) -> None:
    ward.well("permissions")
    file.chmod(0o644)
    ward.found("permissions", Result.WARNING, re.escape(str(file)))


@on_sqlite
def test_access(ward: Installation) -> None:
    ward.well("access")
    for address in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        ward.configure(f'web: {{listen_address: "{address}"}}\n')
        ward.well("access")
    for address in (":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1"):
        ward.configure(f'web: {{listen_address: "{address}"}}\n')
        ward.found("access", Result.WARNING, "jobs' output")
        ward.configure(f'web: {{listen_address: "{address}", auth: {{token: some-token}}}}\n')
        ward.well("access")


# ── database and disk ────────────────────────────────────────────────────────────────────────────────────────────


def test_database_and_schema(ward: Installation, empty_url: str, tmp_path: Path) -> None:
    ward.well("database")
    ward.well("schema")
    before = set(tmp_path.iterdir())
    empty = Database(empty_url)
    if empty_url.startswith("sqlite"):
        ward.found("database", Result.PROBLEM, "there is no database", opened=empty)
    assert set(tmp_path.iterdir()) == before, "looking makes nothing"
    ward.found("schema", Result.PROBLEM, r"older version.*0001_initial", opened=empty)
    execute(ward.replica.db, "INSERT INTO schema_migrations (name, applied) VALUES ('9999_future', '2030-01-01')")
    ward.found("schema", Result.PROBLEM, "newer version")


def test_a_database_that_is_away(ward: Installation, tmp_path: Path) -> None:
    away = f"postgresql://somebody:SESAME@127.0.0.1:{free_port()}/none"
    results = dict(examine(ward.patient(opened=Database(away), offline=True)))
    assert results["database"].result is Result.PROBLEM
    assert results["schema"].result is results["lease"].result is Result.SKIPPED
    assert "SESAME" not in str(results)


def test_writing(ward: Installation, url: str) -> None:
    ward.well("writing")
    assert execute(ward.replica.db, "SELECT COUNT(*) FROM settings WHERE key = 'doctor'") == [(0,)]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            results = dict(examine(ward.patient(offline=True)))
        assert results["writing"].result is Result.PROBLEM
        assert "locked" in results["writing"].found
        assert results["writing"].advice


@on_sqlite
def test_integrity(ward: Installation, file: Path) -> None:
    ward.well("integrity")
    for number in range(200):
        ward.replica.add(f"job-{number}")
    ward.replica.db.close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'states'").fetchone()
        (page,) = database.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * page)
        opened.write(b"\xff" * page)
    assert "restore" in ward.found("integrity", Result.PROBLEM, "damaged").advice


@on_postgresql
def test_durability(ward: Installation) -> None:
    ward.found("durability", Result.PROBLEM, "fsync is off")


def test_durability_of_a_server_as_it_should_be() -> None:
    with running(durable=True) as server:
        database = Database(server.create())
        (check,) = (one for one in CHECKS if one.name == "durability")
        (finding,) = check.look(DoctorContext(None, None, opened=database))
        assert finding.result is Result.OK
        database.close()
        kept = []
        most = int(str(server.execute("SHOW max_connections")[0][0]))
        try:
            for _ in range(most - 7):
                kept.append(psycopg.connect(server.url("postgres")))
            (finding,) = check.look(DoctorContext(None, None, opened=database))
            assert finding.result is Result.PROBLEM
            assert re.search(r"\d+ of the server's 60 connections are taken", finding.found)
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
def test_file_system(ward: Installation, file: Path, kind: str, said: str) -> None:
    ward.well("file system")
    ward.mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nhost:/x {file.parent} {kind} rw 0 0\n")
    ward.found("file system", Result.WARNING, said)


def test_file_systems_are_told_by_the_last_mount() -> None:
    mounts = "a / ext4 rw 0 0\nb /data xfs rw 0 0\nc /data/my\\040disk nfs rw 0 0\nd / overlay rw 0 0\n"
    assert file_system_of(Path("/data/x"), mounts) == "xfs"
    assert file_system_of(Path("/data/my disk/x"), mounts) == "nfs"
    assert file_system_of(Path("/database"), mounts) == "overlay"


@on_sqlite
def test_disk_space(ward: Installation, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, result in ((LITTLE - 1, Result.WARNING), (TOO_LITTLE - 1, Result.PROBLEM)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: ROOMY._replace(free=free))
        ward.found("disk space", result, "GB free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ROOMY)
    ward.well("disk space")


@on_sqlite
def test_disk_speed(ward: Installation, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr("exporter.doctor.checks.disk.time.monotonic", lambda: next(now) * 0.06)
    ward.found("disk speed", Result.WARNING, r"takes 60\.0 ms")
    monkeypatch.setattr(
        "exporter.doctor.checks.disk.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    ward.found("disk speed", Result.PROBLEM, "no space left")


# ── clock and work ───────────────────────────────────────────────────────────────────────────────────────────────


class Away(SystemClock):
    """A machine's clock that is wrong, and goes on: one that stands still is soon behind the database's."""

    def __init__(self, ahead: int = 0) -> None:
        self._ahead = ahead

    def now(self) -> int:
        return super().now() + self._ahead


def test_clock(ward: Installation) -> None:
    ward.well("clock", clock=Away())
    ward.found("clock", Result.WARNING, "behind this machine's", clock=Away(5 * SECOND))
    ward.found("clock", Result.PROBLEM, r"database's clock is 1 min .* behind", clock=Away(MINUTE + 5 * SECOND))
    execute(ward.replica.db, "UPDATE stamps SET at = NULL")
    ward.found("clock", Result.WARNING, "ahead of this machine's", clock=Away(-5 * SECOND))


def test_a_clock_that_is_behind_those_of_others(ward: Installation) -> None:
    for table, column in (("stamps", "at"), ("heartbeats", "received_at"), ("transitions", "observed_at")):
        before = execute(ward.replica.db, f"SELECT MAX({column}) FROM {table}")[0][0]
        future = SystemClock().now() + 10 * MINUTE
        execute(ward.replica.db, f"UPDATE {table} SET {column} = {future}")
        ward.found("clock", Result.PROBLEM, r"of (10|9 min \d+) ?\w+ from now", clock=Away())
        execute(ward.replica.db, f"UPDATE {table} SET {column} = {before}")
        ward.well("clock", clock=Away())


@pytest.mark.parametrize(("one", "other"), [(0, 3 * SECOND), (-3 * SECOND, 0), (-1500, 1500)])
def test_clocks_of_replicas_that_differ(ward: Installation, one: int, other: int) -> None:
    """Each measures how far it is from the database's; on SQLite all are on one machine, and have its clock."""
    measured = ServerClock(ward.replica.db, SystemClock())
    measured.keep("one", one)
    if not ward.replica.db.engine.locks_rows:
        measured.keep("other", other)
        ward.well("clock", clock=Away())
        return
    measured.keep("other", one + SECOND // 2)
    ward.well("clock", clock=Away())
    measured.keep("other", other)
    ward.found("clock", Result.WARNING, "the clocks of replicas differ by 3 s", clock=Away())


def test_a_replica_that_is_gone_has_no_clock(ward: Installation) -> None:
    measured = ServerClock(ward.replica.db, SystemClock())
    measured.keep("gone", 5 * SECOND)
    execute(ward.replica.db, f"UPDATE clocks SET measured_at = {SystemClock().now() - 6 * MINUTE}")
    measured.keep("here", 0)
    ward.well("clock", clock=Away())


@pytest.mark.parametrize(
    ("said", "result"), [("yes", Result.OK), ("no", Result.WARNING), ("", Result.SKIPPED), (None, Result.SKIPPED)]
)
def test_clock_synchronisation(
    ward: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, result: Result
) -> None:
    """systemd is not there in tests; a program in its place says what it would."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if said is not None:
        program = tmp_path / "timedatectl"
        program.write_text(f'#!/bin/sh\n[ "$*" = "show --property=NTPSynchronized --value" ] && echo {said}\n')
        program.chmod(0o755)
    (finding,) = ward.look("clock synchronisation")
    assert finding.result is result


def test_presence_lease_and_evaluation(ward: Installation) -> None:
    for name in ("presence", "lease", "evaluation"):
        ward.well(name)
    ward.clock.advance(HOUR)
    ward.found("presence", Result.PROBLEM, "since 1 h ago")
    ward.found("lease", Result.PROBLEM, "nobody holds the lease")
    ward.found("evaluation", Result.PROBLEM, r"has waited for 5\d min")
    ward.work()
    ward.found("presence", Result.WARNING, "for 1 h in the last day, in 1 blackout")
    ward.well("lease")
    ward.clock.advance(DAY)
    Blackouts(ward.replica.db, ward.clock).record_liveness()
    execute(ward.replica.db, "DELETE FROM blackouts WHERE id > 1")
    ward.well("presence")


def test_where_nobody_ever_was(ward: Installation) -> None:
    execute(ward.replica.db, "UPDATE stamps SET at = NULL")
    execute(ward.replica.db, "DELETE FROM leases")
    ward.found("presence", Result.PROBLEM, "ever")
    ward.found("lease", Result.PROBLEM, "ever evaluated")


def test_monitors(ward: Installation) -> None:
    ward.well("monitors")
    for number in range(12):
        ward.replica.add(f"silent-{number:02}")
    found = ward.found("monitors", Result.WARNING, "12 of 13 never sent a heartbeat: silent-00, ")
    assert found.found.endswith("silent-09 and 2 more")
    ward.replica.beat("silent-03", Kind.LOG)
    ward.found("monitors", Result.WARNING, "11 of 13")
    for number in range(12):
        ward.replica.monitors.remove(f"silent-{number:02}")
    ward.well("monitors")
    ward.replica.monitors.set_paused("job", True)
    ward.found("monitors", Result.WARNING, "there is none")


def test_maintenances(ward: Installation) -> None:
    ward.well("maintenances")
    rule = "FREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1"  # an earlier version took it
    database = ward.patient().database
    window = Window(name="old", selector=Selector(), starts_at=ward.clock.now(), duration=HOUR, rule=rule)
    Maintenances(database, ward.clock).add(window)
    ward.found("maintenances", Result.PROBLEM, "'old' never begins, its rule cannot be used: INTERVAL")
    ward.clock.advance(SECOND)
    Maintenances(database, ward.clock).end("old")
    ward.well("maintenances")


def test_provisioning(ward: Installation) -> None:
    ward.well("provisioning")
    ward.configure("monitors: [{tag: new, secret: s}]\n")
    ward.found("provisioning", Result.WARNING, "not there yet: new; still there: job")
    ward.found("provisioning", Result.WARNING, "1 monitor of a configuration file", config_file=None)


# ── notifications ────────────────────────────────────────────────────────────────────────────────────────────────

OPS = 'notifiers: [{{name: ops, type: webhook, url: "http://127.0.0.1:{port}/path-of-the-hook"}}]\n'


def owed(ward: Installation, notifier: str, state: str, created_at: int, key: str) -> None:
    table = ward.replica.db.tables.notifications
    ended = created_at if state == "dead" else None
    row = {"key": key, "notifier": notifier, "event": "TRIGGERED", "state": state, "sealed": True, "attempts": 3}
    moments = {"created_at": created_at, "next_attempt_at": created_at, "expires_at": created_at + DAY}
    with ward.replica.db.write("test"):
        table.insert(**row, **moments, ended_at=ended, failure="connect", error="refused").execute()


def test_outbox(ward: Installation) -> None:
    ward.configure(CONFIG + OPS.format(port=1))
    ward.well("outbox")
    now = ward.clock.now()
    owed(ward, "ops", "pending", now - MINUTE, "k1")
    owed(ward, "ops", "dead", now - 2 * DAY, "k2")
    ward.well("outbox")
    owed(ward, "ops", "pending", now - HOUR, "k3")
    ward.found("outbox", Result.WARNING, "2 messages to ops, the oldest for 1 h")
    execute(ward.replica.db, "DELETE FROM notifications")
    owed(ward, "ops", "dead", now - HOUR, "k4")
    ward.found("outbox", Result.WARNING, "1 message to ops given up")
    execute(ward.replica.db, "DELETE FROM notifications")
    owed(ward, "gone", "pending", now, "k5")
    ward.found("outbox", Result.WARNING, "owed to gone")


def test_a_notifier_that_waits_for_its_receiver(ward: Installation) -> None:
    ward.configure(CONFIG + OPS.format(port=1))
    now = ward.clock.now()
    hold = f"'ops', {now - MINUTE}, {now + 12 * MINUTE}, 'hooks.example.org answered 429'"
    execute(ward.replica.db, f'INSERT INTO notifier_holds (notifier, since, "until", error) VALUES ({hold})')
    ward.found("outbox", Result.WARNING, "ops is held for 12 min: the receiver asked for it")
    ward.clock.advance(12 * MINUTE)
    ward.well("outbox")


def test_rules(ward: Installation) -> None:
    ward.configure(CONFIG + "alerts: [{name: down, notify: ops}]\n" + OPS.format(port=1))
    ward.well("rules")
    ward.configure(CONFIG + "alerts: [{name: down}]\n")
    ward.found("rules", Result.WARNING, "tell nobody: down")
    ward.configure(CONFIG + OPS.format(port=1))
    ward.found("rules", Result.WARNING, "no rule uses: ops")
    ward.configure(CONFIG + 'alerts: [{name: others, create_incident: true, monitors: ["x-*"]}]\n')
    ward.found("rules", Result.WARNING, "fit no monitor: others")


# ── reachability ─────────────────────────────────────────────────────────────────────────────────────────────────


@on_sqlite
def test_notifiers(ward: Installation) -> None:
    with Receiver(answer()) as receiver:
        ward.configure(CONFIG + OPS.format(port=receiver.port))
        ward.well("notifiers")
        assert receiver.received == [], "no message is sent"
    closed = free_port()
    ward.configure(CONFIG + OPS.format(port=closed))
    found = ward.found("notifiers", Result.PROBLEM, f"ops: 127.0.0.1:{closed}: connection refused")
    assert "notify test" in found.advice
    assert "path-of-the-hook" not in str(found)
    ward.configure(CONFIG + 'notifiers: [{name: ops, type: webhook, url: "http://no-such-host.invalid/x"}]\n')
    ward.found("notifiers", Result.PROBLEM, "no address is known")


@on_sqlite
def test_notifiers_by_tls(ward: Installation, tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    hook = 'notifiers: [{{name: ops, type: webhook, url: "https://localhost:{port}/x"{more}}}]\n'
    with Receiver(answer(), tls=context) as receiver:
        ward.configure(CONFIG + hook.format(port=receiver.port, more=""))
        ward.found("notifiers", Result.PROBLEM, "no secure connection: self-signed certificate")
    with Receiver(answer()) as receiver:
        ward.configure(CONFIG + hook.format(port=receiver.port, more=""))
        ward.found("notifiers", Result.PROBLEM, "no secure connection: it does not speak TLS")
    with Receiver(answer(), tls=context) as receiver:
        endpoint = Endpoint("localhost", receiver.port, True, str(certificate))
        finding = reach.look(reach.Task("ops", endpoint))
        assert (finding.result, "certificate is good" in finding.found) == (Result.OK, True), finding


@on_sqlite
def test_private_addresses_and_proxies(ward: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(answer()) as receiver:
        text = OPS.format(port=receiver.port).replace("name: ops", "name: ops, allow_private_addresses: false")
        ward.configure(CONFIG + text)
        ward.found("notifiers", Result.PROBLEM, "private address")
        ward.configure(CONFIG + 'notifiers: [{name: ops, type: webhook, url: "http://somewhere.invalid/x"}]\n')
        monkeypatch.setenv("http_proxy", f"http://user:SESAME@127.0.0.1:{receiver.port}")
        (finding,) = ward.look("notifiers")
        assert finding.result is Result.OK
        assert "through the proxy 127.0.0.1" in finding.found
        assert "SESAME" not in finding.found
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        ward.found("notifiers", Result.PROBLEM, "a proxy that is none")


@on_sqlite
def test_one_that_does_not_answer_holds_up_nobody(ward: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "ALL", 0.5)
    over = threading.Event()
    real = reach.look

    def hanging(task: reach.Task) -> Finding:
        if task.name == "slow":
            over.wait(20)  # as a name server that says nothing
        return real(task)

    monkeypatch.setattr(reach, "look", hanging)
    with Receiver(answer()) as receiver:
        two = OPS.format(port=receiver.port).replace("[{", "[{name: slow, type: slack, url: 'http://127.0.0.1:1/x'}, {")
        ward.configure(CONFIG + two)
        slow, good = ward.look("notifiers")
        over.set()
    assert (slow.result, good.result) == (Result.PROBLEM, Result.OK)
    assert "no answer within 0.5 s" in slow.found


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
def test_self_heartbeat(ward: Installation) -> None:
    ward.found("self heartbeat", Result.SKIPPED, "who watches the exporter")
    closed = free_port()
    ward.configure(CONFIG + f'self_heartbeat: {{url: "http://127.0.0.1:{closed}/path-of-ours"}}\n')
    assert "path-of-ours" not in str(ward.found("self heartbeat", Result.PROBLEM, "connection refused"))


@on_sqlite
def test_service(ward: Installation) -> None:
    ward.found("service", Result.PROBLEM, "does not answer: no connection", url=f"http://127.0.0.1:{free_port()}")
    with Receiver(answer(200, b'{"status": "OK"}')) as receiver:
        ward.well("service", url=receiver.url)
        receiver.behave(answer(503, b'{"error": "Not ready: the disk is full."}'))
        ward.found("service", Result.PROBLEM, "takes no heartbeats: Not ready: the disk is full", url=receiver.url)
        receiver.behave(answer(404))
        ward.found("service", Result.PROBLEM, "answered 404", url=receiver.url)
        ward.configure(CONFIG.replace("web: {", f'web: {{listen_address: ":{receiver.port}", '))
        receiver.behave(answer(200))
        ward.well("service")


@on_sqlite
def test_external_address(ward: Installation) -> None:
    ward.found("external address", Result.SKIPPED, "not set")
    with Receiver(answer(200)) as receiver:
        ward.configure(f"web: {{external_url: {receiver.url}}}\n")
        ward.well("external address")
        receiver.behave(answer(502))
        ward.found("external address", Result.WARNING, "answered 502")
    ward.configure(f"web: {{external_url: http://127.0.0.1:{free_port()}}}\n")
    ward.found("external address", Result.WARNING, "does not answer")


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_told(ward: Installation, url: str, tmp_path: Path) -> None:
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
    assert all(check.look.__doc__ for check in CHECKS)
