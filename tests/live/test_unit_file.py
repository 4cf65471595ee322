"""Every system call of the real program is one that the systemd unit allows it, on what the unit leaves it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, SECRET, curl, eventually, fetch
from tests.support.ports import free_port
from tests.support.tools import need_tool, run_tool

pytestmark = pytest.mark.live
UNIT = (ROOT / "deploy" / "systemd" / "heartbeat-exporter.service").read_text()
NOBODY = 65534
CONFIG = f"""
monitors: [{{tag: job, secret: {SECRET}, degraded_after: 500ms, down_after: 1s}}]
alerts: [{{name: missed, notify: [hook]}}]
notifiers: [{{name: hook, type: webhook, url: "http://localhost:9/", group_wait: 0s}}]
"""
CALL = re.compile(r"^\d+ +([a-z0-9_]+)\(", re.MULTILINE)


def settings(name: str) -> list[str]:
    return [word for line in re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE) for word in line.split()]


def calls(group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    lines = [line.strip() for line in run_tool("systemd-analyze", "syscall-filter", group).splitlines()[1:]]
    found: set[str] = set()
    for line in lines:
        if line and not line.startswith("#"):
            found |= calls(line) if line.startswith("@") else {line}
    return found


def allowed() -> set[str]:
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT, re.MULTILINE):
        for group in line.removeprefix("~").split():
            found = found - calls(group) if line.startswith("~") else found | calls(group)
    return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What StateDirectory= is to the unit: its own, and nobody else's."""
    with tempfile.TemporaryDirectory(prefix="heartbeat-") as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture(scope="module")
def trace(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What strace wrote of a service that started, worked, alerted, reloaded and stopped."""
    strace = need_tool("strace")
    port, config = free_port(), folder / "heartbeats.yml"
    config.write_text(CONFIG)
    config.chmod(0o644)
    command = [strace, "-f", "-qq", "-s", "256", "-o", str(folder / "trace"), sys.executable, "-m", "exporter", "serve"]
    command += ["--config.file", str(config), "--storage.url", f"sqlite:///{folder}/heartbeats.db"]
    command += ["--web.listen-address", f"127.0.0.1:{port}"]
    if os.geteuid() == 0:  # the unit's user is not root, who does more; but Python may be in root's folder
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [
            need_tool("setpriv"),
            *user,
            "--inh-caps=+dac_read_search",
            "--ambient-caps=+dac_read_search",
            *command,
        ]
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("unit") / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, start_new_session=True)
    try:
        eventually(lambda: fetch(f"{url}/-/ready").status == 200, 60)
        assert curl("-d", "42 files", f"{url}/ext/heartbeat/job:{SECRET}").status == 200
        for path in ("/", "/metrics", "/monitors/job", "/api/v1/monitors"):
            assert curl("--compressed", f"{url}{path}").status == 200
        assert curl("-X", "POST", f"{url}/-/reload").status == 200
        failed = r"^heartbeat_exporter_notifications_failed_total\{.*hook.*\} [1-9]"
        eventually(lambda: re.search(failed, fetch(f"{url}/metrics").body, re.MULTILINE), 30)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert "Traceback" not in log.read_text()
    return (folder / "trace").read_text(errors="replace")


def test_every_system_call_is_allowed(trace: str) -> None:
    made = set(CALL.findall(trace))
    assert {"execve", "bind", "fdatasync", "connect"} <= made
    # ProtectClock= answers EPERM, and timesyncd's own file tells instead whether the clock is synchronised.
    assert "ProtectClock=yes" in UNIT
    assert made - allowed() - {"clock_adjtime"} == set()


def test_memory_is_never_both_written_and_run(trace: str) -> None:
    assert "MemoryDenyWriteExecute=yes" in UNIT
    assert not re.findall(r"^.* mmap\(.*PROT_WRITE\|PROT_EXEC.*$", trace, re.MULTILINE)
    assert not re.findall(r"^.* (?:pkey_)?mprotect\(.*PROT_EXEC.*$", trace, re.MULTILINE)


def test_its_sockets_are_of_families_that_it_has(trace: str) -> None:
    families = set(re.findall(r"socket\((AF_\w+)", trace))
    assert "AF_INET" in families
    families.discard("AF_NETLINK")  # the C library asks which addresses the machine has, and goes on without an answer
    assert families <= set(settings("RestrictAddressFamilies"))


def test_it_writes_where_it_may(trace: str, folder: Path) -> None:
    assert settings("ProtectSystem") == ["strict"]
    opened = re.findall(r'openat\(\w+, "([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)[^)]*\) = \d', trace)
    places = (str(folder), "/dev/shm/", "/dev/null", "/tmp/")
    assert any(path.startswith(str(folder)) for path in opened)
    # Python keeps compiled modules beside their sources where it may, and does without where it may not.
    assert [path for path in opened if not path.startswith(places) and "/__pycache__/" not in path] == []


def test_what_it_reads_of_the_machine_is_there(trace: str) -> None:
    """With ProcSubset=pid there would be no /proc/stat, and without that no process_* metrics."""
    read = set(re.findall(r'openat\(\w+, "(/proc/[^"]+)"', trace))
    assert "/proc/stat" in read
    beyond = [path for path in read if not re.match(r"/proc/(self|\d+)/", path)]
    assert not beyond or settings("ProcSubset") in ([], ["all"])
