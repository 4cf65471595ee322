"""Each document is followed to the letter: its commands and queries are run, in the state that it is about.

What is not run is marked in the document, and tests/docs/test_documents.py looks whether it could be.
"""

import os
import re
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, eventually, fetch
from tests.live.reader import DocumentedService, Reader
from tests.support.documents import ROOT, blocks, documents
from tests.support.ports import free_port
from tests.support.postgres import PASSWORD, USER, running
from tests.support.receivers import Receiver, answer
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
TAG = "nightly-backup"
Scenario = Callable[[Reader], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(*documents: str) -> Callable[[Scenario], Scenario]:
    """The state in which these documents are read."""

    def add(act: Scenario) -> Scenario:
        SCENARIOS.update(dict.fromkeys(documents, act))
        return act

    return add


def runbook(name: str) -> str:
    return f"docs/runbooks/{name}.md"


def followed() -> list[str]:
    """Documents with something that is run."""
    languages = ("sh",)
    return [
        str(file.relative_to(ROOT))
        for file in documents()
        if any(block.language in languages and block.no_test is None for block in blocks(file))
        or (file.parent.name == "runbooks" and any(block.language == "promql" for block in blocks(file)))
    ]


@pytest.fixture
def reader(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reader]:
    need_tool("curl")
    reader = Reader(tmp_path, request.param)
    yield reader
    reader.stop()


@pytest.mark.parametrize("reader", followed(), indirect=True, ids=str)
def test_a_document_is_followed(reader: Reader) -> None:
    SCENARIOS[str(reader.document.relative_to(ROOT))](reader)


def test_every_scenario_has_its_document() -> None:
    assert set(SCENARIOS) == set(followed())


def monitor(**options: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in options.items())
    return f"monitors:\n  - {{tag: {TAG}, secret: {SECRET}{more}}}\n"


def set_status(service: DocumentedService, status: str) -> None:
    eventually(lambda: service.status(TAG) == status)


# ── runbooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario(runbook("HeartbeatConfigReloadFailed"))
def a_configuration_with_a_mistake(reader: Reader) -> None:
    service = reader.serve(monitor())
    good = service.config.read_text()
    service.config.write_text(good.replace("secret:", "secrte:"))
    service.send(signal.SIGHUP)
    eventually(lambda: service.metrics()["heartbeat_exporter_config_last_reload_successful",] == 0)
    reader.watch()
    reader.follow({"/-/reload": lambda: service.config.write_text(good)})
    assert service.metrics()["heartbeat_exporter_config_last_reload_successful",] == 1


@scenario(runbook("HeartbeatDegraded"))
def a_late_monitor(reader: Reader) -> None:
    service = reader.serve(monitor(degraded_after="1s", down_after="1h"))
    service.ping(TAG, "/start")
    service.ping(TAG)
    set_status(service, "DEGRADED")
    reader.watch()
    reader.follow()


@scenario(runbook("HeartbeatDown"))
def a_missed_monitor(reader: Reader) -> None:
    service = reader.serve(monitor(degraded_after="1s", down_after="2s"))
    service.ping(TAG)
    service.ping(TAG, secret="wrong-secret")
    set_status(service, "DOWN")
    reader.watch()
    reader.follow()
    set_status(service, "PAUSED")


@scenario(runbook("HeartbeatIngestSuspect"))
def a_silent_fleet(reader: Reader) -> None:
    tags = [TAG, *(f"job-{number}" for number in range(11))]
    entries = [
        f"  - {{tag: {tag}, secret: {SECRET}, degraded_after: 2s, down_after: 4s, group: g{tag}}}" for tag in tags
    ]
    service = reader.serve("\n".join(["monitors:", *entries, ""]))
    for tag in tags:
        service.ping(tag)
    eventually(lambda: service.metrics()["heartbeat_exporter_ingest_suspect",] == 1)
    set_status(service, "DOWN")
    service.ping(TAG, secret="wrong-secret")
    reader.watch()
    reader.follow()


@contextmanager
def stolen_lease(file: Path) -> Iterator[None]:
    """A holder that renews its lease and evaluates nothing; one monitor has been due for a minute."""
    over = threading.Event()

    def steal(*also: str) -> None:
        database = sqlite3.connect(file, timeout=10)
        with closing(database), database:
            expiry = time.time_ns() // 1_000_000 + 15_000
            database.execute("UPDATE leases SET holder = 'hangs', token = token + 1, expires_at = ?", (expiry,))
            for statement in also:
                database.execute(statement)

    def keep() -> None:
        while not over.wait(2):
            steal()

    steal("UPDATE states SET next_evaluation_at = next_evaluation_at - 3600000, status = 'UP'")
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


@scenario(runbook("HeartbeatEvaluationStalled"))
def an_evaluator_that_hangs(reader: Reader) -> None:
    service = reader.serve(monitor(degraded_after="1s", down_after="2s"))
    service.ping(TAG)
    with stolen_lease(reader.lib / "heartbeats.db"):
        eventually(lambda: service.metrics()["heartbeat_exporter_lease_held",] == 0)
        reader.watch()
        reader.follow()


@scenario(runbook("HeartbeatExporterAbsent"))
def a_prometheus_without_an_exporter(reader: Reader) -> None:
    reader.watch()
    reader.follow()


@scenario(runbook("HeartbeatExporterDown"), runbook("HeartbeatExporterReplicaDown"))
def an_exporter_that_is_stopped(reader: Reader) -> None:
    service = reader.serve(monitor())
    reader.watch()
    assert service.stop() == 0
    reader.follow()


@scenario(runbook("HeartbeatFailed"))
def a_failed_job(reader: Reader) -> None:
    service = reader.serve(monitor())
    service.ping(TAG)
    service.ping(TAG, "/7")
    set_status(service, "DOWN")
    reader.watch()
    reader.follow()
    set_status(service, "UP")


@scenario(runbook("HeartbeatFlapping"))
def a_monitor_that_flaps(reader: Reader) -> None:
    service = reader.serve(monitor())
    for suffix in ("/start", "", "/1", "/start", "", "/1", ""):
        service.ping(TAG, suffix)
    reader.watch()
    reader.follow()


@scenario(runbook("HeartbeatSlow"))
def a_job_that_was_slow(reader: Reader) -> None:
    service = reader.serve(monitor())
    for _ in range(10):
        service.ping(TAG, "/start")
        service.ping(TAG)
    eventually(lambda: ("heartbeat_duration_seconds", "0.5", TAG) in service.metrics())
    reader.watch()
    reader.follow()


@scenario(runbook("HeartbeatNeverReceived"))
def a_monitor_that_is_new(reader: Reader) -> None:
    service = reader.serve(monitor())
    service.cli("monitor", "add", "weekly-report")
    service.ping(TAG, secret="wrong-secret")
    reader.watch()
    reader.follow()
    set_status(service, "PAUSED")


@scenario(runbook("HeartbeatNotificationsFailing"))
def a_notification_that_is_dead(reader: Reader) -> None:
    with Receiver(answer(400)) as receiver:
        service = reader.serve(
            monitor() + f'notifiers: [{{name: ops, type: webhook, url: "{receiver.url}/x", group_wait: 0s}}]\n'
            "alerts: [{name: failed, notify: [ops], create_incident: true}]\n"
        )
        service.ping(TAG, "/1")
        eventually(lambda: '"dead"' in service.cli("notification", "list", "--json"))
        reader.watch()
        reader.follow()
        eventually(lambda: len(receiver.received) > 2)


@scenario(runbook("HeartbeatOverrunning"))
def a_run_without_an_end(reader: Reader) -> None:
    service = reader.serve(monitor(max_runtime="1s"))
    for suffix in ("/start", "", "/start"):
        service.ping(TAG, suffix)
    set_status(service, "DOWN")
    reader.watch()
    reader.follow()


@scenario(runbook("HeartbeatStorageErrors"))
def a_locked_database(reader: Reader) -> None:
    service = reader.serve(monitor())
    service.ping(TAG)
    reader.watch()
    lock = sqlite3.connect(reader.lib / "heartbeats.db", timeout=10, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        eventually(lambda: fetch(f"{service.url}/-/ready").status == 503)
        reader.follow()
    finally:
        lock.close()
    eventually(lambda: fetch(f"{service.url}/-/ready").status == 200)


@scenario(runbook("Watchdog"))
def a_watchdog_that_fires(reader: Reader) -> None:
    reader.serve("monitors: [{tag: watchdog, secret: " + SECRET + "}]\n")
    reader.watch()
    (reader.work / "secrets").mkdir()
    (reader.work / "secrets" / "watchdog").write_text(f"{SECRET}\n")
    file = reader.work / "alertmanager.yml"
    file.write_text(reader.translated(file.read_text()))
    need_tool("prometheus-alertmanager")
    reader.start(
        "prometheus-alertmanager", "--config.file=alertmanager.yml", "--cluster.listen-address=",
        f"--storage.path={reader.folder}/am", f"--web.listen-address=127.0.0.1:{reader.ports['9093']}",
    )  # fmt: skip
    alerts = f"http://127.0.0.1:{reader.ports['9093']}/api/v2/alerts"
    eventually(lambda: "Watchdog" in fetch(alerts).body, 60)
    reader.follow()


# ── the others ───────────────────────────────────────────────────────────────────────────────────────────────────


def end_servers(reader: Reader) -> None:
    for process in reader.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(40)
    eventually(lambda: fetch(reader.ready).status == 0)


def sources(reader: Reader) -> None:
    """A copy of what the package is built from, and an environment that `make` need not make."""
    for name in ("exporter", "dashboards", "alertmanager", "docs", "examples", "deploy"):
        shutil.copytree(ROOT / name, reader.work / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, reader.work)
    (reader.work / ".venv").symlink_to(reader.folder)
    reader.program("python", f'exec {sys.executable} "$@"')
    (reader.folder / ".installed").touch()


@scenario("README.md")
def a_newcomer(reader: Reader) -> None:
    """Installs with the dependencies that the tests have; test_prometheus.py runs the queries."""
    sources(reader)
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    reader.environment |= {"PIP_NO_DEPS": "1", "PIP_QUIET": "1", "PYTHONPATH": libraries}
    address = f"127.0.0.1:{free_port()}"
    reader.names = {
        "make run": f"make run ADDRESS={address}",
        "heartbeat-exporter serve": f"heartbeat-exporter serve --web.listen-address {address}",
        "127.0.0.1:10105": address,
        "$(openssl rand -hex 24)": SECRET,
    }
    reader.ready = f"http://{address}/-/ready"
    example = next(block.text for block in blocks(reader.document) if block.text.startswith("monitors:"))

    def install() -> None:
        end_servers(reader)
        (reader.bin / "pip").unlink()
        (reader.bin / "python3").unlink()
        (reader.bin / "heartbeat-exporter").unlink()

    def configure() -> None:
        end_servers(reader)
        (reader.work / "heartbeats.yml").write_text(example)
        reader.environment["PATH"] = f"{reader.folder}/heartbeat-exporter/bin:{os.environ['PATH']}"

    reader.follow({"pip install": install, "export BACKUP_SECRET": configure}, queries=False)


@scenario("docs/alertmanager.md")
def an_alertmanager_that_is_new(reader: Reader) -> None:
    need_tool("prometheus-alertmanager")
    port = reader.ports["9093"]
    reader.ready = f"http://127.0.0.1:{port}/-/ready"
    reader.names["alertmanager --config.file"] = f"alertmanager --web.listen-address=127.0.0.1:{port} --config.file"
    reader.follow()


@scenario("docs/prometheus.md")
def a_prometheus_that_is_new(reader: Reader) -> None:
    """Its queries are those of rules that take days: the unit test reads them."""
    reader.ready = f"http://127.0.0.1:{reader.ports['9090']}/-/ready"
    reader.names["prometheus --config.file"] = (
        f"prometheus --web.listen-address=127.0.0.1:{reader.ports['9090']} --config.file"
    )
    reader.follow_commands()


def incident(reader: Reader, token: bool = False) -> DocumentedService:
    """One, which the documents call 12."""
    receiver = f"http://127.0.0.1:{free_port()}/hook"
    service = reader.serve(
        f"monitors: [{{tag: job, secret: {SECRET}}}, {{tag: {TAG}, secret: {SECRET}}}]\n"
        f'notifiers: [{{name: ops, type: webhook, url: "{receiver}", group_wait: 0s}}]\n'
        "alerts: [{name: failed, notify: [ops], create_incident: true}]\n",
        token,
    )
    service.ping("job", "/1")
    eventually(lambda: "INVESTIGATING" in service.cli("incident", "list"))
    reader.names |= {"incidents/12": "incidents/1"} | {
        f"{verb} 12": f"{verb} 1" for verb in ("ack", "update", "resolve")
    }
    return service


@scenario("docs/incidents.md")
def an_incident(reader: Reader) -> None:
    """The API's example is of an incident that is still open."""
    service = incident(reader, token=True)
    reader.fail_on_errors()

    def again() -> None:
        service.ping("job")
        eventually(lambda: service.status("job") == "UP")
        service.ping("job", "/1")
        eventually(lambda: "INVESTIGATING" in service.cli("incident", "list"))
        reader.names["incidents/12"] = "incidents/2"

    reader.in_folder_of_database()
    reader.follow({"curl -X POST": again})


@scenario("docs/api.md")
def a_client_of_the_api(reader: Reader) -> None:
    """Its monitor is added by the document itself, and again after it was removed."""
    service = incident(reader, token=True)
    service.config.write_text(service.config.read_text().replace(f", {{tag: {TAG}, secret: {SECRET}}}", ""))
    service.send(signal.SIGHUP)
    eventually(lambda: TAG not in service.cli("monitor", "list"))
    reader.fail_on_errors()

    def add_again() -> None:
        service.cli("monitor", "add", TAG)
        eventually(lambda: f'tag="{TAG}"' in fetch(f"{service.url}/metrics").body)  # it was added by another process

    reader.follow({"/transitions": add_again})


@scenario("docs/command-line.md")
def a_user_of_the_command_line(reader: Reader) -> None:
    service = incident(reader)
    service.config.write_text(service.config.read_text().replace(f", {{tag: {TAG}, secret: {SECRET}}}", ""))
    service.send(signal.SIGHUP)
    eventually(lambda: TAG not in service.cli("monitor", "list"))
    reader.in_folder_of_database()
    with Receiver(answer(200)) as receiver:
        text = re.sub(r"http://127.0.0.1:\d+/hook", receiver.url, service.config.read_text())
        service.config.write_text(text)
        reader.follow()
        assert len(receiver.received) >= 2
    assert [file.suffix for file in reader.backups.iterdir()] == [".db"]


@scenario("docs/configuration.md")
def an_editor_of_the_configuration(reader: Reader) -> None:
    reader.follow()
    assert '"$schema"' in (reader.work / "heartbeats.schema.json").read_text()


@scenario("docs/doctor.md")
def a_healthy_installation(reader: Reader) -> None:
    service = reader.serve(monitor())
    service.ping(TAG)
    reader.follow()


@scenario("docs/grafana.md")
def an_installation_of_grafana(reader: Reader) -> None:
    sources(reader)
    for name in ("dashboards", "datasources"):
        (reader.folder / "grafana" / "etc" / "provisioning" / name).mkdir(parents=True)
    reader.follow()
    folder = reader.folder / "grafana"
    assert len(list(folder.glob("lib/dashboards/heartbeat-exporter/*.json"))) == 3
    assert len(list(folder.glob("etc/provisioning/*/*.yml"))) == 2


@scenario("docs/heartbeats.md")
def a_job(reader: Reader) -> None:
    service = reader.serve(monitor())
    reader.program("backup", "echo 42 files; exit 0")
    reader.follow()
    assert service.received(TAG) == 5


DIALECTS = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs" / "dialects").glob("*.md"))


@scenario(*DIALECTS)
def a_sender_of_another_system(reader: Reader) -> None:
    key, token, uuid = "SESAME-ping-key", "SESAME-token", "0b6f9d3a-1111-4222-8333-0123456789ab"
    service = reader.serve(
        f"ping_keys:\n  - {{name: theirs, key: {key}, create: {{every: 1d}}}}\n"
        f"monitors:\n  - {{tag: {TAG}, group: core, secret: {SECRET}, tokens: [{token}, {uuid}]}}\n"
    )
    reader.names = {"PING_KEY": key, "UUID": uuid, "TOKEN": token}
    reader.follow()
    commands = [line for block in blocks(reader.document) if block.language == "sh" for line in block.commands]
    sent = sum("curl " in command and "/checks/" not in command for command in commands)  # not those that manage
    received = sum(value for key, value in service.metrics().items() if key[0] == "heartbeat_received_total")
    assert received == sent


@scenario("docs/run.md")
def a_host_that_runs_jobs(reader: Reader) -> None:
    reader.serve(monitor())
    reader.follow()
    for name in ("heartbeat-run", "heartbeat.sh"):
        assert (reader.work / name).read_text().startswith("#!/")


@scenario("docs/pushgateway.md")
def a_job_that_pushes(reader: Reader) -> None:
    key = "SESAME-ping-key"
    service = reader.serve(f"ping_keys:\n  - {{name: pushers, key: {key}, create: {{}}}}\n" + monitor())
    reader.names = {"PING_KEY": key}
    reader.follow()
    assert service.received(TAG) == 2
    shown = fetch(f"{service.url}/metrics/jobs").body
    assert f'backup_bytes{{tag="{TAG}"}} 1234567\n' in shown
    assert "db-1" not in shown


@scenario("docs/maintenance.md")
def a_maintenance(reader: Reader) -> None:
    service = reader.serve(monitor())
    reader.in_folder_of_database()
    reader.follow()
    assert "MAINTENANCE" in service.cli("monitor", "list")


@scenario("docs/operations.md")
def an_operator(reader: Reader) -> None:
    """Backs up, restores and upgrades; then the same of PostgreSQL."""
    with running() as postgres:
        sources(reader)
        service = reader.serve(monitor())
        service.ping(TAG)
        reader.environment |= {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
        }
        kept = reader.backups / "heartbeats-2026-11-24.db"

        def a_newer_heartbeat() -> None:
            next(reader.backups.glob("*.db")).rename(kept)
            service.ping(TAG)
            assert service.received(TAG) == 2

        def a_dump() -> None:
            assert service.received(TAG) == 1, "the service has the backup"
            kept.unlink()
            url = postgres.create()
            for command in (("migrate",), ("backup", str(kept))):
                reader.heartbeat_exporter(*command, "--storage.url", url)

        reader.follow({"systemctl stop": a_newer_heartbeat, "createdb": a_dump})
        assert postgres.execute("SELECT count(*) FROM monitors", "heartbeats_restored") == [(0,)]


@scenario("docs/postgresql.md")
def a_database_that_is_new(reader: Reader) -> None:
    with running() as postgres:
        address = f"127.0.0.1:{free_port()}"
        sources(reader)
        reader.environment |= {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
        }
        reader.names = {
            "heartbeat-exporter serve": f"heartbeat-exporter serve --web.listen-address {address}",
            "heartbeats@db.example.org/": f"{USER}@127.0.0.1:{postgres.port}/",
        }
        reader.ready = f"http://{address}/-/ready"
        reader.follow_commands()
        end_servers(reader)
