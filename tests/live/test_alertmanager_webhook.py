"""Alertmanager's webhook over HTTP: which status each post is answered with: Alertmanager acts on that alone."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.live.conftest import SECRET, Answer, Service, Starter, curl, eventually, monitors

pytestmark = pytest.mark.live


def post(service: Service, body: str, path: str = f"job/{SECRET}", *arguments: str) -> Answer:
    url = f"{service.url}/api/v1/alertmanager/{path}"
    header = ("-H", "Content-Type: application/json")
    return curl(*header, *arguments, "--data-binary", "@-", url, input=body.encode())


def webhook(*statuses: str, **labels: str) -> str:
    alerts = [{"status": status, "labels": {"alertname": "Watchdog", **labels}} for status in statuses]
    return json.dumps({"receiver": "watchdog", "status": "firing", "alerts": alerts, "version": "4"})


def test_every_answer(start: Starter) -> None:
    service = start(monitors("job", "eu"))
    assert json.loads(post(service, webhook("firing")).body) == {"status": "OK", "monitors": ["job"]}
    bearer = ("-H", f"Authorization: Bearer {SECRET}")
    assert post(service, webhook("firing"), "job/", *bearer).status == 200
    assert json.loads(post(service, webhook("firing", heartbeat_tag="eu")).body)["monitors"] == ["eu"]
    assert json.loads(post(service, webhook("firing", cluster="eu"), f"job/{SECRET}?tag_label=cluster").body) == {
        "status": "OK",
        "monitors": ["eu"],
    }
    assert (service.received("job"), service.received("eu")) == (2, 2)
    assert "not a heartbeat" in post(service, webhook("resolved")).body
    assert "not a heartbeat" in post(service, webhook()).body
    large = webhook(*["firing"] * 3, filler="x" * 200_000)
    assert post(service, large).status == 200
    assert post(service, webhook(*["resolved"] * 12, filler="x" * 100_000)).status == 413
    for body, path, status in (
        ("nonsense", f"job/{SECRET}", 400),
        (webhook("firing"), "job/wrong", 404),
        (webhook("firing"), f"nobody/{SECRET}", 404),
        (webhook("firing", heartbeat_tag="nobody"), f"job/{SECRET}", 404),
    ):
        answer = post(service, body, path)
        assert answer.status == status
        assert json.loads(answer.body)["error"]
    url = f"{service.url}/api/v1/alertmanager/job/{SECRET}"
    for method in ("GET", "PUT", "DELETE"):
        assert curl("-X", method, url).status == 405
    assert curl("-I", url).header("allow") == "POST"
    metrics = service.metrics()
    assert (service.received("job"), service.received("eu")) == (3, 2)
    rejected = {
        key[2]: value
        for key, value in metrics.items()
        if key[:2] == ("heartbeat_exporter_heartbeats_rejected_total", "alertmanager")
    }
    assert (rejected["unreadable_body"], rejected["wrong_secret"], rejected["unknown_tag"]) == (2, 1, 2)


def test_own_trouble_is_never_a_4xx(start: Starter) -> None:
    service = start(monitors("job"))
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"), isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        answer = post(service, webhook("firing"))
        assert (answer.status, answer.header("retry-after")) == (503, "5")
        database.execute("ROLLBACK")
    eventually(lambda: post(service, webhook("firing")).status == 200)


def test_a_post_that_stalls_is_asked_for_again(start: Starter) -> None:
    service = start(monitors("job"))
    answer = post(service, "{", f"job/{SECRET}", "-H", "Content-Length: 500")
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert service.received("job") == 0
