"""Prints the table; exit status 1 if a bar is missed."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench import detection, heartbeats, scrapes
from bench.row import HEAD, Row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the monitors and shorter loads")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
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

    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show(heartbeats.throughput(folder, 3 if options.quick else 5, 3 if options.quick else 6))
        database = scrapes.prepared(folder, monitors)
        show(scrapes.rendering(database))
        show(scrapes.serving(database, monitors))
        show(detection.detection(folder, monitors))
        show(detection.idle(folder))
        show(heartbeats.kill_9(folder, 2 if options.quick else 5))
    if options.json:
        options.json.write_text(json.dumps([{**asdict(row), "met": row.met} for row in rows], indent=2))
    return 0 if all(row.met for row in rows) else 1


sys.exit(main())
