"""Servers as real processes, on loopback, always stopped; and wrk against them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECRET = "bench-secret"
MONITORS = 1000
"""How many of the monitors heartbeats are sent for."""
LUA = f"""
local n = 0
request = function()
  n = (n + 7) % {MONITORS}
  return wrk.format("GET", string.format("/ext/heartbeat/job%06d:bench-secret", n))
end
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]
    seconds_to_ready: float

    def worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def rss(self) -> int:
        """Bytes of the worker."""
        return resident(self.worker())

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


def resident(pid: int) -> int:
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def high_water(pid: int) -> int:
    """The most bytes that were resident at any time."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM") * 1024


def proportional(pid: int) -> int:
    """Bytes, of which each page that processes share counts in parts (PSS)."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") * 1024


def _kilobytes(file: Path, name: str) -> int:
    return int(re.search(rf"^{name}:\s+(\d+)", file.read_text(), re.MULTILINE)[1])  # type: ignore[index]


@contextlib.contextmanager
def serving(command: list[str], port: int, ready: str) -> Iterator[Server]:
    """Runs `command` until `ready` answers 200, and stops it in the end."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            while not answers(url + ready):
                if process.poll() is not None or time.perf_counter() - began > 120:
                    log.seek(0)
                    raise RuntimeError(f"{command} did not start:\n{log.read().decode()[-2000:]}")
                time.sleep(0.01)
            yield Server(url, process, time.perf_counter() - began)
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(40)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def exporter(url: str, config: Path | None = None, workers: int = 1) -> contextlib.AbstractContextManager[Server]:
    """On the database at `url`."""
    port = free_port()
    command = [sys.executable, "-m", "bench.plain", "serve", "--storage.url", url, "--workers", str(workers)]
    command += ["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warning"]
    command += ["--config.file", str(config)] if config is not None else []
    return serving(command, port, "/-/ready")


def hello() -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "asgi", "-w", "1", "--no-control-socket"]
    command += ["--worker-tmp-dir", "/dev/shm", "--log-level", "warning", "-b", f"127.0.0.1:{port}", "bench.hello:app"]
    return serving(command, port, "/ext/heartbeat/x")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Load:
    per_second: float
    p99_ms: float
    requests: int
    bad: int


def wrk(url: str, seconds: int, connections: int = 64, threads: int = 1) -> Load:
    """Heartbeats over the first thousand monitors."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}", "--latency", "-s", script.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),  # type: ignore[index]
        float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        int(re.search(r"(\d+) requests in", said)[1]),  # type: ignore[index]
        int(bad[1]) if bad else 0,
    )
