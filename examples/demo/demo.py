"""The exporter, Prometheus and Alertmanager on loopback, and a small fleet that beats, degrades, fails and recovers.

Everything is seen within two minutes, over and over; Ctrl-C ends it. Called by `make demo`. Ports other than the usual
ones come from EXPORTER_PORT, PROMETHEUS_PORT and ALERTMANAGER_PORT, the folder from DEMO_FOLDER.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SECRET = "demo-secret"  # noqa: S105 - on loopback, for two minutes
ROUND = 60
"""Seconds after which the fleet's story begins anew."""
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
rule_files: ["{root}/alertmanager/heartbeat-rules.yml"]
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

Ctrl-C ends it.
"""


def main() -> int:
    ports = {
        name: int(os.environ.get(f"{name.upper()}_PORT", port))
        for name, port in (("exporter", 10105), ("prometheus", 9090), ("alertmanager", 9093))
    }
    folder = Path(os.environ.get("DEMO_FOLDER", ROOT / ".run" / "demo"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in (("heartbeats", HEARTBEATS), ("prometheus", PROMETHEUS), ("alertmanager", ALERTMANAGER)):
        (folder / f"{name}.yml").write_text(text.format(root=ROOT, secret=SECRET, **ports))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ENDED.set())
    with contextlib.ExitStack() as stack:
        for name, command in _commands(folder, ports).items():
            stack.enter_context(_running(name, command, folder))
        if _ready(f"http://127.0.0.1:{ports['exporter']}/-/ready", folder):
            print(TEXT.format(secret=SECRET, **ports), flush=True)
            _fleet(f"http://127.0.0.1:{ports['exporter']}/ext/heartbeat")
        print("The demo ends.", flush=True)
    return 0


def _commands(folder: Path, ports: dict[str, int]) -> dict[str, list[str]]:
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
def _running(name: str, command: list[str], folder: Path) -> Iterator[None]:
    """Of a session of its own, so that Ctrl-C reaches the demo alone, and the demo ends it in order."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def _ready(url: str, folder: Path) -> bool:
    deadline = time.monotonic() + 30
    while not ENDED.wait(0.2):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError as error:
            if time.monotonic() > deadline:
                print(f"The exporter does not come up ({error}); see {folder}/exporter.log.", file=sys.stderr)
                return False
    return False


def _fleet(base: str) -> None:
    """The story, second by second."""
    began = time.monotonic()
    told = -1
    while not ENDED.wait(0.2):
        second = int(time.monotonic() - began)
        if second == told:
            continue
        told, at = second, second % ROUND
        if at % 2 == 0:
            _send(f"{base}/steady:{SECRET}")
        if at % 2 == 0 and not 10 <= at < 34:  # late from 15 on, DOWN from 24 to 34
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
