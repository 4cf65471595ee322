"""The exporter, Prometheus and Alertmanager on loopback, and a small fleet that beats, degrades, fails and recovers.

Everything is seen within two minutes, over and over; Ctrl-C ends it. Called by `make demo`. EXPORTER_PORT,
PROMETHEUS_PORT and ALERTMANAGER_PORT name ports other than the usual ones; DEMO_FOLDER is where it may have a folder.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SECRET = "demo-secret"  # noqa: S105 - on loopback, for two minutes
ROUND = 60
"""Seconds after which the fleet's story begins anew."""
PORTS = {"exporter": 10105, "prometheus": 9090, "alertmanager": 9093}
PATIENCE = 30
"""Seconds in which each of them has to be ready."""
ENDED = threading.Event()

HEARTBEATS = """
web: {{listen_address: "127.0.0.1:{exporter}"}}
monitors:
  - {{tag: steady, name: Always on time, group: Demo, secret: {secret}, degraded_after: 6s, down_after: 15s}}
  - {{tag: sleepy, name: Falls asleep, group: Demo, secret: {secret}, degraded_after: 6s, down_after: 15s}}
  - {{tag: flaky, name: Fails at times, group: Demo, secret: {secret}, degraded_after: 30s, down_after: 1m}}
  - {{tag: stuck, name: Hangs at times, group: Demo, secret: {secret}, max_runtime: 12s, down_after: 30m}}
  - {{tag: never, name: Never ran, group: Demo, secret: {secret}}}
  - {{tag: watchdog, name: Watchdog, group: Watchers, secret: {secret}, degraded_after: 1m, down_after: 2m}}
alerts:
  - {{name: demo-down, groups: [Demo], create_incident: true, description: It is only a demo.}}
"""
PROMETHEUS = """
global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: ["{folder}/assets/alertmanager/heartbeat-rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: heartbeat
    static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
"""
ALERTMANAGER = """
route:
  receiver: shown
  group_by: [alertname]
  group_wait: 1s
  group_interval: 10s
  routes:
    - matchers: [alertname = "Watchdog"]
      receiver: watchdog
      group_wait: 0s
      group_interval: 10s
      repeat_interval: 9s
receivers:
  - name: shown
  - name: watchdog
    webhook_configs:
      - url: http://127.0.0.1:{exporter}/api/v1/alertmanager/watchdog
        send_resolved: false
        http_config: {{authorization: {{credentials: {secret}}}}}
"""
TEXT = """
The demo is up; its fleet goes through everything within two minutes, over and over:

  status page     http://127.0.0.1:{exporter}/
  incidents       http://127.0.0.1:{exporter}/incidents
  metrics         http://127.0.0.1:{exporter}/metrics
  Prometheus      http://127.0.0.1:{prometheus}/alerts
                  http://127.0.0.1:{prometheus}/graph?g0.expr=heartbeat_status%20%3D%3D%201&g0.tab=1
  Alertmanager    http://127.0.0.1:{alertmanager}/

Send a heartbeat of your own:

  curl -fsS -m 10 --retry 5 --retry-connrefused http://127.0.0.1:{exporter}/ext/heartbeat/never:{secret}

Logs and data are in {folder}. Ctrl-C ends it.
"""


class Trouble(Exception):
    """Why there is no demo; its text is for people."""


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ENDED.set())
    try:
        with contextlib.ExitStack() as stack:
            folder = _own_folder(Path(os.environ.get("DEMO_FOLDER", ROOT / ".run")).resolve(), stack)
            _demo(folder, {name: _port(name) for name in PORTS}, stack)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    print("The demo has ended.", flush=True)
    return 0


