"""Heads of requests: what is taken, what is mended for heartbeats alone, what is refused, and with which reason."""

import pytest
from gunicorn.asgi.parser import ParseError, PythonProtocol
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.telemetry import Fault
from exporter.server.body import MAX_CHUNK_LINE, Chunked, Malformed
from exporter.server.head import MAX_HEAD, BadRequest, Head, take_head

HOST = b"Host: x\r\n"


def parsed(head: bytes) -> Head:
    buffer = bytearray(head)
    taken = take_head(buffer)
    assert taken is not None
    assert not buffer
    return taken


def line(text: bytes, more: bytes = HOST) -> Head:
    return parsed(text + b"\r\n" + more + b"\r\n")


def field(text: bytes) -> Head:
    return line(b"GET / HTTP/1.1", HOST + text + b"\r\n")


def test_an_ordinary_request() -> None:
    head = line(b"GET /a%3Ab/%C3%A4?x=%20&y HTTP/1.1", b"Host: h:1\r\nX-Y:  z \t\r\nX-Y:\r\n")
    assert head == Head(
        "GET",
        "/a:b/ä",
        b"/a%3Ab/%C3%A4",
        b"x=%20&y",
        1,
        [(b"host", b"h:1"), (b"x-y", b"z"), (b"x-y", b"")],
        0,
        False,
        False,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("request_line", "path", "query"),
    [
        ("GET /a?msg=läuft HTTP/1.1".encode(), "/a", b"msg=l%C3%A4uft"),
        ("GET /a?msg=läuft HTTP/1.1".encode("latin-1"), "/a", b"msg=l%E4uft"),
        ("GET /ä HTTP/1.1".encode(), "/ä", b""),
        (b"GET /a?msg=all good HTTP/1.1", "/a", b"msg=all%20good"),
        (b"GET  /a?b  HTTP/1.1", "/a", b"b"),
        (b"GET /a?\x00\x01\t HTTP/1.1", "/a", b"%00%01%09"),
        (b"GET /a?msg=a HTTP/1.1 HTTP/1.1", "/a", b"msg=a%20HTTP/1.1"),
        (b"GET http://user:pass@h/a HTTP/1.1", "/a", b""),
    ],
)
def test_what_is_odd_in_the_target_is_mended(request_line: bytes, path: str, query: bytes) -> None:
    head = line(request_line)
    assert (head.path, head.query) == (path, query)
    assert head.irregular
    assert head.close


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://other:80/a?b", "/a", b"b"),
        (b"HTTPS://other:80", "/", b""),
        (b"http://other:80?q", "/", b"q"),
        (b"http://other:80/a%3Ab", "/a:b", b""),
    ],
)
def test_an_absolute_target_is_a_path_and_a_host(target: bytes, path: str, query: bytes) -> None:
    head = line(b"GET " + target + b" HTTP/1.1", HOST + b"A: b\r\n" + HOST)
    assert (head.path, head.query, head.irregular) == (path, query, False)
    assert head.headers == [(b"host", b"other:80"), (b"a", b"b")]


@pytest.mark.parametrize("method", [b"get", b"X", b"STRANGE", b"M-SEARCH"])
def test_any_method_is_left_to_the_routes(method: bytes) -> None:
    assert line(method + b" / HTTP/1.1").method == method.decode()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b"Host: y", [(b"host", b"y")]),
        (b"Bad Name: x", []),
        (b"no colon", []),
        ("Straße: x".encode(), []),
        (b"A: b\x00\x07c", [(b"a", b"b  c")]),
        (b"A: b\r\n\t c", [(b"a", b"b c")]),
        (b": x", []),
        (b"A: b\r\n ", [(b"a", b"b")]),
    ],
)
def test_what_is_odd_in_header_fields_is_mended(text: bytes, left: list[tuple[bytes, bytes]]) -> None:
    head = field(text)
    assert head.headers == [(b"host", b"x"), *left]
    assert head.irregular
    assert head.close


@pytest.mark.parametrize("value", [b"9" * 5000, b"9" * 16, b"-1", b"+5", b"5, 5", b"0x5", b"1_000", b"", b"5 5", b"5;"])
def test_a_length_that_is_no_number_is_refused(value: bytes) -> None:
    refused(HOST + b"Content-Length: " + value, Fault.FRAMING)
    refused(HOST + b"Content-Length: " + "٣".encode(), Fault.FRAMING)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: br, chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b"Transfer\x00-Encoding: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"X: y\r\n Content-Length: 5",
        b"Content-Length\xa0: 5",
        b"Content-Length 5",
        b"Content-Length: 5\r\n 6",
    ],
)
def test_what_may_hide_where_a_request_ends_is_refused(fields: bytes) -> None:
    refused(HOST + fields, Fault.FRAMING)


@pytest.mark.parametrize("fields", [b"A: b\rc", b"A: b\nContent-Length: 5", b"A: b\n", b"A: b\r\n\nC: d"])
def test_lines_end_with_both(fields: bytes) -> None:
    refused(HOST + fields, Fault.HEADER)
    with pytest.raises(BadRequest):
        take_head(bytearray(b"GET / HTTP/1.1\r\n" + fields))


