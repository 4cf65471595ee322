"""The start with a large configuration: listening first, ready later; and what systemd is told of it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, fetch, monitors

pytestmark = pytest.mark.live
COUNT, LINES = 3_000, 4
PATIENCE = 90


def fleet(more: str = "") -> str:
    """More than 1 MB, most of it comments: LINES for each monitor."""
    comment = "x" * 350
    entries = "".join(
        f"  - tag: job{number}\n    name: Job number {number}\n    secret: {SECRET}\n# {comment}\n"
        for number in range(COUNT)
    )
    return f"monitors:\n{entries}{more}"


def ready(service: Service, times: int = 1) -> None:
    eventually(lambda: service.output().count("] ready: ") == times, PATIENCE)


def test_it_listens_before_it_has_read_its_monitors(start: Starter) -> None:
    service = start(fleet(), ready=False)
    answer = eventually(lambda: fetch(f"{service.url}/-/ready"))
    loading = eventually(
        lambda: (answer := curl(f"{service.url}/-/ready")).status == 503 and "loading configuration" in answer.body
    )
    assert loading, answer
    beat = service.ping("job7")
    assert (beat.status, beat.header("retry-after")) == (503, "5")
    assert curl(f"{service.url}/-/healthy").status == 200
    for path in ("/", "/api/v1/monitors"):
        page = curl(f"{service.url}{path}")
        assert (page.status, page.header("retry-after")) == (503, "5"), "an empty list would be wrong"
        assert "loading configuration" in page.body
    retried = curl("--retry", "20", "--retry-delay", "1", "-f", f"{service.url}/ext/heartbeat/job7:{SECRET}")
    assert '"OK"' in retried.body
    ready(service)
    assert service.received("job7") == 1
    assert f"{COUNT} added" in service.output()
    assert ": a blackout" not in service.output()
    assert service.metrics()["heartbeat_exporter_blackout_seconds_total",] == 0
    service.stop()
    service.process = service._start(())
    ready(service, 2)
    assert "have not changed: they are not read again" in service.output()
    assert service.ping("job7").status == 200
    service.config.write_text(fleet("  - {tag: another, secret: " + SECRET + "}\n"))
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    assert service.ping("another").status == 200
    assert "1 added, 0 changed, 0 removed" in service.output()


def test_a_large_configuration_with_a_problem_ends_the_start(start: Starter) -> None:
    service = start(fleet("  - {tag: job7, secret: s, nam: x}\n"), ready=False)
    assert service.process.wait(PATIENCE) == 1
    line = LINES * COUNT + 2
    assert f"{service.config}:{line}: monitors[{COUNT}].nam: is not a setting: did you mean name?" in service.output()
    first = f"this tag is already used by the monitor in line {7 * LINES + 2}"
    assert f"{service.config}:{line}: monitors[{COUNT}].tag: {first}" in service.output()
    assert "Traceback" not in service.output()
    small = start("nonsense: 1\n", "small", ready=False)
    assert small.process.wait(PATIENCE) == 1
    assert small.output() == f"Error: {small.config}:1: nonsense: is not a setting\n"


@pytest.mark.parametrize("config", [monitors("job7"), fleet()], ids=["small", "large"])
def test_a_worker_is_replaced_though_the_file_has_become_bad(start: Starter, config: str) -> None:
    service = start(config, ready=False)
    ready(service)
    service.config.write_text(config + "nonsense: 1\n")
    worker = service.worker()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: service.workers() and service.worker() != worker)
    ready(service, 2)
    assert service.ping("job7").status == 200
    assert "the configuration cannot be used, the one of the start stays" in service.output()
    assert "nonsense: is not a setting" in service.output()
    assert "have not changed" not in service.output()


def test_a_replaced_worker_has_what_was_reloaded(start: Starter) -> None:
    service = start(monitors("old"))
    service.config.write_text(monitors("new"))
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    os.kill(service.worker(), signal.SIGKILL)
    ready(service, 2)
    assert service.ping("new").status == 200
    assert service.ping("old").status == 404


def test_a_stop_while_it_loads(start: Starter) -> None:
    service = start(fleet(), ready=False)
    eventually(lambda: "loading configuration" in fetch(f"{service.url}/-/ready").body)
    assert service.stop() == 0
    assert "Traceback" not in service.output()


class Systemd:
    """Stands in for systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(30)
        self.address = address

    def next(self) -> str:
        return self._socket.recv(4096).decode().splitlines()[0]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(f"{tmp_path}/notify" if request.param == "path" else f"@heartbeat-exporter-test-{os.getpid()}")
    yield listening
    listening.close()


def test_systemd_is_told(start: Starter, systemd: Systemd) -> None:
    service = start(monitors("job"), ready=False, environment={"NOTIFY_SOCKET": systemd.address})
    assert systemd.next() == "READY=1"
    assert service.ping("job").status == 200, "whoever waited for that may send at once"
    for content in (monitors("job", "more"), "nonsense: 1\n"):
        service.config.write_text(content)
        service.send(signal.SIGHUP)
        assert systemd.next() == "RELOADING=1"
        assert systemd.next() == "READY=1"
    service.send(signal.SIGTERM)
    assert systemd.next() == "STOPPING=1"
    assert service.process.wait(40) == 0
