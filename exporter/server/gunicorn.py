"""gunicorn, configured to run one ASGI worker: one process is one replica."""

import gc
import math
import mmap
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.core.process.memory import give_back
from exporter.core.process.reloads import hold_reloads, release_reloads
from exporter.core.telemetry import Telemetry
from exporter.server import systemd
from exporter.server.borrowed import Arbiter, BaseApplication, BaseWorker
from exporter.server.limits import GRACE, MAX_CONNECTIONS
from exporter.server.logging import PlainLogger
from exporter.server.scratch import scratch_folder
from exporter.server.sockets import (
    bind_or_explain,
    raise_descriptor_limit,
)

_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_METRICS_ROOM = 4 * 1024 * 1024
"""Bytes of shared metrics for each worker. A write to a file in memory that has no room kills the writing process."""

MakeApp = Callable[["Life"], tuple[Any, Telemetry]]
"""Makes the ASGI application of a worker, and what counts for it."""


class Worker(BaseWorker):  # type: ignore[misc]
    """Stands for a worker in the supervisor; what a worker is made of is imported after the fork."""

    def init_process(self) -> None:
        from exporter.server.worker import ServingWorker

        worker = ServingWorker(self.age, self.ppid, self.sockets, self.app, self.timeout, self.cfg, self.log)
        worker.tmp.close()
        worker.tmp = self.tmp  # the supervisor looks at this one
        worker.pid = self.pid
        try:
            worker.init_process()
        finally:
            self.booted = worker.booted


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

    def init_signals(self) -> None:
        super().init_signals()
        release_reloads()

    def spawn_worker(self) -> Any:
        """The worker holds reloads until its application can do them; see `compose.Service.start`."""
        hold_reloads()
        pid = super().spawn_worker()  # does not return in the worker
        release_reloads()
        return pid

    def stop(self, graceful: bool = True) -> None:
        self.app.life.end()
        super().stop(graceful)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        if self.app.life.failed:  # the worker has said why
            reason, exit_status = None, 1
        super().halt(reason, exit_status)


class Life:
    """What the supervisor and its workers know of each other, in three bytes: whether the service ends, whether it ever
    was ready, and whether it cannot start.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._shared = mmap.mmap(-1, 3)
        self._systemd = systemd.take_address()

    @property
    def ending(self) -> bool:
        """Whether the whole service ends, or else this worker alone, or a worker that is the only one."""
        return self._workers == 1 or self._shared[0] != 0

    @property
    def failed(self) -> bool:
        return self._shared[2] != 0

    @property
    def was_ready(self) -> bool:
        """Whether any worker ever was: then a configuration that is bad by now does not end the service."""
        return self._shared[1] != 0

    def ready(self) -> None:
        self._shared[1] = 1
        systemd.notify(self._systemd, systemd.READY)

    def reloading(self) -> None:
        """Followed by `ready`, also after a failure."""
        systemd.notify(self._systemd, systemd.reloading())

    def end(self) -> None:
        self._shared[0] = 1
        systemd.notify(self._systemd, systemd.STOPPING)

    def give_up(self) -> None:
        """Ends the service with exit status 1; called in a worker, which has logged why."""
        self._shared[2] = 1
        os.kill(os.getpid(), signal.SIGTERM)


class Server(BaseApplication):  # type: ignore[misc]
    """Runs what `make_app()` makes in each worker."""

    telemetry: Telemetry
    """Of this worker, once it has loaded the application."""

    def __init__(
        self, listen_address: str, trusted_proxies: str, keepalive: float, make_app: MakeApp, workers: int = 1
    ) -> None:
        """`trusted_proxies` is a list of networks with commas between; `keepalive` is how many seconds a connection
        may be idle between requests.
        """
        self.keepalive = keepalive
        self._listen_address = listen_address
        self._trusted_proxies = trusted_proxies
        self._make_app = make_app
        self._workers = workers
        self.life = Life(workers)
        super().__init__()

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
            "worker_connections": MAX_CONNECTIONS,
            "backlog": 4096,
            "forwarded_allow_ips": self._trusted_proxies,
            # The default one logs every request's path at debug level.
            "pre_request": lambda worker, request: None,
            "proc_name": "heartbeat-exporter",
        }
        if self._workers > 1:
            options["child_exit"] = lambda server, worker: forget_gauges(worker.pid)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        asgi, self.telemetry = self._make_app(self.life)
        return asgi

    def run(self) -> None:
        """Returns never: the process ends with the supervisor. Raises InvalidValue if it cannot start."""
        raise_descriptor_limit()
        # gunicorn's own heartbeat file, which must not wait for a disk.
        self.cfg.set("worker_tmp_dir", scratch_folder())
        self.cfg.set("bind", [f"fd://{listening.detach()}" for listening in bind_or_explain(self._listen_address)])
        # The collector would write to every page that the workers share with us, and each would get a copy of its own.
        gc.collect()
        gc.freeze()
        give_back()
        if self._workers == 1:
            Supervisor(self).run()
        folder = tempfile.mkdtemp(prefix="heartbeat-exporter-", dir=scratch_folder(self._workers * _METRICS_ROOM))
        supervisor = os.getpid()
        # Before prometheus_client is imported, which decides by it how it keeps its values.
        os.environ[_SHARED_METRICS] = folder
        try:
            Supervisor(self).run()
        finally:
            if os.getpid() == supervisor:
                shutil.rmtree(folder, ignore_errors=True)


def forget_gauges(pid: int) -> None:
    """A worker has ended: what it was is of no interest any more; what it counted is."""
    for path in Path(os.environ[_SHARED_METRICS]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
