"""Pushgateway's pushes, row by row, and metrics on the heartbeat URLs of other dialects."""

import gzip
import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.core.job_metrics.model import PushMode
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.dialects.pushgateway import PushgatewayDialect, target_of
from exporter.ingest.errors import IngestError
from tests.support.ingest import KEYS, MAKER, READER, SECRET, TOKEN, FakeCreation, Outcome, fleet_of, monitor, ping

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def ask(
    body: bytes = b"size 1\n",
    path: str = "/metrics/job/job",
    method: str = "PUT",
    key: str = SECRET,
    headers: dict[str, str] | None = None,
    **options: object,
) -> Outcome:
    fields = {"Authorization": basic("", key), "Content-Type": TEXT, **(headers or {})}
    return ping(PushgatewayDialect(), path, "", body, fields, method, keys=KEYS, **options)  # type: ignore[arg-type]


def test_pushes_are_successes_and_deletions_are_not() -> None:
    for method, mode in (("PUT", PushMode.REPLACE), ("POST", PushMode.MERGE)):
        outcome = ask(method=method)
        assert (outcome.status, outcome.body) == (200, b"")
        assert [(tag, beat.kind) for tag, beat in outcome.recorded] == [("job", Kind.SUCCESS)]
        (push,) = outcome.pushes
        assert (push.mode, push.labels, push.required) == (mode, (("job", "job"),), True)
        assert [family.name for family in push.families] == ["size"]
    outcome = ask(b"", "/metrics/job/job/instance/1", "DELETE")
    assert (outcome.status, outcome.body, outcome.recorded) == (202, b"", [])
    (push,) = outcome.pushes
    assert (push.mode, push.labels) == (PushMode.DELETE, (("instance", "1"), ("job", "job")))
    assert ask(b"").status == 200  # a group may be empty


def b64(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/metrics/job/job", {}),
        ("/metrics/job/job/", {}),
        ("/metrics/job/job/instance/a/zone/b/", {"instance": "a", "zone": "b"}),
        (f"/metrics/job@base64/{b64('job')}", {}),
        (f"/metrics/job/job/path@base64/{b64('/var/tmp')}", {"path": "/var/tmp"}),
        (f"/metrics/job/job/path@base64/{b64('/var/tmp').rstrip('=')}", {"path": "/var/tmp"}),
        ("/metrics/job/job/path@base64/=", {"path": ""}),
        ("/metrics/job/job/name/%CE%A0%20a", {"name": "Π a"}),
        ("/metrics/job/job/path/%2Fvar", {"path": "/var"}),
        ("/metrics/job/job/name/a+b", {"name": "a+b"}),
        ("/metrics/job/job/job/other/a/1/a/2", {"a": "2"}),
    ],
)
def test_paths_are_grouping_keys(path: str, labels: dict[str, str]) -> None:
    assert dict(target_of(path.encode()).labels) == {**labels, "job": "job"}


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/job/a%20b",
        "/metrics/job/..",
        f"/metrics/job/{'x' * 129}",
        "/metrics/job@base64/=",
        "/metrics/job@base64/a*b",
        "/metrics/job@base64/_w==",
        "/metrics/job/job/instance",
        "/metrics/job/job/__name__/up",
        "/metrics/job/job/a-b/1",
        "/metrics/job/job//x",
        "/metrics/job/job/a/%FF",
        "/metrics/job/job/a/%00",
        f"/metrics/job/job/a/{'x' * 10_000}",
    ],
)
def test_paths_that_cannot_be(path: str) -> None:
    outcome = ask(path=path)
    assert (outcome.status, outcome.recorded, outcome.pushes) == (400, [], [])
    assert outcome.headers["content-type"].startswith("text/plain")
    assert outcome.body.endswith(b"\n")


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"heartbeat_x 1", {}, 400, b"reserved"),
        (b"size 1 1790000000", {}, 400, b"timestamp"),
        (b"size 1\nsize 2", {}, 400, b"twice"),
        (b"size \xff", {}, 400, b"UTF-8"),
        (b"#" * 3_000_000, {}, 400, b"64 kB"),
        (gzip.compress(b"#" * 10_000_000), {"Content-Encoding": "gzip"}, 400, b"64 kB"),
        (b"x", {"Content-Encoding": "gzip"}, 400, b"gzip"),
        (b"x", {"Content-Encoding": "snappy"}, 415, b"only gzip"),
        (b"x", {"Content-Type": "application/vnd.google.protobuf; encoding=delimited"}, 415, b"protobuf"),
        (b"size 1\n", {"Content-Type": OPENMETRICS}, 400, b"EOF"),
        (b"size{" + b",".join(b'l%d="1"' % n for n in range(1_000_000)) + b"} 1", {}, 400, b"64 kB"),
    ],
)
def test_a_bad_push_is_no_heartbeat(body: bytes, headers: dict[str, str], status: int, reason: bytes) -> None:
    for fate in (None, StorageUnavailable("away")):
        outcome = ask(body, headers=headers, fate=fate)
        assert (outcome.status, outcome.recorded) == (status, [])
        assert reason in outcome.body
        assert outcome.rejected == [RejectReason.INVALID]
        assert [push.mode for push in outcome.pushes] == [PushMode.FAILED]


