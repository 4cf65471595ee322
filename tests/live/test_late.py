"""Late heartbeats by real curl: counted once, listed at their moments, over a restart, on one or two processes."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, monitors
from tests.support.postgres import Postgres, running

pytestmark = pytest.mark.live
CONFIG = monitors("job", "other", down_after="2h", degraded_after="1h")


def send(service: Service, suffix: str = "", **parameters: object) -> dict[str, str]:
    query = [part for name, value in parameters.items() for part in ("--data-urlencode", f"{name}={value}")]
    answer = curl("-G", *query, f"{service.url}/ext/heartbeat/job/{SECRET}{suffix}")
    assert answer.status == 200
    content: dict[str, str] = json.loads(answer.body)
    assert content.pop("status") == "OK"
    return content


def listed(service: Service) -> list[tuple[str, str, str]]:
    """(kind, rid, moment), the newest first, as the API has it."""
    answer = curl(f"{service.url}/api/v1/monitors/job/heartbeats")
    return [(beat["kind"], beat["rid"], beat["received_at"]) for beat in json.loads(answer.body)["heartbeats"]]


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_run_that_is_reported_afterwards(start: Starter) -> None:
    service = start(CONFIG).ready()
    now = float(int(time.time()))
    assert send(service) == {}
    assert send(service, at=rfc3339(now - 600), rid="a") == {}
    assert send(service, "/start", at=now - 690.5, rid="a") == {}
    assert "receipt" in send(service, "/log", at="nan")["warning"]
    for _ in range(2):
        assert send(service, "/start", at=f"{now - 690.5:.3f}", rid="a") == {}
    # As by hand, without the escapes: the plus arrives as a blank.
    zone = datetime.fromtimestamp(now - 600, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    answer = curl(f"{service.url}/ext/heartbeat/job:{SECRET}?rid=a&at={zone}")
    assert (answer.status, answer.body) == (200, '{"status":"OK"}')
    assert [each[:2] for each in listed(service)] == [("log", ""), ("success", ""), ("success", "a"), ("start", "a")]
    assert [each[2] for each in listed(service)[2:]] == [rfc3339(now - 600), rfc3339(now - 690.5)]
    figures = service.metrics()
    assert figures["heartbeat_received_total", "job"] == 4
    assert figures["heartbeat_starts_total", "job"] == 1
    assert figures["heartbeat_last_duration_seconds", "job"] == 90.5
    assert figures["heartbeat_last_success_timestamp_seconds", "job"] >= now
    text = curl(f"{service.url}/metrics").body
    assert 'heartbeat_exporter_heartbeats_total{dialect="native",kind="start"} 1.0' in text
    assert 'heartbeat_exporter_heartbeats_total{dialect="native",kind="success"} 2.0' in text
    assert service.status("job") == "UP"
    assert service.stop() == 0
    service.start_again()
    service.ready()
    assert send(service, at=rfc3339(now - 600), rid="a") == {}
    assert service.received("job") == 4
    page = curl(f"{service.url}/monitors/job").body
    assert page.index("<b>log</b>") < page.index("<b>start</b>")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running(durable=True) as server:
        yield server


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_two_processes_are_sent_the_same_at_once(start: Starter, engine: str, request: pytest.FixtureRequest) -> None:
    options = {} if engine == "sqlite" else {"storage": request.getfixturevalue("postgres").create()}
    one = start(CONFIG, "one", **options).ready()
    two = start(CONFIG, "two", **(options or {"storage": one.storage})).ready()
    now = int(time.time())

    def resend(number: int) -> None:
        send((one, two)[number % 2], at=now - number // 8, rid="r")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(resend, range(160)))
    answer = json.loads(curl(f"{one.url}/api/v1/monitors/job/heartbeats?limit=100").body)
    assert len(answer["heartbeats"]) == 20
    assert max(one.received("job"), two.received("job")) == 20
