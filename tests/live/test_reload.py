"""Reload: all or nothing, in the running worker; and the tokens that guard it, the page and the metrics."""

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Starter, curl, eventually, monitors

pytestmark = pytest.mark.live


def test_reload_by_post_and_by_signal(start: Starter) -> None:
    service = start(monitors("old", "stays"))
    worker = service.worker()
    service.config.write_text(monitors("new", "stays"))
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    assert service.ping("new").status == 200
    assert service.ping("old").status == 404
    assert service.ping("stays").status == 200
    service.config.write_text("monitors: [{tag: nameless}]\nnonsense: 1\n")
    answer = curl("-X", "POST", f"{service.url}/-/reload")
    assert answer.status == 500
    assert str(service.config) not in answer.body, "nobody has shown a token"
    assert "log" in answer.body
    assert "nonsense" in service.output()
    assert curl("-X", "POST", "-H", "Host: evil.example", f"{service.url}/-/reload").status == 421
    service.send(signal.SIGHUP)
    eventually(lambda: service.output().count("configuration not reloaded") == 2)
    metrics = service.metrics()
    assert metrics["heartbeat_exporter_config_last_reload_successful",] == 0
    assert service.ping("new").status == 200
    service.config.write_text(monitors("old") + "web: {telemetry_path: /elsewhere, keepalive: 75s}\n")
    service.send(signal.SIGHUP)
    eventually(lambda: service.ping("old").status == 200)
    eventually(lambda: service.metrics()["heartbeat_exporter_config_last_reload_successful",] == 1)
    assert "web.telemetry_path has changed: restart" in service.output()
    assert "web.keepalive has changed: restart" in service.output()
    assert service.worker() == worker
    assert curl(f"{service.url}/-/reload").status == 405


def test_tokens(start: Starter) -> None:
    tokens = "web: {auth: {token: page-token, metrics_token: metrics-token}}\n"
    service = start(tokens + monitors("job"))
    bearer, metrics = ("-H", "Authorization: Bearer page-token"), ("-H", "Authorization: Bearer metrics-token")
    for path in ("/", "/monitors/job", "/api/v1/monitors"):
        assert curl(service.url + path).status == 401
        assert curl(*metrics, service.url + path).status == 401
        assert curl(*bearer, service.url + path).status == 200
        assert curl("-u", "anybody:page-token", service.url + path).status == 200
    assert (
        "Basic" in (curl(service.url + "/").header("www-authenticate") or "") or "Bearer" in curl(service.url).headers
    )
    assert curl(f"{service.url}/metrics").status == 401
    assert curl(*bearer, f"{service.url}/metrics").status == 401
    assert curl(*metrics, f"{service.url}/metrics").status == 200
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 401
    assert curl("-X", "POST", *bearer, f"{service.url}/-/reload").status == 200
    assert service.ping("job").status == 200
    assert curl(f"{service.url}/-/ready").status == 200
    service.config.write_text(tokens.replace("page-token", "other-token") + monitors("job"))
    assert curl("-X", "POST", *bearer, f"{service.url}/-/reload").status == 200
    assert curl(*bearer, service.url + "/").status == 401


def test_monitors_by_the_api(start: Starter) -> None:
    service = start("web: {auth: {token: t}}\n" + monitors("job"))
    api, json_ = f"{service.url}/api/v1/monitors", ("-u", ":t", "-H", "Content-Type: application/json")
    made = curl("-X", "POST", *json_, "-d", '{"tag": "made", "schedule": "0 3 * * *"}', api)
    assert made.status == 201, made.body
    found = json.loads(made.body)
    url = next(value for value in found.values() if isinstance(value, str) and "/ext/heartbeat/" in value)
    assert curl(url).status == 200
    eventually(lambda: json.loads(curl(*json_, f"{api}/made").body)["status"] == "UP", 2)
    assert curl("-X", "DELETE", *json_, f"{api}/job").status == 409
    assert curl("-X", "DELETE", *json_, f"{api}/made").status == 204
    assert curl(url).status == 404
    assert SECRET not in curl(*json_, api).body


def test_a_reload_that_is_asked_for_during_the_start_is_done(start: Starter, tmp_path: Path) -> None:
    """It neither ends the process, which SIGHUP does by default, nor is it lost after the file was read."""
    blocked = re.compile(r"^SigBlk:\s+[0-9a-f]*[13579bdf]$", re.MULTILINE)
    with closing(sqlite3.connect(tmp_path / "live.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")  # the start waits for it
        service = start(monitors("old"), ready=False)
        eventually(lambda: blocked.search(Path(f"/proc/{service.process.pid}/status").read_text()))
        service.send(signal.SIGHUP)
        service.config.write_text(monitors("new"))
    service.ready()
    eventually(lambda: service.ping("new").status == 200)
    assert service.ping("old").status == 404
    assert service.process.poll() is None
