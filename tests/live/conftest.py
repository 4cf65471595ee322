"""The real program, as a process of its own, and real curl to talk to it."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.samples import read_samples
from tests.support.tools import need_tool

ROOT = Path(__file__).parent.parent.parent
SECRET = "SESAME-live-secret"
PATIENCE = 20.0
FAR_HOUR = (datetime.now(UTC).hour + 12) % 24
"""For daily schedules that do not come due while tests run, in any timezone of Europe."""


def eventually(what: Callable[[], object], seconds: float = PATIENCE) -> object:
    """Polls until `what` is true, and returns that; the last error or a timeout fails the test.

    A check that takes long, as a command does, is made less often, so that it leaves the machine to what it waits for.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        began = time.monotonic()
        try:
            result = what()
            if result:
                return result
        except (AssertionError, OSError, ValueError, LookupError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(min(0.5, max(0.05, 4 * (time.monotonic() - began))))


@dataclass
class Answer:
    status: int
    headers: str
    body: str

    def header(self, name: str) -> str | None:
        for line in self.headers.splitlines():
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


def curl(*arguments: str, input: bytes | None = None) -> Answer:
    """Runs curl; status 0 is no answer at all."""
    headers = () if "-I" in arguments else ("-D", "-")  # with -I they are the output already
    done = subprocess.run(
        [need_tool("curl"), "-sS", "-m", "15", *headers, *arguments],
        input=input,
        capture_output=True,
        timeout=30,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    if not text.startswith("HTTP/"):
        return Answer(0, "", done.stderr.decode())
    while True:
        headers, _, body = text.partition("\r\n\r\n")
        if not body.startswith("HTTP/"):
            return Answer(int(headers.split()[1]), headers, body)
        text = body  # after 100 Continue


def fetch(url: str) -> Answer:
    """A GET by this process, for what is asked again and again: it costs a thirtieth of a curl. Status 0 as there."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    try:
        connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")))
        with connection.getresponse() as response:
            body = response.read().decode("utf-8", "replace")
            return Answer(response.status, str(response.headers), body)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, "", str(error))
    finally:
        connection.close()


class Service:
    """One running `heartbeat-exporter serve`."""

    def __init__(
        self,
        folder: Path,
        config: str,
        name: str = "service",
        options: tuple[str, ...] = (),
        storage: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / f"{name}.yml"
        self.config.write_text(config)
        self.log = folder / f"{name}.log"
        self.storage = storage or f"sqlite:///{folder}/live.db"
        self._options = options
        self.environment = dict(environment or {})
        self.process = self._start(())

    def _start(self, prefix: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [*prefix, sys.executable, "-m", "exporter", "serve", "--config.file", str(self.config)]
        command += ["--storage.url", self.storage, "--web.listen-address", f"127.0.0.1:{self.port}", *self._options]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
            )

    def start_again(self) -> None:
        self.process = self._start(())
        self.ready()

    def ready(self) -> "Service":
        eventually(lambda: fetch(f"{self.url}/-/ready").status == 200)
        return self

    def ping(self, tag: str, suffix: str = "", *arguments: str, secret: str = SECRET) -> Answer:
        return curl(*arguments, f"{self.url}/ext/heartbeat/{tag}:{secret}{suffix}")

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Value by (sample's name, its labels' values in the order of their names)."""
        return read_samples(fetch(f"{self.url}/metrics").body)

    def received(self, tag: str) -> float:
        return self.metrics()["heartbeat_received_total", tag]

    def status(self, tag: str) -> str:
        return next(
            key[1] for key, value in self.metrics().items() if key[0] == "heartbeat_status" and key[2] == tag and value
        )

    def workers(self) -> list[int]:
        """The process ids of the supervisor's children."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def worker(self) -> int:
        """The worker's process id."""
        return self.workers()[0]

    def cli(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "exporter", *arguments, "--storage.url", self.storage]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, number: int, group: bool = False) -> None:
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, group: bool = False) -> int:
        if self.process.poll() is None:
            self.send(number, group)
        return self.process.wait(40)

    def kill(self) -> None:
        """kill -9, everything at once."""
        if self.process.poll() is None:
            self.send(signal.SIGKILL, group=True)
        self.process.wait(10)

    def output(self) -> str:
        return self.log.read_text(errors="replace")


Starter = Callable[..., Service]


def monitors(*tags: str, **options: str) -> str:
    """A configuration with these monitors."""
    more = "".join(f", {key}: {value}" for key, value in options.items())
    return "monitors:\n" + "".join(f"  - {{tag: {tag}, secret: {SECRET}{more}}}\n" for tag in tags)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts services, and ends them with the test."""
    started: list[Service] = []

    def one(
        config: str = monitors("job"),
        name: str = "service",
        options: tuple[str, ...] = (),
        ready: bool = True,
        storage: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Service:
        service = Service(tmp_path, config, name, options, storage, environment)
        started.append(service)
        return service.ready() if ready else service

    yield one
    for service in started:
        service.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module that leave it as it is."""
    config = monitors("job", "cut", "count", "never", "many")
    service = Service(tmp_path_factory.mktemp("shared"), config).ready()
    yield service
    service.kill()
