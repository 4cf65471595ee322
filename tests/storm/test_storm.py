"""A storm in the gate: 64 clients send numbered heartbeats, jobs run, fail, recover and die, while processes are
killed, paused and cut off and the database fails. Afterwards every monitor is checked; see `tests.storm.checks`.

`make storm` is the long form, over more worlds and with blows that are drawn.
"""

from pathlib import Path

import pytest

from tests.storm.campaign import storm
from tests.storm.monitors import Plan

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
SEED = 2026
BLOWS = {
    "sqlite-2": ["killed", "paused", "locked", "killed", "paused_beyond_the_lease", "restarted"],
    "postgresql": [
        "killed",
        "paused",
        "out_of_order",
        "database_restarted",
        "line_cut",
        "database_crashed",
        "killed",
        "paused_beyond_the_lease",
    ],
}


@pytest.mark.parametrize("world", list(BLOWS))
def test_a_storm(world: str, tmp_path: Path) -> None:
    report = storm(world, tmp_path, seed=SEED, plan=Plan(), blows=BLOWS[world], seconds=30)
    assert not report.problems, "\n".join([report.line(), *report.problems])
    assert report.acknowledged > 2_000
