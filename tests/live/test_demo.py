"""The demo as a newcomer starts it: all is there, its fleet goes through everything, and Ctrl-C ends all of it."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, curl, eventually, free_port
from tests.tools import need_tool

pytestmark = pytest.mark.live


def test_the_demo(tmp_path: Path) -> None:
    for tool in ("prometheus", "prometheus-alertmanager"):
        need_tool(tool)
    ports = {name: free_port() for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER")}
    environment = {f"{name}_PORT": str(port) for name, port in ports.items()}
    environment |= {"DEMO_FOLDER": str(tmp_path / "demo"), "BIN": str(Path(sys.executable).parent)}
    exporter, prometheus, alertmanager = (f"http://127.0.0.1:{port}" for port in ports.values())
    process = subprocess.Popen(
        ["sh", "examples/demo/run.sh"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    seen: defaultdict[str, list[str]] = defaultdict(list)

    def look() -> bool:
        answer = curl(f"{exporter}/api/v1/monitors")
        for monitor in json.loads(answer.body)["monitors"]:
            if monitor["status"] not in seen[monitor["tag"]][-1:]:
                seen[monitor["tag"]].append(monitor["status"])
        return "UP" in seen["sleepy"][seen["sleepy"].index("DOWN") :] if "DOWN" in seen["sleepy"] else False

    try:
        eventually(look, 100)
        assert seen["sleepy"][-4:] == ["UP", "DEGRADED", "DOWN", "UP"]
        assert set(seen["steady"]) <= {"NO_DATA", "UP"}
        assert "DOWN" in seen["flaky"]
        assert "DOWN" in seen["stuck"]
        eventually(lambda: "UP" in json.loads(curl(f"{exporter}/api/v1/monitors/watchdog").body)["status"])
        query = curl("-G", f"{prometheus}/api/v1/query", "--data-urlencode", 'query=up{job="heartbeat"} == 1')
        assert json.loads(query.body)["data"]["result"]
        alerts = json.loads(curl(f"{alertmanager}/api/v2/alerts").body)
        assert "Watchdog" in {alert["labels"]["alertname"] for alert in alerts}
    finally:
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    for address in (exporter, prometheus, alertmanager):
        assert address in said
        assert curl(address).status == 0, "something is left running"
