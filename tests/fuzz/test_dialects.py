"""Every dialect, with generated paths, queries, header fields and bodies."""

import json
import subprocess
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from exporter.core.heartbeat import Kind
from exporter.ingest.dialects import all_dialects
from tests.fuzz.conftest import Target, statuses
from tests.live.conftest import SECRET
from tests.support.tools import need_tool

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
    assert {one.name for one in all_dialects()} == {"native", "alertmanager", "pushgateway", *FOREIGN}


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


_metric_names = st.sampled_from(
    ["size", "size_count", "took", "took_bucket", "up", "heartbeat_x", "a:b", "push_time_seconds"]
)
_label = st.one_of(st.sampled_from(["a", "tag", "exported_tag", "job", "instance", "le", "__x"]), _text)
_label_values = st.one_of(st.sampled_from(["", "1", "1.0", "+Inf", '\\"', "\\\\", "\\n", "\\x"]), _text)
_samples = st.tuples(
    _metric_names,
    st.lists(st.tuples(_label, _label_values), max_size=3),
    st.one_of(
        st.floats().map(repr), st.integers().map(str), st.sampled_from(["+Inf", "nan", "1_0", "0x1", "1e999"]), _text
    ),
).map(
    lambda one: (
        one[0] + ("{" + ",".join(f'{key}="{value}"' for key, value in one[1]) + "}" if one[1] else "") + f" {one[2]}"
    )
)
_types = st.sampled_from(["gauge", "counter", "histogram", "summary", "untyped", "info", "unknown", "x"])
_metadata = st.one_of(
    st.tuples(_metric_names, _types).map(lambda one: f"# TYPE {one[0]} {one[1]}"),
    st.tuples(_metric_names, _text).map(lambda one: f"# HELP {one[0]} {one[1]}"),
    st.just("# EOF"),
)
_metrics = st.lists(_samples | _metadata | _text, max_size=8).map(lambda lines: "\n".join(lines).encode())


def test_pushed_metrics(campaign: Target) -> None:
    """A 200 is one heartbeat, nothing else is any; and whatever is pushed, every scrape can be read."""
    promtool = need_tool("promtool")
    pushes = 0

    def attempt(method: str, labels: list[tuple[str, str]], type: str, native: bool, body: bytes) -> None:
        nonlocal pushes
        before = campaign.recorded()
        path = "/metrics/job/job" + "".join(f"/{quote(key, safe='')}/{quote(value, safe='')}" for key, value in labels)
        fields = [("Content-Type", type), ("Authorization", f"Bearer {SECRET}")]
        if native:
            method, path = "POST", f"/ext/heartbeat/job:{SECRET}"
        answer = campaign.send([request(method, path, [], fields, body)])
        (code,) = statuses(answer)
        assert code in ((200,) if native else (200, 202, 400, 415))
        assert campaign.recorded() - before == (code == 200)
        pushes += 1
        if pushes % 20 == 0:
            scrape = campaign.send([b"GET /metrics/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
            head, _, rest = scrape.partition(b"\r\n\r\n")
            text = dechunked(rest) if b"chunked" in head else rest
            read = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
            assert read.returncode in (0, 3), (text, read.stderr)
            assert b"parsing" not in read.stderr, (text, read.stderr)

    types = st.sampled_from(["text/plain; version=0.0.4", "application/openmetrics-text", "text/plain", "x"])
    methods = st.sampled_from(["PUT", "POST", "DELETE"])
    labels = st.lists(st.tuples(_label, _label_values | st.just("1")), max_size=2)
    if campaign.run(attempt, methods, labels, types, st.booleans(), _metrics | _bodies):
        assert {200, 202, 400} <= set(campaign.answered), campaign.answered


def dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        size = int(length, 16)
        whole, body = whole + body[:size], body[size + 2 :]
    return whole


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
