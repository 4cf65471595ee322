"""A storm in the gate, on two replicas and PostgreSQL: 64 clients send numbered heartbeats, jobs run, fail, recover and
die, while processes are killed and paused, the line is cut, the disk is full, and the database restarts and crashes.
Afterwards every monitor is checked; see `tests.storm.checks`. `make storm` is the long form, over more worlds and with
blows that are drawn.
"""

from pathlib import Path

import pytest

from tests.storm.campaign import storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
BLOWS = [
    "killed",
    "paused",
    "out_of_order",
    "database_restarted",
    "line_cut",
    "database_crashed",
    "disk_full",
    "paused_beyond_the_lease",
    "killed",
]

PACE = 8.0
"""How slow the 64 are: at full speed they need a core, and on a fast machine they send more than the logs keep."""


def test_a_storm(tmp_path: Path) -> None:
    report = storm("postgresql", tmp_path, seed=2026, blows=BLOWS, seconds=30, pace=PACE)
    assert not report.problems, "\n".join([report.line(), *report.problems])
    assert report.acknowledged > 2_000
