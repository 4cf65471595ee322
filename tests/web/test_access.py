"""Tokens: which routes want one, and how it may be given."""

import base64
import logging
from typing import Any

import pytest
from falcon import testing

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.web.access import Access
from exporter.web.app import routes
from exporter.web.pages.rendering import Assets, Pages
from tests.support.scenes import World, every_status

TOKEN = "tökèn-of-the-house"
METRICS_TOKEN = "only-for-metrics"
JSON = {"Content-Type": "application/json"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    # A header is bytes; what a client sends in UTF-8 arrives here as Latin-1.
    return {"Authorization": "Bearer " + token.encode().decode("latin-1")}


@pytest.fixture
def guarded() -> testing.TestClient:
    world = every_status()
    world.web = WebSettings(auth=AuthSettings(token=Secret(TOKEN), metrics_token=Secret(METRICS_TOKEN)))
    return testing.TestClient(world.app())


PATHS = [
    "/",
    "/monitors/new-etl",
    "/docs/operations",
    "/api/v1/monitors",
    "/api/v1/monitors/new-etl",
    "/api/v1/openapi.json",
]


@pytest.mark.parametrize("path", PATHS)
def test_pages_and_api_want_the_token(guarded: testing.TestClient, path: str) -> None:
    refused = guarded.simulate_get(path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith('Basic realm="Heartbeat Exporter"')
    assert "Bearer" in refused.headers["www-authenticate"]
    assert guarded.simulate_get(path, headers=basic("anybody", TOKEN)).status_code == 200
    assert guarded.simulate_head(path, headers=basic("", TOKEN)).status_code == 200


def test_every_route_is_guarded_unless_it_is_known_to_be_open(guarded: testing.TestClient) -> None:
    """Asks for each route of the application, so that a new one cannot be forgotten."""
    parts = World().parts()
    assets = Assets()
    known_open = {"/-/healthy", "/-/ready", "/static/{name}"}
    for route in routes(parts, assets, Pages(assets, "1")):
        path = (
            route.template.replace("{tag}", "new-etl")
            .replace("{name}", "x")
            .replace("{rest:path}", "x")
            .replace("{path:path}", "operations")
        )
        codes = {
            guarded.simulate_request(method, path, headers=JSON, body=b"{}").status_code
            for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
        }
        if route.template in known_open:
            assert route.access is Access.OPEN
            assert 401 not in codes
        else:
            assert codes == {401}, path


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {METRICS_TOKEN}"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Digest x"},
        {"Authorization": "\xff\xfe"},
        basic(TOKEN, "wrong"),
    ],
)
def test_anything_else_is_refused(guarded: testing.TestClient, headers: dict[str, str]) -> None:
    assert guarded.simulate_get("/", headers=headers).status_code == 401


def test_the_token_may_be_given_in_any_of_its_ways(guarded: testing.TestClient) -> None:
    assert guarded.simulate_get("/", headers=bearer(TOKEN)).status_code == 200
    given = bearer(TOKEN)["Authorization"].replace("Bearer", "bEaReR")
    assert guarded.simulate_get("/", headers={"Authorization": given}).status_code == 200


def test_metrics_have_a_token_of_their_own(guarded: testing.TestClient) -> None:
    assert guarded.simulate_get("/metrics").status_code == 401
    assert guarded.simulate_get("/metrics", headers=bearer(TOKEN)).status_code == 401
    assert guarded.simulate_get("/metrics", headers=bearer(METRICS_TOKEN)).status_code == 200
    assert guarded.simulate_get("/metrics", headers=basic("prometheus", METRICS_TOKEN)).status_code == 200


def test_a_wrong_token_is_logged_with_its_sender_and_without_the_token(
    guarded: testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "exporter"):
        guarded.simulate_get("/?q=private", headers=bearer("SESAME"), remote_addr="203.0.113.9")
    assert "203.0.113.9" in caplog.text
    assert "SESAME" not in caplog.text
    assert "private" not in caplog.text


def test_without_a_token_everybody_reads_and_nobody_writes() -> None:
    client = testing.TestClient(every_status().app())
    for path in [*PATHS, "/metrics"]:
        assert client.simulate_get(path).status_code == 200
    for method, path in [
        ("POST", "/api/v1/monitors"),
        ("PATCH", "/api/v1/monitors/new-etl"),
        ("DELETE", "/api/v1/monitors/new-etl"),
    ]:
        refused = client.simulate_request(method, path, headers=JSON, body=b"{}")
        assert refused.status_code == 403
        assert "web.auth.token" in refused.json["error"]
    assert client.simulate_post("/-/reload").status_code == 200


def test_a_reload_changes_the_token_at_once() -> None:
    world = every_status()
    client = testing.TestClient(world.app())
    assert client.simulate_get("/").status_code == 200
    world.web = WebSettings(auth=AuthSettings(token=Secret("new")))
    assert client.simulate_get("/").status_code == 401
    assert client.simulate_get("/", headers=bearer("new")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"Origin": "http://falconframework.org"}, 200),
    ],
)
def test_no_other_site_gives_orders(guarded: testing.TestClient, headers: dict[str, str], code: int) -> None:
    """A browser sends a Basic password that it remembers along with whatever another site makes it post."""
    given: dict[str, Any] = {**headers, **basic("me", TOKEN)}
    assert guarded.simulate_post("/-/reload", headers=given).status_code == code
