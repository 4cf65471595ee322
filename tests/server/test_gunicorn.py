"""Connections of ours: how long they may be silent, what is bounded, and in which order they are closed."""

import asyncio
import contextlib
import logging
import socket
from typing import Any, cast

import pytest

from exporter.core.telemetry import Dropped, Fault, Silent
from exporter.server.connection import (
    BODY_PATIENCE,
    BODY_SILENCE,
    HEAD_PATIENCE,
    LINGER,
    READ_PATIENCE,
    SILENCE,
    HttpConnection,
)
from exporter.server.connections import AT_ONCE, HttpConnections, Listener
from exporter.server.gunicorn import Server
from exporter.server.logging import EVERY, Occasionally

KEEPALIVE = 5
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Transport:
    """The other end of a connection; nothing goes anywhere."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = self.eof = self.paused = self.reset = False
        self.waiting = self.answers = 0

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2), "socket": self}.get(name)

    def fileno(self) -> int:
        raise OSError

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self.reset = option == socket.SO_LINGER

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes) -> None:
        self.written = (self.written + data)[-1000:]
        self.answers += data.count(b"HTTP/1.1 204")

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Loop:
    """The running loop with a time of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Counts(Silent):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def request_refused(self, fault: Fault) -> None:
        self.seen.append(fault.value)

    def connection_dropped(self, reason: Dropped) -> None:
        self.seen.append(reason.value)


class Owner:
    """Connections, and an application that answers when it is let."""

    def __init__(self, most: int = 100, reads: bool = False, keepalive: float = KEEPALIVE) -> None:
        self.loop: Any = Loop()
        self.may_answer = asyncio.Event()
        self.counts = Counts()
        self.bodies: list[bytes | None] = []
        self._reads = reads
        self.connections = HttpConnections(self._answer, self.loop, self.counts, keepalive, most)
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[HttpConnection, Transport]:
        connection, transport = HttpConnection(self.connections), Transport()
        connection.connection_made(transport)
        return connection, transport

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if self._reads:
            body, more = b"", True
            try:
                while more:
                    event = await receive()
                    body, more = body + event["body"], event["more_body"]
                self.bodies.append(body)
            except OSError:
                self.bodies.append(None)
        else:
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def after(self, seconds: float) -> bool:
        """Whether it is closed by then, when the worker has looked."""
        await turns()
        self.loop.now += seconds
        self.connections.check_timeouts()
        await turns()
        return self.transport.closed

    @property
    def answers(self) -> int:
        return self.transport.answers


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(test: Any, **options: Any) -> None:
    async def inside() -> None:
        owner = Owner(**options)
        await test(owner)
        owner.connection.connection_lost(None)
        await turns()

    asyncio.run(inside())


def test_a_new_connection_has_to_ask_something_within_its_time() -> None:
    async def test(owner: Owner) -> None:
        assert not await owner.after(SILENCE - 1)
        assert await owner.after(1)
        assert owner.transport.written == b""

    run(test)


def test_header_fields_have_to_be_complete_within_their_time_however_they_drip() -> None:
    async def test(owner: Owner) -> None:
        for byte in b"GET / HTT":
            owner.connection.data_received(bytes((byte,)))
            assert not await owner.after(1)
        assert not await owner.after(HEAD_PATIENCE - 10)
        owner.connection.data_received(b"P")
        await owner.after(1)
        assert owner.transport.written.startswith(b"HTTP/1.1 408 ")
        assert owner.transport.eof
        assert await owner.after(LINGER)
        assert owner.counts.seen == ["timeout"]

    run(test)


def test_a_kept_connection_may_be_idle_for_less_and_again_after_each_request() -> None:
    async def test(owner: Owner) -> None:
        owner.may_answer.set()
        for answers in (1, 2, 3):
            owner.connection.data_received(REQUEST)
            assert not await owner.after(KEEPALIVE - 1)
            assert owner.answers == answers
        assert await owner.after(1)

    run(test)


@pytest.mark.parametrize("keepalive", [1, 75, 3600])
def test_a_real_connection_is_kept_idle_as_long_as_the_setting_says(keepalive: float) -> None:
    """A load balancer that keeps its connections for 60 s must not find one closed that it is about to use."""

    async def test(owner: Owner) -> None:
        owner.may_answer.set()
        server = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(owner.connections), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(2):
            writer.write(REQUEST)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert answer.startswith(b"HTTP/1.1 204 ")
            assert b"Connection: close" not in answer
            owner.loop.now += keepalive - 0.001
            owner.connections.check_timeouts()
            await turns()
            assert not reader.at_eof()
        owner.loop.now += 0.001
        owner.connections.check_timeouts()
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        server.close()

    run(test, keepalive=keepalive)


def test_the_server_takes_the_setting() -> None:
    def make_app() -> Any:
        raise AssertionError

    server = Server("127.0.0.1:0", "", 75.5, make_app)
    assert (server.keepalive, server.cfg.keepalive) == (75.5, 76)


def test_who_waits_for_an_answer_is_not_silent() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(REQUEST)
        assert not await owner.after(10 * SILENCE)
        owner.may_answer.set()
        await turns()
        assert not await owner.after(KEEPALIVE - 1)
        assert owner.answers == 1
        assert await owner.after(1)

    run(test)


def test_requests_that_come_together_are_answered_in_turn() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(3 * REQUEST)
        owner.may_answer.set()
        assert not await owner.after(0)
        assert owner.answers == 3

    run(test)


