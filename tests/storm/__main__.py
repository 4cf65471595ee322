"""`python -m tests.storm`: a campaign over all worlds, or over those that are named."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.storm.blows import BLOWS
from tests.storm.campaign import Report, storm
from tests.storm.monitors import Plan
from tests.storm.worlds import WORLDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="make storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="what is drawn; printed")
    parser.add_argument("--seconds", type=float, default=600, help="of blows, all worlds together")
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="may be repeated; all by default")
    parser.add_argument("--blow", action="append", choices=list(BLOWS), help="may be repeated; all by default")
    parser.add_argument("--spool", choices=["with", "without", "both"], default="both")
    parser.add_argument("--after-outage", choices=["strict", "forgive", "both"], default="both")
    parser.add_argument("--clocks", action="store_true", help="move the wall clock of the processes as well")
    parser.add_argument("--senders", type=int, default=32, help="clients that send as much as is accepted")
    parser.add_argument("--pace", type=float, default=3.0, help="the larger, the slower they are")
    parser.add_argument("--keep", type=Path, help="a folder for databases and logs")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    spools = {"with": [True], "without": [False], "both": [False, True]}[options.spool]
    scenarios = [(world, spool) for world in options.world or WORLDS for spool in spools]
    reports: list[Report] = []
    for number, (world, spool) in enumerate(scenarios):
        strict = options.after_outage == "strict" or (options.after_outage == "both" and number // 2 % 2 == number % 2)
        seed, seconds = options.seed + number, options.seconds / len(scenarios)
        print(f"{world}, {'with' if spool else 'without'} spool, seed {seed}, {seconds:.0f} s", flush=True)
        plan = Plan(dead=max(12, int(seconds / 10)), strict=strict, spool=spool, clocks=options.clocks)
        with tempfile.TemporaryDirectory(prefix="storm-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            if options.keep is not None:
                folder = options.keep / f"{world}{'-spool' if spool else ''}-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
            report = storm(
                world, folder, seed=seed, seconds=seconds, plan=plan, only=options.blow, senders=options.senders,
                pace=options.pace, say=lambda line: print(line, flush=True),
            )  # fmt: skip
        reports.append(report)
        print(report.line(), flush=True)
        for problem in report.problems:
            print(f"  PROBLEM {problem}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([one.figures() for one in reports], indent=1))
    failed = [one for one in reports if one.problems]
    print(f"{len(reports)} storms, {len(failed)} with problems; repeat with --seed {options.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
