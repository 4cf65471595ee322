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


def test_there_is_a_campaign_for_each_dialect() -> None:
    assert {one.name for one in all_dialects()} == {"native", "alertmanager"}


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