def _demo(folder: Path, ports: Mapping[str, int], stack: contextlib.ExitStack) -> None:
    for name, text in (("heartbeats", HEARTBEATS), ("prometheus", PROMETHEUS), ("alertmanager", ALERTMANAGER)):
        (folder / f"{name}.yml").write_text(text.format(folder=folder, secret=SECRET, **ports))
    _export(folder / "assets", f"http://127.0.0.1:{ports['exporter']}")
    running = {
        name: stack.enter_context(_running(name, command, folder)) for name, command in _commands(folder, ports).items()
    }
    for name in running:
        _wait(f"http://127.0.0.1:{ports[name]}/-/ready", name, running, folder)
    if not ENDED.is_set():
        print(TEXT.format(secret=SECRET, folder=folder, **ports), flush=True)
        _fleet(f"http://127.0.0.1:{ports['exporter']}/ext/heartbeat", running, folder)


def _export(folder: Path, url: str) -> None:
    """Writes the rules, whose alerts link to the runbooks of the exporter at `url`."""
    command = [sys.executable, "-m", "exporter", "assets", "export", str(folder), "--web.external-url", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"The rules cannot be written: {done.stderr}")


def _own_folder(parent: Path, stack: contextlib.ExitStack) -> Path:
    """Empty, and no other demo's."""
    parent.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((parent / "heartbeat-demo.lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Trouble(f"A demo is running in {parent} already.") from None
    folder = parent / "heartbeat-demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _port(name: str) -> int:
    """The one that was asked for, or the usual one, or where that is taken any other."""
    variable = f"{name.upper()}_PORT"
    wanted = os.environ.get(variable)
    for port in (int(wanted),) if wanted else (PORTS[name], 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if not port:
                    print(f"Port {PORTS[name]} is taken: {name} gets another one.", flush=True)
                return int(probe.getsockname()[1])
    raise Trouble(f"Port {wanted} is taken; {variable} names another one for {name}.")


def _commands(folder: Path, ports: Mapping[str, int]) -> dict[str, list[str]]:
    alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or "alertmanager"
    return {
        "exporter": [
            *(sys.executable, "-m", "exporter", "serve", "--config.file", str(folder / "heartbeats.yml")),
            *("--storage.url", f"sqlite:///{folder}/heartbeats.db"),
        ],
        "alertmanager": [
            *(alertmanager, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager"),
            *(f"--web.listen-address=127.0.0.1:{ports['alertmanager']}", "--cluster.listen-address="),
        ],
        "prometheus": [
            *("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"),
            # What fired before Alertmanager was known is sent again after a minute by default.
            *(f"--web.listen-address=127.0.0.1:{ports['prometheus']}", "--rules.alert.resend-delay=5s"),
        ],
    }


@contextlib.contextmanager
def _running(name: str, command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Of a session of its own, so that Ctrl-C reaches the demo alone, and the demo ends it in order."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def _check(running: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            log = folder / f"{name}.log"
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise Trouble(f"{name} has ended by itself, and the demo with it. {log} ends with:\n{last}")


def _wait(url: str, name: str, running: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ENDED.wait(0.1):
        _check(running, folder)
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Trouble(f"{name} does not come up ({error}); see {folder}/{name}.log.") from None


def _fleet(base: str, running: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """The story, second by second."""
    began = time.monotonic()
    told = -1
    while not ENDED.wait(0.2):
        second = int(time.monotonic() - began)
        if second == told:
            continue
        _check(running, folder)
        told, at = second, second % ROUND
        if at % 2 == 0:
            _send(f"{base}/steady:{SECRET}")
        if at % 2 == 0 and not 10 <= at < 34:  # late from 14 on, DOWN from 23 to 34
            _send(f"{base}/sleepy:{SECRET}")
        if at % 10 == 0:
            _send(f"{base}/flaky:{SECRET}/{1 if 10 <= at < 40 else 0}", b"disk is full" if 10 <= at < 40 else b"")
        if at in (1, 4):
            _send(f"{base}/stuck:{SECRET}" + ("/start?rid=run" if at == 4 else ""))
        if at == 45:
            _send(f"{base}/stuck:{SECRET}?rid=run")


def _send(url: str, output: bytes = b"") -> None:
    try:
        with urllib.request.urlopen(url, data=output or None, timeout=10):
            return
    except OSError as error:
        print(f"a heartbeat did not arrive: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
