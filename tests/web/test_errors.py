"""Errors: clean, in the language of who asks, and silent about what was asked."""

import logging
from typing import Any

import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.errors import prefers_html
from exporter.web.headers import CONTENT_SECURITY_POLICY
from tests.support.scenes import World, every_status

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
SECRET_PATHS = ["/ext/heartbeat/unknown", "/ext/hartbeat/tag:TopSecret", "/monitors/TopSecret", "/TopSecret"]


@pytest.fixture
def client() -> testing.TestClient:
    return testing.TestClient(every_status().app())


@pytest.mark.parametrize("path", SECRET_PATHS)
@pytest.mark.parametrize("accept", [BROWSER, "application/json", "*/*", "", "garbage;;;", "text/html;q=banana"])
def test_not_found_never_repeats_the_url(client: testing.TestClient, path: str, accept: str) -> None:
    answer = client.simulate_get(path, headers={"Accept": accept}, query_string="token=TopSecret")
    assert answer.status_code == 404
    assert "TopSecret" not in answer.text
    assert "TopSecret" not in str(answer.headers)
    assert answer.headers["cache-control"] == "no-store"
    if accept == BROWSER:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    else:
        assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("DELETE", "/-/ready", "GET, HEAD, OPTIONS"),
        ("GET", "/-/reload", "POST, OPTIONS"),
        ("PUT", "/metrics", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v1/monitors/new-etl", "DELETE, GET, HEAD, PATCH, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(client: testing.TestClient, method: str, path: str, allow: str) -> None:
    answer = client.simulate_request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    assert "Allow" in answer.json["error"]


@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_the_unexpected_is_logged_and_not_told(accept: str, caplog: pytest.LogCaptureFixture) -> None:
    def explode() -> None:
        raise RuntimeError("boom")

    world = World()
    world.reload = explode
    client = testing.TestClient(world.app())
    with caplog.at_level(logging.DEBUG):
        answer = client.simulate_post(
            "/-/reload",
            query_string="secret=TopSecret",
            headers={"Accept": accept, "X-Api-Key": "TopSecret"},
            body="TopSecret",
        )
    assert answer.status_code == 500
    assert "boom" not in answer.text
    assert "Traceback" not in answer.text
    assert "RuntimeError: boom" in caplog.text  # with its traceback
    assert "TopSecret" not in caplog.text
    assert "/-/" not in caplog.text
    assert {record.name for record in caplog.records if record.levelno >= logging.ERROR} == {"exporter.web"}


@pytest.mark.parametrize("path", ["/-/healthy/", "/api/v1/monitors/", "/monitors/new-etl/", "/metrics/"])
def test_a_trailing_slash_is_forgiven(client: testing.TestClient, path: str) -> None:
    assert client.simulate_get(path).status_code == 200


def test_a_query_that_is_no_text_is_answered() -> None:
    """The server hands raw bytes on; Falcon alone would answer 500."""
    world = World()
    app = world.app()

    async def call() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = testing.create_scope(path="/-/healthy")
        scope["query_string"] = b"note=caf\xe9&rid=1"
        await app(scope, receive, send)
        return sent

    import asyncio

    assert asyncio.run(call())[0]["status"] == 200


@given(st.text(max_size=80))
def test_any_accept_header_is_understood_somehow(accept: str) -> None:
    assert prefers_html(accept) in (True, False)


def test_who_prefers_html() -> None:
    assert prefers_html(BROWSER)
    assert prefers_html("text/html")
    assert not prefers_html("*/*")
    assert not prefers_html("application/json, text/html;q=0.5")
    assert not prefers_html("text/*")


def test_answers_carry_their_headers(client: testing.TestClient) -> None:
    page = client.simulate_get("/")
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert "permissions-policy" in page.headers
    for path in ("/", "/-/healthy", "/metrics", "/api/v1/monitors"):
        answer = client.simulate_get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert "content-security-policy" not in client.simulate_get("/-/healthy").headers


def test_requests_are_told_by_few_names() -> None:
    world = every_status()
    client = testing.TestClient(world.app())
    for method, path in [
        ("GET", "/metrics"),
        ("HEAD", "/metrics"),
        ("GET", "/"),
        ("GET", "/monitors/nope"),
        ("GET", "/api/v1/monitors"),
        ("GET", "/-/healthy"),
        ("GET", "/-/ready"),
        ("POST", "/-/reload"),
        ("GET", "/static/nope"),
        ("GET", "/wp-login.php"),
        ("PROPFIND", "/"),
    ]:
        client.simulate_request(method, path)
    assert [seen[:3] for seen in world.observed] == [
        ("metrics", "GET", 200),
        ("metrics", "HEAD", 200),
        ("page", "GET", 200),
        ("page", "GET", 404),
        ("api", "GET", 200),
        ("healthy", "GET", 200),
        ("ready", "GET", 200),
        ("reload", "POST", 200),
        ("static", "GET", 404),
        ("other", "GET", 404),
        ("page", "other", 405),
    ]
    assert all(0 <= seen[3] < 5 for seen in world.observed)


def test_static_files_are_kept_for_ever_under_their_hash(client: testing.TestClient) -> None:
    import re

    page = client.simulate_get("/").text
    urls = re.findall(r'"(/static/[^"]+)"', page)
    assert len(urls) == 3
    for url in urls:
        answer = client.simulate_get(url)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.simulate_head(url).headers["content-length"] == answer.headers["content-length"]
        # Of another version's page: ours will do, but nobody keeps it under that name.
        stem, _, suffix = url.split(".")
        other = client.simulate_get(f"{stem}.0123456789ab.{suffix}")
        assert other.status_code == 200
        assert other.headers["cache-control"] == "no-store"
    for name in ("style.css", "..%2Fapp.py", "x", "style.0123456789ab.py"):
        assert client.simulate_get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("name", "content_type", "beginning"),
    [
        ("heartbeat-run", "text/x-python; charset=utf-8", "#!/usr/bin/env python3\n"),
        ("heartbeat.sh", "text/x-shellscript; charset=utf-8", "#!/bin/sh\n"),
    ],
)
def test_programs_for_the_machines_of_jobs(
    client: testing.TestClient, name: str, content_type: str, beginning: str
) -> None:
    answer = client.simulate_get(f"/static/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.text.startswith(beginning)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.simulate_head(f"/static/{name}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))
    again = client.simulate_get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.simulate_post(f"/static/{name}").status_code == 405
