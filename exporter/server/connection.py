"""One connection: reads requests and writes their responses in order, within limits of time and memory."""

import asyncio
import logging
import math
from typing import Any, Protocol

from exporter.core.telemetry import IRREGULAR, Dropped, Fault
from exporter.server.body import Chunked, RequestBody, Sized
from exporter.server.head import BadRequest, Head, take_head
from exporter.server.response import ResponseWriter, error_answer
from exporter.server.sockets import in_kernel, reset_on_close

log = logging.getLogger(__name__)

SILENCE = 30
"""Seconds within which a new connection must begin a request."""
HEAD_PATIENCE = 10
"""Seconds from the first byte of a request to the end of its header fields."""
BODY_PATIENCE = 120
"""Seconds from the end of the header fields to the end of the body."""
BODY_SILENCE = 30
"""Seconds without a byte of an incomplete body."""
READ_PATIENCE = 30
"""Seconds within which a client must read some of the response."""
LINGER = 2
"""Seconds for which the server discards input after the last response, so that the client can read that response."""
CANCEL_AFTER = 3
"""Seconds for which a request continues after its client has disconnected."""
MAX_HELD = 64 * 1024
"""Unread bytes of a body at which reading pauses."""
MAX_AHEAD = 16 * 1024
"""Bytes of later requests at which reading pauses."""
READ_AT_ONCE = 64 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_NOTHING = Sized(0)
_UNKNOWN = ("unknown", 0)
"""The address of a client that disconnected before its address was read."""
_FAILED = "An internal error occurred; the service's log has the details."


class ConnectionOwner(Protocol):
    """The interface of a worker to its connections."""

    loop: asyncio.AbstractEventLoop
    app: Any
    """The ASGI application."""
    draining: bool
    """Whether the worker accepts only requests that were already sent."""
    date: bytes
    """The Date header of this second."""
    keepalive: float
    """Seconds for which an idle connection stays open."""

    def add(self, connection: "HttpConnection") -> None: ...
    def discard(self, connection: "HttpConnection") -> None: ...
    def refused(self, fault: Fault, address: str) -> None: ...
    def dropped(self, reason: Dropped) -> None: ...


