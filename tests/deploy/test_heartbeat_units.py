"""The template units that report how another unit ended: systemd takes them, and their commands do what they say."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receivers import Receiver, answer
from tests.support.runner import SECRET, sent
from tests.support.tools import need_tool, run_tool

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
TAG = "nightly-backup"


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_systemd_takes_them(tmp_path: Path) -> None:
    """As instances, beside a unit that names them."""
    for kind in ("success", "failure"):
        (tmp_path / f"heartbeat-{kind}@.service").write_text((FOLDER / f"heartbeat-{kind}@.service").read_text())
    (tmp_path / "backup.service").write_text(
        f"[Unit]\nOnSuccess=heartbeat-success@{TAG}.service\nOnFailure=heartbeat-failure@{TAG}.service\n"
        "[Service]\nType=oneshot\nExecStart=/bin/true\n"
    )
    files = [str(tmp_path / name) for name in ("backup.service", *(f"heartbeat-{k}@{TAG}.service" for k in KINDS))]
    assert run_tool("systemd-analyze", "verify", "--man=no", *files) == ""


KINDS = ("success", "failure")


def command_of(kind: str) -> str:
    """The command as sh gets it: systemd joins lines and replaces specifiers; nothing else is in it for systemd."""
    unit = (FOLDER / f"heartbeat-{kind}@.service").read_text().replace("\\\n", " ")
    match = re.search(r"^ExecStart=/bin/sh -c '([^']*)'$", unit, re.MULTILINE)
    assert match is not None
    assert not re.search(r"\$\{|\$\$|\\|%[^i]", match[1]), "systemd would replace it"
    return match[1].replace("%i", TAG)


def run(kind: str, service: Receiver, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    need_tool("curl")
    journalctl = folder / "journalctl"
    journalctl.write_text(
        '#!/bin/sh\necho "$@" >>"$0.log"\nhead -c 100000 /dev/zero | tr "\\0" x; echo the last line\n'
    )
    journalctl.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", "-c", command_of(kind)],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HEARTBEAT_URL": service.url,
            "HEARTBEAT_SECRET": SECRET,
            "RUNTIME_DIRECTORY": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_success(service: Receiver, tmp_path: Path) -> None:
    done = run("success", service, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [heartbeat] = map(sent, service.received)
    assert (heartbeat.tag, heartbeat.suffix, heartbeat.body) == (TAG, "0", b"")


@pytest.mark.parametrize(
    ("status", "suffix"), [("3", "3"), ("255", "255"), ("KILL", "fail"), ("0", "fail"), ("", "fail")]
)
def test_failure(service: Receiver, tmp_path: Path, status: str, suffix: str) -> None:
    """With the end of the log of the run that failed; a unit can fail with the exit status 0 too."""
    more = {"MONITOR_EXIT_STATUS": status, "MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_UNIT": "backup.service"}
    done = run("failure", service, tmp_path, MONITOR_INVOCATION_ID="abc123", **more)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [heartbeat] = map(sent, service.received)
    assert (heartbeat.tag, heartbeat.suffix) == (TAG, suffix)
    assert heartbeat.text.endswith(f"the last line\n[backup.service: exit-code, exit status {status}]\n")
    assert 9_000 < len(heartbeat.body) < 10_000
    assert "_SYSTEMD_INVOCATION_ID=abc123" in (tmp_path / "journalctl.log").read_text()


def test_failure_on_an_older_systemd(service: Receiver, tmp_path: Path) -> None:
    assert run("failure", service, tmp_path).returncode == 0
    [heartbeat] = map(sent, service.received)
    assert (heartbeat.suffix, heartbeat.body) == ("fail", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_fails_if_its_report_does(service: Receiver, tmp_path: Path, kind: str) -> None:
    service.behave(answer(404))
    done = run(kind, service, tmp_path)
    assert done.returncode != 0
    assert SECRET not in done.stderr
