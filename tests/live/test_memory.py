"""The memory of a service at rest, as a plain installation has it, all of its processes together."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, curl, eventually, free_port

pytestmark = pytest.mark.live
MOST = 62
"""MB of PSS: the bar is 60, and 2 are for what a development installation adds."""


def pss(pid: int) -> float:
    """MB."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1000


def test_a_service_at_rest(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bench.plain", "serve", "--storage.url", f"sqlite:///{tmp_path}/m.db"]
    command += ["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        eventually(lambda: curl(f"http://127.0.0.1:{port}/-/ready").status == 200, 60)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        shares = [pss(pid) for pid in (process.pid, *map(int, children))]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(40)
    assert len(shares) == 2, "what read the configuration has ended"
    assert sum(shares) <= MOST, shares
