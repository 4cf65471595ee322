"""A real exporter, a real Prometheus and a real Alertmanager with the files as they are exported.

Only addresses and times are changed, so that it takes seconds: what fires reaches a receiver by the routes of the
example, what is inhibited does not, and the Watchdog keeps a monitor UP until Prometheus dies.
"""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.live.conftest import SECRET, Service, curl, eventually, fetch
from tests.support.ports import free_port
from tests.support.receivers import Receiver, answer
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
PATIENT = 45.0
TIMES = {
    "heartbeat-rules.yml": [
        (r"for: [12]m", "for: 2s"),
        ("for: 5m", "for: 6s"),
        ("interval: 1m", "interval: 1s"),
        ("> 120", "> 10"),
    ],
    "prometheus.yml": [(r"(scrape|evaluation)_interval: 15s", r"\1_interval: 1s")],
    "alertmanager.yml": [
        ("group_wait: 30s", "group_wait: 0s"),
        ("group_interval: 5m", "group_interval: 1s"),
        ("group_interval: 1m", "group_interval: 2s"),
        ("repeat_interval: 50s", "repeat_interval: 1s"),
    ],
}
"""Textual: what is left is what is shipped."""


def config(told: str, broken: str) -> str:
    return f"""
monitors:
  - {{tag: up, secret: {SECRET}}}
  - {{tag: late, secret: {SECRET}, degraded_after: 1s, down_after: 1h, labels: {{team: storage}}}}
  - {{tag: missed, name: Missed one, secret: {SECRET}, degraded_after: 1s, down_after: 2s}}
  - {{tag: failed, secret: {SECRET}, labels: {{team: storage}}}}
  - {{tag: overrun, secret: {SECRET}, max_runtime: 1s}}
  - {{tag: new, secret: {SECRET}, degraded_after: 1s, down_after: 2s}}
  - {{tag: resting, secret: {SECRET}, degraded_after: 1s, down_after: 2s, paused: true}}
  - {{tag: flappy, secret: {SECRET}}}
  - {{tag: unimportant, secret: {SECRET}, labels: {{severity: info}}}}
  - {{tag: watchdog, secret: {SECRET}, degraded_after: 12s, down_after: 18s}}
notifiers:
  - {{name: person, type: webhook, url: "{told}", group_wait: 0s}}
  - {{name: broken, type: webhook, url: "{broken}", group_wait: 0s}}
alerts:
  - {{name: nobody-watches, monitors: [watchdog], notify: [person]}}
  - {{name: broken, monitors: [failed], notify: [broken]}}
"""


FIRING = {
    ("on-call", "HeartbeatDown", "missed"),
    ("on-call", "HeartbeatOverrunning", "overrun"),
    ("team-storage-on-call", "HeartbeatFailed", "failed"),
    ("team-storage", "HeartbeatDegraded", "late"),
    ("mail", "HeartbeatNeverReceived", "new"),
    ("mail", "HeartbeatExporterReplicaDown", ""),
    ("on-call", "HeartbeatNotificationsFailing", ""),
}


