"""The job runs as it would without the wrapper: output, exit code, signals, descriptors; whatever it does."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.live.conftest import eventually
from tests.support.receivers import Receiver
from tests.support.runner import Runner, sent, suffixes

pytestmark = pytest.mark.live
BINARY = bytes(range(256)) * 1_000


def test_a_success(runner: Runner, service: Receiver) -> None:
    done = runner.run("job", "--", "sh", "-c", "echo 42 files; echo trouble >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42 files\n", b"trouble\n")
    start, end = map(sent, service.received)
    assert (start.tag, start.suffix, start.body) == ("job", "start", b"")
    assert (end.tag, end.suffix, end.rid) == ("job", "0", start.rid)
    lines = end.text.splitlines()
    assert sorted(lines[:-1]) == ["42 files", "trouble"]
    assert lines[-1].startswith("[exit code 0 after ")
    assert " s of CPU, " in lines[-1]
    assert " MB at peak; on " in lines[-1]
    assert start.query.keys() == end.query.keys() == {"rid"}


@pytest.mark.parametrize("code", [1, 2, 75, 124, 126, 127, 130, 255])
def test_an_exit_code_is_passed_through_and_reported(runner: Runner, service: Receiver, code: int) -> None:
    assert runner.run("job", "sh", "-c", f"exit {code}").returncode == code
    assert suffixes(service.received) == ["start", str(code)]


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "PIPE", "HUP"])
def test_a_killed_job_is_128_and_its_signal(runner: Runner, service: Receiver, name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    assert runner.run("job", "sh", "-c", f"kill -{name} $$").returncode == 128 + number
    assert suffixes(service.received) == ["start", str(128 + number)]
    assert f"killed by signal {number:d} (SIG{name})" in sent(service.received[1]).text


def test_a_command_that_cannot_be_started(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo never\n")
    for command, code in ((["/nowhere/backup"], 127), (["no-such-program"], 127), ([str(tmp_path / "plain")], 126)):
        done = runner.run("job", "--", *command)
        assert (done.returncode, done.stdout) == (code, b"")
        assert command[0].encode() in done.stderr
    assert runner.run("job", "--", str(tmp_path)).returncode == 126
    assert runner.run("job", "--", "echo 1 && echo 2").returncode == 127
    assert suffixes(service.received) == ["127", "127", "126", "126", "127"]
    assert "for the shell's syntax: -- sh -c" in sent(service.received[-1]).text


def test_a_script_without_an_interpreter_line_is_the_shells(runner: Runner, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("echo $1; exit 3\n")
    script.chmod(0o755)
    done = runner.run("job", "--", str(script), "argument")
    assert (done.returncode, done.stdout) == (3, b"argument\n")


@pytest.mark.parametrize("output", [b"", b"no newline", BINARY, b"\xff\xfe\x00\n", "läuft\n".encode() * 5_000])
def test_output_is_untouched(runner: Runner, service: Receiver, tmp_path: Path, output: bytes) -> None:
    file = tmp_path / "output"
    file.write_bytes(output)
    done = runner.run("job", "--", "cat", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, output, b"")
    body = service.received[-1].body
    assert len(body) <= 10_000
    assert body.rsplit(b"[exit code 0", 1)[0].rstrip(b"\n")[-1_000:] == output.rstrip(b"\n")[-1_000:]
    if len(output) > 10_000:
        head, _, _ = body.partition(b"\n[\xe2\x80\xa6 ")
        assert output.startswith(head)
        assert 996 <= len(head) <= 1_000


def test_lines_of_two_streams_that_end_in_one_place_keep_their_order(runner: Runner, tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done"
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = runner.start("job", "--", "sh", "-c", script, stdout=file, stderr=file)
    assert process.wait(30) == 0
    assert log.read_text() == "".join(f"out {i}\nerr {i}\n" for i in range(1, 10))


def test_standard_input_is_the_jobs(runner: Runner) -> None:
    assert runner.run("job", "--", "wc", "-c", input=BINARY).stdout.split() == [b"256000"]


def test_descriptors_that_are_closed(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    command = " ".join(runner.command("job", "--", "sh", "-c", f"'echo done >{tmp_path}/done; echo x; exit 4'"))
    done = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], env=runner.settings(), check=False, timeout=60)
    assert done.returncode == 4
    assert (tmp_path / "done").read_text() == "done\n"
    assert suffixes(service.received) == ["start", "4"]


def test_no_descriptor_of_the_wrapper_reaches_the_job(runner: Runner) -> None:
    listing = runner.run("--lock", "job", "--", "ls", "/proc/self/fd").stdout.split()
    assert listing == [b"0", b"1", b"2", b"3"]  # the last one is the folder that ls reads


def test_a_hundred_megabytes_take_no_memory(runner: Runner, service: Receiver) -> None:
    size = 100_000_000
    process = runner.start("job", "--", "sh", "-c", f"head -c {size} /dev/zero; cat; exit 6", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    count = 0
    while count < size:
        count += len(process.stdout.read(1_000_000))
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
    process.stdin.close()
    assert (process.wait(30), count, process.stdout.read()) == (6, size, b"")
    assert peak < 60_000  # kB
    assert len(service.received[-1].body) <= 10_000
    process.stdout.close()


def test_a_reader_that_leaves_ends_the_job_as_without_the_wrapper(runner: Runner, service: Receiver) -> None:
    process = runner.start("job", "--", "yes")
    assert process.stdout is not None
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE
    assert suffixes(service.received) == ["start", "141"]


def test_a_disk_that_is_full_does_not_hold_up_the_job(runner: Runner, service: Receiver) -> None:
    with open("/dev/full", "wb") as full:
        process = runner.start("job", "--", "sh", "-c", "echo lost; exit 0", stdout=full, stderr=subprocess.PIPE)
        assert process.communicate(timeout=30)[1].startswith(b"heartbeat-run: output is not written any longer")
    assert process.returncode == 0
    assert sent(service.received[-1]).text.startswith("lost\n")


# ── daemons ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_daemon_holds_up_neither_the_report_nor_a_reader(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    """It goes on, and can write for as long as it lives."""
    go, wrote = tmp_path / "go", tmp_path / "wrote"
    daemon = f"(while [ ! -e {go} ]; do sleep 0.05; done; echo late && echo late && echo ok >{wrote}) &"
    process = runner.start("job", "--", "sh", "-c", f"{daemon} echo started")
    try:
        assert process.stdout is not None
        assert process.stdout.read() == b"started\n"  # the end of the pipe
        assert process.wait(30) == 0
        assert sent(service.received[1]).text.startswith("started\n[exit code 0")
    finally:
        go.touch()
    eventually(wrote.exists)
    process.stdout.close()


def test_a_daemon_goes_on_writing_into_a_file(runner: Runner, tmp_path: Path) -> None:
    go, log = tmp_path / "go", tmp_path / "log"
    daemon = f"(while [ ! -e {go} ]; do sleep 0.05; done; echo late) &"
    with log.open("wb") as file:
        process = runner.start("job", "--", "sh", "-c", f"{daemon} echo started", stdout=file, stderr=file)
    try:
        assert process.wait(30) == 0
    finally:
        go.touch()
    eventually(lambda: log.read_text() == "started\nlate\n")


def test_a_daemon_that_never_stops_writing(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    process = runner.start("job", "--", "sh", "-c", f"yes & echo $! >{pid}; exit 5", stdout=subprocess.DEVNULL)
    try:
        assert process.wait(30) == 5
        assert suffixes(service.received) == ["start", "5"]
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TRAP = 'trap "echo got; exit 9" {name}; echo ready; while :; do sleep 0.05; done'


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_signal_reaches_the_whole_process_group(runner: Runner, service: Receiver, tmp_path: Path, name: str) -> None:
    """The shell that traps it, and the sleeping child that does not."""
    child = tmp_path / "child"
    script = f"sleep 300 & echo $! >{child}; {TRAP.format(name=name)}"
    process = runner.start("job", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.Signals[f"SIG{name}"])
    assert process.wait(30) == 9
    assert process.stdout.read() == b"got\n"
    assert suffixes(service.received) == ["start", "9"]
    if name in ("TERM", "HUP"):  # a shell without job control lets its background children ignore the other two
        eventually(lambda: not Path(f"/proc/{int(child.read_text())}").exists())
    else:
        os.kill(int(child.read_text()), signal.SIGKILL)
    process.stdout.close()


def test_a_job_that_ignores_term_is_waited_for(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f'trap "" TERM; echo ready; while [ ! -e {go} ]; do sleep 0.05; done; exit 3'
    process = runner.start("job", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    go.touch()
    assert process.wait(30) == 3
    assert suffixes(service.received) == ["start", "3"]
    process.stdout.close()


def test_nohup_is_the_jobs_too(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done; exit 3"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *runner.command("job", "--", "sh", "-c", script)]
    process = subprocess.Popen(command, env=runner.settings(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    go.touch()
    assert process.wait(30) == 3
    process.stdout.close()


def test_a_killed_wrapper_leaves_a_start_without_an_end(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    go, over = tmp_path / "go", tmp_path / "over"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done; echo over >{over}"
    process = runner.start("job", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    eventually(lambda: service.received)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    go.touch()
    eventually(over.exists)  # the job went on
    assert suffixes(service.received) == ["start"]
    process.stdout.close()


def test_the_defaults_of_signals_are_the_jobs(runner: Runner) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; a job that inherited that would not end when its reader does."""
    status = runner.run("job", "--", "cat", "/proc/self/status").stdout.decode()
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("SigIgn", "SigBlk")))
    of_the_c_library = 0b11 << 31  # two that no program may use; posix_spawn leaves them blocked
    assert {int(mask, 16) & ~of_the_c_library for mask in masks.values()} == {0}


def test_at_a_terminal_the_job_reads_and_gets_one_interrupt(runner: Runner, service: Receiver) -> None:
    """In a process group of its own it would be stopped as soon as it reads."""
    import pty
    import select

    script = 'read name; echo hello $name; trap "echo int" INT; echo ready; sleep 2; sleep 2; exit 8'
    pid, terminal = pty.fork()
    if pid == 0:
        command = runner.command("job", "--", "sh", "-c", script)
        os.execve(command[0], command, runner.settings())
    printed = b""

    def until(text: bytes) -> None:
        nonlocal printed
        deadline = time.monotonic() + 30
        while text not in printed:
            assert time.monotonic() < deadline, printed
            if select.select([terminal], [], [], 1)[0]:
                printed += os.read(terminal, 1_000)

    try:
        os.write(terminal, b"Anna\n")
        until(b"ready")
        os.write(terminal, b"\x03")
        until(b"int\r\n")
    finally:
        status = os.waitpid(pid, 0)[1]
        os.close(terminal)
    assert os.WEXITSTATUS(status) == 8
    assert b"hello Anna" in printed
    assert printed.count(b"int\r\n") == 1
    assert suffixes(service.received) == ["start", "8"]
