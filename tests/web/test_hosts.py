"""Host names: while there is no token, another site's name gets nothing (DNS rebinding)."""

import asyncio
import os
from typing import Any

import falcon
import pytest
from falcon import testing

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.core.errors import ConfigError, Problem
from exporter.web.hosts import Hosts, name_in
from tests.support.scenes import every_status

GUARDED = [
    "/",
    "/monitors/new-etl",
    "/incidents",
    "/incidents.atom",
    "/docs",
    "/docs/operations",
    "/api/v1/monitors",
    "/api/v1/openapi.json",
]
OPEN = ["/-/healthy", "/-/ready", "/metrics", "/static/style.css"]
EVIL = ["evil.example", "EVIL.example:10105", "evil.example.", "127.0.0.1.evil.example", "localhost.evil.example"]


def asked(path: str, host: str, web: WebSettings | None = None, method: str = "GET", **headers: str) -> Any:
    world = every_status()
    world.web = web or WebSettings()
    client = testing.TestClient(world.app())
    return client.simulate_request(method, path, host=host, headers=headers)


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("host", EVIL)
def test_another_sites_name_gets_nothing(path: str, host: str) -> None:
    answer = asked(path, host)
    assert answer.status_code == 421
    assert "web.external_url" in answer.text
    assert "web.allowed_hosts" in answer.text
    assert "evil" not in answer.text.lower()


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "OPTIONS"])
def test_it_cannot_reload(method: str) -> None:
    assert asked("/-/reload", "evil.example", method=method).status_code == 421


def test_what_is_forwarded_counts_for_nothing() -> None:
    headers = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    assert asked("/", "evil.example", **headers).status_code == 421


@pytest.mark.parametrize("path", OPEN)
def test_heartbeats_probes_and_metrics_answer_under_every_name(path: str) -> None:
    assert asked(path, "evil.example").status_code != 421


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:10105", "[::1]", "[::1]:10105", "[FE80::1%25eth0]:1", "192.0.2.7"),
        *("localhost", "LOCALHOST:80", "localhost.", "beats", os.uname().nodename, f"{os.uname().nodename.upper()}:80"),
    ],
)
def test_names_that_no_other_site_can_have(host: str) -> None:
    assert asked("/", host).status_code == 200


def test_names_of_the_configuration() -> None:
    web = WebSettings(external_url="https://Beats.example.org:8443", allowed_hosts=("beats.internal.example",))
    for host in ("beats.example.org", "BEATS.example.org.:8443", "beats.internal.example:10105"):
        assert asked("/", host, web).status_code == 200
    for host in ("xbeats.example.org", "beats.example.org.evil.example", "x.beats.internal.example", "*", ""):
        assert asked("/", host, web).status_code == 421


def test_with_a_token_any_name_is_asked_for_it() -> None:
    web = WebSettings(auth=AuthSettings(token=Secret("SESAME")))
    assert asked("/", "evil.example", web).status_code == 401
    assert asked("/", "evil.example", web, Authorization="Bearer SESAME").status_code == 200
    web = WebSettings(auth=AuthSettings(metrics_token=Secret("SESAME")))
    assert asked("/", "evil.example", web).status_code == 421


def test_the_machines_full_name_is_asked_for_once() -> None:
    calls: list[int] = []

    def full_name() -> str:
        calls.append(1)
        return "Box.corp.example"

    async def ask() -> None:
        hosts = Hosts(WebSettings, full_name)
        await hosts.check("localhost")
        assert calls == []
        await hosts.check("box.corp.example:10105")
        for host in EVIL:
            with pytest.raises(falcon.HTTPError):
                await hosts.check(host)

    asyncio.run(ask())
    assert calls == [1]


@pytest.mark.parametrize(
    "header", ["", ":80", "a:b", "a b", "a,b", "http://a", "[::1", "[::1]x", "[x]", "a:123456", "\u00e4.example", "a\0"]
)
def test_what_is_no_host(header: str) -> None:
    assert name_in(header) is None


def test_only_who_shows_a_token_is_told_what_is_wrong_with_the_configuration() -> None:
    def reload() -> None:
        raise ConfigError([Problem("is not a setting", "web.x", "/etc/heartbeat/heartbeats.yml", 3)])

    world = every_status()
    world.reload = reload
    client = testing.TestClient(world.app())
    answer = client.simulate_post("/-/reload")
    assert answer.status_code == 500
    assert set(answer.json) == {"error"}
    assert "/etc" not in answer.text
    assert "log" in answer.json["error"]
    world.web = WebSettings(auth=AuthSettings(token=Secret("SESAME")))
    answer = client.simulate_post("/-/reload", headers={"Authorization": "Bearer SESAME"})
    assert answer.json["problems"][0]["file"] == "/etc/heartbeat/heartbeats.yml"