def test_chunks_are_of_http_1_1() -> None:
    with pytest.raises(BadRequest):
        line(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked\r\n")
    assert line(b"POST / HTTP/1.1", b"Transfer-Encoding: Chunked\r\n").chunked
    assert line(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked\r\n").close


def refused(fields: bytes, fault: Fault) -> None:
    with pytest.raises(BadRequest) as error:
        parsed(b"POST /ext/heartbeat/job:SESAME HTTP/1.1\r\n" + fields + b"\r\n\r\n")
    assert (error.value.status, error.value.fault) == (400, fault)
    assert "SESAME" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"GARBAGE", Fault.REQUEST_LINE),
        (b"GET /", Fault.REQUEST_LINE),
        (b"GET / HTTP/2.0", Fault.VERSION),
        (b"PRI * HTTP/2.0", Fault.VERSION),
        (b"GET * HTTP/1.1", Fault.REQUEST_LINE),
        (b"CONNECT host:443 HTTP/1.1", Fault.REQUEST_LINE),
        (b"GET ftp://x/y HTTP/1.1", Fault.REQUEST_LINE),
        (b"GET /a\rb HTTP/1.1", Fault.REQUEST_LINE),
        (b"G@T / HTTP/1.1", Fault.REQUEST_LINE),
        (b" GET / HTTP/1.1", Fault.REQUEST_LINE),
        (b"\x16\x03\x01", Fault.REQUEST_LINE),
    ],
)
def test_first_lines_that_are_refused(text: bytes, fault: Fault) -> None:
    with pytest.raises(BadRequest) as error:
        line(text)
    assert (error.value.status, error.value.fault) == (400, fault)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\n\r\n", 414),
        (b"x" * 9000, 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 8190 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 8000 + b"\r\n") * 5, 431),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 8000 + b"\r\n") * 5 + b"\r\n", 431),
    ],
)
def test_heads_that_are_too_large(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as error:
        take_head(bytearray(head))
    assert (error.value.status, error.value.fault) == (status, Fault.TOO_LARGE)


@pytest.mark.parametrize(
    ("version", "connection", "close"),
    [
        (b"1.1", b"", False),
        (b"1.1", b"Connection: TE, Close\r\n", True),
        (b"1.1", b"Connection: x\r\nConnection: close\r\n", True),
        (b"1.1", b"Connection: close-not\r\n", False),
        (b"1.0", b"", True),
        (b"1.0", b"Connection: Keep-Alive\r\n", False),
        (b"1.9", b"", False),
    ],
)
def test_how_long_a_connection_lasts(version: bytes, connection: bytes, close: bool) -> None:
    assert line(b"GET / HTTP/" + version, HOST + connection).close is close


@settings(deadline=None)
@given(st.data())
def test_however_it_is_cut_it_is_the_same(data: st.DataObject) -> None:
    head = b"\r\nPOST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    at, buffer, scanned, taken = 0, bytearray(), 0, None
    while at < len(head):
        cut = data.draw(st.integers(1, len(head) - at))
        buffer += head[at : at + cut]
        at += cut
        assert taken is None
        taken = take_head(buffer, scanned)
        scanned = len(buffer)
    assert taken == parsed(head)


_PIECES = st.sampled_from(
    b"GET POST / /x?y HTTP/1.1 HTTP/1.0 : Host x Content-Length Transfer-Encoding chunked 5 0 identity ,".split()
    + b"Connection|\r\n|\n|\r|\0|\t|\xe4| ".split(b"|")
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(_PIECES, max_size=30), st.sampled_from([b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"])
)
def test_against_gunicorns_parser(pieces: list[bytes], start: bytes) -> None:
    """What is taken without mending, gunicorn's takes with the same framing."""
    head = start + b"".join(pieces) + b"\r\n\r\n"
    try:
        ours = take_head(bytearray(head))
    except BadRequest:
        return
    if ours is None or ours.irregular or ours.path == "*" or not 3 <= len(ours.method) <= 20:
        return
    theirs = PythonProtocol()
    try:
        theirs.feed(head)
    except ParseError:
        assert ours.close or b"//" in head or b"HTTP/1." not in head, head
        return
    assert (theirs.content_length or 0, theirs.is_chunked) == (ours.length, ours.chunked)
    assert theirs.headers == ours.headers


def chunked(body: bytes) -> tuple[bytes, bytes]:
    """What it holds, and what is left behind it."""
    framing, buffer = Chunked(), bytearray(body)
    taken = framing.take(buffer)
    assert framing.complete
    return taken, bytes(buffer)


def test_chunks() -> None:
    assert chunked(b'3\r\nabc\r\n0A ;x="y"\r\n0123456789\r\n0\r\nTrailer-X: y\r\n\r\nGET') == (b"abc0123456789", b"GET")


@pytest.mark.parametrize(
    "body",
    [
        *(b"x\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"3\nabc", b" 3\r\n", b"3 \r\n", b"3\rx\r\n", b"\r\n", b"0x3\r\n"),
        *(b"f" * 16, b"3;a\x00\r\n", b"0\r\nContent-Length: 5\r\n", b"0\r\n" + b"a: b\r\n" * 99),
        b"1" * (MAX_CHUNK_LINE + 9),
    ],
)
def test_chunks_of_which_nobody_knows_the_end(body: bytes) -> None:
    with pytest.raises(Malformed):
        chunked(body + b"\r\n")


def test_a_head_at_its_bound_is_taken() -> None:
    fields = (b"A: " + b"b" * 8000 + b"\r\n") * 4
    assert MAX_HEAD - 8000 < len(fields) < MAX_HEAD
    assert len(line(b"GET / HTTP/1.1", fields).headers) == 4
