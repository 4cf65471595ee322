"""Every dialect, with generated paths, queries, header fields and bodies."""

import json
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from exporter.core.heartbeat import Kind
from exporter.ingest.dialects import all_dialects
from tests.fuzz.conftest import Target, statuses
from tests.live.conftest import SECRET

pytestmark = pytest.mark.live
_text = st.text(max_size=30)
_query = st.lists(
    st.tuples(st.one_of(st.sampled_from(["rid", "msg", "tag_label", "at", "status"]), _text), _text), max_size=4
)
_fields = st.lists(
    st.tuples(
        st.sampled_from(["Accept", "Content-Type", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "If-Match"]),
        _text,
    ),
    max_size=3,
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_text, inner, max_size=4)),
    max_leaves=8,
)
_alert = st.fixed_dictionaries(
    {"status": st.one_of(st.sampled_from(["firing", "firing", "resolved"]), _json)},
    optional={"labels": st.one_of(_json, st.dictionaries(_text, _json, max_size=3))},
)
_bodies = st.one_of(st.binary(max_size=3000), _json.map(lambda value: json.dumps(value).encode()))
_posts = st.one_of(
    _bodies,
    st.fixed_dictionaries({"alerts": st.lists(st.one_of(_alert, _alert, _json), max_size=4)}).map(
        lambda value: json.dumps(value).encode()
    ),
)


def request(method: str, path: str, query: list[tuple[str, str]], fields: list[tuple[str, str]], body: bytes) -> bytes:
    """Good HTTP around whatever it is."""
    pairs = "&".join(f"{quote(key)}={quote(value)}" for key, value in query)
    head = f"{method} {path}{'?' if pairs else ''}{pairs} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    raw = head.encode()
    for name, value in fields:
        clean = value.encode("utf-8", "replace").translate(None, bytes(range(9)) + bytes(range(10, 32)) + b"\x7f")
        raw += name.encode() + b": " + clean + b"\r\n"
    return raw + b"\r\n" + body


FOREIGN = {
    "healthchecks": ["/ping/TOKEN", "/ping/SECRET/job"],
    "uptime_kuma": ["/api/push/TOKEN"],
    "gatus": ["/api/v1/endpoints/job/external", "/api/v1/endpoints/_job/external"],
    "better_stack": ["/api/v1/heartbeat/TOKEN"],
    "dead_mans_snitch": ["/snitch/TOKEN"],
    "cronitor": ["/p/SECRET/job", "/ping/SECRET/job/run"],
    "opsgenie": ["/v2/heartbeats/job/ping"],
    "sentry": ["/api/7/cron/job/SECRET", "/api/7/envelope/"],
}
_names = st.sampled_from(
    [
        "rid",
        "create",
        "status",
        "msg",
        "ping",
        "success",
        "error",
        "duration",
        "s",
        "m",
        "state",
        "series",
        "metric",
        "stamp",
        "status_code",
        "message",
        "check_in_id",
        "environment",
        "apiKey",
        "sentry_key",
    ]
)
_words = st.sampled_from(
    ["1", "0", "up", "down", "true", "false", "ok", "error", "run", "complete", "fail", "10s", "7.5", "in_progress"]
)
_values = st.one_of(_words, _text)
_check_in = st.fixed_dictionaries(
    {"monitor_slug": st.just("job"), "status": st.one_of(st.sampled_from(["ok", "error", "in_progress"]), _json)},
    optional=dict.fromkeys(("check_in_id", "duration", "environment", "monitor_config"), _json),
)
_envelopes = st.tuples(_json, _check_in | _json).map(
    lambda parts: b"\n".join(json.dumps(part).encode() for part in ({}, {"type": "check_in", "x": parts[0]}, parts[1]))
)


def test_there_is_a_campaign_for_each_dialect() -> None:
    assert {one.name for one in all_dialects()} == {"native", "alertmanager", *FOREIGN}


