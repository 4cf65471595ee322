"""Reads a request's body within bounds. Whatever happens to the body, the heartbeat counts."""

import asyncio
from typing import Any, NamedTuple

KEPT = 10_000
"""Bytes of the body kept as the job's output, and as many of it as a dialect sees unless it asks for more."""
KEPT_FIRST = 1_000
"""Bytes of the beginning of a longer output that are kept; the rest of KEPT is its end, where the error stands."""
KEPT_LAST = KEPT - KEPT_FIRST
DRAINED = 16 * 1024 * 1024
"""Bytes read and dropped so that the sender can finish and read our answer; a longer body is cut off."""
PATIENCE = 4.0
"""Seconds without a byte of a body whose sender has named its length, and so has all of it."""
STREAM_PATIENCE = 30.0
"""Seconds without a byte of one in chunks: a job's output while it is made, which may pause."""
MAX_TIME = 120.0
"""Seconds in which a body has to arrive, however it comes."""
BREATH = 100
"""Pieces after which everybody else gets a turn: those that are there already are read without ever waiting."""


class Body(NamedTuple):
    kept: bytes
    """Its first bytes, as many as were asked for."""
    cut: bool
    """Whether there was more, or might have been: the sender stalled or left."""
    output: str = ""
    """The whole body as the job's output, or its beginning and its end; see `output_of`."""


async def read_body(stream: Any, keep: int = KEPT, patience: float = PATIENCE) -> Body:
    """Reads `stream`, a falcon.asgi.BoundedStream; never raises for what the sender does.

    `patience` is how many seconds may pass without a byte.
    """
    most = max(keep, KEPT)
    kept, end_of_body = bytearray(), bytearray()
    seen = pieces = 0
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + MAX_TIME
        async with asyncio.timeout(patience) as limit:
            # Piece by piece as they arrive: `read` would hold back what has come so far from one who stalls.
            async for chunk in stream:
                limit.reschedule(min(end, loop.time() + patience))
                seen += len(chunk)
                beyond = chunk
                if len(kept) < most:
                    room = most - len(kept)
                    kept += chunk[:room]
                    beyond = chunk[room:]
                if beyond:
                    end_of_body += beyond[-KEPT_LAST:]
                    if len(end_of_body) > 4 * KEPT_LAST:  # not at every piece: it moves all that stays
                        del end_of_body[:-KEPT_LAST]
                if seen >= DRAINED:
                    break
                pieces += 1
                if pieces % BREATH == 0:
                    await asyncio.sleep(0)
    except (TimeoutError, OSError, ValueError):
        # The sender stalled or left. It had shown its secret before, so the signal is good without the rest.
        return Body(bytes(kept[:keep]), True, _output(kept, end_of_body, seen))
    return Body(bytes(kept[:keep]), seen > keep, _output(kept, end_of_body, seen))


def _output(beginning: bytearray, end: bytearray, length: int) -> str:
    """Of a body of `length` bytes; between its `beginning`, of KEPT at least, and its `end` some may be missing."""
    if length <= KEPT:
        return text_of(bytes(beginning))
    text = _shortened(bytes(beginning[:KEPT_FIRST]), bytes((beginning[-KEPT_LAST:] + end)[-KEPT_LAST:]), length)
    return text if length < DRAINED else f"{text}\n[… what followed was not read …]"


def output_of(output: bytes) -> str:
    """A job's output as it is kept: of one longer than KEPT the first KEPT_FIRST and the last KEPT_LAST bytes, with a
    line between that says how many are missing. No character is cut in two.
    """
    if len(output) <= KEPT:
        return text_of(output)
    return _shortened(output[:KEPT_FIRST], output[-KEPT_LAST:], len(output))


def _shortened(first: bytes, last: bytes, length: int) -> str:
    first, last = _without_part_at_end(first), _without_part_at_start(last)
    missing = length - len(first) - len(last)
    return f"{text_of(first)}\n[… {missing:,} bytes are missing here …]\n{text_of(last)}"


def _without_part_at_end(text: bytes) -> bytes:
    """`text` without the bytes of a character that is not whole."""
    for back in range(1, 4):
        byte = text[-back]
        if byte >= 0xC0:  # the first byte of a character of two to four
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return text[:-back] if size > back else text
        if byte < 0x80:
            break
    return text


def _without_part_at_start(text: bytes) -> bytes:
    start = 0
    while start < 3 and 0x80 <= text[start] < 0xC0:
        start += 1
    return text[start:]


def text_of(body: bytes) -> str:
    """What a job printed, whatever it printed; NUL is more than some databases can store."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")
