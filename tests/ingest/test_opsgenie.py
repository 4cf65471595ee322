"""Opsgenie's heartbeats, row by row."""

import json
from base64 import b64encode
from uuid import UUID

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.opsgenie import OpsgenieDialect
from exporter.ingest.errors import IngestError
from tests.support.ingest import KEYS, MAKER, READER, SECRET, FakeCreation, Outcome, fleet_of, monitor, ping


def ask(
    key: str = SECRET, name: str = "job", query: str = "", headers: dict[str, str] | None = None, **options: object
) -> Outcome:
    headers = {"Authorization": f"GenieKey {key}"} if headers is None else headers
    path = f"/v2/heartbeats/{name}/ping"
    return ping(OpsgenieDialect(), path, query, headers=headers, keys=KEYS, **options)  # type: ignore[arg-type]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def message(outcome: Outcome) -> str:
    content = json.loads(outcome.body)
    assert set(content) == {"message", "took", "requestId"}
    assert UUID(content["requestId"]).variant == UUID("0" * 12 + "4" + "0" * 3 + "8" + "0" * 15).variant
    return str(content["message"])


def test_a_ping_is_answered_pong() -> None:
    dialect = OpsgenieDialect()
    ids = set()
    for method in ("GET", "POST", "PUT", "PATCH"):
        headers = {"Authorization": f"GenieKey {SECRET}"}
        outcome = ping(dialect, "/v2/heartbeats/job/ping", headers=headers, method=method)
        assert outcome.status == 202
        assert outcome.headers["content-type"] == "application/json"
        assert outcome.headers["content-length"] == str(len(outcome.body))
        content = json.loads(outcome.body)
        assert content["result"] == "PONG - Heartbeat received"
        assert isinstance(content["took"], float)
        ids.add(UUID(content["requestId"]))
        assert [(tag, one.kind) for tag, one in outcome.recorded] == [("job", Kind.SUCCESS)]
    assert len(ids) == 4


@pytest.mark.parametrize("key", [SECRET, READER, MAKER])
def test_the_key_may_stand_anywhere(key: str) -> None:
    for headers, query in (
        ({"Authorization": f"geniekey {key}"}, ""),
        (basic("", key), ""),
        (basic("anybody", key), "x=%ff"),
        ({}, f"apiKey={key}"),
        ({"Authorization": "Basic of-a-proxy"}, f"apiKey={key}"),
        ({"Authorization": "GenieKey wrong"}, f"apiKey={key}"),
    ):
        assert ask(name="job", query=query, headers=headers).status == 202


def test_a_wrong_key_learns_nothing() -> None:
    for key in ("", "wrong", "x" * 6000):
        for name in ("job", "nobody"):
            outcome = ask(key, name)
            assert (outcome.status, message(outcome)) == (401, "Could not authenticate")
            assert outcome.slowed == ["127.0.0.1"]
    assert ask(headers={}).status == 401


def test_a_good_key_is_told_that_the_name_is_unknown() -> None:
    outcome = ask(READER, "nobody")
    assert (outcome.status, message(outcome)) == (404, "No heartbeat exists with this name")
    assert outcome.rejected == [RejectReason.UNKNOWN_TAG]
    fleet = fleet_of(monitor(1, "job"), monitor(2, "secret-thing", "of-its-own"))
    assert ask(READER, "secret-thing", fleet=fleet).body.replace(b"job", b"") != b""
    assert message(ask(READER, "secret-thing", fleet=fleet)) == "No heartbeat exists with this name"


def test_a_key_that_may_creates_the_monitor() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    assert ask(MAKER, "new", fleet=fleet, creation=creation).status == 202
    assert creation.asked == [("new", {})]
    refusal = IngestError(RejectReason.CREATION_REFUSED, "no", "not of this name", 403)
    outcome = ask(MAKER, "other", fleet=fleet, creation=FakeCreation(fleet, refusal))
    assert (outcome.status, message(outcome)) == (403, "not of this name")


def test_our_own_trouble_and_other_methods() -> None:
    outcome = ask(fate=StorageUnavailable("away"))
    assert (outcome.status, outcome.headers["retry-after"]) == (503, "5")
    assert "send it again" in message(outcome)
    for method in ("HEAD", "DELETE"):
        outcome = ask(method=method)
        assert (outcome.status, outcome.headers["allow"]) == (405, "GET, POST, PUT, PATCH")


def test_the_body_is_kept() -> None:
    headers = {"Authorization": f"GenieKey {SECRET}"}
    outcome = ping(OpsgenieDialect(), "/v2/heartbeats/job/ping", body=b"42 files", headers=headers)
    assert outcome.recorded[0][1].output == "42 files"
