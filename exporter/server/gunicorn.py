"""gunicorn, told to run one ASGI worker: one process is one replica."""

import asyncio
import math
import mmap
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.config.settings import WebSettings
from exporter.core.clock import SECOND
from exporter.core.errors import InvalidValue
from exporter.core.telemetry import Telemetry
from exporter.server.borrowed import (
    Arbiter,
    ASGIProtocol,
    ASGIWorker,
    BaseApplication,
    LifespanManager,
    LifespanStartupFailed,
)
from exporter.server.connection import HttpConnection
from exporter.server.connections import MOST, HttpConnections, Listener
from exporter.server.logging import PlainLogger
from exporter.server.scratch import scratch_folder
from exporter.server.sockets import (
    bind,
    connections_for,
    raise_descriptor_limit,
    refuse_new_connections,
    take_connections_again,
)

GRACE = 30
"""Seconds that requests in flight may take after SIGTERM."""
LAST_CALL = 0.3
STOCK = "HEARTBEAT_EXPORTER_STOCK_PROTOCOL"
"""Environment variable; `1` serves connections by gunicorn's own protocol class, should ours be in doubt."""
_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_METRICS_ROOM = 4 * 1024 * 1024
"""Bytes of shared metrics for each worker. A file in memory that has no room kills whoever writes to it."""

MakeApp = Callable[[], tuple[Any, Telemetry]]
"""Makes the ASGI application of a worker, and what counts for it."""


class Worker(ASGIWorker):  # type: ignore[misc]
    """Drains without cutting anybody off, on Ctrl-C as well, which reaches the whole process group."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stock = os.environ.get(STOCK) == "1"

    def init_process(self) -> None:
        for listener in self.sockets:
            take_connections_again(listener.sock)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        self.loop.add_signal_handler(signal.SIGINT, self.handle_exit_signal)
        # Until the application has put its own handler there, a reload has nothing to reload.
        self.loop.add_signal_handler(signal.SIGHUP, lambda: None)

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
        self.listeners = [Listener(one.sock, self.connections, self._protocol) for one in self.sockets]
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

    def _protocol(self) -> asyncio.BaseProtocol:
        return ASGIProtocol(self) if self._stock else HttpConnection(self.connections)

    @property
    def _open(self) -> int:
        return len(self.connections) or self.nr_conns

    async def _shutdown(self) -> None:
        self.log.info("worker is shutting down")
        self.connections.draining = True
        if self.app.ending:  # else the other workers go on taking connections from the same socket
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


class Supervisor(Arbiter):  # type: ignore[misc]
    """SIGHUP means our reload, in the running workers; gunicorn's own would start new workers without the listeners'
    old configuration to fall back on. SIGINT drains. There are as many workers as were asked for, so gunicorn's signals
    for more, fewer and a second supervisor on the same socket do nothing.
    """

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)

    def handle_int(self) -> None:
        raise StopIteration

    def handle_ttin(self) -> None:
        self.log.warning("ignored a signal: only --workers sets the number of workers")

    handle_ttou = handle_usr2 = handle_ttin

    def stop(self, graceful: bool = True) -> None:
        self.app.end()
        super().stop(graceful)


class Server(BaseApplication):  # type: ignore[misc]
    """Runs what `make_app()` makes in each worker."""

    telemetry: Telemetry
    """Of this worker, once it has loaded the application."""

    def __init__(self, web: WebSettings, make_app: MakeApp, workers: int = 1) -> None:
        self._web = web
        self._make_app = make_app
        self._workers = workers
        self._ending = mmap.mmap(-1, 1)  # the workers see it too
        super().__init__()

    @property
    def ending(self) -> bool:
        """Whether the whole service ends, or else this worker alone, or a worker that is the only one."""
        return self._workers == 1 or self._ending[0] != 0

    @property
    def keepalive(self) -> float:
        """Seconds for which an idle connection is kept for its next request."""
        return self._web.keepalive / SECOND

    def end(self) -> None:
        self._ending[0] = 1

    def load_config(self) -> None:
        """gunicorn's settings; none can come from its command line or its environment variable."""
        options = {
            "workers": self._workers,
            "worker_class": Worker,
            "logger_class": PlainLogger,
            "asgi_loop": "asyncio",
            "control_socket_disable": True,
            "keepalive": math.ceil(self.keepalive),  # of gunicorn's own protocol class
            "graceful_timeout": GRACE,
            "timeout": 60,
            "worker_connections": MOST,
            "backlog": 4096,
            "forwarded_allow_ips": ",".join(map(str, self._web.trusted_proxies)),
            # The default one logs every request's path at debug level.
            "pre_request": lambda worker, request: None,
            "proc_name": "heartbeat-exporter",
        }
        if self._workers > 1:
            options["child_exit"] = lambda server, worker: forget_gauges(worker.pid)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        asgi, self.telemetry = self._make_app()
        return asgi

    def run(self) -> None:
        """Returns never: the process ends with the supervisor. Raises InvalidValue if it cannot start."""
        raise_descriptor_limit()
        # gunicorn's own heartbeat file, which must not wait for a disk.
        self.cfg.set("worker_tmp_dir", scratch_folder())
        self.cfg.set("bind", [f"fd://{one.detach()}" for one in bind_or_explain(self._web.listen_address)])
        if self._workers == 1:
            Supervisor(self).run()
        folder = tempfile.mkdtemp(prefix="heartbeat-exporter-", dir=scratch_folder(self._workers * _METRICS_ROOM))
        supervisor = os.getpid()
        # Before anybody imports prometheus_client, which decides by it how it keeps its values.
        os.environ[_SHARED_METRICS] = folder
        try:
            Supervisor(self).run()
        finally:
            if os.getpid() == supervisor:
                shutil.rmtree(folder, ignore_errors=True)


def bind_or_explain(listen_address: str) -> Any:
    """As `bind`; raises InvalidValue with the reason and the way out."""
    try:
        return bind(listen_address)
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidValue(
            f"cannot listen on {listen_address}: {reason}; choose another --web.listen-address"
        ) from None


def forget_gauges(pid: int) -> None:
    """A worker has ended: what it was is of no interest any more; what it counted is."""
    for path in Path(os.environ[_SHARED_METRICS]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
