"""The body of a request: parsed from the connection's buffer, and passed to the application piece by piece."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_FORBIDDEN = re.compile(rb"(?i)(content-length|transfer-encoding|host|authorization|te|trailer)[ \t]*:")
MAX_CHUNK_LINE = 4096
"""Maximum bytes of a chunk's size with its extensions, and of one trailer."""
MAX_TRAILERS = 32


class BodyLost(OSError):
    """The rest of the body will not arrive: the client disconnected or stalled, or the body is malformed."""


class Malformed(Exception):
    """A chunked body without a determinable end. `taken` has the data before the error."""

    taken = b""


class Sized:
    """Framing of a body with Content-Length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return self._left == 0

    def take(self, buffer: bytearray) -> bytes:
        """Removes the body's bytes from the beginning of `buffer` and returns them."""
        piece = bytes(buffer[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        return piece


class Chunked:
    """Framing of a chunked body. Extensions and trailers are ignored."""

    __slots__ = ("_left", "_step", "_trailers", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._step = self._take_size
        self._left = 0
        self._trailers = 0

    def take(self, buffer: bytearray) -> bytes:
        """Removes the body's bytes from the beginning of `buffer` and returns the data. Raises Malformed."""
        taken = bytearray()
        try:
            while not self.complete and self._step(buffer, taken):
                pass
        except Malformed as error:
            error.taken = bytes(taken)
            raise
        return bytes(taken)

    def _line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\r\n")
        line = bytes(buffer[: end if end >= 0 else MAX_CHUNK_LINE + 2])
        if end < 0:
            line = line.removesuffix(b"\r")  # its LF may be on its way
        if len(line) > MAX_CHUNK_LINE or b"\n" in line or b"\r" in line:
            raise Malformed
        if end < 0:
            return None
        del buffer[: end + 2]
        return line

    def _take_size(self, buffer: bytearray, taken: bytearray) -> bool:
        line = self._line(buffer)
        if line is None:
            return False
        matched = _SIZE.fullmatch(line)
        if matched is None or (matched[2] is None and line[-1:] in b" \t"):
            raise Malformed
        self._left = int(matched[1], 16)
        self._step = self._take_data if self._left else self._take_trailer
        return True

    def _take_data(self, buffer: bytearray, taken: bytearray) -> bool:
        piece = buffer[: self._left]
        del buffer[: len(piece)]
        taken += piece
        self._left -= len(piece)
        if self._left:
            return False
        self._step = self._take_end
        return True

    def _take_end(self, buffer: bytearray, taken: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise Malformed
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._step = self._take_size
        return True

    def _take_trailer(self, buffer: bytearray, taken: bytearray) -> bool:
        line = self._line(buffer)
        if line is None:
            return False
        self._trailers += 1
        if self._trailers > MAX_TRAILERS or _FORBIDDEN.match(line):
            raise Malformed
        self.complete = not line
        return True


class RequestBody:
    """The received part of a body that the application has not yet read. Belongs to the event loop's thread."""

    __slots__ = ("_ask", "_begun", "_ended", "_framing", "_held", "_lost", "_taken", "_waiter")

    def __init__(self, framing: Sized | Chunked, ask: Callable[[], None] | None, taken: Callable[[], None]) -> None:
        """`ask` sends the interim response that the client waits for; `taken` is called when there is space again."""
        self._framing = framing
        self._ask = ask
        self._taken = taken
        self._held = bytearray()
        self._lost = self._ended = self._begun = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._framing.complete

    @property
    def open(self) -> bool:
        """Whether more of the body may arrive."""
        return not self._lost and not self._framing.complete

    @property
    def held(self) -> int:
        """Number of bytes that the application has not yet read."""
        return len(self._held)

    def read(self, buffer: bytearray) -> None:
        """Removes the body's bytes from the beginning of `buffer`."""
        if self._lost:
            return
        try:
            self._held += self._framing.take(buffer)
        except Malformed as error:
            self._held += error.taken
            self._lost = True
        if buffer or self._held or self._lost or self._framing.complete:
            self._wake()

    def lose(self) -> None:
        """Marks the body as incomplete: the rest will not arrive."""
        if not self._framing.complete:
            self._lost = True
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """Receives an ASGI event. Raises BodyLost, so that a part of a body never passes as the whole.

        The first call returns at once, possibly without data: Falcon calls it before it authenticates the request, and
        an unauthorised client must neither be waited for nor receive `100 Continue`.
        """
        begun, self._begun = self._begun, True
        if not begun and not self._held and not self._framing.complete:
            return {"type": "http.request", "body": b"", "more_body": True}
        while True:
            if self._held:
                piece = bytes(self._held)
                self._held.clear()
                self._taken()
                self._ended = self._framing.complete
                return {"type": "http.request", "body": piece, "more_body": not self._ended}
            if self._framing.complete:
                if self._ended:
                    return {"type": "http.disconnect"}
                self._ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self._lost:
                raise BodyLost("the body is incomplete")
            if self._ask is not None:
                ask, self._ask = self._ask, None
                ask()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
