"""How long after its deadline a status is written and handed to a notifier, among many monitors; what an idle service
costs.
"""

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from bench.databases import Store, fill, rows
from bench.processes import exporter, proportional
from bench.row import Row

DEADLINES = 500
LAGS = "SELECT observed_at - at FROM transitions WHERE status = 'DEGRADED' ORDER BY 1"


CONFIG = """
alerts: [{{name: late, when: [DEGRADED], notify: [ops]}}]
notifiers: [{{name: ops, type: webhook, group_wait: 0s, url: "http://127.0.0.1:{port}/"}}]
"""


class Receiver(BaseHTTPRequestHandler):
    """Notes how late each alert of a webhook's message is."""

    protocol_version = "HTTP/1.1"
    lags: list[float]

    def do_POST(self) -> None:
        now = time.time()
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.lags += [now - datetime.fromisoformat(alert["triggered_at"]).timestamp() for alert in message["alerts"]]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def detection(store: Store, folder: Path, monitors: int) -> Iterator[Row]:
    url = store.make("detection")
    fill(url, monitors, DEADLINES)
    handler = type("Noting", (Receiver,), {"lags": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "detection.yml"
    config.write_text(CONFIG.format(port=server.server_address[1]))
    with exporter(url, config):
        until = time.monotonic() + 90
        while len(handler.lags) < DEADLINES and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.5)
        lags = [int(row[0]) for row in rows(url, LAGS)]
    server.shutdown()
    reported: list[float] = handler.lags  # type: ignore[attr-defined]
    if len(lags) < DEADLINES or len(reported) < DEADLINES:
        raise RuntimeError(
            f"of {DEADLINES} deadlines {len(lags)} were noticed and {len(reported)} reported within 90 s"
        )
    note = f"median {median(lags):.0f} ms over {DEADLINES} deadlines, {monitors:,} monitors"
    yield Row("deadline to written transition, longest", max(lags) / 1000, "s", 2, note=note)
    note = f"median {median(reported) * 1000:.0f} ms"
    yield Row("… to the webhook that tells it, longest", max(reported), "s", 2, note=note)


def burst(store: Store, monitors: int) -> Iterator[Row]:
    """Every monitor is late within one minute, and none of them alarms anybody."""
    url = store.make("burst")
    fill(url, monitors, monitors, 60_000 / monitors)
    with exporter(url) as service:
        until = time.monotonic() + 240
        while ((lags := [int(row[0]) for row in rows(url, LAGS)]) and len(lags) < monitors) or not lags:
            if time.monotonic() > until:
                raise RuntimeError(f"of {monitors} deadlines {len(lags)} were noticed")
            time.sleep(2)
        yield Row(
            f"{monitors:,} deadlines in a minute: the longest wait for its transition",
            max(lags) / 1000,
            "s",
            2,
            note=f"median {median(lags):.0f} ms; worker {service.rss() / 1e6:.0f} MB",
        )


def idle(store: Store) -> Iterator[Row]:
    times = []
    for turn in range(3):
        with exporter(store.make(f"idle{turn}")) as service:
            times.append(service.seconds_to_ready)
            if turn == 2:
                shares = [proportional(pid) / 1e6 for pid in (service.process.pid, service.worker())]
                note = f"PSS; supervisor {shares[0]:.1f} MB, worker {shares[1]:.1f} MB"
                yield Row("memory of an idle service", sum(shares), "MB", 60 if store.bars else None, note=note)
    yield Row("start to ready, empty", median(times), "s", 1.5)
