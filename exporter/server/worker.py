"""A worker: listeners and connections of our own on an event loop that gunicorn's supervisor watches."""

import asyncio
import os
import signal
from typing import Any

from exporter.server.borrowed import Arbiter, BaseWorker
from exporter.server.borrowed_worker import LifespanManager, LifespanStartupFailed, stock_protocol
from exporter.server.connection import HttpConnection
from exporter.server.connections import HttpConnections, Listener
from exporter.server.limits import GRACE
from exporter.server.sockets import (
    connections_for,
    raise_descriptor_limit,
    refuse_new_connections,
    take_connections_again,
)

LAST_CALL = 0.3
STOCK = "HEARTBEAT_EXPORTER_STOCK_PROTOCOL"
"""Environment variable; `1` serves connections by gunicorn's own protocol class, should ours be in doubt."""


class ServingWorker(BaseWorker):  # type: ignore[misc]
    """Drains without cutting anybody off, on Ctrl-C as well, which reaches the whole process group.

    gunicorn's protocol class reads `loop`, `asgi` and `state`, and counts its connections in `nr_conns`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loop = asyncio.new_event_loop()
        self.lifespan: Any = None
        self.state: dict[str, Any] = {}
        self.nr_conns = 0
        self._stock = stock_protocol() if os.environ.get(STOCK) == "1" else None
        self._quick_shutdown = False

    def init_process(self) -> None:
        asyncio.set_event_loop(self.loop)
        for listener in self.sockets:
            take_connections_again(listener.sock)
        super().init_process()  # it returns when the worker ends

    def load_wsgi(self) -> None:
        self.asgi = self.app.wsgi()

    def init_signals(self) -> None:
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        for each in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(each, self.handle_exit_signal)
        self.loop.add_signal_handler(signal.SIGQUIT, self.handle_quit_signal)
        self.loop.add_signal_handler(signal.SIGABRT, self.handle_abort_signal)
        for each in (signal.SIGUSR1, signal.SIGWINCH):  # the supervisor passes them on; there is nothing to do
            self.loop.add_signal_handler(each, lambda: None)

    def handle_exit_signal(self) -> None:
        """Answers what is in flight, then ends."""
        self.alive = False

    def handle_quit_signal(self) -> None:
        """Ends without waiting for requests in flight."""
        self._quick_shutdown = True
        self.alive = False

    def handle_abort_signal(self) -> None:
        """Ends at once: the supervisor has not heard of this worker for too long."""
        self.alive = False
        raise SystemExit(1)

    def run(self) -> None:
        """Until the worker ends."""
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            unfinished = asyncio.all_tasks(self.loop)
            for task in unfinished:
                task.cancel()
            if unfinished:
                self.loop.run_until_complete(asyncio.wait(unfinished, timeout=1.0 if self._quick_shutdown else None))
            self.loop.close()
            for listener in self.sockets:
                listener.close()

    async def _serve(self) -> None:
        """As gunicorn's, with our own listeners and connections."""
        self.lifespan = LifespanManager(self.asgi, self.log, self.state)
        try:
            await self.lifespan.startup()
        except LifespanStartupFailed as error:
            self.log.error("cannot start: %s", error)
            self.lifespan = None
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from None
        most = connections_for(raise_descriptor_limit(), self.cfg.worker_connections)
        self.connections = HttpConnections(self.asgi, self.loop, self.app.telemetry, self.app.keepalive, most)
        self.listeners = [Listener(listening.sock, self.connections, self._protocol) for listening in self.sockets]
        for listener in self.listeners:
            listener.start()
        try:
            while self.alive and self.ppid == os.getppid():
                self.notify()
                self.connections.check_timeouts()
                await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            pass
        await self._shutdown()
        if self.app.life.failed:
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR)

    def _protocol(self) -> asyncio.BaseProtocol:
        return HttpConnection(self.connections) if self._stock is None else self._stock(self)

    @property
    def _open(self) -> int:
        return len(self.connections) or self.nr_conns

    async def _shutdown(self) -> None:
        self.log.info("worker is shutting down")
        self.connections.draining = True
        if self.app.life.ending:  # else the other workers go on taking connections from the same socket
            for listener in self.sockets:
                refuse_new_connections(listener.sock)
        # Time enough to take in what the kernel has accepted already, and to read what was sent already.
        await asyncio.sleep(LAST_CALL)
        for accepting in self.listeners:
            accepting.stop()
        for listener in self.sockets:
            listener.close()
        began = looked = self.loop.time()
        while self._open and self.loop.time() < began + GRACE - 5 and not self._quick_shutdown:
            self.connections.close_idle()
            if self.loop.time() >= looked + 1:
                looked = self.loop.time()
                self.notify()
                self.connections.check_timeouts()
            await asyncio.sleep(0.05)
        if self._open:
            self.log.warning("closing %d connections with unfinished requests", self._open)
        if self.lifespan is not None and not self._quick_shutdown:
            await self.lifespan.shutdown()
