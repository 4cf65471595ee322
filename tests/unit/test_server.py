"""Connections of ours: how long they may be silent."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config

from exporter.server import KEEPALIVE, SILENCE, Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport:
    """The other end of a connection; nothing goes anywhere."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name)

    def set_write_buffer_limits(self, high: int) -> None: ...

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Loop:
    """The running loop with a time of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class House:
    """A worker, one connection, and an application that answers when it is let."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.may_answer = asyncio.Event()
        config = Config()
        config.set("keepalive", KEEPALIVE)
        config.set("pre_request", lambda worker, request: None)
        log = SimpleNamespace(access_log_enabled=False, debug=lambda *_: None)
        worker = SimpleNamespace(cfg=config, log=log, loop=self.loop, asgi=self._answer, state={}, connections=set())
        worker.nr_conns = worker.nr = 0
        worker.alive, worker.max_requests = True, sys.maxsize
        self.transport = Transport()
        self.connection = Connection(worker)
        self.connection.connection_made(self.transport)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def after(self, seconds: float) -> bool:
        """Whether it is closed by then, when the worker has looked."""
        for _ in range(10):
            await asyncio.sleep(0)
        self.loop.now += seconds
        self.connection.end_silence(self.loop.now)
        return self.transport.closed

    async def end(self) -> None:
        self.connection.connection_lost(None)
        await asyncio.wait([self.connection._task])


def test_a_new_connection_has_to_ask_something_within_its_time() -> None:
    async def run() -> None:
        house = House()
        house.connection.data_received(b"GET / HT")
        assert not await house.after(SILENCE - 1)
        assert await house.after(1)
        await house.end()

    asyncio.run(run())


def test_a_kept_connection_may_be_idle_for_less_and_anew_after_each_request() -> None:
    async def run() -> None:
        house = House()
        house.may_answer.set()
        for answers in (1, 2, 3):
            house.connection.data_received(REQUEST)
            assert not await house.after(KEEPALIVE - 1)
            assert house.transport.written.count(b"HTTP/1.1 204") == answers
        assert await house.after(1)
        await house.end()

    asyncio.run(run())


def test_who_waits_for_an_answer_is_not_silent() -> None:
    async def run() -> None:
        house = House()
        house.connection.data_received(REQUEST)
        assert not await house.after(10 * SILENCE)
        house.may_answer.set()
        assert not await house.after(KEEPALIVE - 1)
        assert house.transport.written.startswith(b"HTTP/1.1 204")
        assert await house.after(1)
        await house.end()

    asyncio.run(run())


def test_requests_that_come_together_are_answered_in_turn() -> None:
    async def run() -> None:
        house = House()
        house.connection.data_received(3 * REQUEST)
        house.may_answer.set()
        assert not await house.after(0)
        assert not await house.after(0)
        assert house.transport.written.count(b"HTTP/1.1 204") == 3
        await house.end()

    asyncio.run(run())
