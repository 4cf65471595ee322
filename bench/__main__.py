"""Prints the table; exit status 1 if a bar is missed."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench import detection, files, heartbeats, scrapes
from bench.databases import Store, fill
from bench.row import HEAD, Row
from tests.support.postgres import running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the monitors and shorter loads")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], help="one of the two only")
    options = parser.parse_args()
    for program in ("wrk", "curl"):
        if shutil.which(program) is None:
            print(f"{program} is missing: apt-get install {program}", file=sys.stderr)
            return 2
    monitors = 10_000 if options.quick else 100_000
    rows: list[Row] = []

    def show(found: Iterable[Row]) -> None:
        for row in found:
            rows.append(row)
            print(row, flush=True)

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as servers:
        folder = Path(name)
        stores = []
        if options.engine != "postgresql":
            stores.append(Store("SQLite", lambda name: f"sqlite:///{folder}/{name}.db", bars=True))
        if options.engine != "sqlite":
            server = servers.enter_context(running(durable=True))
            stores.append(Store("PostgreSQL", lambda name: server.create(), bars=False))
        for store in stores:
            print(f"\n{store.name}\n\n{HEAD}", flush=True)
            seconds = 3 if options.quick else 6
            show(heartbeats.throughput(store, 3 if options.quick else 5, seconds))
            show(heartbeats.throughput(store, 3, seconds, connections=512))
            if not store.bars:
                show(heartbeats.throughput(store, 3, seconds, workers=2))
            url = store.make("scrapes")
            fill(url, monitors)
            show(scrapes.rendering(url))
            show(scrapes.serving(url, monitors))
            show(files.fleet(store, folder, monitors))
            show(detection.detection(store, folder, monitors))
            show(detection.dead_switch(store, folder))
            show(detection.dead_switch(store, folder, guarded=True))
            show(detection.burst(store, monitors))
            show(detection.idle(store))
            show(heartbeats.kill_9(store, 2 if options.quick else 5))
    if options.json:
        options.json.write_text(json.dumps([{**asdict(row), "met": row.met} for row in rows], indent=2))
    return 0 if all(row.met for row in rows) else 1


sys.exit(main())
