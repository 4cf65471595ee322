"""`/metrics`, streamed: the work is done in the executor, so heartbeats are taken while a scrape is rendered."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor

import falcon.asgi

from exporter.metrics.scrape import Scrape
from exporter.web.errors import log
from exporter.web.requests import WebRequest

MAX_NAMES = 1_000


class ScrapeBroken(Exception):
    """The answer had begun. Only a broken connection shows Prometheus that it is not whole."""


class MetricsResource:
    """The telemetry path."""

    def __init__(self, scrape: Scrape, executor: Executor) -> None:
        self._scrape = scrape
        self._executor = executor

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        given = req.get_param_as_list("name[]", default=None)
        names = frozenset(given[:MAX_NAMES]) if given else None
        accept, encoding = req.get_header("Accept"), req.get_header("Accept-Encoding")
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._executor, self._scrape.answer, accept, encoding, names)
        resp.content_type = answer.content_type
        if answer.content_encoding:
            resp.set_header("content-encoding", answer.content_encoding)
        resp.append_header("vary", "Accept, Accept-Encoding")
        # The first chunk is made before the status is sent, so that what fails at once is an honest 500.
        first = None if req.method == "HEAD" else await self._next(answer.chunks)
        resp.stream = self._stream(first, answer.chunks)

    on_head = on_get

    async def _next(self, chunks: Iterator[bytes]) -> bytes | None:
        return await asyncio.get_running_loop().run_in_executor(self._executor, next, chunks, None)

    async def _stream(self, first: bytes | None, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        chunk = first
        while chunk is not None:
            yield chunk
            try:
                chunk = await self._next(chunks)
            except Exception as error:  # whatever it is, the client must not take half a scrape for a whole one
                log.exception("a scrape broke off halfway")
                raise ScrapeBroken from error
