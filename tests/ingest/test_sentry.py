"""Sentry's check-ins over both transports, row by row."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import PingKey
from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.secret import digest
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.envelope import READ
from exporter.ingest.dialects.sentry import SentryDialect
from exporter.ingest.errors import Denied, IngestError
from exporter.ingest.request import Request
from tests.ingest.dialects.sentry import envelope
from tests.support.ingest import (
    KEY,
    KEYS,
    MAKER,
    READER,
    SECRET,
    TOKEN,
    Asked,
    CollectingIngest,
    FakeCreation,
    Outcome,
    fleet_of,
    monitor,
    ping,
    scope_of,
)

ID = "0b6f9d3a11114222833301234567890a"
JSON = {"Content-Type": "application/json"}
AUTH = {"X-Sentry-Auth": f"Sentry sentry_key={SECRET}, sentry_version=7, sentry_client=sentry.python/2.75.0"}
LONG = "a-slug-of-more-than-fifty-characters-such-as-an-sdk-would-send-it"


def cron(query: str = "", key: str = SECRET, slug: str = "job", body: object = None, **options: object) -> Outcome:
    sent = b"" if body is None else json.dumps(body).encode()
    headers = JSON if body is not None else {}
    path = f"/api/42/cron/{slug}/{key}/"
    return ping(SentryDialect(), path, query, sent, headers, keys=KEYS, **options)  # type: ignore[arg-type]


def post(body: bytes, headers: dict[str, str] | None = None, query: str = "", **options: object) -> Outcome:
    headers = AUTH if headers is None else headers
    return ping(SentryDialect(), "/api/42/envelope/", query, body, headers, "POST", keys=KEYS, **options)  # type: ignore[arg-type]


def check_in(**more: Any) -> dict[str, Any]:
    return {"check_in_id": ID, "monitor_slug": "job", "status": "ok", **more}


def only(outcome: Outcome) -> Heartbeat:
    assert outcome.status in (200, 202), outcome.body
    ((tag, recorded),) = outcome.recorded
    assert tag == "job"
    return recorded


STATUSES = [("ok", Kind.SUCCESS), ("error", Kind.FAILURE), ("in_progress", Kind.START)]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_every_status_over_every_transport(status: str, kind: Kind) -> None:
    for outcome in (
        cron(f"status={status}"),
        cron(f"status={status}", method="POST"),
        cron(body={"status": status}),
        cron("status=strange", body={"status": status}),
        cron(f"status={status}", key=READER),
        post(envelope(check_in(status=status))),
    ):
        assert only(outcome).kind is kind
    outcome = cron(f"status={status}")
    assert (outcome.status, outcome.body) == (202, b"")
    outcome = post(envelope(check_in(status=status)))
    assert (outcome.status, json.loads(outcome.body)) == (200, {"id": ID})
    assert outcome.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", ["missed", "timeout", "OK", "eror", "\u00fc"])
def test_an_unknown_status_is_accepted_and_is_no_outcome(status: str) -> None:
    for outcome in (cron(f"status={status}"), cron(body={"status": status}), post(envelope(check_in(status=status)))):
        recorded = only(outcome)
        assert (recorded.kind, recorded.output) == (Kind.LOG, f"unknown status: {status}")


def test_runs_are_paired_by_the_check_in_id() -> None:
    dashed = "0B6F9D3A-1111-4222-8333-01234567890A"
    assert only(cron(f"status=ok&check_in_id={dashed}")).rid == ID
    assert only(cron(body={"status": "ok", "check_in_id": dashed})).rid == ID
    assert only(post(envelope(check_in()))).rid == ID
    for nobody in ("0" * 32, "00000000-0000-0000-0000-000000000000", None):  # the latest open run
        assert only(cron(body={"status": "ok", "check_in_id": nobody})).rid == ""
    assert only(cron("status=ok")).rid == ""
    assert len(only(cron("status=ok&check_in_id=run%207")).rid) == 32


def test_duration_and_environment() -> None:
    assert only(cron("status=ok&duration=1.25")).duration == 1_250
    assert only(post(envelope(check_in(duration=3, environment="staging", release=None)))).duration == 3_000
    for duration in (-1, None, "soon", True, [], 1e999):
        assert only(post(envelope(check_in(duration=duration)))).duration is None
    assert only(cron("status=ok&environment=staging")).output == "environment: staging"
    assert only(cron(body={"status": "ok", "environment": "a\0\ud800"})).output == "environment: a\ufffd?"


def test_what_lacks_a_status_is_refused() -> None:
    for outcome in (cron(), cron("status="), cron(body={}), post(envelope(check_in(status=None)))):
        assert (outcome.status, outcome.recorded) == (400, [])
        assert "status is missing" in json.loads(outcome.body)["detail"]
    assert post(envelope(check_in(monitor_slug=None))).status == 400
    assert post(envelope(check_in(monitor_slug=""))).status == 400


def test_curl_does_not_say_that_it_sends_json() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in ({}, form, {"Content-Type": "application/json; charset=utf-8"}):
        outcome = ping(SentryDialect(), f"/api/1/cron/job/{SECRET}", "", b'{"status": "error"}', headers)
        assert only(outcome).kind is Kind.FAILURE
    outcome = ping(SentryDialect(), f"/api/1/cron/job/{SECRET}", "status=ok", b"any output", form)
    assert only(outcome).kind is Kind.SUCCESS


def test_the_key_may_stand_anywhere() -> None:
    body = envelope(check_in())
    with_dsn = envelope(check_in(), dsn=f"https://{SECRET}@heartbeats.example.org/42")
    for outcome in (
        post(body, {}, f"sentry_version=7&sentry_key={SECRET}"),
        post(body, {"X-Sentry-Auth": f"Sentry sentry_version=7,sentry_key={SECRET}"}),
        post(body, {"Authorization": f"Sentry sentry_key={SECRET}, sentry_version=7"}),
        post(with_dsn, {}),
    ):
        assert only(outcome).kind is Kind.SUCCESS
    for headers in (AUTH, {"Authorization": f"Sentry sentry_key={SECRET}"}):
        outcome = ping(SentryDialect(), "/api/1/cron/job", "status=ok", headers=headers)
        assert only(outcome).kind is Kind.SUCCESS


def test_wrong_keys_are_denied() -> None:
    for outcome in (
        cron("status=ok", "wrong"),
        cron("status=ok", SECRET, "nobody"),
        cron("status=ok", TOKEN),
        cron(body={"status": "ok", "monitor_config": {}}, key=READER, slug="nobody"),
        post(envelope(check_in()), {}),
        post(envelope(check_in(monitor_slug="nobody"))),
        post(envelope(check_in(), dsn="https://wrong@example.org/1"), {}),
    ):
        assert (outcome.status, outcome.recorded, len(outcome.slowed)) == (403, [], 1)
        assert json.loads(outcome.body) == {"detail": "event submission rejected with_reason: ProjectId"}


@pytest.mark.parametrize("project", ["x", "1a", "\u0663", "-1", "o1"])
def test_a_project_is_a_number(project: str) -> None:
    outcome = ping(SentryDialect(), f"/api/{project}/cron/job/{SECRET}", "status=ok")
    assert (outcome.status, outcome.recorded) == (404, [])


# ── envelopes ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_items_of_other_types_are_accepted_and_dropped() -> None:
    outcome = post(envelope(), {})
    assert (outcome.status, json.loads(outcome.body)) == (200, {"id": ID})
    assert (outcome.recorded, outcome.rejected, outcome.slowed) == ([], [], [])
    assert json.loads(post(b"{}", {}).body) == {}
    lines = [
        b"{}",
        b'{"type":"event","length":2}',
        b"\n\n",
        b'{"type":"check_in"}',
        json.dumps(check_in()).encode(),
        b"",
    ]
    assert only(post(b"\n".join(lines))).kind is Kind.SUCCESS


def test_lengths_are_obeyed() -> None:
    payload = json.dumps(check_in(), indent=1).encode()  # with line feeds
    body = b'{}\n{"type":"check_in","length":%d}\n%s\n{"type":"check_in","length":%d}\n%s' % (
        (len(payload), payload) * 2
    )
    outcome = post(body)
    assert [tag for tag, _ in outcome.recorded] == ["job", "job"]


def test_several_check_ins_of_one_envelope() -> None:
    fleet = fleet_of(monitor(1, "job"), monitor(2, "twin"))
    body = envelope(check_in(), check_in(monitor_slug="nobody"), check_in(monitor_slug="twin", status="error"))
    outcome = post(body, fleet=fleet)
    assert [(tag, one.kind.value) for tag, one in outcome.recorded] == [("job", "success"), ("twin", "failure")]
    assert post(envelope(*[check_in()] * 100)).status == 200
    assert post(envelope(*[check_in()] * 101)).status == 413


def test_a_check_in_before_a_long_item_counts() -> None:
    long = b'\n{"type":"attachment","length":3000000}\n' + b"x" * 3_000_000
    assert only(post(envelope(check_in()) + long)).kind is Kind.SUCCESS
    body = gzip.compress(envelope(check_in()) + long)
    assert only(post(body, {**AUTH, "Content-Encoding": "gzip"})).kind is Kind.SUCCESS
    cut_off = envelope(check_in())[:-5]
    assert post(cut_off).status == 400
    assert post(gzip.compress(envelope(check_in()))[:-20], {**AUTH, "Content-Encoding": "gzip"}).status in (200, 400)


def test_a_check_in_that_cannot_be_takes_no_other_one_with_it() -> None:
    fleet = fleet_of(monitor(1, "job"))
    refusal = IngestError(RejectReason.INVALID, "no", "schedule: never fires", 400)
    creation = FakeCreation(fleet, refusal)
    bad = check_in(monitor_slug="new", monitor_config={})
    headers = {"X-Sentry-Auth": f"Sentry sentry_key={MAKER}"}
    outcome = post(envelope(check_in(), bad), headers, fleet=fleet, creation=creation)
    assert (outcome.status, [tag for tag, _ in outcome.recorded]) == (200, ["job"])
    outcome = post(envelope(bad), headers, fleet=fleet, creation=creation)
    assert (outcome.status, json.loads(outcome.body)["detail"]) == (400, "schedule: never fires")
    assert outcome.rejected == [RejectReason.INVALID]


def test_a_run_that_begins_and_ends_in_one_envelope_of_a_new_monitor() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    started = check_in(monitor_slug="new", status="in_progress", monitor_config={})
    body = envelope(started, check_in(monitor_slug="new"))
    outcome = post(body, {"X-Sentry-Auth": f"Sentry sentry_key={MAKER}"}, fleet=fleet, creation=creation)
    assert [(tag, one.kind.value) for tag, one in outcome.recorded] == [("new", "start"), ("new", "success")]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "x-gzip", "identity", ""])
def test_compressed_and_plain(encoding: str) -> None:
    body = envelope(check_in())
    if "gzip" in encoding.lower():
        body = gzip.compress(body)
    elif encoding == "deflate":
        body = zlib.compress(body)
    assert only(post(body, {**AUTH, "Content-Encoding": encoding})).kind is Kind.SUCCESS


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"{}\n" + b"\0" * 200_000_000)
    outcome = post(bomb, {**AUTH, "Content-Encoding": "gzip"})
    assert outcome.status == 413
    bomb = gzip.compress(envelope(check_in()) + b"\n" + b'{"type":"x"}\n' + b" " * 200_000_000)
    assert only(post(bomb, {**AUTH, "Content-Encoding": "gzip"})).kind is Kind.SUCCESS


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{", "", 400),
        (b"[]", "", 400),
        (b"\xff\xfe\0", "", 400),
        (b'{}\n{"type":"check_in"}\nnot json', "", 400),
        (b'{}\n{"type":"check_in"}', "", 400),
        (b"{}\nnot json\n{}", "", 400),
        (b"[" * 100_000, "", 400),
        (b'{}\n{"type":"check_in","length":' + b"9" * 400 + b"}\n{}", "", 400),
        (b'{"x":"' + b"x" * 40_000 + b'"}', "", 400),
        (b"no gzip", "gzip", 400),
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
        (b"{" + b" " * READ, "", 400),
        (b"{}\n" + b" " * READ, "", 413),
        (b'{}\n{"type":"attachment"}\n' + b"x" * READ, "", 200),
        (b'{}\n{"type":"attachment","length":3000000}\n' + b"x" * 3_000_000, "", 200),
        (gzip.compress(b'{}\n{"type":"attachment","length":3000000}\n' + b"x" * 3_000_000), "gzip", 200),
        (b'{}\n{"type":"session"}\n{}\n' + b'{"type":"x"}\n{}\n' * READ, "", 200),
    ],
)
def test_what_is_no_envelope(body: bytes, encoding: str, status: int) -> None:
    outcome = post(body, {**AUTH, "Content-Encoding": encoding} if encoding else AUTH)
    assert (outcome.status, outcome.recorded) == (status, [])


NAMES = ["type", "length", "monitor_slug", "status", "monitor_config", "schedule", "check_in"]
ITEMS = st.recursive(
    st.none() | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner),
)
LINES = st.lists(ITEMS, max_size=5).map(lambda lines: "\n".join(map(json.dumps, lines)).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | LINES)
def test_no_body_is_a_defect(body: bytes) -> None:
    assert post(body or b" ").status in (200, 400, 403, 413)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def settings_of(config: object) -> Any:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    outcome = cron(
        body={"status": "ok", "monitor_config": config}, key=MAKER, slug="new", fleet=fleet, creation=creation
    )
    if outcome.status != 202:
        assert (creation.asked, outcome.recorded, outcome.rejected) == ([], [], [RejectReason.INVALID])
        return outcome.status
    ((tag, asked),) = creation.asked
    assert (tag, [name for name, _ in outcome.recorded]) == ("new", ["new"])
    return asked


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {}),
        (
            {
                "schedule": {"type": "crontab", "value": "0 3 * * *"},
                "checkin_margin": 5,
                "max_runtime": 30,
                "timezone": "Europe/Rome",
                "failure_issue_threshold": 3,
                "recovery_threshold": 1,
                "owner": "team:1",
            },
            {
                "schedule": "0 3 * * *",
                "timezone": "Europe/Rome",
                "degraded_after": "0s",
                "down_after": "5m",
                "max_runtime": "30m",
                "failure_tolerance": 2,
            },
        ),
        ({"schedule": {"type": "interval", "value": 2, "unit": "hour"}}, {"every": "120m"}),
        ({"schedule": {"type": "interval", "value": "1", "unit": "week"}}, {"every": "10080m"}),
        ({"schedule": {"type": "interval", "value": 1, "unit": "month"}, "timezone": "UTC"}, {"every": "43200m"}),
        ({"checkin_margin": 0, "max_runtime": 0}, {"degraded_after": "0s", "down_after": "1s"}),
        ({"failure_issue_threshold": 1}, {"failure_tolerance": 0}),
        ({"failure_issue_threshold": 900}, {"failure_tolerance": 50}),
        (dict.fromkeys(("schedule", "checkin_margin", "max_runtime", "timezone", "failure_issue_threshold")), {}),
        ({"schedule": {"type": "crontab", "value": "0 3 * * *"}, "timezone": None}, {"schedule": "0 3 * * *"}),
    ],
)
def test_what_a_monitor_config_means(config: object, expected: object) -> None:
    assert settings_of(config) == expected


@pytest.mark.parametrize(
    "config",
    [
        [],
        "x",
        {"schedule": "0 3 * * *"},
        {"schedule": {}},
        {"schedule": {"type": "crontab"}},
        {"schedule": {"type": "crontab", "value": 3}},
        {"schedule": {"type": "interval", "value": 0, "unit": "hour"}},
        {"schedule": {"type": "interval", "value": 1, "unit": "fortnight"}},
        {"schedule": {"type": "interval", "value": 1, "unit": []}},
        {"schedule": {"type": "interval", "value": 1.5, "unit": "day"}},
        {"schedule": {"type": "interval", "value": -1, "unit": "day"}},
        {"schedule": {"type": "interval", "unit": "day"}},
        {"schedule": {"type": "sometimes"}},
        {"checkin_margin": "soon"},
        {"max_runtime": -1},
        {"max_runtime": 1e300},
        {"failure_issue_threshold": True},
    ],
)
def test_a_monitor_config_that_cannot_be(config: object) -> None:
    assert settings_of(config) == 400


def test_settings_reach_monitors_through_the_key_alone() -> None:
    """Whether the key made the monitor is `Creation`'s to say."""
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    config = {"schedule": {"type": "crontab", "value": "@daily"}}
    for key in (SECRET, READER, MAKER):
        outcome = cron(body={"status": "ok", "monitor_config": config}, key=key, fleet=fleet, creation=creation)
        assert outcome.status == 202
    assert creation.asked == [("job", {"schedule": "@daily"})] * 2
    refusal = IngestError(RejectReason.INVALID, "no", "schedule: never fires", 400)
    outcome = cron(
        body={"status": "ok", "monitor_config": config},
        key=MAKER,
        slug="new",
        fleet=fleet,
        creation=FakeCreation(fleet, refusal),
    )
    assert (outcome.status, json.loads(outcome.body)) == (400, {"detail": "schedule: never fires"})


