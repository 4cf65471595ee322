"""The reader of bodies: bounded, and fair to everybody else on the event loop."""

import asyncio
from collections.abc import AsyncIterator

from exporter.ingest.body import BREATH, KEPT, Body, read_body


async def pieces(count: int, piece: bytes = b"x") -> AsyncIterator[bytes]:
    """A body that has arrived already: nothing ever waits."""
    for _ in range(count):
        yield piece


def test_a_body_is_kept_up_to_its_bound() -> None:
    assert asyncio.run(read_body(pieces(3, b"abc"))) == Body(b"abcabcabc", False)
    assert asyncio.run(read_body(pieces(KEPT))) == Body(b"x" * KEPT, False)
    assert asyncio.run(read_body(pieces(2, b"y" * KEPT))) == Body(b"y" * KEPT, True)


def test_a_body_in_a_million_pieces_holds_up_nobody() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> Body:
        busy = asyncio.create_task(others())
        try:
            return await read_body(pieces(100 * BREATH))
        finally:
            busy.cancel()

    assert asyncio.run(both()) == Body(b"x" * KEPT, 100 * BREATH > KEPT)
    assert turns >= 100
