"""The body of a request: taken off what the connection reads, and handed to the application piece by piece."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_FORBIDDEN = re.compile(rb"(?i)(content-length|transfer-encoding|host|authorization|te|trailer)[ \t]*:")
MAX_CHUNK_LINE = 4096
"""Bytes of a chunk's size with its extensions, and of one trailer."""
MAX_TRAILERS = 32


class BodyLost(OSError):
    """The rest of the body will never come: its sender left or stalled, or it cannot be told where it ends."""


class Malformed(Exception):
    """It cannot be told where this chunked body ends. `taken` is what came before it went wrong."""

    taken = b""


class Sized:
    """A body of so many bytes."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return self._left == 0

    def take(self, buffer: bytearray) -> bytes:
        """Takes what there is of it off the beginning of `buffer`."""
        piece = bytes(buffer[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        return piece


class Chunked:
    """A body in chunks. Extensions and trailers are passed over."""

    __slots__ = ("_left", "_step", "_trailers", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._step = self._take_size
        self._left = 0
        self._trailers = 0

    def take(self, buffer: bytearray) -> bytes:
        """As Sized's; raises Malformed."""
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
        if len(line) > MAX_CHUNK_LINE or b"\n" in line or b"\r" in line[:-1]:
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
    """What has come of a body, until the application takes it. Lives on the event loop."""

    __slots__ = ("_ask", "_begun", "_ended", "_framing", "_held", "_lost", "_taken", "_waiter")

    def __init__(self, framing: Sized | Chunked, ask: Callable[[], None] | None, taken: Callable[[], None]) -> None:
        """`ask` sends the interim answer for which the client holds the body back; `taken` is called when there is
        room again.
        """
        self._framing = framing
        self._ask = ask
        self._taken = taken
        self._held = bytearray()
        self._lost = self._ended = self._begun = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """It has come whole."""
        return self._framing.complete

    @property
    def open(self) -> bool:
        """More of it may come."""
        return not self._lost and not self._framing.complete

    @property
    def held(self) -> int:
        """Bytes that wait for the application."""
        return len(self._held)

    def read(self, buffer: bytearray) -> None:
        """Takes what is its own off the beginning of `buffer`."""
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
        """The rest of it will not come."""
        if not self._framing.complete:
            self._lost = True
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """ASGI's; raises BodyLost, so that the beginning of a body is never taken for the whole.

        The first call returns at once, if need be with nothing: Falcon asks before it looks whose request it is, and
        who has no right to be heard is not waited for, nor asked to go on.
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
                raise BodyLost("the body did not arrive whole")
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
