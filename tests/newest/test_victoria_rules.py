"""vmalert evaluates the rules as they are exported, and tells Alertmanager what fires and what has ended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import test_rules as same
from tests.live.conftest import curl, eventually, fetch
from tests.live.test_rules import PATIENT, Stack, beaten
from tests.newest.victoria import AGENT, DATABASE
from tests.support.ports import free_port
from tests.support.receivers import Receiver, answer
from tests.support.tools import need_tool, run_tool

pytestmark = pytest.mark.live


class VictoriaStack(Stack):
    """With victoria-metrics, vmagent and vmalert where Prometheus was."""

    def start_prometheus(self) -> None:
        database, self.alerts_port = f"127.0.0.1:{free_port()}", free_port()
        given = json.loads((self.assets / "prometheus.yml").read_text())
        scrapes = self.assets / "scrapes.yml"
        scrapes.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": given["scrape_configs"]}))
        self.processes["victoria-metrics"] = self._start(
            "victoria-metrics",
            need_tool("victoria-metrics"),
            f"-storageDataPath={self._folder}/victoria",
            f"-httpListenAddr={database}",
            *DATABASE,
        )
        eventually(lambda: fetch(f"http://{database}/health").status == 200)
        self.processes["vmagent"] = self._start(
            "vmagent",
            need_tool("vmagent"),
            f"-promscrape.config={scrapes}",
            f"-remoteWrite.url=http://{database}/api/v1/write",
            f"-remoteWrite.tmpDataPath={self._folder}/agent",
            f"-httpListenAddr=127.0.0.1:{free_port()}",
            *AGENT,
        )
        # Prometheus evaluates nothing before it has scraped; vmalert does not know what vmagent did.
        scraped = f"http://{database}/api/v1/query?query=up%7Bjob%3D%22heartbeat%22%7D%3D%3D1"
        eventually(lambda: json.loads(curl(scraped).body)["data"]["result"])
        self.processes["vmalert"] = self._start(
            "vmalert",
            need_tool("vmalert"),
            f"-rule={self.assets}/heartbeat-rules.yml",
            f"-datasource.url=http://{database}",
            f"-remoteWrite.url=http://{database}",
            f"-remoteRead.url=http://{database}",
            f"-notifier.url=http://127.0.0.1:{self.alertmanager_port}",
            f"-httpListenAddr=127.0.0.1:{self.alerts_port}",
            "-evaluationInterval=1s",
            "-rule.evalDelay=0s",
            "-remoteWrite.flushInterval=200ms",
        )
        self.prometheus_url = f"http://127.0.0.1:{self.alerts_port}"
        eventually(lambda: fetch(f"{self.prometheus_url}/health").status == 200)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Receiver() as receiver, Receiver() as person, Receiver(answer(400)) as broken:
        yield from beaten(VictoriaStack(tmp_path_factory.mktemp("rules"), receiver, person, broken))


def test_vmalert_loads_the_rules(stack: Stack) -> None:
    """With its strictest checks: templates and expressions."""
    run_tool("vmalert", "-dryRun", "-rule.validateTemplates", "-rule.validateExpressions", _rules(stack.assets))


def _rules(folder: Path) -> str:
    return f"-rule={folder}/heartbeat-rules.yml"


def test_what_fires_arrives_and_nothing_else(stack: Stack) -> None:
    same.test_what_fires_arrives_and_nothing_else(stack)


def test_a_success_ends_the_alert(stack: Stack) -> None:
    same.test_a_success_ends_the_alert(stack)


def test_flapping_arrives(stack: Stack) -> None:
    """vmalert reads what it recorded back from the database, so each rule that builds on another takes a while."""
    for _ in range(3):
        stack.service.ping("flappy", "/1")
        eventually(lambda: ("HeartbeatFailed", "flappy") in stack.firing(), PATIENT)
        stack.service.ping("flappy")
        eventually(lambda: ("HeartbeatFailed", "flappy") not in stack.firing(), PATIENT)
    eventually(lambda: ("mail", "HeartbeatFlapping", "flappy") in stack.told(), PATIENT)


def test_a_configuration_that_was_not_taken_arrives(stack: Stack) -> None:
    same.test_a_configuration_that_was_not_taken_arrives(stack)


def test_a_locked_database_arrives_as_one_cause(stack: Stack) -> None:
    same.test_a_locked_database_arrives_as_one_cause(stack)


def test_an_exporter_that_dies_is_told(stack: Stack) -> None:
    since = len(stack.receiver.received)
    stack.service.kill()
    eventually(lambda: ("on-call", "HeartbeatExporterDown", "") in stack.told(since=since), PATIENT)
    stack.service.start_again()
    eventually(lambda: ("on-call", "HeartbeatExporterDown", "") in stack.told("resolved", since), PATIENT)
