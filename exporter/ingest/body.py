"""Reads a request's body within bounds. Whatever happens to the body, the heartbeat counts."""

import asyncio
from typing import Any, NamedTuple

KEPT = 10_000
"""Bytes of the body kept as the job's output, and as many of it as a dialect sees unless it asks for more."""
DRAINED = 16 * 1024 * 1024
"""Bytes read and dropped so that the sender can finish and read our answer; a longer body is cut off."""
PATIENCE = 4.0
"""Seconds without a byte of a body whose sender has named its length, and so has all of it."""
STREAM_PATIENCE = 30.0
"""Seconds without a byte of one in chunks: a job's output while it is made, which may pause."""
LONGEST = 120.0
"""Seconds in which a body has to arrive, however it comes."""
BREATH = 100
"""Pieces after which everybody else gets a turn: those that are there already are read without ever waiting."""


class Body(NamedTuple):
    kept: bytes
    """Its first bytes, as many as were asked for."""
    cut: bool
    """Whether there was more, or might have been: the sender stalled or left."""


async def read_body(stream: Any, keep: int = KEPT, patience: float = PATIENCE) -> Body:
    """Reads `stream`, a falcon.asgi.BoundedStream; never raises for what the sender does.

    `patience` is how many seconds may pass without a byte.
    """
    kept = bytearray()
    seen = pieces = 0
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST
        async with asyncio.timeout(patience) as limit:
            # Piece by piece as they arrive: `read` would hold back what has come so far from one who stalls.
            async for chunk in stream:
                limit.reschedule(min(end, loop.time() + patience))
                seen += len(chunk)
                if len(kept) < keep:
                    kept += chunk[: keep - len(kept)]
                if seen >= DRAINED:
                    break
                pieces += 1
                if pieces % BREATH == 0:
                    await asyncio.sleep(0)
    except (TimeoutError, OSError, ValueError):
        # The sender stalled or left. It had shown its secret before, so the signal is good without the rest.
        return Body(bytes(kept), True)
    return Body(bytes(kept), seen > keep)


def text_of(body: bytes) -> str:
    """What a job printed, whatever it printed; NUL is more than some databases can store."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")
