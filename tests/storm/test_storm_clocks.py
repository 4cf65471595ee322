"""A storm in the gate with wall clocks that are wrong for a while: one process with a spool, and few monitors."""

from pathlib import Path

import pytest

from tests.storm.campaign import storm
from tests.storm.monitors import Plan

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
BLOWS = ["clock_moved", "killed", "clock_moved"]
PLAN = Plan(bulk=4, steady=3, quick=2, runs=2, flapping=1, contested=0, dead=3, ordered=0, spool=True, clocks=True)


def test_a_storm_of_clocks(tmp_path: Path) -> None:
    report = storm("sqlite", tmp_path, seed=2026, blows=BLOWS, seconds=10, plan=PLAN, senders=4)
    assert not report.problems, "\n".join([report.line(), *report.problems])
    assert report.acknowledged > 200
