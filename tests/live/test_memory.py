"""The memory of a service at rest, as a plain installation has it, all of its processes together."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, Starter, curl, eventually, fetch, monitors
from tests.support.ports import free_port

pytestmark = pytest.mark.live
READ_AT = ("heartbeat_exporter_config_last_reload_success_timestamp_seconds",)
MOST = 58
"""MB of PSS: the bar is 60."""


def pss(pid: int) -> float:
    """MB, of 10^6 bytes."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def test_a_service_at_rest(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bench.plain", "serve", "--storage.url", f"sqlite:///{tmp_path}/m.db"]
    command += ["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        eventually(lambda: fetch(f"http://127.0.0.1:{port}/-/ready").status == 200, 60)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        shares = [pss(pid) for pid in (process.pid, *map(int, children))]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(40)
    assert len(shares) == 2, "what read the configuration has ended"
    assert sum(shares) <= MOST, shares


def test_a_worker_that_serves_heartbeats_scrapes_and_pages_checks_nothing(start: Starter) -> None:
    """pydantic and its models take 9 MB: they come with the first request to the API, and not before."""
    service = start(monitors("job"))

    def checks() -> bool:
        return "pydantic" in Path(f"/proc/{service.worker()}/maps").read_text()

    assert service.ping("job").status == 200
    assert service.ping("job", "/fail", "-d", "output").status == 200
    assert service.ping("job", secret="wrong").status == 404
    assert service.received("job") == 2
    for path in ("/", "/monitors/job", "/incidents", "/refusals", "/docs", "/no/such/page"):
        assert curl("-H", "Accept: text/html", service.url + path).status in (200, 404)
    read_at = service.metrics()[READ_AT]
    service.send(signal.SIGHUP)
    eventually(lambda: service.metrics()[READ_AT] > read_at)
    assert not checks()
    assert curl(f"{service.url}/api/v1/monitors").status == 200
    assert checks()