class Stack:
    """All three, and whoever they tell."""

    def __init__(self, folder: Path, receiver: Receiver, person: Receiver, broken: Receiver) -> None:
        self.receiver, self.person = receiver, person
        self._folder = folder
        self.service = Service(folder, config(person.url, broken.url)).ready()
        self.assets = folder / "assets" / "alertmanager"
        self._export()
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self.alertmanager_port = free_port()
        self._fit()
        self.processes = {"alertmanager": self._start_alertmanager()}
        self.start_prometheus()

    def _export(self) -> None:
        command = [sys.executable, "-m", "exporter", "assets", "export", str(self.assets.parent)]
        command += ["--web.external-url", self.service.url]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def _fit(self) -> None:
        for name, changes in TIMES.items():
            file = self.assets / name
            text = file.read_text()
            for pattern, new in changes:
                text, count = re.subn(pattern, new, text)
                assert count, f"{pattern} in {name}"
            text = text.replace("127.0.0.1:9093", f"127.0.0.1:{self.alertmanager_port}")
            text = text.replace("127.0.0.1:9090", self.prometheus_url.removeprefix("http://"))
            file.write_text(text.replace("127.0.0.1:10105", f"127.0.0.1:{self.service.port}"))
        yaml = YAML(typ="safe")
        prometheus = yaml.load((self.assets / "prometheus.yml").read_text())
        # A replica that does not answer.
        prometheus["scrape_configs"][0]["static_configs"][0]["targets"].append(f"127.0.0.1:{free_port()}")
        (self.assets / "prometheus.yml").write_text(json.dumps(prometheus))
        alertmanager = yaml.load((self.assets / "alertmanager.yml").read_text())
        alertmanager["receivers"] = [
            one
            if one["name"] in ("nobody", "heartbeat-watchdog")
            else {
                "name": one["name"],
                "webhook_configs": [{"url": f"{self.receiver.url}/{one['name']}", "send_resolved": True}],
            }
            for one in alertmanager["receivers"]
        ]
        (self.assets / "alertmanager.yml").write_text(json.dumps(alertmanager))
        (self.assets / "secrets").mkdir()
        (self.assets / "secrets" / "watchdog").write_text(f"{SECRET}\n")

    def _start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _start_alertmanager(self) -> "subprocess.Popen[bytes]":
        return self._start(
            "alertmanager",
            need_tool("prometheus-alertmanager"),
            f"--config.file={self.assets}/alertmanager.yml",
            f"--storage.path={self._folder}/am",
            f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
            "--cluster.listen-address=",
        )

    def start_prometheus(self) -> None:
        self.processes["prometheus"] = self._start(
            "prometheus",
            need_tool("prometheus"),
            f"--config.file={self.assets}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/tsdb",
            f"--web.listen-address={self.prometheus_url.removeprefix('http://')}",
            "--rules.alert.resend-delay=1s",
        )
        eventually(lambda: fetch(f"{self.prometheus_url}/-/ready").status == 200)

    def stop_prometheus(self) -> None:
        process = self.processes.pop("prometheus")
        process.kill()
        process.wait(20)

    def stop(self) -> None:
        self.service.kill()
        for process in self.processes.values():
            process.kill()
            process.wait(20)

    def firing(self) -> set[tuple[str, str]]:
        """Alert and tag, by Prometheus."""
        alerts = json.loads(curl(f"{self.prometheus_url}/api/v1/alerts").body)["data"]["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("tag", "")) for one in alerts if one["state"] == "firing"
        }

    def inhibited(self) -> set[str]:
        """Alerts that Alertmanager has and tells no receiver, because of another one."""
        alerts = json.loads(curl(f"http://127.0.0.1:{self.alertmanager_port}/api/v2/alerts").body)
        return {one["labels"]["alertname"] for one in alerts if one["status"]["inhibitedBy"]}

    def told(self, status: str = "firing", since: int = 0) -> set[tuple[str, str, str]]:
        """Receiver, alert and tag, from the post `since` on."""
        return {
            (request.target.strip("/"), one["labels"]["alertname"], one["labels"].get("tag", ""))
            for request in self.receiver.received[since:]
            for one in request.json["alerts"]
            if one["status"] == status
        }

    def alert(self, name: str) -> dict[str, Any]:
        """As it was told."""
        return next(
            one
            for request in self.receiver.received
            for one in request.json["alerts"]
            if one["labels"]["alertname"] == name
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Receiver() as receiver, Receiver() as person, Receiver(answer(400)) as broken:
        yield from beaten(Stack(tmp_path_factory.mktemp("rules"), receiver, person, broken))


def beaten(stack: Stack) -> Iterator[Stack]:
    """With heartbeats of every kind; stopped in the end."""
    for tag in ("up", "late", "missed", "overrun", "flappy", "resting", "watchdog"):
        stack.service.ping(tag)
    stack.service.ping("overrun", "/start")
    stack.service.ping("failed", "/7")
    stack.service.ping("unimportant", "/1")
    try:
        yield stack
    finally:
        stack.stop()


def test_what_fires_arrives_and_nothing_else(stack: Stack) -> None:
    eventually(lambda: stack.told() >= FIRING, PATIENT)
    assert stack.told() == FIRING
    assert ("HeartbeatFailed", "unimportant") in stack.firing(), "and is told nobody, by its severity"
    missed = stack.alert("HeartbeatDown")
    assert missed["labels"]["name"] == "Missed one"
    assert "instance" not in missed["labels"]
    assert missed["annotations"]["summary"] == "Missed one is DOWN: its heartbeat is missing"
    assert re.match(
        r"missed has not reported success although it was due \S+ ago", missed["annotations"]["description"]
    )
    runbook = missed["annotations"]["runbook_url"]
    assert runbook == f"{stack.service.url}/docs/runbooks/HeartbeatDown"
    page = curl(runbook)
    assert (page.status, ">HeartbeatDown</h1>" in page.body) == (200, True)
    assert "exit code 7" in stack.alert("HeartbeatFailed")["annotations"]["description"]


def test_a_success_ends_the_alert(stack: Stack) -> None:
    eventually(lambda: ("on-call", "HeartbeatOverrunning", "overrun") in stack.told(), PATIENT)
    stack.service.ping("overrun")
    eventually(lambda: ("on-call", "HeartbeatOverrunning", "overrun") in stack.told("resolved"), PATIENT)


def test_flapping_arrives(stack: Stack) -> None:
    for _ in range(3):
        stack.service.ping("flappy", "/1")
        eventually(lambda: ("HeartbeatFailed", "flappy") in stack.firing())
        stack.service.ping("flappy")
        eventually(lambda: ("HeartbeatFailed", "flappy") not in stack.firing())
    eventually(lambda: ("mail", "HeartbeatFlapping", "flappy") in stack.told(), PATIENT)


def test_a_configuration_that_was_not_taken_arrives(stack: Stack) -> None:
    good = stack.service.config.read_text()
    stack.service.config.write_text("monitors: {")
    stack.service.send(signal.SIGHUP)
    eventually(lambda: ("mail", "HeartbeatConfigReloadFailed", "") in stack.told(), PATIENT)
    stack.service.config.write_text(good)
    stack.service.send(signal.SIGHUP)
    eventually(lambda: ("mail", "HeartbeatConfigReloadFailed", "") in stack.told("resolved"), PATIENT)


def test_a_locked_database_arrives_as_one_cause(stack: Stack) -> None:
    path = stack.service.storage.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as database:
        database.execute("BEGIN EXCLUSIVE")
        eventually(lambda: ("on-call", "HeartbeatStorageErrors", "") in stack.told(), PATIENT)
        eventually(lambda: "HeartbeatEvaluationStalled" in stack.inhibited(), PATIENT)
        assert ("on-call", "HeartbeatEvaluationStalled", "") not in stack.told()
        database.execute("ROLLBACK")
    eventually(lambda: ("on-call", "HeartbeatStorageErrors", "") in stack.told("resolved"), PATIENT)


def test_the_watchdog_keeps_its_monitor_up_and_its_silence_tells_a_person(stack: Stack) -> None:
    eventually(lambda: stack.service.status("watchdog") == "UP", PATIENT)
    before = stack.service.received("watchdog")
    eventually(lambda: stack.service.received("watchdog") > before + 2, PATIENT)
    seen = len(stack.person.received)
    stack.stop_prometheus()
    eventually(lambda: stack.service.status("watchdog") == "DOWN", PATIENT)
    eventually(lambda: events(stack.person, seen) == ["TRIGGERED"], PATIENT)
    stack.start_prometheus()
    eventually(lambda: stack.service.status("watchdog") == "UP", PATIENT)
    eventually(lambda: events(stack.person, seen) == ["TRIGGERED", "RESOLVED"], PATIENT)
    assert SECRET not in (stack.assets.parent.parent / "alertmanager.log").read_text()


def events(person: Receiver, since: int) -> list[str]:
    return [request.json["event"] for request in person.received[since:]]


def test_an_exporter_that_dies_is_one_alert_and_ends_no_other(stack: Stack) -> None:
    eventually(lambda: ("HeartbeatDown", "missed") in stack.firing(), PATIENT)
    since = len(stack.receiver.received)
    stack.service.kill()
    eventually(lambda: ("on-call", "HeartbeatExporterDown", "") in stack.told(since=since), PATIENT)
    assert {("HeartbeatDown", "missed"), ("HeartbeatFailed", "failed")} <= stack.firing()
    stack.service.start_again()
    eventually(lambda: ("on-call", "HeartbeatExporterDown", "") in stack.told("resolved", since), PATIENT)
    over = {(name, tag) for _, name, tag in stack.told("resolved", since)}
    assert not over & {("HeartbeatDown", "missed"), ("HeartbeatFailed", "failed"), ("HeartbeatDegraded", "late")}


def test_a_scrape_job_without_targets_arrives(stack: Stack) -> None:
    file = stack.assets / "prometheus.yml"
    good = file.read_text()
    changed = json.loads(good)
    # A job that is removed is remembered for five minutes; targets that are removed are gone at once.
    changed["scrape_configs"][0]["static_configs"] = []
    since = len(stack.receiver.received)
    try:
        file.write_text(json.dumps(changed))
        stack.processes["prometheus"].send_signal(signal.SIGHUP)
        eventually(lambda: ("on-call", "HeartbeatExporterAbsent", "") in stack.told(since=since), PATIENT)
    finally:
        with suppress(OSError):
            file.write_text(good)
            stack.processes["prometheus"].send_signal(signal.SIGHUP)
    eventually(lambda: ("on-call", "HeartbeatExporterAbsent", "") in stack.told("resolved", since), PATIENT)
