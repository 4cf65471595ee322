"""`/metrics`, streamed: the work is done in the executor, so heartbeats are taken while a scrape is rendered."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor

import falcon.asgi

from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.metrics.scrape import Scrape, ScrapeResponse
from exporter.web.errors import log
from exporter.web.requests import WebRequest

MAX_NAMES = 1_000


class ScrapeBroken(Exception):
    """The answer had begun. Only a broken connection shows Prometheus that it is not whole."""


class _Streamed:
    """Answers GET and HEAD with chunks that are rendered while they are sent."""

    vary = "Accept, Accept-Encoding"

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def answer(self, req: WebRequest) -> ScrapeResponse:
        raise NotImplementedError

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._executor, self.answer, req)
        resp.content_type = answer.content_type
        if answer.content_encoding:
            resp.set_header("content-encoding", answer.content_encoding)
        resp.append_header("vary", self.vary)
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


class MetricsResource(_Streamed):
    """The telemetry path."""

    def __init__(self, scrape: Scrape, executor: Executor) -> None:
        super().__init__(executor)
        self._scrape = scrape

    def answer(self, req: WebRequest) -> ScrapeResponse:
        given = req.get_param_as_list("name[]", default=None)
        names = frozenset(given[:MAX_NAMES]) if given else None
        return self._scrape.answer(req.get_header("Accept"), req.get_header("Accept-Encoding"), names)


class JobMetricsResource(_Streamed):
    """What jobs pushed."""

    vary = "Accept-Encoding"

    def __init__(self, scrape: JobMetricsScrape, executor: Executor) -> None:
        super().__init__(executor)
        self._scrape = scrape

    def answer(self, req: WebRequest) -> ScrapeResponse:
        return self._scrape.answer(req.get_header("Accept-Encoding"))
