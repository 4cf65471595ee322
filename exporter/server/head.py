"""Parses the head of a request: the request line and the header fields, within limits.

Everything that decides where a request ends (line endings, Content-Length, Transfer-Encoding) is parsed strictly,
because two interpretations of one request allow request smuggling past a proxy. Other irregularities (a blank in the
target, a second Host, a malformed header name) are corrected and noted: a heartbeat counts, other routes refuse the
request, and the connection closes after the response, so that no following bytes are parsed as a request.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from exporter.core.telemetry import Fault

MAX_LINE = 8190
"""Maximum bytes of the request line, and of one header field."""
MAX_FIELDS = 100
MAX_HEAD = 32 * 1024
"""Maximum bytes of request line and header fields together."""

Headers = list[tuple[bytes, bytes]]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_LOOSE_LINE = re.compile(rb"(" + _TOKEN + rb"{1,20})[ ]+(.*[^ ])[ ]+HTTP/1\.([0-9])", re.DOTALL)
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb"+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_NAME = re.compile(_TOKEN + rb"+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_NOT_IN_TARGET = re.compile(rb"[^\x21-\x7e]")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_NOT_LETTER = re.compile(rb"[^a-z]")
_FRAMING = (b"content-length", b"transfer-encoding")
_CODINGS = (b"identity", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress")


class BadRequest(Exception):
    """A refused request: an HTTP status, a reason for the metric, and a text that quotes nothing."""

    def __init__(self, status: int, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.fault = fault


class Head(NamedTuple):
    method: str
    path: str
    """Percent-decoded."""
    raw_path: bytes
    query: bytes
    version: int
    """The minor version: 0 or 1."""
    headers: Headers
    """Names in lower case, values without the blanks around them."""
    length: int
    """Bytes of the body; 0 if it is chunked."""
    chunked: bool
    close: bool
    """Whether the connection closes after the response."""
    expects_continue: bool
    irregular: bool
    """Whether an irregularity was corrected."""


def take_head(buffer: bytearray, scanned: int = 0) -> Head | None:
    """Removes a head from the beginning of `buffer`; returns None while it is incomplete. Raises BadRequest.

    The first `scanned` bytes of the buffer were already searched.
    """
    while buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2: empty lines after the body of the last request
        del buffer[:2]
        scanned = 0
    end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
    if end < 0 or end > MAX_HEAD:
        _check_part(buffer, scanned)
        return None
    head = bytes(buffer[: end + 2])
    del buffer[: end + 4]
    return parse_head(head)


def _check_part(buffer: bytearray, scanned: int) -> None:
    """Raises BadRequest for an incomplete head that cannot become valid, wherever its bytes were cut."""
    end = len(buffer) - buffer.endswith(b"\r")  # its LF may not have arrived yet
    if _BARE.search(buffer, max(0, scanned - 1), end):
        raise BadRequest(400, Fault.HEADER, "a line does not end with CR LF")
    if len(buffer) > MAX_LINE + 1 and buffer.find(b"\r\n", 0, MAX_LINE + 2) < 0:
        raise BadRequest(414, Fault.TOO_LARGE, "the request line is longer than 8 kB")
    if len(buffer) > MAX_HEAD + 3:  # up to three bytes of CR LF CR LF
        raise BadRequest(431, Fault.TOO_LARGE, "the header fields are larger than 32 kB")


def parse_head(head: bytes) -> Head:
    """Parses a complete head, which ends with the CRLF of its last line. Raises BadRequest."""
    line_end = head.index(b"\r\n")
    if line_end > MAX_LINE:
        raise BadRequest(414, Fault.TOO_LARGE, "the request line is longer than 8 kB")
    matched = _REQUEST_LINE.fullmatch(head, 0, line_end)
    irregular, authority = False, None
    if matched is not None:
        method, target, minor = matched.groups()
    else:
        method, target, minor, authority, irregular = _loose_line(head[:line_end])
    if _FIELDS.fullmatch(head, line_end + 2) is not None:
        headers = []
        for line in head[line_end + 2 : -2].split(b"\r\n") if len(head) > line_end + 2 else ():
            if len(line) > MAX_LINE:
                raise BadRequest(431, Fault.TOO_LARGE, "a header field is longer than 8 kB")
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.strip(b" \t")))
    else:
        headers, irregular = _mended(head[line_end + 2 : -2].split(b"\r\n")), True
    if len(headers) > MAX_FIELDS:
        raise BadRequest(431, Fault.TOO_LARGE, "more than 100 header fields")
    if authority is not None:
        headers = [(b"host", authority), *((name, value) for name, value in headers if name != b"host")]
    path, _, query = target.partition(b"?")
    decoded = unquote_to_bytes(path) if b"%" in path else path
    return _framed(method.decode(), decoded.decode("utf-8", "replace"), path, query, int(minor), headers, irregular)


def _loose_line(line: bytes) -> tuple[bytes, bytes, bytes, bytes | None, bool]:
    """Returns (method, target, minor version, authority of an absolute target, whether the line was corrected)."""
    if _BARE.search(line):
        raise BadRequest(400, Fault.REQUEST_LINE, "the request line contains a bare CR or LF")
    matched = _LOOSE_LINE.fullmatch(line)
    if matched is None:
        version = line.rsplit(b" ", 1)[-1]
        if version.startswith(b"HTTP/") and not version.startswith(b"HTTP/1."):
            raise BadRequest(400, Fault.VERSION, "only HTTP/1.1 and HTTP/1.0 are supported")
        raise BadRequest(400, Fault.REQUEST_LINE, "the request line is not a method, a target and HTTP/1.1")
    method, target, minor = matched.groups()
    irregular = line.count(b" ") != 2 or _NOT_IN_TARGET.search(target) is not None
    target = _NOT_IN_TARGET.sub(lambda byte: b"%%%02X" % byte[0][0], target)
    authority = None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        # RFC 9112 section 3.2.2: what the target names replaces the Host field.
        authority, target = absolute.groups()
        irregular = irregular or b"@" in authority or not authority
        authority = authority.rpartition(b"@")[2]
        target = target if target.startswith(b"/") else b"/" + target
    if not target.startswith(b"/") and not (target == b"*" and method == b"OPTIONS"):
        raise BadRequest(400, Fault.REQUEST_LINE, "the target is neither a path nor a URL")
    return method, target, (b"0" if minor == b"0" else b"1"), authority, irregular


def _mended(lines: list[bytes]) -> Headers:
    """Parses header fields with irregularities. Raises BadRequest where a correction could move the request's end."""
    headers: Headers = []
    for line in lines:
        if _BARE.search(line):
            raise BadRequest(400, Fault.HEADER, "a header field contains a bare CR or LF")
        if len(line) > MAX_LINE:
            raise BadRequest(431, Fault.TOO_LARGE, "a header field is longer than 8 kB")
        if line[:1] in (b" ", b"\t"):  # obsolete line folding
            if not headers or headers[-1][0] in _FRAMING or _looks_like_framing(line):
                raise BadRequest(400, Fault.FRAMING, "a header field for the body's length is folded")
            name, value = headers[-1]
            headers[-1] = (name, (value + b" " + _CONTROL.sub(b" ", line).strip(b" \t")).strip(b" "))
            continue
        name, colon, value = line.partition(b":")
        name = name.lower()
        if colon and _NAME.fullmatch(name):
            if name in _FRAMING and _CONTROL.search(value):
                raise BadRequest(400, Fault.FRAMING, "a header field for the body's length contains control characters")
            headers.append((name, _CONTROL.sub(b" ", value).strip(b" \t")))
        elif _looks_like_framing(line):
            raise BadRequest(400, Fault.FRAMING, "a malformed header field resembles one for the body's length")
    return headers


