"""What the parser of heads and bodies makes of one connection's bytes, and what has to hold of it whatever they are."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from gunicorn.asgi.parser import ParseError, PythonProtocol

from exporter.server import body as bodies
from exporter.server import head as heads
from exporter.server.body import Chunked, Malformed, Sized
from exporter.server.head import BadRequest, Head, take_head

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_TARGET = re.compile(rb"[/*][\x21-\x7e]*")
SMALL = {heads: {"MAX_LINE": 60, "MAX_HEAD": 200, "MAX_FIELDS": 6}, bodies: {"MAX_CHUNK_LINE": 24, "MAX_TRAILERS": 3}}
"""Bounds of the parser that short inputs reach."""


@contextmanager
def small_bounds() -> Iterator[None]:
    before = {module: {name: getattr(module, name) for name in bounds} for module, bounds in SMALL.items()}
    try:
        _bound(SMALL)
        yield
    finally:
        _bound(before)


def _bound(values: dict[Any, dict[str, int]]) -> None:
    for module, bounds in values.items():
        for name, value in bounds.items():
            setattr(module, name, value)


class Request(NamedTuple):
    """One request that was taken."""

    head: Head
    body: bytes
    whole: bool
    """Whether the end of the body has arrived."""


class Reading(NamedTuple):
    """A connection's requests in turn, and how it went on."""

    requests: tuple[Request, ...]
    end: str
    """`waits` for more, `closes` after the last answer, or why nothing more is read: `refused` or `malformed`."""


def read(pieces: Iterable[bytes]) -> Reading:
    """As `Connection` does, with an application that takes every body at once."""
    buffer, scanned = bytearray(), 0
    requests: list[Request] = []
    head: Head | None = None
    framing: Sized | Chunked = Sized(0)
    body = bytearray()

    def taken(whole: bool) -> Request:
        assert head is not None
        return Request(head, bytes(body), whole)

    for piece in pieces:
        buffer += piece
        while True:
            if head is None:
                try:
                    head = take_head(buffer, scanned)
                except BadRequest:
                    return Reading(tuple(requests), "refused")
                if head is None:
                    scanned = len(buffer)
                    break
                scanned = 0
                framing, body = Chunked() if head.chunked else Sized(head.length), bytearray()
            try:
                body += framing.take(buffer)
            except Malformed as error:
                body += error.taken
                return Reading((*requests, taken(False)), "malformed")
            if not framing.complete:
                break
            requests.append(taken(True))
            if head.close:
                return Reading(tuple(requests), "closes")
            head = None
    if head is not None:
        requests.append(taken(False))
    return Reading(tuple(requests), "waits")


def check(data: bytes) -> Reading:
    """Raises AssertionError where a rule is broken. The first byte says where the rest is cut in two."""
    cut, stream = data[:1], data[1:]
    at = len(stream) * cut[0] // 256 if cut else 0
    whole = read([stream])
    for pieces in ([stream[:at], stream[at:]], [stream[place : place + 1] for place in range(len(stream))]):
        other = read(pieces)
        assert other == whole, f"cut into {len(pieces)}: {other}\nwhole: {whole}"
    for request in whole.requests:
        _check_head(request.head)
    if whole.requests:
        _compare(stream, whole)
    return whole


def _check_head(head: Head) -> None:
    """What everything behind the parser relies on."""
    assert _TOKEN.fullmatch(head.method.encode()), head
    assert _TARGET.fullmatch(head.raw_path), head
    assert b"?" not in head.raw_path, head
    assert all(name == name.lower() and _TOKEN.fullmatch(name) for name, _ in head.headers), head
    assert all(_VALUE.fullmatch(value) and value == value.strip(b" \t") for _, value in head.headers), head
    names = [name for name, _ in head.headers]
    assert names.count(b"content-length") <= 1, head
    assert not (b"content-length" in names and b"transfer-encoding" in names), head
    assert head.chunked == (b"transfer-encoding" in names), head
    assert not (head.chunked and (head.length or head.version == 0)), head
    assert head.close or not head.irregular, head


def _compare(stream: bytes, ours: Reading) -> None:
    """Gunicorn's own parser, which shares no line with ours, ends the first request at the same byte, or one of the two
    refuses it.

    It would be so with a proxy in front: two that find different ends let one client's bytes count as another's.
    """
    first = ours.requests[0]
    refused = ours.end == "malformed" and len(ours.requests) == 1
    if refused or first.head.irregular or first.head.raw_path == b"*":
        return
    body = bytearray()
    theirs = PythonProtocol(on_body=body.extend, permit_unconventional_http_method=True)
    try:
        theirs.feed(stream)
    except ParseError:
        return
    assert theirs.is_complete == first.whole, (theirs.is_complete, first)
    assert bytes(body) == first.body, (bytes(body), first)
    assert theirs.headers == first.head.headers or _absolute(theirs), (theirs.headers, first)
    if theirs.is_complete and not first.head.close:
        behind = Reading(ours.requests[1:], ours.end)
        assert read([theirs.remaining()]) == behind, (theirs.remaining(), behind)


def _absolute(theirs: PythonProtocol) -> bool:
    """Such a target names the host, whatever the header field says; gunicorn's leaves that to others."""
    return not theirs.path.startswith(b"/")


def unreached(attempt: Callable[[], object]) -> list[str]:
    """The lines of the parser that `attempt` does not run, as `head.py:99`."""
    codes = set(_codes())
    lines = {(code.co_filename, line) for code in codes for _, _, line in code.co_lines() if line is not None}
    lines -= {(code.co_filename, code.co_firstlineno) for code in codes}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code not in codes:
            return None
        lines.discard((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        attempt()
    finally:
        sys.settrace(before)
    return sorted(f"{name.rpartition('/')[2]}:{line}" for name, line in lines)


def _codes() -> Iterator[CodeType]:
    for owner in (heads, Sized, Chunked):
        for value in vars(owner).values():
            if isinstance(value, FunctionType) and value.__module__ in (heads.__name__, bodies.__name__):
                yield value.__code__
