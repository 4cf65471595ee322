"""Cronitor's telemetry, row by row, and the path that it shares with Healthchecks."""

import pytest

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.cronitor import CronitorDialect
from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from exporter.ingest.errors import IngestError
from tests.support.ingest import (
    KEYS,
    MAKER,
    READER,
    SECRET,
    TOKEN,
    Asked,
    FakeCreation,
    Outcome,
    fleet_of,
    monitor,
    ping,
    send,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(
    query: str = "", path: str = "", body: bytes = b"", dialect: CronitorDialect | None = None, **options: object
) -> Outcome:
    dialect = dialect or CronitorDialect()
    return ping(dialect, path or f"/p/{SECRET}/job", query, body, keys=KEYS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verb", "query", "kind", "exit_code"),
    [
        ("", "", Kind.SUCCESS, None),
        ("/run", "", Kind.START, None),
        ("/complete", "", Kind.SUCCESS, None),
        ("/fail", "", Kind.FAILURE, None),
        ("/ok", "", Kind.SUCCESS, None),
        ("", "state=run", Kind.START, None),
        ("", "state=complete", Kind.SUCCESS, None),
        ("", "state=fail", Kind.FAILURE, None),
        ("", "state=ok", Kind.SUCCESS, None),
        ("", "state=", Kind.SUCCESS, None),
        ("", "state=FAIL", Kind.FAILURE, None),
        ("/complete", "state=fail", Kind.FAILURE, None),
        ("/fail", "state=complete", Kind.FAILURE, None),
        ("", "state=complete&status_code=0", Kind.SUCCESS, 0),
        ("", "state=complete&status_code=3", Kind.FAILURE, 3),
        ("", "state=fail&status_code=3", Kind.FAILURE, 3),
        ("", "state=fail&status_code=0", Kind.FAILURE, None),
        ("", "status_code=2", Kind.FAILURE, 2),
        ("", "state=run&status_code=2", Kind.START, None),
        ("", "state=ok&status_code=none", Kind.SUCCESS, None),
        ("", "junk=%ff&&=", Kind.SUCCESS, None),
    ],
)
def test_states(verb: str, query: str, kind: Kind, exit_code: int | None) -> None:
    for key in (SECRET, READER, MAKER):
        for method in ("GET", "POST", "HEAD"):
            outcome = ask(query, f"/p/{key}/job{verb}", method=method)
            assert (outcome.status, outcome.body) == (200, b"OK")
            ((tag, recorded),) = outcome.recorded
            assert (tag, recorded.kind, recorded.exit_code) == ("job", kind, exit_code)


@pytest.mark.parametrize(("verb", "query"), [("/fial", ""), ("", "state=fial"), ("/pause/4", ""), ("/run/", "state=x")])
def test_an_unknown_state_is_no_success(verb: str, query: str) -> None:
    outcome = ask(query, f"/p/{SECRET}/job{verb}")
    assert (outcome.status, outcome.recorded, outcome.rejected) == (400, [], [RejectReason.INVALID])
    assert b"run, complete, fail or ok" in outcome.body


def test_what_else_is_told_is_kept() -> None:
    query = (
        "state=complete&message=all+good&series=run%20%237&host=web-1&env=staging&status_code=0&metric=duration:12.5"
        "&metric=count:300&metric=error_count=2&metric=bad:x&metric=&stamp=1764513000.25"
    )
    ((_, recorded),) = ask(query).recorded
    assert recorded.duration == 12_500
    assert recorded.output == "all good\nhost: web-1\nenv: staging\ncount: 300\nerror_count: 2"
    assert len(recorded.rid) == 32
    ((_, start),) = ask("state=run&series=run%20%237").recorded
    assert start.rid == recorded.rid
    ((_, recorded),) = ask("series=abc-1&msg=short&duration=3&metric=duration=oops").recorded
    assert (recorded.rid, recorded.output, recorded.duration) == ("abc-1", "short", 3_000)


def test_a_form_is_read_and_any_other_body_is_the_output() -> None:
    ((_, recorded),) = ask(body=b"state=fail&message=disk+full", headers=FORM).recorded
    assert (recorded.kind, recorded.output) == (Kind.FAILURE, "disk full")
    ((_, recorded),) = ask("state=complete&message=short", body=b"a=b", headers=FORM).recorded
    assert (recorded.kind, recorded.output) == (Kind.SUCCESS, "short\na=b")


def test_stamps_make_durations_and_nothing_else() -> None:
    dialect = CronitorDialect()

    def duration(query: str) -> int | None:
        ((_, recorded),) = ask(query, dialect=dialect).recorded
        assert recorded.received_at != 0
        return recorded.duration

    assert duration("state=run&series=1&stamp=1000.5") is None
    assert duration("state=run&series=2&stamp=1005") is None
    assert duration("state=complete&series=1&stamp=1060.75") == 60_250
    assert duration("state=complete&series=1&stamp=1070") is None  # that run has ended
    assert duration("state=fail&series=2&stamp=1004") is None  # a clock that went back says nothing
    assert duration("state=run&stamp=1") is None
    assert duration("state=complete&stamp=4&metric=duration:9") == 9_000  # measured, which is better
    assert duration("state=run&stamp=1") is None
    assert duration("state=complete") is None
    assert duration("state=complete&stamp=5") is None
    for query in ("stamp=nan", "stamp=-1", "stamp=", "stamp=1e999"):
        assert duration(f"state=run&{query}") is None
    assert duration("state=complete&stamp=5") is None


def test_stamps_of_runs_that_never_end_make_room() -> None:
    dialect = CronitorDialect()
    dialect._stamps.update({(9, str(number)): 1.0 for number in range(10_000)})
    ask("state=run&series=new&stamp=7", dialect=dialect)
    assert len(dialect._stamps) == 10_000
    assert (9, "0") not in dialect._stamps


def test_an_unknown_monitor_is_created() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    outcome = ask("state=run", f"/p/{MAKER}/new-one", fleet=fleet, creation=creation)
    assert (outcome.status, outcome.body) == (200, b"OK")
    assert [tag for tag, _ in outcome.recorded] == ["new-one"]
    assert creation.asked == [("new-one", {})]
    assert ask("state=fial", f"/p/{MAKER}/new-two", fleet=fleet, creation=creation).status == 400
    assert ask("", f"/p/{READER}/new-two", fleet=fleet, creation=creation).status == 404
    assert len(creation.asked) == 1
    refusal = IngestError(RejectReason.CREATION_REFUSED, "no", "not of this name", 403)
    outcome = ask("", f"/p/{MAKER}/other", fleet=fleet, creation=FakeCreation(fleet, refusal))
    assert (outcome.status, outcome.body) == (403, b"not of this name")


@pytest.mark.parametrize(
    ("path", "query", "dialect"),
    [
        ("/ping/{key}/job", "", "healthchecks"),
        ("/ping/{key}/job", "rid=11111111-2222-4333-8444-555555555555", "healthchecks"),
        ("/ping/{key}/job", "create=1&message=hello", "healthchecks"),
        ("/ping/{key}/job/fail", "", "healthchecks"),
        ("/ping/{key}/job", "state=fail", "cronitor"),
        ("/ping/{key}/job", "message=hello&stamp=1.5", "cronitor"),
        ("/ping/{key}/job", "metric=count:1", "cronitor"),
        ("/ping/{key}/job", "series=1", "cronitor"),
        ("/ping/{key}/job/run", "", "cronitor"),
        ("/ping/{key}/job/complete", "", "cronitor"),
        ("/ping/{key}/job/fail", "state=fail", "cronitor"),
    ],
)
def test_the_path_that_two_protocols_share(path: str, query: str, dialect: str) -> None:
    """The header field that only Healthchecks' answers have tells them apart."""
    fleet = fleet_of(monitor(1, "job", tokens=[TOKEN]))
    asked = Asked(path.replace("{key}", SECRET), query=query.encode())
    outcome = send(asked, [HealthchecksDialect(), CronitorDialect()], fleet, keys=KEYS)
    assert outcome.status == 200
    assert ("ping-body-limit" in outcome.headers) == (dialect == "healthchecks")
    assert len(outcome.recorded) == 1


def test_other_methods() -> None:
    outcome = ask(method="PUT")
    assert (outcome.status, outcome.headers["allow"]) == (405, "GET, POST, HEAD")
