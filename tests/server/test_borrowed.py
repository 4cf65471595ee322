"""What we borrow of gunicorn is still there, by its names and signatures: a new release fails here first."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from exporter.server import borrowed

SIGNATURES: dict[tuple[Any, str], list[str]] = {
    (borrowed.ASGIWorker, "__init__"): ["self", "args", "kwargs"],
    (borrowed.ASGIWorker, "init_process"): ["self"],
    (borrowed.ASGIWorker, "init_signals"): ["self"],
    (borrowed.ASGIWorker, "handle_exit_signal"): ["self"],
    (borrowed.ASGIWorker, "_serve"): ["self"],
    (borrowed.ASGIWorker, "_shutdown"): ["self"],
    (borrowed.ASGIWorker, "notify"): ["self"],
    (borrowed.ASGIProtocol, "__init__"): ["self", "worker"],
    (borrowed.Arbiter, "handle_hup"): ["self"],
    (borrowed.Arbiter, "handle_int"): ["self"],
    (borrowed.Arbiter, "handle_ttin"): ["self"],
    (borrowed.Arbiter, "kill_workers"): ["self", "sig"],
    (borrowed.Arbiter, "stop"): ["self", "graceful"],
    (borrowed.Logger, "setup"): ["self", "cfg"],
    (borrowed.LifespanManager, "__init__"): ["self", "app", "logger", "state"],
    (borrowed.LifespanManager, "startup"): ["self"],
    (borrowed.LifespanManager, "shutdown"): ["self"],
}


@pytest.mark.parametrize(("owner", "name"), SIGNATURES, ids=lambda part: getattr(part, "__name__", part))
def test_signatures(owner: Any, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == SIGNATURES[owner, name]


def test_what_a_worker_has() -> None:
    config = Config()
    worker = borrowed.ASGIWorker(1, 2, [], SimpleNamespace(), 30, config, SimpleNamespace())
    assert (worker.alive, worker.nr_conns, worker.sockets, worker.ppid) == (True, 0, [], 2)
    assert (worker.state, worker._quick_shutdown, worker.loop, worker.lifespan) == ({}, False, None, None)
    worker.tmp.close()
    assert isinstance(borrowed.Arbiter.WORKER_BOOT_ERROR, int)
    config.set("bind", ["fd://7", "fd://8"])
    assert config.address == [7, 8]
