"""The demo as a newcomer starts it: all is there, its fleet goes through everything, and Ctrl-C ends all of it."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from tests.live.conftest import ROOT, curl, eventually, fetch
from tests.support.ports import free_port
from tests.support.tools import need_tool

pytestmark = pytest.mark.live


def processes(folder: Path) -> list[str]:
    """The command lines that name this folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if str(folder) in line:
            found.append(line)
    return found


@dataclass
class Demo:
    folder: Path
    ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER")}
    )
    path: str = os.environ["PATH"]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, *command: str) -> subprocess.Popen[str]:
        given = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        bin_folder = str(Path(sys.executable).parent)
        return subprocess.Popen(
            command or ("make", "-o", ".venv/.installed", "demo", f"BIN={bin_folder}"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **given, "DEMO_FOLDER": str(self.folder), "BIN": bin_folder, "PATH": self.path},
            start_new_session=True,
        )

    def refused(self) -> str:
        """What it said when it would not start."""
        process = self.start("sh", "examples/demo/run.sh")
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 1, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    for tool in ("make", "prometheus", "prometheus-alertmanager"):
        need_tool(tool)
    yield Demo(tmp_path)
    assert processes(tmp_path) == []


def test_the_demo(demo: Demo) -> None:
    exporter, prometheus, alertmanager = map(demo.url, demo.ports)
    seen: defaultdict[str, list[str]] = defaultdict(list)
    alerts: set[str] = set()

    def look() -> bool:
        for monitor in json.loads(curl(f"{exporter}/api/v1/monitors").body)["monitors"]:
            if monitor["status"] not in seen[monitor["tag"]][-1:]:
                seen[monitor["tag"]].append(monitor["status"])
        alerts.update(alert["labels"]["alertname"] for alert in json.loads(curl(f"{alertmanager}/api/v2/alerts").body))
        return "UP" in seen["sleepy"][seen["sleepy"].index("DOWN") :] if "DOWN" in seen["sleepy"] else False

    process = demo.start()
    try:
        eventually(look, 120)
        assert seen["sleepy"][-4:] == ["UP", "DEGRADED", "DOWN", "UP"]
        assert set(seen["steady"]) <= {"NO_DATA", "UP"}
        assert "DOWN" in seen["flaky"]
        assert "DOWN" in seen["stuck"]
        assert seen["watchdog"][-1] == "UP", "Alertmanager posts what Prometheus fires"
        assert alerts >= {"Watchdog", "HeartbeatDegraded", "HeartbeatDown", "HeartbeatFailed", "HeartbeatOverrunning"}
        rules = json.loads(curl(f"{prometheus}/api/v1/rules?type=alert").body)["data"]["groups"]
        links = {rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"]}
        assert {curl(link).status for link in links} == {200}
        query = curl("-G", f"{prometheus}/api/v1/query", "--data-urlencode", 'query=up{job="heartbeat"} == 1')
        assert json.loads(query.body)["data"]["result"]
        assert "A demo is running" in Demo(demo.folder).refused()
        assert curl(f"{exporter}/-/ready").status == 200
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: make gets it as well
        said, _ = process.communicate(timeout=60)
    for address in (exporter, prometheus, alertmanager):
        assert address in said
        assert curl(address).status == 0, "something is left running"
    assert "The demo has ended." in said
    assert "Traceback" not in said
    assert "did not arrive" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_another_end_is_an_end_too(demo: Demo, number: signal.Signals) -> None:
    process = demo.start("sh", "examples/demo/run.sh")
    try:
        eventually(lambda: fetch(f"{demo.url('EXPORTER')}/-/healthy").status == 200)
    finally:
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_a_port_that_was_asked_for_and_is_taken(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.ports["PROMETHEUS"])):
        port = demo.ports["PROMETHEUS"]
        assert demo.refused() == f"Port {port} is taken; PROMETHEUS_PORT names another one for prometheus.\n"


def test_one_of_them_ends_by_itself(demo: Demo, tmp_path: Path) -> None:
    """The demo says which, and what it said."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "prometheus").write_text("#!/bin/sh\necho 'out of memory'\nexit 3\n")
    (programs / "prometheus").chmod(0o755)
    demo.path = f"{programs}:{demo.path}"
    said = demo.refused()
    assert "prometheus has ended by itself" in said
    assert "out of memory" in said
    assert curl(demo.url("EXPORTER")).status == 0


@pytest.mark.parametrize("apt", ["missing", "failing", "working"])
def test_programs_that_are_missing(demo: Demo, tmp_path: Path, apt: str) -> None:
    """Installed if that can be done, and named if not."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "id"):
        (programs / name).symlink_to(need_tool(name))
    ends = {"failing": "exit 100", "working": ""}
    for name in ("apt-get", "sudo") if apt != "missing" else ():
        run = '"$@"' if name == "sudo" else f'echo "apt-get $*"\n{ends[apt]}'
        (programs / name).write_text(f"#!/bin/sh\n{run}\n")
        (programs / name).chmod(0o755)
    demo.path = str(programs)
    with socket.create_server(("127.0.0.1", demo.ports["ALERTMANAGER"])):  # it goes no further than that
        said = demo.refused()
    wanted = "prometheus prometheus-alertmanager"
    assert (f"apt-get install -y -qq --no-install-recommends {wanted}" in said) == (apt == "working")
    assert (f"could not be installed here: {wanted}." in said) == (apt != "working")
    assert (f"sudo systemctl disable --now {wanted}" in said) == (apt == "working")
    assert ("ALERTMANAGER_PORT" in said) == (apt == "working")


@pytest.fixture
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_usual_port_that_is_taken_is_passed_over(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By Debian's own services, which its packages start."""
    monkeypatch.delenv("PROMETHEUS_PORT", raising=False)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setitem(module.PORTS, "prometheus", port)
        assert module._port("prometheus") != port
    assert capsys.readouterr().out == f"Port {port} is taken: prometheus gets another one.\n"
    assert module._port("prometheus") == port


def test_it_looks_after_nobody_elses_folder(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "heartbeat-demo").mkdir()
    (tmp_path / "heartbeat-demo" / "old.log").write_text("of the last demo")
    with module.contextlib.ExitStack() as stack:
        folder = module._own_folder(tmp_path, stack)
        assert list(folder.iterdir()) == []
    assert (tmp_path / "mine").read_text() == "precious"
    shutil.rmtree(folder)