def test_what_the_database_refuses_is_no_heartbeat() -> None:
    outcome = ask(refusal="the metric size is of another type")
    assert (outcome.status, outcome.body) == (400, b"the metric size is of another type\n")
    assert (outcome.recorded, outcome.rejected) == ([], [RejectReason.INVALID])


def test_other_bodies_are_read() -> None:
    for body, headers in (
        (gzip.compress(b"size 1\n"), {"Content-Encoding": "gzip"}),
        (b"size 1\n# EOF\n", {"Content-Type": OPENMETRICS}),
        (b"size 1", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b'size{l="' + b"x" * 60_000 + b'"} 1', {}),
    ):
        assert [family.name for family in ask(body, headers=headers).pushes[0].families] == ["size"]


def test_keys_may_stand_in_several_places() -> None:
    for authorization in (
        basic("anybody", SECRET),
        basic(SECRET, ""),
        f"Bearer {SECRET}",
        basic("", READER),
        f"bearer {MAKER}",
    ):
        assert ask(headers={"Authorization": authorization}).status == 200
    for authorization in (basic("", "wrong"), "Bearer wrong", "Digest x", "Basic ///"):
        for path in ("/metrics/job/job", "/metrics/job/nobody"):
            for method in ("PUT", "DELETE"):
                outcome = ask(path=path, method=method, headers={"Authorization": authorization})
                assert (outcome.status, outcome.slowed) == (401, ["127.0.0.1"])
                assert outcome.headers["www-authenticate"].startswith("Basic ")
    assert ask(key=READER, path="/metrics/job/nobody").status == 404


def test_a_key_that_may_creates_the_monitor() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    assert ask(path="/metrics/job/new", key=MAKER, fleet=fleet, creation=creation).status == 200
    assert creation.asked == [("new", {"every": "1d", "degraded_after": "1h", "down_after": "2h"})]
    for path, body, status in (("/metrics/job/new2", b"up 1", 400), ("/metrics/job/new2/a", b"", 400)):
        assert ask(body, path, key=MAKER, fleet=fleet, creation=creation).status == status
    assert ask(b"", "/metrics/job/new2", "DELETE", MAKER, fleet=fleet, creation=creation).status == 202
    assert len(creation.asked) == 1
    for given, settings in (
        ({"schedule": "0 3 * * *"}, {"degraded_after": "1h", "down_after": "2h"}),
        ({"every": "5m"}, {"degraded_after": "1h", "down_after": "2h"}),
        ({"down_after": "1m"}, {"every": "1d"}),
        ({"every": "5m", "degraded_after": "1m", "group": "g"}, {}),
    ):
        keys = (replace(KEYS[0], defaults=given),)
        creation = FakeCreation(fleet_of())
        outcome = ping(
            PushgatewayDialect(),
            "/metrics/job/new",
            "",
            b"size 1",
            {"Authorization": f"Bearer {MAKER}"},
            fleet=creation._fleet,
            keys=keys,
            creation=creation,
        )
        assert (outcome.status, creation.asked) == (200, [("new", settings)])
    refusal = IngestError(RejectReason.TOO_MANY, "no", "too many of them", 403)
    outcome = ask(path="/metrics/job/new3", key=MAKER, fleet=fleet, creation=FakeCreation(fleet, refusal))
    assert (outcome.status, outcome.body) == (403, b"too many of them\n")


def test_our_own_trouble_is_503() -> None:
    for method in ("PUT", "POST", "DELETE"):
        for fate in (StorageUnavailable("away"), "overloaded", "starting"):
            outcome = ask(method=method, fate=fate)
            assert (outcome.status, outcome.headers["retry-after"]) == (503, "5")


