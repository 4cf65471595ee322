"""How long after its deadline a status is written, among many monitors; what an idle service costs."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.databases import fill
from bench.processes import exporter, resident
from bench.row import Row

DEADLINES = 500


def detection(folder: Path, monitors: int) -> Iterator[Row]:
    database = folder / "detection.db"
    fill(database, monitors, DEADLINES)
    with exporter(database), sqlite3.connect(database, timeout=10) as reader:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            lags = [
                row[0]
                for row in reader.execute(
                    "SELECT observed_at - at FROM transitions WHERE status = 'DEGRADED' ORDER BY 1"
                )
            ]
            if len(lags) >= DEADLINES:
                break
            time.sleep(0.5)
    if len(lags) < DEADLINES:
        raise RuntimeError(f"only {len(lags)} of {DEADLINES} deadlines were noticed within a minute")
    note = f"median {median(lags):.0f} ms over {DEADLINES} deadlines, {monitors:,} monitors"
    yield Row("deadline to written transition, longest", max(lags) / 1000, "s", 2, note=note)


def idle(folder: Path) -> Iterator[Row]:
    times = []
    for turn in range(3):
        with exporter(folder / f"idle{turn}.db") as service:
            times.append(service.seconds_to_ready)
            if turn == 2:
                note = f"and {resident(service.process.pid) / 1e6:.0f} MB of its supervisor, most of it shared"
                yield Row("memory of an idle worker", service.rss() / 1e6, "MB", 60, note=note)
    yield Row("start to ready, empty", median(times), "s", 1.5)