class HttpConnection(asyncio.Protocol):
    """A connection of the event loop's thread. Its task starts with the first request."""

    __slots__ = (
        "_body",
        "_body_until",
        "_buffer",
        "_client",
        "_closing",
        "_deadline",
        "_eof",
        "_gone",
        "_head",
        "_lingering",
        "_owner",
        "_paused",
        "_response",
        "_scanned",
        "_server",
        "_shut",
        "_task",
        "_transport",
        "_unread",
        "_wake",
        "_writable",
        "active_at",
    )

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._scanned = 0
        self._head: Head | None = None
        """The request that is being answered."""
        self._body = RequestBody(_NOTHING, None, self._resume)
        self._body_until = math.inf
        self._response: ResponseWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._eof = self._gone = self._lingering = self._paused = self._closing = self._shut = False
        self._unread = (0, 0.0)
        self._deadline = math.inf
        self.active_at = 0.0
        """When something was last read, in the loop's time."""

    # ── asyncio calls these ──────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.max_size = READ_AT_ONCE
        self._client = tuple((transport.get_extra_info("peername") or _UNKNOWN)[:2])
        self._server = tuple((transport.get_extra_info("sockname") or _UNKNOWN)[:2])
        self.active_at = self._owner.loop.time()
        self._deadline = self.active_at + SILENCE
        self._owner.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._owner.discard(self)
        self._body.lose()
        self._notify()
        self.resume_writing()
        if self._task is not None and not self._task.done():
            self._owner.loop.call_later(CANCEL_AFTER, self._task.cancel)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self.active_at = self._owner.loop.time()
        self._buffer += data
        if self._head is None:
            self._next()
        elif self._body.open:
            self._body.read(self._buffer)
        if len(self._buffer) > MAX_AHEAD or self._body.held > MAX_HELD:
            self._pause()

    def eof_received(self) -> bool:
        """Handles the end of the input. Only writing shows whether the client has left or waits for responses."""
        self._eof = True
        if self._head is None or self._lingering:
            return False
        self._body.lose()
        return True

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._owner.loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # ── the worker calls these ───────────────────────────────────────────────────────────────────────────────

    @property
    def idle(self) -> bool:
        """Whether no request is being processed."""
        return self._head is None

    @property
    def waits_for_body(self) -> bool:
        return self._head is not None and self._body.open

    def check_timeouts(self, now: float) -> None:
        """Ends what has taken too long; called once a second. `now` is the event loop's time."""
        assert self._transport is not None
        if self._transport.get_write_buffer_size():
            self._watch_reader(now)
            return
        self._unread = (0, now)
        if self._lingering:
            self._half_close()
            if now >= self._deadline:
                self._transport.abort()
        elif self._head is None:
            if now >= self._deadline:
                self._time_out()
        elif self._body.open and (now >= self._body_until or now >= self.active_at + BODY_SILENCE):
            self._body.lose()

    def close(self) -> None:
        """Closes an idle connection; otherwise closes it after the current response."""
        self._closing = True
        if self._head is None and self._transport is not None:
            if self._lingering:
                self._transport.abort()
            self._transport.close()
            self._notify()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _watch_reader(self, now: float) -> None:
        """Drops a client that does not read: the amount of unsent data, here and in the kernel, does not change."""
        assert self._transport is not None
        waiting = self._transport.get_write_buffer_size() + in_kernel(self._transport.get_extra_info("socket"))
        before, since = self._unread
        if waiting != before:
            self._unread = (waiting, now)
        elif now >= since + READ_PATIENCE:
            self._owner.dropped(Dropped.NOT_READING)
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def _time_out(self) -> None:
        if self._buffer:
            self._refuse(BadRequest(408, Fault.TIMEOUT, "the header fields did not arrive within 10 seconds"))
        else:
            self.close()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> None:
        """Begins the next request if its head is complete."""
        buffer = self._buffer
        try:
            head = take_head(buffer, self._scanned)
        except BadRequest as refusal:
            self._refuse(refusal)
            return
        if head is None:
            if not self._scanned and buffer:
                self._deadline = self._owner.loop.time() + HEAD_PATIENCE
            self._scanned = len(buffer)
            return
        self._scanned = 0
        self._head = head
        self._deadline = math.inf
        self._closing = head.close
        if head.length or head.chunked:
            self._body_until = self.active_at + BODY_PATIENCE
            framing = Chunked() if head.chunked else Sized(head.length)
            self._body = RequestBody(framing, self._ask if head.expects_continue else None, self._resume)
            if buffer:
                self._body.read(buffer)
            if self._eof:
                self._body.lose()
        else:
            self._body = RequestBody(_NOTHING, None, self._resume)
        if self._task is None:
            self._task = self._owner.loop.create_task(self._serve())
        else:
            self._notify()

    async def _serve(self) -> None:
        try:
            while (head := self._head) is not None and not self._gone:
                await self._answer(head)
                self._settle()
                if self._head is None and not self._ended:
                    self._wake = self._owner.loop.create_future()
                    await self._wake
                    self._wake = None
        except asyncio.CancelledError:
            log.debug("cancelled a request: its client disconnected")
            self.abort()

    @property
    def _ended(self) -> bool:
        return self._gone or self._lingering or self._transport is None or self._transport.is_closing()

    def _settle(self) -> None:
        """Continues with the next request after a response, or closes the connection."""
        whole = self._body.complete
        self._head = None
        if self._gone:
            return
        if self._closing or not whole:
            self._end()
            return
        self._deadline = self._owner.loop.time() + self._owner.keepalive
        if self._buffer:
            self._next()
        if self._head is None and self._eof:
            self._end()
        else:
            self._resume()

    def _end(self) -> None:
        """Closes the connection so that the client can read the response first, whatever it still sends.

        The kernel resets a socket that is closed with unread input, and the client then loses the response.
        """
        assert self._transport is not None
        if self._eof or (self._body.complete and not self._buffer and not self._paused):
            self._transport.close()
            return
        self._lingering = True
        self._buffer.clear()
        self._deadline = self._owner.loop.time() + LINGER
        if not self._transport.is_closing():
            self._resume()
            self._half_close()

    def _half_close(self) -> None:
        """Half-closes once everything is written: if the client has left, asyncio would otherwise log an error."""
        assert self._transport is not None
        if self._shut or self._transport.get_write_buffer_size():
            return
        self._shut = True
        self._deadline = self._owner.loop.time() + LINGER
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()

    def _refuse(self, refusal: BadRequest) -> None:
        """Answers a malformed request, and stops reading."""
        self._owner.refused(refusal.fault, self._client[0])
        self._head = None
        self._body = RequestBody(Sized(1), None, self._resume)  # the following bytes cannot be parsed
        self.write(error_answer(refusal.status, str(refusal), self._owner.date))
        self._end()
        self._notify()

    def _ask(self) -> None:
        if not self._eof and self._response is not None and not self._response.started:
            self.write(_CONTINUE)

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._eof:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._paused or self._transport is None or self._transport.is_closing():
            return
        # During a request, later ones must not accumulate; an incomplete request needs the rest of its bytes.
        if self._head is None or self._body.open or len(self._buffer) <= MAX_AHEAD:
            self._paused = False
            self._transport.resume_reading()

    # ── responses ────────────────────────────────────────────────────────────────────────────────────────────

    async def _answer(self, head: Head) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1" if head.version else "1.0",
            "method": head.method,
            "scheme": "http",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "server": self._server,
            "client": self._client,
        }
        if head.irregular:
            scope["extensions"] = {IRREGULAR: {}}
        response = self._response = ResponseWriter(self, head)
        try:
            await self._owner.app(scope, self._body.receive, response.send)
        except Exception:  # a defect of the application ends one request, not the worker
            log.exception("unexpected error while answering a request")
            if not response.started:
                self._closing = True
                self.write(error_answer(500, _FAILED, self._owner.date))
                response.complete = True
        if not response.complete and not self._gone:
            self.abort()  # the client must not mistake the partial response for the whole
        self._response = None

    # ── the response calls these ─────────────────────────────────────────────────────────────────────────────

    @property
    def gone(self) -> bool:
        return self._gone

    @property
    def date(self) -> bytes:
        return self._owner.date

    def closes(self) -> bool:
        """Whether the response that begins now is the last."""
        if not self._closing and (not self._body.complete or self._owner.draining):
            self._closing = True
        return self._closing

    def close_after(self) -> None:
        """Closes the connection after this response, whose end only the end of the connection shows."""
        self._closing = True

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def written(self) -> None:
        """Waits until the transport's buffer has space."""
        if self._writable is not None:
            await self._writable