def _looks_like_framing(line: bytes) -> bool:
    letters = _NOT_LETTER.sub(b"", line.lower())
    return b"contentlength" in letters or b"transferencoding" in letters


def _framed(
    method: str, path: str, raw_path: bytes, query: bytes, version: int, headers: Headers, irregular: bool
) -> Head:
    """Returns the head with what its fields say about body and connection. Raises BadRequest."""
    length: bytes | None = None
    coding: bytes | None = None
    connection = b""
    expects = host = False
    for name, value in headers:
        if name == b"host":
            irregular = irregular or host
            host = True
        elif name == b"connection":
            connection += b"," + value.lower()
        elif name == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value):
                raise BadRequest(400, Fault.FRAMING, "Content-Length is not a single number of up to 15 digits")
            length = value
        elif name == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        elif name == b"expect":
            expects = version == 1 and value.lower() == b"100-continue"
    if coding is not None:
        *before, last = [name.strip(b" \t").lower() for name in coding.split(b",")]
        if length is not None or version == 0 or last != b"chunked" or not all(name in _CODINGS for name in before):
            raise BadRequest(400, Fault.FRAMING, "Transfer-Encoding is not `chunked` alone, in HTTP/1.1")
        irregular = irregular or bool(before)
    options = [option.strip(b" \t") for option in connection.split(b",")] if connection else []
    close = irregular or b"close" in options or (version == 0 and b"keep-alive" not in options) or method == "CONNECT"
    return Head(
        method,
        path,
        raw_path,
        query,
        version,
        headers,
        int(length) if length is not None else 0,
        coding is not None,
        close,
        expects,
        irregular,
    )
