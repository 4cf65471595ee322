"""gunicorn, told to run one ASGI worker: one process is one replica."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gasgi import ASGIWorker

from exporter.config.settings import WebSettings

GRACE = 30
"""Seconds that requests in flight may take after SIGTERM."""
KEEPALIVE = 5
"""Seconds an idle connection is kept; also the longest that one holds up a shutdown."""


class Worker(ASGIWorker):  # type: ignore[misc]
    """Ctrl-C reaches the whole process group: the worker drains then, as it does on SIGTERM."""

    def init_signals(self) -> None:
        super().init_signals()
        self.loop.add_signal_handler(signal.SIGINT, self.handle_exit_signal)
        # Until the application has put its own handler there, a reload has nothing to reload.
        self.loop.add_signal_handler(signal.SIGHUP, lambda: None)


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
    """SIGHUP means our reload, in the running worker; gunicorn's own would start new workers without the listeners'
    old configuration to fall back on. SIGINT drains.
    """

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)

    def handle_int(self) -> None:
        raise StopIteration


class Server(BaseApplication):  # type: ignore[misc]
    """Runs `make_app()` in the worker."""

    def __init__(self, web: WebSettings, make_app: Callable[[], Any]) -> None:
        self._web = web
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings; none can come from its command line or its environment variable."""
        options = {
            "bind": [gunicorn_address(self._web.listen_address)],
            "workers": 1,
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
        if Path("/dev/shm").is_dir():  # noqa: S108 - gunicorn's own heartbeat file, which must not wait for a disk
            options["worker_tmp_dir"] = "/dev/shm"  # noqa: S108
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()

    def run(self) -> None:
        """Returns never: the process ends with the supervisor."""
        Supervisor(self).run()


def gunicorn_address(listen_address: str) -> str:
    """`:10105` is every address, as in Prometheus."""
    return f"0.0.0.0{listen_address}" if listen_address.startswith(":") else listen_address  # noqa: S104