def test_without_a_monitor_config_nothing_is_created() -> None:
    fleet = fleet_of(monitor(1, "job"))
    creation = FakeCreation(fleet)
    assert cron("status=ok", MAKER, "new", fleet=fleet, creation=creation).status == 403
    assert creation.asked == []


def test_a_slug_is_cut_unless_the_whole_is_a_tag() -> None:
    whole, cut = monitor(1, LONG), monitor(2, LONG[:50])
    assert [tag for tag, _ in cron("status=ok", slug=LONG, fleet=fleet_of(whole, cut)).recorded] == [LONG]
    assert [tag for tag, _ in cron("status=ok", slug=LONG, fleet=fleet_of(cut)).recorded] == [LONG[:50]]
    fleet = fleet_of()
    creation = FakeCreation(fleet)
    keys = [PingKey(name="any", digest=digest(MAKER, KEY), selector=Selector(tags=("*",)), defaults={})]
    body = json.dumps({"status": "ok", "monitor_config": {}}).encode()
    for _ in range(2):
        outcome = ping(
            SentryDialect(), f"/api/1/cron/{LONG}/{MAKER}", "", body, JSON, fleet=fleet, creation=creation, keys=keys
        )
        assert outcome.status == 202
    assert {tag for tag, _ in creation.asked} == {LONG[:50]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (envelope(check_in()) + b"\n{", 200),
        (envelope(), 503),
        (envelope(check_in())[:-5], 503),
        (b"{", 503),
    ],
)
def test_an_envelope_that_does_not_arrive_whole(body: bytes, status: int) -> None:
    """What arrived of it may hold the check-in; if it does not, the sender is asked to send it again."""
    left = [body]

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": True}
        return {"type": "http.disconnect"}

    dialect, ingest = SentryDialect(), CollectingIngest(fleet_of(monitor(1, "job")))
    headers = ((b"content-length", b"9000"), (b"x-sentry-auth", f"Sentry sentry_key={SECRET}".encode()))
    request = Request(scope_of(Asked("", "POST", b"", headers)), receive, dialect.routes[0], {"project": "1"}, 1000)
    if status == 200:
        assert asyncio.run(dialect.handle(request, ingest)).status == 200
        assert [beat.kind for beat in ingest.beats] == [Kind.SUCCESS]
    else:
        with pytest.raises(IngestError) as raised:
            asyncio.run(dialect.handle(request, ingest))
        assert (raised.value.status, ingest.beats) == (503, [])


def test_a_body_for_the_cron_url_is_read_for_those_who_have_a_key() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body is read")

    dialect, ingest = SentryDialect(), CollectingIngest(fleet_of(monitor(1, "job")))
    asked = scope_of(Asked("", "POST", b"", ((b"content-length", b"9000"),)))
    fields = {"project": "1", "slug": "job", "key": "wrong"}
    with pytest.raises(Denied):
        asyncio.run(dialect.handle(Request(asked, receive, dialect.routes[2], fields, 1000), ingest))


def test_our_own_trouble() -> None:
    for outcome in (
        cron("status=ok", fate=StorageUnavailable("away")),
        post(envelope(check_in()), fate="overloaded"),
        post(envelope(check_in()), fate="starting"),
    ):
        assert (outcome.status, outcome.headers["retry-after"]) == (503, "5")
        assert "send it again" in json.loads(outcome.body)["detail"]
