"""Raw bytes: valid requests that were mutated, cut at any byte, sent behind each other, and left."""

import socket

import pytest
from hypothesis import strategies as st

from tests.fuzz.conftest import Target
from tests.live.conftest import SECRET

pytestmark = pytest.mark.live
REFUSED = "heartbeat_exporter_requests_refused_total"
TARGETS = [
    f"/ext/heartbeat/job{rest}" for rest in (f":{SECRET}", f"/{SECRET}", f":{SECRET}/fail", f":{SECRET}/3", ":no", "")
]
_target = st.sampled_from(TARGETS).map(str.encode)
_query = st.one_of(st.just(b""), st.binary(max_size=20).map(lambda raw: b"?msg=" + raw), st.just(b"?rid=a"))
_form = st.sampled_from([b"", b"", b"", b"http://x", b"HTTP://u@y:1", b"ftp://z"])
_method = st.sampled_from(
    [b"GET", b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"get", b"OPTIONS", b"CONNECT", b"X" * 30]
)
_version = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b""])
_name = st.sampled_from(
    [
        b"Host",
        b"X-Y",
        b"Content-Type",
        b"Authorization",
        b"Expect",
        b"Connection",
        b"Upgrade",
        b"Bad Name",
        b"",
        b" A",
        b"Content-Length",
        b"Transfer-Encoding",
        b"X-Forwarded-For",
        b"Accept",
        b"Content-Length ",
        b"Cookie",
    ]
)
_value = st.one_of(
    st.sampled_from(
        [
            b"x",
            b"Bearer " + SECRET.encode(),
            b"Bearer",
            b"100-continue",
            b"close",
            b"keep-alive",
            b"chunked",
            b"0",
            b"3",
            b"websocket",
            b"9" * 5000,
            b"-1",
            b"text/html;q=x",
            b"x\r\n y",
            b"gzip, chunked",
            b"identity",
        ]
    ),
    st.binary(max_size=30),
)
_chunk = st.binary(min_size=1, max_size=40).map(lambda raw: b"%x\r\n%b\r\n" % (len(raw), raw))
_chunk = st.one_of(
    _chunk, _chunk, _chunk, st.sampled_from([b"ZZ\r\n", b"2;x=y\r\nab\r\n", b"3\r\nabcd", b"f" * 20 + b"\r\n"])
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, mostly good."""
    line = b" ".join([draw(_method), draw(_form) + draw(_target) + draw(_query), draw(_version)])
    fields = draw(st.lists(st.tuples(_name, _value), max_size=4))
    body = draw(st.sampled_from(["none", "none", "sized", "chunked", "short", "long"]))
    raw = draw(st.binary(max_size=300)) if body != "none" else b""
    if body == "chunked":
        fields.append((b"Transfer-Encoding", b"chunked"))
        raw = b"".join(draw(st.lists(_chunk, max_size=4))) + draw(
            st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b""])
        )
    elif body != "none":
        length = len(raw) + {"sized": 0, "short": -1, "long": 1}[body]
        fields.append((b"Content-Length", b"%d" % max(0, length)))
    head = line + b"\r\nHost: x\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    return head + b"\r\n" + raw


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """What one connection sends, in the pieces in which it is sent."""
    raw = bytearray(b"".join(draw(st.lists(requests(), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3)) if draw(st.booleans()) else 0):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        match draw(st.sampled_from(["flip", "drop", "insert", "repeat"])):
            case "flip":
                raw[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del raw[at : at + draw(st.integers(1, 30))]
            case "insert":
                raw[at:at] = draw(
                    st.sampled_from([b"\r", b"\n", b"\0", b" ", b"\r\n", b"\r\n\r\n", b"\xff", b":", b"%"])
                )
            case "repeat":
                raw[at:at] = raw[at : at + draw(st.integers(1, 50))]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=3)))
    return [bytes(raw[start:end]) for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def test_streams_of_requests(campaign: Target) -> None:

    def attempt(pieces: list[bytes]) -> None:
        before = campaign.recorded()
        campaign.check(campaign.send(pieces), before)

    if campaign.run(attempt, streams()):
        assert {200, 400, 404, 405} <= set(campaign.answered), campaign.answered
        refused = {key[1] for key, count in campaign.service.metrics().items() if key[0] == REFUSED and count}
        assert refused >= {"request_line", "version", "header", "framing"}, refused


def test_clients_that_leave(campaign: Target) -> None:
    """Without reading a thing; what they had sent may count or not, and the service stays well."""

    def attempt(pieces: list[bytes], reset: bool) -> None:
        with socket.create_connection(("127.0.0.1", campaign.service.port), timeout=20) as connection:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return

    campaign.run(attempt, streams(), st.booleans())
