"""A storm in the gate, on two processes that share a SQLite file: as `test_storm_postgresql`, and it is locked."""

from pathlib import Path

import pytest

from tests.storm.campaign import storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
BLOWS = ["killed", "paused", "locked", "disk_full", "paused_beyond_the_lease", "killed", "restarted"]

PACE = 8.0
"""How slow the 64 are: at full speed they need a core, and on a fast machine they send more than the logs keep."""


def test_a_storm(tmp_path: Path) -> None:
    report = storm("sqlite-2", tmp_path, seed=2026, blows=BLOWS, seconds=30, pace=PACE)
    assert not report.problems, "\n".join([report.line(), *report.problems])
    assert report.acknowledged > 2_000