def test_the_dialects_of_other_systems(campaign: Target) -> None:
    """A 2xx is one heartbeat, nothing else is any; Sentry's envelopes may hold none, and CORS asks for none."""
    token = campaign.service.cli("monitor", "token", "job").strip()
    paths = [path.replace("SECRET", SECRET).replace("TOKEN", token) for paths in FOREIGN.values() for path in paths]
    suffixes = st.one_of(st.sampled_from(["", "", "", "", "/", "/start", "/fail", "/7", "/complete", "/256"]), _text)

    def attempt(
        method: str, path: str, suffix: str, query: list[tuple[str, str]], fields: list[tuple[str, str]], body: bytes
    ) -> None:
        before = campaign.recorded()
        keys = [("Authorization", f"Bearer {SECRET}"), ("X-Sentry-Auth", f"Sentry sentry_key={SECRET}")]
        answer = campaign.send([request(method, path + quote(suffix), query, [*fields, *keys], body)])
        (code,) = statuses(answer)
        assert code < 500, answer
        new = campaign.recorded() - before
        if path.endswith("envelope/"):
            assert new <= (code == 200)
        else:
            assert new == (code in (200, 201, 202)), answer
        assert SECRET.encode() not in answer
        assert token.encode() not in answer

    methods = st.sampled_from(["GET", "POST", "POST", "HEAD", "PUT", "PATCH", "OPTIONS", "DELETE"])
    queries = st.lists(st.tuples(st.one_of(_names, _text), _values), max_size=4)
    if campaign.run(attempt, methods, st.sampled_from(paths), suffixes, queries, _fields, _bodies | _envelopes):
        assert {200, 202, 400, 404, 405} <= set(campaign.answered), campaign.answered


def test_the_native_dialect(campaign: Target) -> None:
    """With the right secret nothing makes a heartbeat fail, but a suffix that is none."""
    suffixes = st.one_of(st.sampled_from(["", "", "/", "/start", "/fail", "/log", "/0", "/-7", "/" + "9" * 99]), _text)

    def attempt(
        method: str, right: bool, suffix: str, query: list[tuple[str, str]], fields: list[tuple[str, str]], body: bytes
    ) -> None:
        before = campaign.recorded()
        path = f"/ext/heartbeat/job:{SECRET if right else 'no'}{quote(suffix)}"
        answer = campaign.send([request(method, path, query, fields, body)])
        campaign.check(answer, before)
        good = suffix in ("", "/", "/start", "/fail", "/log", "/0", "/-7", "/" + "9" * 99)
        if right and good:
            assert statuses(answer) == [200]
        elif not right:
            assert statuses(answer) == [404]

    methods = st.sampled_from(["GET", "POST", "HEAD"])
    if campaign.run(attempt, methods, st.booleans(), suffixes, _query, _fields, _bodies):
        assert campaign.kinds() == {kind.value for kind in Kind}


def test_alertmanagers_dialect(campaign: Target) -> None:

    counted = 0

    def attempt(right: bool, query: list[tuple[str, str]], fields: list[tuple[str, str]], body: bytes) -> None:
        nonlocal counted
        tags = ("am", "job", "plain")
        before = [campaign.recorded(tag) for tag in tags]
        path = f"/api/v1/alertmanager/am/{SECRET if right else 'no'}"
        answer = campaign.send([request("POST", path, query, fields, body)])
        new = sum(campaign.recorded(tag) - old for tag, old in zip(tags, before, strict=True))
        counted += new
        (code,) = statuses(answer)
        assert code in ((200, 400, 404, 413, 503) if right else (404,))
        if code == 200 and b"no alert in it is firing" not in answer:
            assert new == len(json.loads(answer.partition(b"\r\n\r\n")[2])["monitors"])
        else:
            assert new == 0

    if campaign.run(attempt, st.booleans(), _query, _fields, _posts):
        assert counted
        assert {200, 400, 404} <= set(campaign.answered), campaign.answered