# ── metrics on heartbeat URLs ────────────────────────────────────────────────────────────────────────────────────


def beat(body: bytes, headers: dict[str, str], suffix: str = "", **options: object) -> Outcome:
    return ping(NativeDialect(), f"/ext/heartbeat/job:{SECRET}{suffix}", "", body, headers, **options)  # type: ignore[arg-type]


def test_a_heartbeat_brings_metrics() -> None:
    for body, headers in (
        (b"size 1\n", {"Content-Type": TEXT}),
        (b"size 1\n# EOF\n", {"Content-Type": OPENMETRICS}),
        (gzip.compress(b"size 1\n"), {"Content-Type": TEXT, "Content-Encoding": "gzip"}),
        (b'size{l="' + b"x" * 60_000 + b'"} 1\n', {"Content-Type": TEXT}),
    ):
        for suffix, kind in (("", Kind.SUCCESS), ("/fail", Kind.FAILURE), ("/start", Kind.START), ("/3", Kind.FAILURE)):
            outcome = beat(body, headers, suffix)
            assert (outcome.status, json.loads(outcome.body)) == (200, {"status": "OK"})
            ((_, heartbeat),) = outcome.recorded
            assert (heartbeat.kind, heartbeat.output) == (kind, "")
            (push,) = outcome.pushes
            assert (push.mode, push.labels, push.required) == (PushMode.REPLACE, (), False)
            assert [family.name for family in push.families] == ["size"]


@pytest.mark.parametrize("type", [TEXT, OPENMETRICS])
def test_bad_metrics_on_a_heartbeat_are_a_warning(type: str) -> None:
    for body, encoding in (
        (b"no metrics", ""),
        (b"up 1", ""),
        (b"size \xff", ""),
        (b"#" * 3_000_000, ""),
        (gzip.compress(b"#" * 10_000_000), "gzip"),
        (b"x", "br"),
    ):
        headers = {"Content-Type": type, **({"Content-Encoding": encoding} if encoding else {})}
        outcome = beat(body, headers)
        assert outcome.status == 200
        assert json.loads(outcome.body)["warning"].startswith("the metrics were not kept: ")
        ((_, heartbeat),) = outcome.recorded
        assert heartbeat.kind is Kind.SUCCESS
        assert bool(heartbeat.output) is not bool(encoding)  # what was meant as metrics can still be read by people
        assert [push.mode for push in outcome.pushes] == [PushMode.FAILED]
    outcome = beat(b"size 1\n# EOF\n", {"Content-Type": OPENMETRICS}, refusal="the series is there twice")
    assert json.loads(outcome.body)["warning"] == "the metrics were not kept: the series is there twice"
    assert len(outcome.recorded) == 1


def test_other_bodies_are_output() -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "text/plain; charset=utf-8"}):
        outcome = beat(b"size 1\n", headers)
        assert (outcome.recorded[0][1].output, outcome.pushes) == ("size 1\n", [])
    assert beat(b"", {"Content-Type": TEXT}).pushes == []


def test_other_dialects_bring_metrics_too() -> None:
    outcome = ping(HealthchecksDialect(), f"/ping/{TOKEN}", "", b"size 1\n", {"Content-Type": TEXT})
    assert (outcome.status, outcome.body) == (200, b"OK")
    assert (outcome.recorded[0][1].output, [push.mode for push in outcome.pushes]) == ("", [PushMode.REPLACE])
    outcome = ping(HealthchecksDialect(), f"/ping/{TOKEN}", "", b"up 1\n", {"Content-Type": TEXT})
    assert (outcome.status, outcome.body) == (200, b"OK")


def test_where_no_more_metrics_can_be_kept() -> None:
    outcome = ask(full=True)
    assert (outcome.status, outcome.headers["retry-after"], outcome.recorded) == (503, "5", [])
    assert outcome.body == b"the exporter keeps as many job metrics as it can\n"
    creation = FakeCreation(fleet_of())
    assert ask(path="/metrics/job/new", key=MAKER, creation=creation, full=True).status == 503
    assert creation.asked == []
    assert ask(b"", method="DELETE", full=True).status == 202
    outcome = beat(b"size 1\n", {"Content-Type": TEXT}, full=True)
    assert (outcome.status, len(outcome.recorded)) == (200, 1)
    assert "as many job metrics as it can" in json.loads(outcome.body)["warning"]
