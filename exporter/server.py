"""gunicorn, told to run one ASGI worker: one process is one replica."""

import asyncio
import contextlib
import ctypes
import logging
import math
import mmap
import os
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.glogging import Logger
from gunicorn.workers import gasgi
from gunicorn.workers.gasgi import ASGIWorker

from exporter.config.settings import WebSettings

GRACE = 30
"""Seconds that requests in flight may take after SIGTERM."""
KEEPALIVE = 5
"""Seconds an idle connection is kept for the next request."""
SILENCE = 30
"""Seconds in which a new connection has to send a request."""
LAST_CALL = 0.3
_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27


class Connection(ASGIProtocol):  # type: ignore[misc]
    """A connection that its worker knows of, and that has to say something some day.

    It does less for each request than gunicorn's own: an eighth of a heartbeat's time on the event loop.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.worker.connections.add(self)
        self._silent_until = self.worker.loop.time() + SILENCE

    def connection_lost(self, exc: Exception | None) -> None:
        self.worker.connections.discard(self)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """No request is being answered."""
        return bool(self._awaiting_request)

    def close(self) -> None:
        """As gunicorn does when a kept connection has been idle for too long."""
        self._keepalive_timeout()

    def _is_websocket_upgrade(self, request: Any) -> bool:
        """An offer to upgrade may be passed over: what asks for a WebSocket gets the answer to a plain request."""
        return False

    def end_silence(self, now: float) -> None:
        """Closes it if the next request has been due for too long. `now` is the event loop's time."""
        if now >= self._silent_until and self.idle:
            self.close()

    # A number instead of a timer that every request cancels and sets anew; the worker looks at it once a second.

    def _arm_keepalive_timer(self) -> None:
        self._silent_until = self.worker.loop.time() + KEEPALIVE

    def _cancel_keepalive_timer(self) -> None:
        self._silent_until = math.inf

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """In the connection's task. gunicorn's takes another for each request, so that an application may go on after
        its answer; ours never does.
        """
        return bool(await self._handle_http_request(request, sockname, peername))


class Worker(ASGIWorker):  # type: ignore[misc]
    """Drains without cutting anybody off, on Ctrl-C as well, which reaches the whole process group."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: set[Connection] = set()

    def init_process(self) -> None:
        for listener in self.sockets:
            take_connections_again(listener.sock)
        gasgi.ASGIProtocol = Connection  # the worker names its protocol class nowhere else
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        self.loop.add_signal_handler(signal.SIGINT, self.handle_exit_signal)
        # Until the application has put its own handler there, a reload has nothing to reload.
        self.loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def notify(self) -> None:
        """Once a second: the supervisor sees that we live, and who has been silent for too long has to go."""
        super().notify()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.end_silence(now)

    async def _shutdown(self) -> None:
        if self.app.ending:  # else the other workers go on taking connections from the same socket
            for listener in self.sockets:
                refuse_new_connections(listener.sock)
        # Time enough to take in what the kernel has accepted already, and to read what was sent already.
        await asyncio.sleep(LAST_CALL)
        for server in self.servers:
            server.close()
        deadline = self.loop.time() + GRACE - 5
        while self.connections and self.loop.time() < deadline:
            for connection in [one for one in self.connections if one.idle]:
                connection.close()
            await asyncio.sleep(0.05)
        await super()._shutdown()


def refuse_new_connections(listener: socket.socket) -> None:
    """Drops connection attempts from now on, but keeps those that the kernel has accepted.

    Closing the socket would reset the latter, with their requests. The clients of the dropped ones try again after a
    second, and find either the next process or a closed port. Linux only; elsewhere nothing is done.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def take_connections_again(listener: socket.socket) -> None:
    """Undoes `refuse_new_connections`: the socket outlives its worker, and the next one inherits it deaf."""
    with contextlib.suppress(OSError):  # most often: there is no filter
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


class PlainLogger(Logger):  # type: ignore[misc]
    """gunicorn's two loggers, sent through ours. There is no access log: its lines would hold the secrets."""

    def setup(self, cfg: Any) -> None:
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)
        self.access_log.handlers = []
        self.access_log.propagate = False
        self._access_log_enabled = False  # asked at every request, and dear to work out


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
        self.log.warning("ignored: there are as many workers as --workers says, always")

    handle_ttou = handle_usr2 = handle_ttin

    def stop(self, graceful: bool = True) -> None:
        self.app.end()
        super().stop(graceful)


class Server(BaseApplication):  # type: ignore[misc]
    """Runs `make_app()` in each worker."""

    def __init__(self, web: WebSettings, make_app: Callable[[], Any], workers: int = 1) -> None:
        self._web = web
        self._make_app = make_app
        self._workers = workers
        self._ending = mmap.mmap(-1, 1)  # the workers see it too
        super().__init__()

    @property
    def ending(self) -> bool:
        """Whether the whole service ends, or else this worker alone, or a worker that is the only one."""
        return self._workers == 1 or self._ending[0] != 0

    def end(self) -> None:
        self._ending[0] = 1

    def load_config(self) -> None:
        """gunicorn's settings; none can come from its command line or its environment variable."""
        options = {
            "bind": [gunicorn_address(self._web.listen_address)],
            "workers": self._workers,
            "worker_class": Worker,
            "logger_class": PlainLogger,
            "control_socket_disable": True,
            "keepalive": KEEPALIVE,
            "graceful_timeout": GRACE,
            "timeout": 60,
            "worker_connections": 4000,
            "backlog": 4096,
            "limit_request_line": 8190,
            "limit_request_fields": 100,
            "limit_request_field_size": 8190,
            "forwarded_allow_ips": ",".join(map(str, self._web.trusted_proxies)),
            # The default one logs every request's path at debug level.
            "pre_request": lambda worker, request: None,
            "proc_name": "heartbeat-exporter",
        }
        options["worker_tmp_dir"] = _memory()  # gunicorn's own heartbeat file, which must not wait for a disk
        if self._workers > 1:
            options["child_exit"] = lambda server, worker: forget_gauges(worker.pid)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()

    def run(self) -> None:
        """Returns never: the process ends with the supervisor."""
        if self._workers == 1:
            Supervisor(self).run()
        folder = tempfile.mkdtemp(prefix="heartbeat-exporter-", dir=_memory())
        supervisor = os.getpid()
        # Before anybody imports prometheus_client, which decides by it how it keeps its values.
        os.environ[_SHARED_METRICS] = folder
        try:
            Supervisor(self).run()
        finally:
            if os.getpid() == supervisor:
                shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """A file system in memory, if there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def forget_gauges(pid: int) -> None:
    """A worker has ended: what it was is of no interest any more; what it counted is."""
    for path in Path(os.environ[_SHARED_METRICS]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def gunicorn_address(listen_address: str) -> str:
    """`:10105` is every address, as in Prometheus."""
    return f"0.0.0.0{listen_address}" if listen_address.startswith(":") else listen_address  # noqa: S104
