"""What we borrow of gunicorn is still there, by its names and signatures: a new release fails here first."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from exporter.server import borrowed, borrowed_worker
from exporter.server.worker import ServingWorker

SIGNATURES: dict[tuple[Any, str], list[str]] = {
    (borrowed_worker.stock_protocol(), "__init__"): ["self", "worker"],
    (borrowed.BaseWorker, "__init__"): ["self", "age", "ppid", "sockets", "app", "timeout", "cfg", "log"],
    (borrowed.BaseWorker, "init_process"): ["self"],
    (borrowed.BaseWorker, "init_signals"): ["self"],
    (borrowed.BaseWorker, "load_wsgi"): ["self"],
    (borrowed.BaseWorker, "notify"): ["self"],
    (borrowed.BaseWorker, "run"): ["self"],
    (borrowed.Arbiter, "halt"): ["self", "reason", "exit_status"],
    (borrowed.Arbiter, "handle_hup"): ["self"],
    (borrowed.Arbiter, "handle_int"): ["self"],
    (borrowed.Arbiter, "handle_ttin"): ["self"],
    (borrowed.Arbiter, "kill_workers"): ["self", "sig"],
    (borrowed.Arbiter, "stop"): ["self", "graceful"],
    (borrowed.Logger, "setup"): ["self", "cfg"],
    (borrowed_worker.LifespanManager, "__init__"): ["self", "app", "logger", "state"],
    (borrowed_worker.LifespanManager, "startup"): ["self"],
    (borrowed_worker.LifespanManager, "shutdown"): ["self"],
}


@pytest.mark.parametrize(("owner", "name"), SIGNATURES, ids=lambda part: getattr(part, "__name__", part))
def test_signatures(owner: Any, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == SIGNATURES[owner, name]


def test_what_a_worker_has() -> None:
    config = Config()
    worker = borrowed.BaseWorker(1, 2, [], SimpleNamespace(), 30, config, SimpleNamespace())
    assert (worker.alive, worker.sockets, worker.ppid, worker.nr) == (True, [], 2, 0)
    assert {"SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGWINCH"} <= {each.name for each in worker.SIGNALS}
    worker.tmp.close()


def test_gunicorns_protocol_finds_what_it_reads_of_a_worker() -> None:
    config = Config()
    config.set("worker_tmp_dir", None)
    worker = ServingWorker(1, 2, [], SimpleNamespace(wsgi=lambda: "app"), 30, config, SimpleNamespace())
    try:
        worker.load_wsgi()
        assert borrowed_worker.stock_protocol()(worker).app == "app"
        assert worker.nr_conns == 0
    finally:
        worker.loop.close()
        worker.tmp.close()


def test_the_supervisor_hands_on_descriptors() -> None:
    config = Config()
    config.set("bind", ["fd://7", "fd://8"])
    assert config.address == [7, 8]
    assert isinstance(borrowed.Arbiter.WORKER_BOOT_ERROR, int)
