"""Healthchecks' pings, row by row: what the path means, the answers to the byte, and what is refused."""

import pytest

from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from exporter.ingest.errors import IngestError
from tests.support.ingest import KEYS, MAKER, READER, SECRET, TOKEN, FakeCreation, Outcome, fleet_of, monitor, ping

RID = "11111111-2222-4333-8444-555555555555"


def ask(path: str, query: str = "", body: bytes = b"", **options: object) -> Outcome:
    return ping(HealthchecksDialect(), path, query, body, keys=KEYS, **options)  # type: ignore[arg-type]


def beat(path: str, query: str = "", body: bytes = b"") -> Heartbeat:
    outcome = ask(path, query, body)
    assert (outcome.status, outcome.body) == (200, b"OK")
    ((tag, recorded),) = outcome.recorded
    assert tag == "job"
    return recorded


@pytest.mark.parametrize(
    ("action", "kind", "exit_code"),
    [
        ("", Kind.SUCCESS, None),
        ("/start", Kind.START, None),
        ("/fail", Kind.FAILURE, None),
        ("/log", Kind.LOG, None),
        ("/0", Kind.SUCCESS, 0),
        ("/00", Kind.SUCCESS, 0),
        ("/1", Kind.FAILURE, 1),
        ("/0255", Kind.FAILURE, 255),
    ],
)
def test_every_form_and_action(action: str, kind: Kind, exit_code: int | None) -> None:
    for base in (f"/ping/{TOKEN}", f"/ping/{TOKEN.upper()}", f"/ping/{SECRET}/job", f"/ping/{READER}/job"):
        for slash in ("", "/"):
            recorded = beat(f"{base}{action}{slash}")
            assert (recorded.kind, recorded.exit_code) == (kind, exit_code)


def test_a_good_answer_is_what_clients_expect() -> None:
    for path in (f"/ping/{TOKEN}", f"/ping/{SECRET}/job/start"):
        outcome = ask(path)
        assert outcome.headers["content-type"] == "text/plain"
        assert outcome.headers["access-control-allow-origin"] == "*"
        assert outcome.headers["ping-body-limit"] == "10000"
        assert "no-store" in outcome.headers["cache-control"]


@pytest.mark.parametrize("code", ["256", "999", "0256", "1" * 5000])
def test_an_exit_status_over_255_is_none(code: str) -> None:
    for path in (f"/ping/{TOKEN}/{code}", f"/ping/{SECRET}/job/{code}"):
        outcome = ask(path, "create=1")
        assert (outcome.status, outcome.body) == (400, b"invalid url format")
        assert outcome.rejected == [RejectReason.INVALID]


@pytest.mark.parametrize("action", ["-1", "+1", "1.0", "fial", "START", "\u0663", "start/1", "0x1"])
def test_what_is_no_action_is_no_success(action: str) -> None:
    for path in (f"/ping/{TOKEN}/{action}", f"/ping/{SECRET}/job/{action}"):
        outcome = ask(path)
        assert (outcome.status, outcome.body, outcome.recorded) == (404, b"not found", [])


def test_a_rid_is_a_uuid_in_any_case() -> None:
    assert beat(f"/ping/{TOKEN}/start", f"rid={RID}").rid == RID
    assert beat(f"/ping/{TOKEN}", f"x=1&rid={RID.upper()}").rid == RID
    for rid in ("", "7", RID[:-1], RID.replace("-", ""), f"{{{RID}}}", f"{RID}%0a", "%ff"):
        outcome = ask(f"/ping/{SECRET}/job", f"rid={rid}")
        assert (outcome.status, outcome.body) == (400, b"invalid uuid format")


def test_the_body_is_kept_whatever_it_is() -> None:
    assert beat(f"/ping/{TOKEN}/log", body=b"\xff\0done").output == "\ufffd\ufffddone"
    long = beat(f"/ping/{SECRET}/job/3", body=b"a" * 20_000 + b"the end").output
    assert long.endswith("the end")


@pytest.mark.parametrize("query", ["%ff%fe", "&&&=", "create=2", "create", "state2=fail&x=%00", "a" * 7000])
def test_junk_in_the_query_changes_nothing(query: str) -> None:
    assert beat(f"/ping/{TOKEN}", query).kind is Kind.SUCCESS
    assert beat(f"/ping/{READER}/job/fail", query).kind is Kind.FAILURE


def test_a_monitor_is_created_on_request_alone() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    for query in ("", "create=0", "create=true"):
        assert ask(f"/ping/{MAKER}/new-one", query, fleet=fleet, creation=creation).status == 404
    outcome = ask(f"/ping/{MAKER}/new-one/start", "create=1", fleet=fleet, creation=creation)
    assert (outcome.status, outcome.body, outcome.headers["ping-body-limit"]) == (201, b"Created", "10000")
    assert [(tag, one.kind) for tag, one in outcome.recorded] == [("new-one", Kind.START)]
    outcome = ask(f"/ping/{MAKER}/new-one", "create=1", fleet=fleet, creation=creation)
    assert (outcome.status, outcome.body) == (200, b"OK")
    assert creation.asked == [("new-one", {})]


def test_what_is_refused_creates_nothing() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    for path, query in (
        (f"/ping/{MAKER}/new-one/256", "create=1"),
        (f"/ping/{MAKER}/new-one", "create=1&rid=no"),
        (f"/ping/{READER}/new-one", "create=1"),
        (f"/ping/{SECRET}/new-one", "create=1"),
        (f"/ping/{MAKER}/new-one/fial", "create=1"),
    ):
        assert ask(path, query, fleet=fleet, creation=creation).status in (400, 404)
    assert creation.asked == []


def test_a_refused_creation_is_said_so() -> None:
    fleet = fleet_of(monitor(1, "job"))
    refusal = IngestError(RejectReason.TOO_MANY, "too many", "the key has created 1000 monitors", 403)
    outcome = ask(f"/ping/{MAKER}/new", "create=1", fleet=fleet, creation=FakeCreation(fleet, refusal))
    assert (outcome.status, outcome.body) == (403, b"the key has created 1000 monitors")


def test_a_monitor_may_be_called_like_an_action() -> None:
    fleet = fleet_of(monitor(1, "start"), monitor(2, "7"), monitor(3, "job", tokens=[TOKEN]))
    for tag in ("start", "7"):
        outcome = ask(f"/ping/{SECRET}/{tag}", fleet=fleet)
        assert [(name, one.kind) for name, one in outcome.recorded] == [(tag, Kind.SUCCESS)]
    ((tag, recorded),) = ask(f"/ping/{TOKEN}/7", fleet=fleet).recorded
    assert (tag, recorded.exit_code) == ("job", 7)


def test_browsers_may_ask_first() -> None:
    outcome = ask("/ping/whatever", method="OPTIONS")
    assert (outcome.status, outcome.recorded, outcome.rejected) == (204, [], [])
    assert outcome.headers["access-control-allow-origin"] == "*"
    assert outcome.headers["access-control-allow-methods"] == "GET, POST, HEAD"
    outcome = ask(f"/ping/{TOKEN}", method="PUT")
    assert (outcome.status, outcome.headers["allow"]) == (405, "GET, POST, HEAD, OPTIONS")
    assert outcome.headers["content-type"].startswith("text/plain")
