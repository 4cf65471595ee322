"""How long after its deadline a status is written and handed to a notifier, among many monitors; what an idle service
costs.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from bench.databases import Store, fill, rows
from bench.open_loop import open_loop
from bench.processes import MONITORS, exporter, proportional
from bench.row import Row

DEADLINES = 500
SILENT = 10_000
GROUP_WAIT = 10
"""Seconds."""
HOLD = 30
"""Seconds for which the ingest guard holds alerts, where it is on."""
LAGS = "SELECT observed_at - at FROM transitions WHERE status = 'DEGRADED' ORDER BY 1"


CONFIG = """
ingest_guard: {guard}
alerts: [{{name: late, when: [DEGRADED], notify: [ops]}}]
notifiers: [{{name: ops, type: webhook, group_wait: {group_wait}, url: "http://127.0.0.1:{port}/"}}]
"""


class Receiver(BaseHTTPRequestHandler):
    """Notes how late each alert of a webhook's message is, and how many alerts each message holds."""

    protocol_version = "HTTP/1.1"
    lags: list[float]
    sizes: list[int]
    guard: list[float]
    """How long after the alert each message of the ingest guard came, alarms alone."""

    def do_POST(self) -> None:
        now = time.time()
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        lags = [now - datetime.fromisoformat(alert["triggered_at"]).timestamp() for alert in message["alerts"]]
        if message["rule"] == "ingest_suspect":
            self.guard += lags if message["event"] == "TRIGGERED" else []
        else:
            self.sizes.append(len(lags))
            self.lags += lags
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def receiver(folder: Path, group_wait: str, guard: str = "off") -> Iterator[tuple[type[Receiver], Path]]:
    """A webhook's receiver, and a configuration that sends every alert to it."""
    handler = type("Noting", (Receiver,), {"lags": [], "sizes": [], "guard": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "alerts.yml"
    config.write_text(CONFIG.format(port=server.server_address[1], group_wait=group_wait, guard=guard))
    try:
        yield handler, config
    finally:
        server.shutdown()
        server.server_close()


def detection(store: Store, folder: Path, monitors: int) -> Iterator[Row]:
    url = store.make("detection")
    fill(url, monitors, DEADLINES)
    with receiver(folder, "0s") as (handler, config), exporter(url, config):
        until = time.monotonic() + 90
        while len(handler.lags) < DEADLINES and time.monotonic() < until:
            time.sleep(0.5)
        lags = [int(row[0]) for row in rows(url, LAGS)]
        delivered = handler.lags
    if len(lags) < DEADLINES or len(delivered) < DEADLINES:
        raise RuntimeError(f"of {DEADLINES} deadlines {len(lags)} were noticed, {len(delivered)} delivered within 90 s")
    note = f"median {median(lags):.0f} ms over {DEADLINES} deadlines, {monitors:,} monitors"
    yield Row("deadline to written transition, longest", max(lags) / 1000, "s", 2, note=note)
    note = f"median {median(delivered) * 1000:.0f} ms"
    yield Row("… to the notification at the webhook, longest", max(delivered), "s", 2, note=note)


def dead_switch(store: Store, folder: Path, guarded: bool = False) -> Iterator[Row]:
    """Ten thousand monitors miss their deadline in the same moment, while others go on; with the ingest guard, that
    holds their alerts.
    """
    url = store.make("guarded" if guarded else "switch")
    fill(url, MONITORS + SILENT, SILENT, 0)
    guard, held = (f"{{hold: {HOLD}s}}", HOLD) if guarded else ("off", 0)
    with receiver(folder, f"{GROUP_WAIT}s", guard) as (handler, config), exporter(url, config) as service:
        rate = SILENT / 60
        meanwhile = open_loop(service.url, rate, 30 + held)  # the deadline is about ten seconds after the start
        until = time.monotonic() + 60
        while sum(handler.sizes) < SILENT and time.monotonic() < until:
            time.sleep(0.1)
    if sum(handler.sizes) < SILENT:
        raise RuntimeError(f"of {SILENT:,} alerts {sum(handler.sizes):,} were sent within a minute")
    note = f"{len(handler.sizes)} message{'s' if len(handler.sizes) > 1 else ''}"
    title = f"{SILENT:,} monitors miss at once, the guard {'on' if guarded else 'off'}"
    if guarded:
        if len(handler.guard) != 1:
            raise RuntimeError(f"the guard sent {len(handler.guard)} messages")
        yield Row(f"{title}: its message at the webhook", handler.guard[0], "s", 5.0)
    bar = 5.0 + GROUP_WAIT + held
    text = f"… all alarms, after a hold of {held} s" if guarded else f"{title}: deadline to the webhook, longest"
    yield Row(text, max(handler.lags), "s", bar, note=note)
    note = f"{rate:,.0f}/s, {meanwhile.failed} failed"
    yield Row("… 99th percentile of heartbeats meanwhile", meanwhile.p99, "ms", 100, note=note)


def burst(store: Store, monitors: int) -> Iterator[Row]:
    """Every monitor is late within one minute, and none of them alarms anybody. The ingest guard is on."""
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
