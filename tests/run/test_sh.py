"""The twin in sh, under dash and BusyBox, with curl and both wgets."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import eventually
from tests.support.ports import free_port
from tests.support.receivers import Receiver, answer, silence
from tests.support.runner import SECRET, sent, suffixes
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
SCRIPT = Path(__file__).parents[2] / "exporter" / "run" / "heartbeat.sh"
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}
TOOLS = (
    "cat",
    "date",
    "dd",
    "grep",
    "head",
    "mkdir",
    "mkfifo",
    "mktemp",
    "rm",
    "setsid",
    "sleep",
    "tail",
    "tee",
    "timeout",
    "uname",
    "wc",
)


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    name, *more = SHELLS[request.param]
    return [need_tool(name), *more]


def environment(service: Receiver, folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    return {
        **os.environ,
        "HEARTBEAT_URL": service.url,
        "HEARTBEAT_SECRET": SECRET,
        "TMPDIR": str(folder / "tmp"),
    }


def run(
    shell: list[str], service: Receiver, folder: Path, *command: str, input: bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*shell, str(SCRIPT), "job", "--", *command],
        input=input,
        capture_output=True,
        env={**environment(service, folder), **more},
        timeout=90,
        check=False,
    )
    assert list((folder / "tmp").iterdir()) == []
    return done


def test_it_is_small() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 90
    assert max(map(len, SCRIPT.read_text().splitlines())) <= 120
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_a_run(shell: list[str], service: Receiver, tmp_path: Path, code: int) -> None:
    done = run(shell, service, tmp_path, "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, b"out\n", b"err\n")
    start, end = sorted(map(sent, service.received), key=lambda each: each.suffix != "start")
    assert (start.suffix, end.suffix, start.rid) == ("start", str(code), end.rid)
    lines = end.text.splitlines()
    assert sorted(line for line in lines[:-1] if line) == ["err", "out"]
    assert lines[-1].startswith(f"[exit code {code} after ")


@pytest.mark.parametrize(
    "output", [b"", b"@/etc/hostname", b"no newline", bytes(range(256)) * 100, b"0123456789abcde\n" * 65_536]
)
def test_output(shell: list[str], service: Receiver, tmp_path: Path, output: bytes) -> None:
    file = tmp_path / "output"
    file.write_bytes(output)
    done = run(shell, service, tmp_path, "cat", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, output, b"")
    [body] = [sent(each).body for each in service.received if sent(each).suffix == "0"]
    assert len(body) <= 10_000
    assert body.startswith(output[:1_000])
    assert output[-8_000:] in body if len(output) > 10_000 else output in body


def test_what_cannot_be_started(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    assert run(shell, service, tmp_path, "/nowhere/backup").returncode == 127
    assert run(shell, service, tmp_path, str(tmp_path)).returncode == 126
    done = subprocess.run([*shell, str(SCRIPT), "job"], capture_output=True, check=False, timeout=30)
    assert (done.returncode, b"Usage" in done.stderr) == (2, True)


def test_standard_input(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    assert run(shell, service, tmp_path, "cat", input=b"asked\n").stdout == b"asked\n"


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_signals(shell: list[str], service: Receiver, tmp_path: Path, name: str) -> None:
    """A shell gives INT to no background job, so the job gets TERM."""
    got = "HUP" if name == "HUP" else "TERM"
    script = f'trap "echo got; exit 9" {got}; echo ready; while :; do sleep 0.05; done'
    process = subprocess.Popen(
        [*shell, str(SCRIPT), "job", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(service, tmp_path),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.Signals[f"SIG{name}"])
    assert process.stdout.read() == b"got\n"
    assert process.wait(30) == 9
    eventually(lambda: "9" in suffixes(service.received))
    process.stdout.close()


def test_a_killed_job(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    assert run(shell, service, tmp_path, "sh", "-c", "kill -KILL $$").returncode == 137
    assert "137" in suffixes(service.received)


def test_the_job_runs_without_a_service(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    """It starts at once; a curl that only tries once stands for a minute of retries."""
    programs = tmp_path / "programs"
    programs.mkdir()
    curl = programs / "curl"
    curl.write_text(f'#!/bin/sh\nexec {need_tool("curl")} "$@" --retry 0 -m 1\n')
    curl.chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    service.behave(silence)
    for more in ({}, {"HEARTBEAT_URL": f"http://127.0.0.1:{free_port()}"}, {"HEARTBEAT_URL": ""}):
        done = run(shell, service, tmp_path, "sh", "-c", "echo ran; exit 3", **path, **more)
        assert (done.returncode, done.stdout) == (3, b"ran\n")
        assert SECRET.encode() not in done.stderr


def test_without_a_temporary_folder(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    done = run(shell, service, tmp_path, "sh", "-c", "echo ran; exit 3", TMPDIR="/nowhere")
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert "3" in suffixes(service.received)


@pytest.mark.parametrize("client", ["wget", "busybox"])
def test_hosts_without_curl(shell: list[str], service: Receiver, tmp_path: Path, client: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in (*TOOLS, "sh"):
        (programs / tool).symlink_to(need_tool(tool))
    wget = programs / "wget"
    log = tmp_path / "arguments"
    real = need_tool("wget") if client == "wget" else f"{need_tool('busybox')} wget"
    wget.write_text(f'#!/bin/sh\necho "$@" >>{shlex.quote(str(log))}\nexec {real} "$@"\n')
    wget.chmod(0o755)
    if client == "wget":
        service.behave(answer(503), answer())
    done = run(shell, service, tmp_path, "sh", "-c", "echo out; exit 3", PATH=str(programs))
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"")
    [end] = [sent(each) for each in service.received if sent(each).suffix == "3"][-1:]
    assert end.text.startswith("out\n")
    if client == "wget":
        assert SECRET not in log.read_text()


def test_credentials_of_systemd(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    (tmp_path / "heartbeat-url").write_text(f"{service.url}\n")
    (tmp_path / "heartbeat-secret").write_text(f"{SECRET}\n")
    more = {"HEARTBEAT_URL": "", "HEARTBEAT_SECRET": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert run(shell, service, tmp_path, "true", **more).stderr == b""
    assert "0" in suffixes(service.received)


def test_the_secret_is_on_no_command_line_of_curl(shell: list[str], service: Receiver, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    curl = programs / "curl"
    curl.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/arguments\nexec {need_tool("curl")} "$@"\n')
    curl.chmod(0o755)
    run(shell, service, tmp_path, "true", PATH=f"{programs}:{os.environ['PATH']}")
    assert "/ext/heartbeat/job/0" in (tmp_path / "arguments").read_text()
    assert SECRET not in (tmp_path / "arguments").read_text()
