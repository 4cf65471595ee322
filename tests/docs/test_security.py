"""docs/security.md names defaults and limits: each is held against the program."""

import re
from pathlib import Path

import pytest
from falcon import testing

from exporter.config.files import PIPE_PATIENCE
from exporter.config.settings import WebSettings
from exporter.config.strength import MIN_LENGTH
from exporter.config.substitution import MAX_SECRET
from exporter.config.yaml import bounds
from exporter.config.yaml.bounds import MAX_NODES
from exporter.config.yaml.document import MAX_FILE
from exporter.core.secret import make_secret
from exporter.ingest import body, guesses, newcomers, waiters
from exporter.recording.recorder import MAX_WAITING
from exporter.server import connection, head, limits
from exporter.web.access import Access
from exporter.web.api.bodies import MAX_BODY
from exporter.web.api.resource import MAX_PER_ANSWER
from exporter.web.app import routes
from exporter.web.headers import HTML, PLAIN
from exporter.web.pages.rendering import Assets, Pages
from tests.support.scenes import World, every_status

ROOT = Path(__file__).parent.parent.parent
TEXT = " ".join((ROOT / "docs" / "security.md").read_text().split())


def test_the_defaults() -> None:
    web = WebSettings()
    assert f"it listens on `{web.listen_address}`, no token is set, `trusted_proxies` is empty" in TEXT
    assert (web.auth.token, web.auth.metrics_token, web.trusted_proxies, web.allowed_hosts) == (None, None, (), ())


def test_secrets() -> None:
    assert f"has {len(make_secret())} characters, 192 random bits" in TEXT
    assert f"with fewer than {MIN_LENGTH} characters" in TEXT


def test_guesses() -> None:
    assert f"After {guesses.BURST} wrong answers at once an address gets five a second" in TEXT
    assert f"one every {guesses.INTERVAL} ms), and waits for {guesses.MAX_DELAY // 1000} s at most" in TEXT
    assert f"{guesses.MAX_ADDRESSES} addresses are remembered" in TEXT
    assert f"{guesses.MAX_LINES} such lines a minute" in TEXT
    assert 1000 // newcomers.INTERVAL == 1000 // guesses.INTERVAL == 5


def test_limits() -> None:
    for limit in (
        f"| body of a heartbeat | {body.KEPT // 1000} kB are kept, {body.DRAINED // 2**20} MB are read; "
        f"it has {connection.BODY_PATIENCE} s to arrive, with pauses of {body.PATIENCE:g} s, in chunks of "
        f"{body.STREAM_PATIENCE:g} s |",
        f"| body of an API request | {MAX_BODY // 1024} kB, else `413` |",
        f"| request line | {head.MAX_LINE} bytes |",
        f"| header fields | {head.MAX_FIELDS}, of {head.MAX_LINE} bytes each, {head.MAX_HEAD // 1024} kB in all with "
        f"the request line, complete within {connection.HEAD_PATIENCE} s |",
        f"| a client that does not read its answer | closed after {connection.READ_PATIENCE} s without progress |",
        f"| connections | {limits.MAX_CONNECTIONS} for each worker, or as many as descriptors allow; beyond that the "
        "idlest is closed |",
        f"| heartbeats that wait for their commit | {MAX_WAITING}, else `503`; "
        f"each {waiters.PATIENCE // 1000} s at most |",
        f"| rows of an API answer | {MAX_PER_ANSWER} |",
        f"| configuration file | {MAX_FILE // 2**20} MB, {MAX_NODES} values |",
        f"| one text in it; keys under one heading; levels | {bounds.MAX_SCALAR} characters; {bounds.MAX_KEYS}; "
        f"{bounds.DEEPEST} |",
        f"| values that YAML aliases add | {bounds.FREE_COPIES}, and {bounds.COPIES_PER_VALUE} for each value that is "
        "written out |",
        f"| file of a secret | {MAX_SECRET // 1024} kB; a pipe has {PIPE_PATIENCE:g} s |",
    ):
        assert limit in TEXT, limit


def test_headers() -> None:
    answer = testing.TestClient(every_status().app()).simulate_get("/", headers={"Accept": "text/html"})
    for name, value in HTML:
        assert answer.headers[name] == value
        assert re.search(rf"`{name}(: {re.escape(value)})?`", TEXT), name
    answer = testing.TestClient(every_status().app()).simulate_get("/api/v1/monitors")
    for name, value in PLAIN:
        assert answer.headers[name] == value


def test_what_is_open() -> None:
    """Whatever is open is in the last row or has its own secret; everything else wants the token."""
    assets = Assets()
    access = {route.template: route.access for route in routes(World().parts(), assets, Pages(assets, "1"))}
    opened = {template for template, kind in access.items() if kind is Access.OPEN}
    assert opened == {"/-/healthy", "/-/ready", "/static/{name}"}
    for name in ("/-/healthy", "/-/ready", "/static/"):
        assert f"`{name}`" in TEXT
    assert {template for template, kind in access.items() if kind is Access.METRICS} == {"/metrics", "/metrics/jobs"}
    assert {template for template, kind in access.items() if kind is Access.RELOAD} == {"/-/reload"}


@pytest.mark.parametrize("file", ["README.md", "SECURITY.md"])
def test_it_is_found(file: str) -> None:
    assert "docs/security.md" in (ROOT / file).read_text()
