"""The reader of bodies: bounded, and fair to everybody else on the event loop."""

import asyncio
import re
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from exporter.ingest.body import BREATH, DRAINED, KEPT, Body, output_of, read_body, text_of


async def pieces(count: int, piece: bytes = b"x") -> AsyncIterator[bytes]:
    """A body that has arrived already: nothing ever waits."""
    for _ in range(count):
        yield piece


def test_a_body_is_kept_up_to_its_bound() -> None:
    assert asyncio.run(read_body(pieces(3, b"abc"))) == Body(b"abcabcabc", False, "abcabcabc")
    assert asyncio.run(read_body(pieces(KEPT))) == Body(b"x" * KEPT, False, "x" * KEPT)
    assert asyncio.run(read_body(pieces(2, b"y" * KEPT)))[:2] == (b"y" * KEPT, True)
    assert asyncio.run(read_body(pieces(3, b"abc"), keep=4)) == Body(b"abca", True, "abcabcabc")


async def chunks(body: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    """`body` in pieces of these sizes, and the rest at once."""
    for size in sizes:
        yield body[:size]
        body = body[size:]
    if body:
        yield body


TEXTS = st.builds(
    lambda text, times: text.encode() * times, st.text("aé€😀\n", min_size=1, max_size=9), st.integers(1, 9000)
)


@given(
    TEXTS | st.binary(max_size=3 * KEPT),
    st.lists(st.integers(1, 2 * KEPT), max_size=8),
    st.sampled_from([1, KEPT, 99_999]),
)
def test_of_a_longer_output_the_beginning_and_the_end_are_kept(body: bytes, sizes: list[int], keep: int) -> None:
    kept, cut, output = asyncio.run(read_body(chunks(body, sizes), keep))
    assert kept == body[:keep]
    assert cut is (len(body) > keep)
    assert output == output_of(body)
    if len(body) <= KEPT:
        assert output == text_of(body)
        return
    marker = re.search(r"\n\[… ([0-9,]+) bytes are missing here …\]\n", output)
    assert marker is not None
    missing = int(marker[1].replace(",", ""))
    assert 0 <= missing - (len(body) - KEPT) <= 6  # what is left of characters at the two cuts
    try:
        whole = body.decode()
    except UnicodeDecodeError:
        return
    first, last = output[: marker.start()], output[marker.end() :]
    assert whole.startswith(first)
    assert whole.endswith(last)
    assert len(first.encode()) + missing + len(last.encode()) == len(body)


def test_what_lies_beyond_the_bound_is_not_read() -> None:
    body = asyncio.run(read_body(pieces(DRAINED // 65_536 + 9, b"z" * 65_536)))
    assert body.cut
    assert body.output.endswith("[… what followed was not read …]")
    assert len(body.output) < KEPT + 200


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

    assert asyncio.run(both()) == Body(b"x" * KEPT, 100 * BREATH > KEPT, "x" * KEPT)
    assert turns >= 100
