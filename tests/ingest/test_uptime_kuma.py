"""Uptime Kuma's push URL, row by row."""

import json

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.ingest.dialects.uptime_kuma import UptimeKumaDialect
from tests.support.ingest import TOKEN, Outcome, ping

URL = f"/api/push/{TOKEN}"


def ask(query: str = "", body: bytes = b"", path: str = URL, **options: object) -> Outcome:
    return ping(UptimeKumaDialect(), path, query, body, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "kind", "output"),
    [
        ("", Kind.SUCCESS, ""),
        ("status=up&msg=OK&ping=", Kind.SUCCESS, "OK"),
        ("status=&msg=", Kind.SUCCESS, ""),
        ("status=down&msg=disk%20full", Kind.FAILURE, "disk full"),
        ("status=UP", Kind.FAILURE, ""),
        ("status=ok", Kind.FAILURE, ""),
        ("status=up&status=down", Kind.FAILURE, ""),
        ("msg=a+b%26c&status=up", Kind.SUCCESS, "a b&c"),
        ("ping=12.3", Kind.SUCCESS, "ping: 12.3 ms"),
        ("msg=OK&ping=40", Kind.SUCCESS, "OK\nping: 40 ms"),
        ("ping=0", Kind.SUCCESS, "ping: 0 ms"),
        ("ping=1e11", Kind.SUCCESS, "ping: 100000000000 ms"),
        ("ping=100000000001", Kind.SUCCESS, ""),
        ("ping=-1", Kind.SUCCESS, ""),
        ("ping=nan", Kind.SUCCESS, ""),
        ("ping=inf", Kind.SUCCESS, ""),
        ("ping=fast&msg=%ff%00", Kind.SUCCESS, "\ufffd\ufffd"),
        ("&&=&%", Kind.SUCCESS, ""),
    ],
)
def test_what_the_query_says(query: str, kind: Kind, output: str) -> None:
    for method in ("GET", "POST", "HEAD", "PUT"):
        outcome = ask(query, method=method)
        assert (outcome.status, outcome.body) == (200, b'{"ok":true}')
        ((tag, recorded),) = outcome.recorded
        assert (tag, recorded.kind, recorded.output, recorded.duration) == ("job", kind, output, None)


def test_a_body_is_kept_too() -> None:
    ((_, recorded),) = ask("msg=short&ping=7", b"all of it").recorded
    assert recorded.output == "short\nall of it\nping: 7 ms"
    ((_, recorded),) = ask("msg=short", b"x" * 20_000 + b"the end").recorded
    assert recorded.output.startswith("short\nxxx")
    assert recorded.output.endswith("the end")


def test_every_error_is_404_but_for_our_own_trouble() -> None:
    for path in ("/api/push/wrong", "/api/push/job", f"{URL}/x", "/api/push/" + "x" * 8000):
        outcome = ask(path=path)
        assert outcome.status == 404
        assert json.loads(outcome.body) == {"ok": False, "msg": "Monitor not found or not active."}
        assert outcome.headers["content-type"] == "application/json"
    outcome = ask(fate=StorageUnavailable("away"))
    assert (outcome.status, json.loads(outcome.body)["ok"]) == (503, False)
    outcome = ask(method="DELETE")
    assert (outcome.status, outcome.headers["allow"]) == (405, "GET, POST, HEAD, PUT")
    assert json.loads(outcome.body)["ok"] is False
