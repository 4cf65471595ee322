"""Probes, the reload, and the stream of a scrape."""

import asyncio
import gzip
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from falcon import WebSocketDisconnected, testing
from prometheus_client.metrics_core import Metric

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.core.errors import ConfigError, Problem, StorageUnavailable
from exporter.metrics import scrape
from exporter.metrics.scrape import ScrapeResponse
from exporter.web.metrics import ScrapeBroken
from tests.support.scenes import World, every_status


def test_healthy_as_long_as_it_answers() -> None:
    world = World(reason="the database is away")
    client = testing.TestClient(world.app())
    assert client.simulate_get("/-/healthy").json == {"status": "OK"}
    assert client.simulate_head("/-/healthy").status_code == 200


def test_not_healthy_when_only_a_new_process_can_go_on() -> None:
    world = World(illness="the thread recorder has ended: starting over")
    client = testing.TestClient(world.app())
    answer = client.simulate_get("/-/healthy")
    assert answer.status_code == 503
    assert answer.json == {"error": "Not healthy: the thread recorder has ended: starting over."}
    assert client.simulate_head("/-/healthy").status_code == 503


def test_ready_names_no_path_to_everybody() -> None:
    world = World(reason="unable to open: the folder /srv/secret does not exist; create it (/srv/secret/a.db)")
    answer = testing.TestClient(world.app()).simulate_get("/-/ready")
    assert answer.json == {"error": "Not ready: unable to open: the folder … does not exist; create it …."}


def test_ready_says_why_not() -> None:
    world = World(reason="the database is being opened")
    client = testing.TestClient(world.app())
    answer = client.simulate_get("/-/ready")
    assert answer.status_code == 503
    assert answer.json == {"error": "Not ready: the database is being opened."}
    assert int(answer.headers["retry-after"]) > 0
    assert client.simulate_head("/-/ready").status_code == 503
    world.reason = None
    assert client.simulate_get("/-/ready").json == {"status": "OK"}
    assert client.simulate_head("/-/ready").status_code == 200


def test_a_reload_may_be_blocking_or_async() -> None:
    world = World()
    client = testing.TestClient(world.app())
    done: list[str] = []
    world.reload = lambda: done.append("blocking")
    assert client.simulate_post("/-/reload").json == {"status": "OK"}

    async def reload() -> None:
        await asyncio.sleep(0)
        done.append("async")

    world.reload = reload
    assert client.simulate_post("/-/reload").status_code == 200
    assert done == ["blocking", "async"]


def test_a_reload_that_fails_names_every_problem() -> None:
    world = World()

    def reload() -> None:
        raise ConfigError([Problem("not a tag", "monitors[0].tag", "hb.yml", 7), Problem("unknown key", "monitor")])

    world.reload = reload
    world.web = WebSettings(auth=AuthSettings(token=Secret("SESAME")))
    answer = testing.TestClient(world.app()).simulate_post("/-/reload", headers={"Authorization": "Bearer SESAME"})
    assert answer.status_code == 500
    assert answer.json["problems"] == [
        {"message": "not a tag", "path": "monitors[0].tag", "file": "hb.yml", "line": 7},
        {"message": "unknown key", "path": "monitor", "file": "", "line": None},
    ]


def test_a_reload_without_a_database_can_be_tried_again() -> None:
    world = World()

    def reload() -> None:
        raise StorageUnavailable("provision monitors: locked")

    world.reload = reload
    answer = testing.TestClient(world.app()).simulate_post("/-/reload")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "locked" not in answer.text


def test_a_scrape_is_asked_for_what_the_client_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = every_status()
    asked: list[tuple[object, ...]] = []
    real = world.scrape.answer

    def answer(*question: Any) -> ScrapeResponse:
        asked.append(question)
        return real(*question)

    monkeypatch.setattr(world.scrape, "answer", answer)
    client = testing.TestClient(world.app())
    given = {"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"}
    scraped = client.simulate_get("/metrics", query_string="name[]=heartbeat_age_seconds&name[]=a,b", headers=given)
    assert scraped.headers["content-type"].startswith("application/openmetrics-text")
    assert scraped.headers["content-encoding"] == "gzip"
    lines = gzip.decompress(scraped.content).decode().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert samples
    assert all(sample.startswith("heartbeat_age_seconds{") for sample in samples)
    plain = client.simulate_get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "heartbeat_last_success" in plain.text
    head = client.simulate_head("/metrics")
    assert head.status_code == 200
    assert head.content == b""
    assert asked[0] == ("application/openmetrics-text", "gzip", frozenset({"heartbeat_age_seconds", "a,b"}))
    assert asked[1][2] is asked[2][2] is None


def test_the_telemetry_path_can_be_another() -> None:
    from exporter.config.settings import WebSettings

    world = World(web=WebSettings(telemetry_path="/prom/heartbeats"))
    client = testing.TestClient(world.app())
    assert client.simulate_get("/prom/heartbeats").status_code == 200
    assert client.simulate_get("/metrics").status_code == 404


class Broken:
    """A collector that fails when it is scraped, after the fleet's series were rendered."""

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        raise RuntimeError("no families")
        yield


def test_a_scrape_that_fails_at_once_is_500(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.container.registry.register(Broken())
    assert testing.TestClient(world.app()).simulate_get("/metrics").status_code == 500
    assert "no families" in caplog.text


def test_a_scrape_that_fails_later_is_broken_off_and_not_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an exposition that ends well would be taken for a whole one."""
    monkeypatch.setattr(scrape, "_GATHER", 1)  # a large fleet's chunks are sent one by one
    world = every_status()
    world.container.registry.register(Broken())
    with caplog.at_level(logging.ERROR), pytest.raises(ScrapeBroken):
        testing.TestClient(world.app()).simulate_get("/metrics")
    assert "no families" in caplog.text
    assert [seen[:3] for seen in world.observed] == [("metrics", "GET", 200)]


def test_a_websocket_is_turned_away() -> None:
    async def knock() -> None:
        async with testing.ASGIConductor(World().app()) as conductor:
            with pytest.raises(WebSocketDisconnected) as refused:
                async with conductor.simulate_ws("/nothing"):
                    pass
            assert refused.value.code == 3404

    asyncio.run(knock())


def test_nothing_of_the_app_is_shared() -> None:
    one, two = World(), World(reason="later")
    apps: list[Any] = [testing.TestClient(world.app()) for world in (one, two)]
    assert [client.simulate_get("/-/ready").status_code for client in apps] == [200, 503]
