"""Gatus' external endpoints, row by row, in the order in which Gatus checks."""

import pytest

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.gatus import GatusDialect
from tests.support.ingest import KEYS, READER, SECRET, TOKEN, Outcome, fleet_of, monitor, ping

FLEET = [
    monitor(1, "job", tokens=[TOKEN]),
    monitor(2, "core_backup"),
    monitor(3, "Nightly.Backup", tokens=["token-of-nightly"], group="Data Team"),
]


def ask(
    key: str, query: str = "success=true", token: str | None = SECRET, body: bytes = b"", **more: object
) -> Outcome:
    headers = {} if token is None else {"Authorization": token if " " in token else f"Bearer {token}"}
    path = f"/api/v1/endpoints/{key}/external"
    return ping(GatusDialect(), path, query, body, headers, "POST", fleet_of(*FLEET), keys=KEYS, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "token", "tag"),
    [
        ("job", SECRET, "job"),
        ("job", READER, "job"),
        ("job", TOKEN, "job"),
        ("_job", SECRET, "job"),
        ("_job", TOKEN, "job"),
        ("core_backup", SECRET, "core_backup"),
        ("Nightly.Backup", SECRET, "Nightly.Backup"),
        ("data-team_nightly-backup", "token-of-nightly", "Nightly.Backup"),
        ("_nightly-backup", "token-of-nightly", "Nightly.Backup"),
        ("nightly-backup", "token-of-nightly", "Nightly.Backup"),
        ("data-team_Nightly.Backup", SECRET, None),  # Gatus makes no such key
    ],
)
def test_which_endpoint_is_which_monitor(key: str, token: str, tag: str | None) -> None:
    outcome = ask(key, token=token)
    assert [name for name, _ in outcome.recorded] == ([tag] if tag else [])
    if tag:
        assert (outcome.status, outcome.body) == (200, b"")


@pytest.mark.parametrize("key", ["other", "web_job", "core_job", "nightly-backup"])
def test_only_a_good_token_is_told_that_there_is_no_such_endpoint(key: str) -> None:
    for token in (TOKEN, READER):
        outcome = ask(key, token=token)
        assert (outcome.status, outcome.body, outcome.recorded) == (404, b"not found", [])
        assert len(outcome.slowed) == 1
    for token in (SECRET, "wrong"):
        outcome = ask(key, token=token)
        assert (outcome.status, outcome.body, outcome.recorded) == (401, b"invalid token", [])
    assert ask("job", token="wrong").body == b"invalid token"


@pytest.mark.parametrize("query", ["", "success", "success=", "success=yes", "success=TRUE", "ok=true", "%ff"])
def test_the_outcome_is_checked_first(query: str) -> None:
    for token in (None, "wrong", SECRET):
        outcome = ask("job", query, token)
        assert (outcome.status, outcome.body) == (400, b"missing or invalid success query parameter")
        assert (outcome.recorded, outcome.slowed, outcome.rejected) == ([], [], [RejectReason.INVALID])


def test_then_the_header() -> None:
    for token in (None, f"Basic {SECRET}", f"GenieKey {SECRET}"):
        outcome = ask("job", token=token)
        assert (outcome.status, outcome.body) == (401, b"invalid Authorization header")
    outcome = ask("job", token="Bearer ")
    assert (outcome.status, outcome.body) == (401, b"bearer token must not be empty")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10s", 10_000),
        ("1h2m3.5s", 3_723_500),
        ("300ms", 300),
        ("1.5h", 5_400_000),
        (".5s", 500),
        ("5.s", 5_000),
        ("1500%C2%B5s", 1),
        ("1500us", 1),
        ("2000000ns", 2),
        ("0", 0),
        ("%2B3s", 3_000),
        ("-3s", None),
        ("", None),
    ],
)
def test_durations_are_those_of_go(text: str, milliseconds: int | None) -> None:
    ((_, recorded),) = ask("job", f"success=true&duration={text}").recorded
    assert recorded.duration == milliseconds


@pytest.mark.parametrize(
    "text", ["10", "s", "1d", "fast", "1 s", "1s1", "--1s", "nan", "9999999999999h", "%ff", "1" * 5000]
)
def test_what_is_no_duration_is_refused_last(text: str) -> None:
    outcome = ask("job", f"success=true&duration={text}")
    assert outcome.status == 400
    assert outcome.body.startswith(b"invalid duration: ")
    assert len(outcome.body) < 1000
    assert (outcome.recorded, outcome.rejected) == ([], [RejectReason.INVALID])
    assert ask("job", f"success=true&duration={text}", "wrong").status == 401


def test_an_error_counts_only_with_a_failure() -> None:
    ((_, recorded),) = ask("job", "success=false&error=no+route").recorded
    assert (recorded.kind, recorded.output) == (Kind.FAILURE, "no route")
    ((_, recorded),) = ask("job", "success=true&error=no+route").recorded
    assert (recorded.kind, recorded.output) == (Kind.SUCCESS, "")
    ((_, recorded),) = ask("job", "success=false&error=no+route", body=b"more").recorded
    assert recorded.output == "no route\nmore"


def test_only_post_is_taken() -> None:
    outcome = ping(GatusDialect(), "/api/v1/endpoints/job/external", "success=true")
    assert (outcome.status, outcome.headers["allow"]) == (405, "POST")