@pytest.mark.parametrize("more", [1, 3])
def test_a_client_that_half_closes_gets_its_answers(more: int) -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(more * REQUEST)
        assert owner.connection.eof_received()
        owner.may_answer.set()
        await turns()
        assert (owner.answers, owner.transport.closed) == (more, True)

    run(test)


def test_an_idle_client_that_half_closes_is_gone() -> None:
    async def test(owner: Owner) -> None:
        assert not owner.connection.eof_received()
        owner.connection.data_received(b"GET / HT")
        assert not owner.connection.eof_received()

    run(test)


def test_a_body_that_ends_too_early_is_never_taken_for_whole() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(POST % 10 + b"abc")
        assert owner.connection.eof_received()
        await turns()
        assert (owner.bodies, owner.answers, owner.transport.closed) == ([None], 1, True)

    run(test, reads=True)


@pytest.mark.parametrize(("every", "whole"), [(BODY_SILENCE - 1, True), (BODY_SILENCE + 1, False)])
def test_a_slow_body_goes_on_while_something_comes(every: float, whole: bool) -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(POST % 3)
        for _ in range(3):
            await owner.after(every)
            if not owner.bodies:
                owner.connection.data_received(b"x")
        await turns()
        assert owner.bodies == [b"xxx" if whole else None]

    run(test, reads=True)


def test_a_body_has_to_end() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(POST % 1000)
        for _ in range(BODY_PATIENCE // 10):
            assert owner.bodies == []
            owner.connection.data_received(b"x")
            await owner.after(10)
        assert owner.bodies == [None]

    run(test, reads=True)


def test_what_comes_while_a_request_is_answered_is_bounded() -> None:
    async def test(owner: Owner) -> None:
        held, total = 0, 0
        for _ in range(200):
            if not owner.transport.paused:
                owner.connection.data_received(700 * REQUEST)
                total += 700
            owner.may_answer.set()
            await asyncio.sleep(0)
            held = max(held, len(owner.connection._buffer))
        assert held < 60_000
        for _ in range(10 * total):
            await asyncio.sleep(0)
        assert owner.answers == total, "and all of it is answered"
        assert not owner.transport.paused

    run(test)


def test_a_body_that_is_not_read_is_bounded() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(POST % 10_000_000)
        while not owner.transport.paused:
            owner.connection.data_received(b"x" * 60_000)
        assert owner.connection._body.held < 200_000

    run(test)


def test_a_client_that_does_not_read_is_closed() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(REQUEST)
        owner.transport.waiting = 5000
        assert not await owner.after(1)
        owner.transport.waiting = 4000  # it does
        assert not await owner.after(READ_PATIENCE)
        assert not await owner.after(READ_PATIENCE - 1)
        assert await owner.after(1)
        assert owner.transport.aborted
        assert owner.transport.reset
        assert owner.counts.seen == ["not_reading"]

    run(test)


def test_an_answer_is_not_lost_to_what_comes_behind_it() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(b"nonsense\r\n\r\n" + b"x" * 100_000)
        assert owner.transport.written.startswith(b"HTTP/1.1 400 ")
        assert owner.transport.eof
        assert not owner.transport.closed
        owner.connection.data_received(b"x" * 100_000)
        assert len(owner.connection._buffer) == 0
        assert not owner.connection.eof_received()

    run(test)


def test_the_idlest_go_first_and_those_that_are_answered_stay() -> None:
    async def test(owner: Owner) -> None:
        owner.connection.data_received(REQUEST)
        idle, slow = owner.connect(), owner.connect()
        slow[0].data_received(POST % 10)
        owner.loop.now += 1
        assert not owner.connections._most <= 3
        owner.connections._most = 3
        recent = [owner.connect() for _ in range(AT_ONCE - 1)]
        owner.loop.now += 1
        await turns()
        assert owner.connections.make_room()
        assert idle[1].closed
        assert all(transport.closed for _, transport in recent)
        assert not owner.transport.closed
        assert not slow[1].closed, "it waits for the rest of a body"
        assert owner.counts.seen == AT_ONCE * ["limit"]

    run(test)


def test_accepted_sockets_count_before_their_connections_are_made() -> None:
    """As many clients as there are: no more sockets are accepted at any moment than connections may be open."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
            listening.setblocking(False)
            clients = [stack.enter_context(socket.create_connection(listening.getsockname())) for _ in range(200)]
            connections = HttpConnections(None, loop, Silent(), KEEPALIVE, most=10)
            opened = 0

            class Counted(asyncio.Protocol):
                """Is never idle, so none has to go."""

                idle = waits_for_body = False

                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    nonlocal opened
                    opened += 1
                    connections.add(cast("HttpConnection", self))
                    stack.callback(cast("asyncio.Transport", transport).abort)

            listener = Listener(listening, connections, Counted)
            listener.start()
            for _ in range(50):
                await asyncio.sleep(0)
            listener.stop()
            assert len(clients) > opened == 10

    asyncio.run(scenario())


def test_lines_of_one_kind_are_one_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    occasionally = Occasionally(logging.getLogger("test"), "refused")
    for now in range(1000, 1003):
        occasionally.note("header", f"from {now}", now)
        occasionally.flush(now)
    assert caplog.messages == ["refused: header, from 1000"]
    occasionally.note("framing", "from 1003", 1003)
    occasionally.flush(1000 + EVERY)
    assert caplog.messages[1:] == ["refused, 3 more: 2 × header, 1 × framing; last: from 1003"]
    occasionally.flush(1000 + 3 * EVERY)
    assert len(caplog.messages) == 2
