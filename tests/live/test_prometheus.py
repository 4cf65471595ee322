"""A real Prometheus scrapes the real program and answers for every family; statuses change in time."""

import json
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.core.runtimes import MIN_RUNS
from exporter.metrics.exposition.families import FAMILIES
from tests.live.conftest import FAR_HOUR, SECRET, Service, curl, eventually
from tests.support.ports import free_port
from tests.support.tools import need_tool, run_tool

pytestmark = pytest.mark.live
CONFIG = f"""
monitors:
  - {{tag: up, name: 'Up "and" running', secret: {SECRET}, labels: {{team: a}}, group: g}}
  - {{tag: nightly, secret: {SECRET}, schedule: "0 {FAR_HOUR} * * *", timezone: Europe/Rome}}
  - {{tag: failed, secret: {SECRET}}}
  - {{tag: late, secret: {SECRET}, degraded_after: 1s, down_after: 1h, depends_on: [missed]}}
  - {{tag: missed, secret: {SECRET}, degraded_after: 500ms, down_after: 1500ms}}
  - {{tag: overrun, secret: {SECRET}, max_runtime: 1s}}
  - {{tag: new, secret: {SECRET}}}
  - {{tag: resting, secret: {SECRET}, paused: true}}
  - {{tag: steady, secret: {SECRET}, every: 1h}}
"""
WANTED = {
    "up": "UP",
    "nightly": "UP",
    "failed": "DOWN",
    "late": "DEGRADED",
    "missed": "DOWN",
    "overrun": "DOWN",
    "new": "NO_DATA",
    "resting": "PAUSED",
    "steady": "UP",
}


class Prometheus:
    def __init__(self, folder: Path, *targets: str, **others: str) -> None:
        """Scrapes `targets` as the job `heartbeat`, and one target for each other job."""
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        jobs = {"heartbeat": targets, **{job: (target,) for job, target in others.items()}}
        scrapes = [{"job_name": job, "static_configs": [{"targets": found}]} for job, found in jobs.items()]
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}))
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(config)

    def _start(self, config: Path) -> None:
        self._run(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder}/tsdb",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        )

    def _run(self, program: str, *arguments: str) -> None:
        with (self._folder / f"{program}.log").open("wb") as log:
            self._processes.append(subprocess.Popen([need_tool(program), *arguments], stdout=log, stderr=log))

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(20)

    def ask(self, path: str, **parameters: object) -> Any:
        answer = json.loads(curl(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}").body)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self.ask("query", query=expression)["result"]
        return found

    def values(self, expression: str, label: str = "tag") -> dict[str, float]:
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in self.query(expression)}  # type: ignore[attr-defined, index]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("prometheus"), CONFIG).ready()
    for tag in ("up", "nightly", "late", "missed", "overrun", "resting"):
        service.ping(tag, "/start")
        service.ping(tag)
    service.ping("failed", "/7")
    service.ping("overrun", "/start")
    for _ in range(MIN_RUNS):
        service.ping("steady", "/start")
        service.ping("steady")
    yield service
    service.kill()


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    prometheus = Prometheus(tmp_path_factory.mktemp("tsdb"), service.url.removeprefix("http://"))
    eventually(lambda: prometheus.values("up{job='heartbeat'}", "job") == {"heartbeat": 1.0}, 30)
    eventually(
        lambda: prometheus.values("heartbeat_status{status='DOWN'} == 1").keys() == {"failed", "missed", "overrun"}
    )
    yield prometheus
    prometheus.stop()


def test_every_family_has_an_answer(prometheus: Prometheus) -> None:
    for family in FAMILIES:
        # Quantiles of runs are computed some seconds later.
        eventually(lambda family=family: prometheus.query(family.sample_name), 40)


def test_every_status_is_told(prometheus: Prometheus) -> None:
    eventually(
        lambda: (
            {
                tag: status
                for status in set(WANTED.values())
                for tag in prometheus.values(f"heartbeat_status{{status='{status}'}} == 1")
            }
            == WANTED
        )
    )
    assert set(prometheus.values("sum by (tag) (heartbeat_status)").values()) == {1.0}
    assert prometheus.values("count by (tag) (heartbeat_status)")["up"] == 6


def test_values_are_right(prometheus: Prometheus) -> None:
    assert prometheus.values("heartbeat_received_total")["up"] == 2
    assert prometheus.values("heartbeat_failures_total")["failed"] == 1
    assert prometheus.values("heartbeat_starts_total")["overrun"] == 2
    assert prometheus.values("heartbeat_last_exit_code")["failed"] == 7
    assert prometheus.values("heartbeat_degraded_after_seconds")["missed"] == 0.5
    assert prometheus.values("heartbeat_down_after_seconds")["late"] == 3600
    assert "new" not in prometheus.values("heartbeat_age_seconds")
    age = prometheus.values("time() - heartbeat_last_success_timestamp_seconds")["up"]
    assert abs(age - prometheus.values("heartbeat_age_seconds")["up"]) < 5
    assert prometheus.values("heartbeat_due_timestamp_seconds - time()")["nightly"] > 0
    info = prometheus.query("heartbeat_info{tag='up'}")[0]["metric"]
    assert info["name"] == 'Up "and" running'  # type: ignore[index]
    assert info["label_team"] == "a"  # type: ignore[index]
    assert not prometheus.query("{__name__=~'heartbeat_.+', exported_job!=''}")
    eventually(lambda: prometheus.query("rate(heartbeat_exporter_http_requests_total{handler='heartbeat'}[1m])"))


def test_the_queries_of_the_documents_are_understood(prometheus: Prometheus) -> None:
    root = Path(__file__).parent.parent.parent
    found = 0
    for file in (root / "docs" / "metrics.md", root / "README.md"):
        for block in file.read_text().split("```promql\n")[1:]:
            for query in block.split("```")[0].strip().split("\n\n" if "metrics" in file.name else "\n"):
                lines = [line.split("  #")[0] for line in query.splitlines() if not line.startswith("#")]
                prometheus.query("\n".join(lines))
                found += 1
    assert found >= 9


def test_a_status_began_at_the_moment_of_its_deadline(service: Service) -> None:
    eventually(lambda: service.status("missed") == "DOWN")
    metrics = service.metrics()
    success = metrics["heartbeat_last_success_timestamp_seconds", "missed"]
    since = metrics["heartbeat_status_since_timestamp_seconds", "missed"]
    assert since == pytest.approx(success + 1.501, abs=0.0005)


def test_a_deadline_is_noticed_within_two_seconds(service: Service) -> None:
    service.ping("missed")
    eventually(lambda: service.status("missed") == "UP", 2)
    success = service.metrics()["heartbeat_last_success_timestamp_seconds", "missed"]
    eventually(lambda: service.status("missed") == "DOWN", 6)
    assert time.time() <= success + 1.5 + 2


def test_promtool_and_formats(service: Service) -> None:
    run_tool("promtool", "check", "metrics", input=curl(f"{service.url}/metrics").body)
    openmetrics = curl("-H", "Accept: application/openmetrics-text;version=1.0.0", f"{service.url}/metrics")
    assert openmetrics.header("content-type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.body.endswith("# EOF\n")
    packed = curl("--compressed", f"{service.url}/metrics")
    assert packed.header("content-encoding") == "gzip"
    assert "heartbeat_status" in packed.body
    named = curl("-g", f"{service.url}/metrics?name[]=heartbeat_age_seconds&name[]=nonsense").body
    assert {line.split("{")[0] for line in named.splitlines() if not line.startswith("#")} == {"heartbeat_age_seconds"}
    assert curl("-I", f"{service.url}/metrics").status == 200
