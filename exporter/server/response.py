"""A response: converts ASGI messages to HTTP/1.1."""

import json
from http import HTTPStatus
from typing import Any, Protocol

from exporter.server.head import Head

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS = frozenset((204, 304))
_JOINED = 64 * 1024
"""Bytes. A body up to this size is copied after the header fields, so that one write sends both."""


class Outlet(Protocol):
    """The interface of a connection to its response."""

    @property
    def gone(self) -> bool: ...
    @property
    def date(self) -> bytes: ...
    def closes(self) -> bool: ...
    def close_after(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    async def written(self) -> None: ...


class ResponseWriter:
    """One response; `send` implements ASGI."""

    __slots__ = ("_bodiless", "_chunked", "_head", "_left", "_outlet", "_pending", "complete", "started")

    def __init__(self, outlet: Outlet, head: Head) -> None:
        self._outlet = outlet
        self._head = head
        self.started = self.complete = False
        self._chunked = self._bodiless = False
        self._left: int | None = None
        """Bytes of the body that Content-Length still requires."""
        self._pending = b""
        """Header fields that are sent with the first piece of the body."""

    async def send(self, message: Any) -> None:
        """Sends an ASGI message, or drops it if the client has left. Raises RuntimeError for an invalid message."""
        if self._outlet.gone:
            self.started = self.complete = True
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
            return
        if message["type"] != "http.response.body" or not self.started or self.complete:
            raise RuntimeError(f"{message['type']} is unexpected at this point")
        more = message.get("more_body", False)
        self._write(message.get("body", b""), more)
        if not more:
            self.complete = True
        await self._outlet.written()

    def _start(self, status: int, headers: Any) -> None:
        if self.started:
            raise RuntimeError("the response has already started")
        head = self._head
        self._bodiless = head.method == "HEAD" or status in _BODILESS
        parts = [_STATUS_LINES[status]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length" and not self._bodiless:
                self._left = int(value)
        if self._left is None and not self._bodiless:
            if head.version:
                self._chunked = True
                parts.append(b"Transfer-Encoding: chunked\r\n")
            else:
                self._outlet.close_after()
        parts.append(self._outlet.date)
        closes = self._outlet.closes()
        persistence = closes or not head.version
        if persistence:
            parts.append(b"Connection: close\r\n" if closes else b"Connection: keep-alive\r\n")
        pending = b"".join(parts)
        lines = 2 + len(headers) + self._chunked + persistence
        if pending.count(b"\n") != lines or pending.count(b"\r") != lines:
            raise RuntimeError("a header field of the response contains a line break")
        self._pending = pending + b"\r\n"
        self.started = True

    def _write(self, body: bytes, more: bool) -> None:
        if self._bodiless:
            body = b""
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the length of the response body differs from its Content-Length")
        elif self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed if more else framed + b"0\r\n\r\n"
        pending, self._pending = self._pending, b""
        if len(body) > _JOINED:
            self._outlet.write(pending)
            self._outlet.write(body)
        elif pending or body:
            self._outlet.write(pending + body)


def error_answer(status: int, text: str, date: bytes) -> bytes:
    """Returns a complete error response, after which the connection closes."""
    body = json.dumps({"error": text}).encode()
    return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n%bConnection: close\r\n\r\n%b" % (
        _STATUS_LINES[status],
        len(body),
        date,
        body,
    )
