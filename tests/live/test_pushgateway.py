"""Pushed metrics on the real program: real clients, a real Prometheus, `kill -9`, and what hostile senders try."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import (
    basic_auth_handler,
    delete_from_gateway,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.live.conftest import SECRET, Answer, Service, Starter, curl, eventually, free_port
from tests.support.documents import ROOT, blocks
from tests.support.postgres import running
from tests.support.tools import need_tool

pytestmark = pytest.mark.live

KEY = "SESAME-key-of-pushes"
CONFIG = f"""
ping_keys:
  - {{name: pushers, key: {KEY}, monitors: ["*"], create: {{}}, max_monitors: 50}}
monitors:
  - {{tag: job, secret: {SECRET}}}
  - {{tag: other, secret: {SECRET}}}
  - {{tag: dying, secret: {SECRET}, degraded_after: 500ms, down_after: 1s}}
  - {{tag: immortal, secret: {SECRET}, degraded_after: 500ms, down_after: 1s, job_metrics: {{keep_when_down: true}}}}
"""
TEXT = "Content-Type: text/plain; version=0.0.4"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("pushgateway"), CONFIG).ready()
    yield service
    service.kill()


def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Any:
    """As the documents of prometheus_client show it."""
    return basic_auth_handler(url, method, timeout, headers, data, "pushers", KEY)  # type: ignore[no-untyped-call]


def series(service: Service, tag: str) -> dict[str, float]:
    """The values that are exposed for a monitor: `name{label=value,…}` without the tag."""
    body = curl(f"{service.url}/metrics/jobs").body
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if sample.labels.get("tag") == tag:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()) if key != "tag")
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def of_job(service: Service, tag: str) -> dict[str, float]:
    return {name: value for name, value in series(service, tag).items() if not name.startswith("push_")}


def push(service: Service, body: bytes, path: str = "job", method: str = "PUT", *options: str) -> Answer:
    url = f"{service.url}/metrics/job/{path}"
    return curl("-X", method, "-u", f":{KEY}", *options, "--data-binary", "@-", url, input=body)


def test_prometheus_client_pushes_adds_and_deletes(service: Service) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("copied_bytes", "Bytes that were copied.", ["disk"], registry=registry)
    gauge.labels("sda").set(12.5)
    Counter("files", "Files.", registry=registry).inc(3)
    for key, compression in (({"instance": "a/b c"}, None), ({"instance": ""}, "gzip")):
        push_to_gateway(service.url, "batch", registry, grouping_key=key, handler=handler, compression=compression)
    assert service.received("batch") == 2
    first = "instance=a/b c,job=batch"
    values = of_job(service, "batch")
    assert values[f"copied_bytes{{disk=sda,{first}}}"] == 12.5
    assert values[f"files_total{{{first}}}"] == 3
    assert values["files_total{instance=,job=batch}"] == 3

    more = CollectorRegistry()
    Gauge("files_skipped", "Skipped.", registry=more).set(1)
    pushadd_to_gateway(service.url, "batch", more, grouping_key={"instance": "a/b c"}, handler=handler)
    assert f"files_total{{{first}}}" in of_job(service, "batch")
    push_to_gateway(service.url, "batch", more, grouping_key={"instance": "a/b c"}, handler=handler)
    assert [name for name in of_job(service, "batch") if "a/b c" in name] == [f"files_skipped{{{first}}}"]

    delete_from_gateway(service.url, "batch", grouping_key={"instance": "a/b c"}, handler=handler)
    assert not [name for name in series(service, "batch") if "a/b c" in name]
    assert "files_total{instance=,job=batch}" in of_job(service, "batch")
    assert service.received("batch") == 4
    settings = json.loads(curl(f"{service.url}/api/v1/monitors/batch").body)
    assert (settings["every_seconds"], settings["degraded_after_seconds"]) == (86400, 3600)
    assert (settings["down_after_seconds"], settings["group"]) == (7200, "pushers")


def test_curl_pushes_as_the_readme_of_pushgateway_has_it(service: Service) -> None:
    url = f"{service.url}/metrics/job/some_job/instance/some_instance"
    body = (
        b'# TYPE some_metric counter\nsome_metric{label="val1"} 42\n# HELP another Just an example.\nanother 2398.283\n'
    )
    for _ in range(2):
        assert curl("-u", f":{KEY}", "--data-binary", "@-", url, input=body).status == 200
    assert of_job(service, "some_job")["another{instance=some_instance,job=some_job}"] == 2398.283
    line = 'some_metric{instance="some_instance",job="some_job",label="val1",tag="some_job"} 42\n'
    assert f"# TYPE some_metric counter\n{line}" in curl(f"{service.url}/metrics/jobs").body
    assert service.received("some_job") == 2
    assert curl("-u", f":{KEY}", "-X", "DELETE", url).status == 202
    assert series(service, "some_job") == {}
    assert service.received("some_job") == 2
    assert curl("--data-binary", "@-", url, input=body).status == 401
    assert push(service, body, "some_job", "PATCH").header("Allow") == "PUT, POST, DELETE"


def test_a_heartbeat_brings_metrics(service: Service) -> None:
    done = service.ping("job", "", "-H", TEXT, "--data-binary", "rows_written 3\n")
    assert (done.status, json.loads(done.body)) == (200, {"status": "OK"})
    assert of_job(service, "job") == {"rows_written{}": 3}
    bad = service.ping("job", "", "-H", TEXT, "--data-binary", "up 0\n")
    assert bad.status == 200
    assert "the metric name up is reserved" in json.loads(bad.body)["warning"]
    shown = series(service, "job")
    assert shown["rows_written{}"] == 3
    assert shown["push_failure_time_seconds{}"] >= shown["push_time_seconds{}"] > 0
    assert service.received("job") == 2
    assert service.ping("job", "/fail", "-H", TEXT, "--data-binary", "rows_written 0\n").status == 200
    assert of_job(service, "job") == {"rows_written{}": 0}


def test_a_dead_jobs_values_vanish(service: Service) -> None:
    for tag in ("dying", "immortal"):
        assert service.ping(tag, "", "-H", TEXT, "--data-binary", "last_size 5\n").status == 200
    eventually(lambda: service.status("dying") == "DOWN" and service.status("immortal") == "DOWN")
    assert series(service, "dying") == {}
    assert of_job(service, "immortal") == {"last_size{}": 5}
    service.ping("dying")
    assert of_job(service, "dying") == {"last_size{}": 5}


def test_hostile_bodies_hurt_only_their_sender(service: Service) -> None:
    assert push(service, b"# TYPE size gauge\nsize 1\n", "victim").status == 200
    before = of_job(service, "victim")
    hostile = [
        b"heartbeat_status 1\n",
        b"up 1\n",
        b"ALERTS 1\n",
        b"size 1 123456\n",
        b"size 1\nsize 2\n",
        b"size 1",
        b'size{a="\xff"} 1\n',
        b"size{" + b",".join(b'l%d="1"' % number for number in range(1_000_000)) + b"} 1\n",
        b"\n" * 2_000_000,
        b"".join(b"m%d 1\n" % number for number in range(20_000)),
        b'size{a="' + b"x" * 200_000 + b'"} 1\n',
    ]
    statuses = [push(service, body, "hostile").status for body in hostile]
    assert statuses == [400, 400, 400, 400, 400, 200, 400, 400, 400, 400, 400]
    bomb = gzip.compress(b"size 1\n" * 10_000_000)
    assert push(service, bomb, "hostile", "PUT", "-H", "Content-Encoding: gzip").status == 400
    assert push(service, b"x", "hostile", "PUT", "-H", "Content-Encoding: snappy").status == 415
    assert push(service, b"# TYPE size counter\nsize 7\n", "hostile").status == 200  # another type than the victim's
    assert of_job(service, "victim") == before
    assert service.received("hostile") == 2
    text = curl(f"{service.url}/metrics/jobs").body
    assert text.count("# TYPE size ") == 1
    assert "# TYPE size untyped\n" in text
    promtool = need_tool("promtool")
    checked = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert checked.returncode in (0, 3), checked.stderr
    assert b"parsing" not in checked.stderr
    # A path that names what cannot be a tag makes nothing.
    for path in ("a%20b", "x/instance", "x/__y/z", "..%2Fx"):
        assert push(service, b"size 1", path).status == 400
    assert KEY not in service.output()


def test_what_was_acknowledged_survives_kill_9(start: Starter) -> None:
    service = start(CONFIG, name="killed")
    acknowledged: dict[int, int] = {}
    stopping = threading.Event()

    def send(number: int) -> None:
        value = 0
        while not stopping.is_set():
            value += 1
            body = f"written {value}\n".encode()
            if push(service, body, f"worker-{number}/instance/1").status == 200:
                acknowledged[number] = value

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(acknowledged) == 3 and min(acknowledged.values()) >= 3)
    service.kill()
    stopping.set()
    for thread in threads:
        thread.join(30)
    service.start_again()
    for number, value in acknowledged.items():
        shown = of_job(service, f"worker-{number}")[f"written{{instance=1,job=worker-{number}}}"]
        assert shown >= value


def test_several_workers_show_the_same(start: Starter) -> None:
    with running() as postgres:
        service = start(CONFIG, name="workers", options=("--workers", "2"), storage=postgres.create())
        for value in (1, 2, 3):
            assert push(service, f"size {value}\n".encode(), "job").status == 200
            for _ in range(6):
                assert of_job(service, "job") == {"size{job=job}": value}
        service.kill()


def test_the_python_of_the_document_pushes(service: Service, tmp_path: Path) -> None:
    (block,) = [block for block in blocks(ROOT / "docs" / "pushgateway.md") if block.language == "python"]
    code = block.text.replace("https://heartbeats.example.org", service.url).replace("PING_KEY", KEY)
    file = tmp_path / "job.py"
    file.write_text(code)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert of_job(service, "nightly-backup") == {"backup_bytes{job=nightly-backup}": 1234567}


def test_the_scrape_is_as_guarded_as_the_metrics_are(start: Starter) -> None:
    service = start("web: {auth: {metrics_token: SESAME-metrics-token}}\n" + CONFIG, name="guarded")
    assert curl(f"{service.url}/metrics/jobs").status == 401
    answer = curl("-H", "Authorization: Bearer SESAME-metrics-token", f"{service.url}/metrics/jobs")
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"


def test_prometheus_scrapes_it_with_honor_labels(service: Service, tmp_path: Path) -> None:
    push(service, b'# TYPE backup_bytes gauge\nbackup_bytes{tag="mine"} 7\n', "backup/instance/db-1")
    service.ping("job", "", "-H", TEXT, "--data-binary", "rows_written 3\n")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n  - job_name: jobs\n    honor_labels: true\n    scrape_interval: 1s\n"
        "    metrics_path: /metrics/jobs\n    static_configs: [{targets: ['"
        + service.url.removeprefix("http://")
        + "']}]\n"
    )
    process = subprocess.Popen(
        [
            need_tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def query(expression: str) -> list[dict[str, str]]:
            answer = curl(f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}")
            return [one["metric"] for one in json.loads(answer.body)["data"]["result"]]

        eventually(lambda: query("up{job='jobs'} == 1"), 60)
        assert query("backup_bytes{tag='backup'}") == [
            {"__name__": "backup_bytes", "job": "backup", "instance": "db-1", "tag": "backup", "exported_tag": "mine"}
        ]
        (rows,) = query("rows_written")
        assert (rows["tag"], rows["job"]) == ("job", "jobs")
        assert len(query("push_time_seconds{tag='backup'} > 0")) == 1
    finally:
        process.terminate()
        process.wait(20)
