"""Every option of the wrapper, and the command line that cannot be understood."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from exporter.run.options import OPTIONS, RunOptions, UsageProblem, help_text, seconds_of
from exporter.run.output import KeptOutput
from tests.live.conftest import eventually
from tests.support.ports import free_port
from tests.support.receivers import Receiver, answer, silence
from tests.support.runner import Runner, sent, suffixes

pytestmark = pytest.mark.live
ROOT = Path(__file__).parent.parent.parent

# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "tag", "command"),
    [
        ("job true", "job", ["true"]),
        ("job -- true", "job", ["true"]),
        ("--quiet job -- true --quiet -- x", "job", ["true", "--quiet", "--", "x"]),
        ("job --quiet true --lock", "job", ["true", "--lock"]),
        ("job --timeout 5m -- -x", "job", ["-x"]),
        ("--timeout=5m --retries=2 job ls -l", "job", ["ls", "-l"]),
    ],
)
def test_command_lines(line: str, tag: str, command: list[str]) -> None:
    options = RunOptions(line.split())
    assert (options.tag, options.command) == (tag, command)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "TAG"),
        ("--", "no option --"),
        ("job", "COMMAND"),
        ("job --", "COMMAND"),
        ("--nonsense job true", "no option --nonsense"),
        ("--quiet=yes job true", "no option --quiet=yes"),
        ("--timeout", "--timeout needs a value"),
        ("--timeout 5 job true", "--timeout: '5' is not a duration"),
        ("--timeout 0s job true", "longer than 0s"),
        ("--every 0s job true", "longer than 0s"),
        ("--min-runtime 5x job true", "--min-runtime: '5x'"),
        ("--min-runtime -5s job true", "'-5s'"),
        ("--retries -1 job true", "--retries: '-1'"),
        ("--retries ² job true", "--retries: '²'"),
        ("--retries 99999999999 job true", "--retries"),
        ("--down-after soon job true", "--down-after: 'soon'"),
    ],
)
def test_what_cannot_be_understood_runs_nothing(line: str, complaint: str) -> None:
    with pytest.raises(UsageProblem, match=re.escape(complaint)):
        RunOptions(line.split())


def test_wrong_usage_is_exit_code_2(runner: Runner, tmp_path: Path) -> None:
    done = runner.run("--nonsense", "job", "--", "touch", str(tmp_path / "ran"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"there is no option --nonsense" in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800), ("250ms", 0.25), (" 0s ", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text, "--x") == seconds


@pytest.mark.parametrize("text", ["", " ", "5", "m", "5 m", "30m1h", "1h1h", "1.5h", "-1s", "99999d", "1e3s", "٣s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageProblem):
        seconds_of(text, "--x")


def test_help_and_version(runner: Runner) -> None:
    shown = runner.run("--help").stdout.decode()
    assert shown == help_text("heartbeat-run")
    assert max(map(len, shown.splitlines())) <= 100
    for name, _, _ in OPTIONS:
        assert f"  {name} " in shown
    assert re.fullmatch(rb"heartbeat-run \d+\.\d+\.\d+\n", runner.run("--version").stdout)


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "run.md").read_text()
    for name, value, _ in OPTIONS:
        assert re.search(rf"^\| `{name}{f' {value}' if value else ''}`", text, re.MULTILINE), name
    assert set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE)) == {name for name, _, _ in OPTIONS}


# ── the output that is kept ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("piece", [1, 7, 999, 65_536])
@pytest.mark.parametrize("size", [0, 1, 9_990, 9_999, 10_000, 10_001, 19_000, 100_000])
def test_the_ends_of_an_output_fit(piece: int, size: int) -> None:
    output = ("0123456789" * (size // 10 + 1)).encode()[:size]
    kept = KeptOutput()
    for start in range(0, size, piece):
        kept.add(output[start : start + piece])
    body = kept.body("[the last line]\n")
    assert len(body) <= 10_000
    assert body.endswith(b"[the last line]\n")
    if size <= 9_900:
        assert body.startswith(output)
        return
    first, _, rest = body.partition("\n[… ".encode())
    count, _, last = rest.partition(b" bytes are missing here \xe2\x80\xa6]\n")
    last = last.removesuffix(b"\n[the last line]\n")
    assert output.startswith(first)
    assert output.endswith(last)
    assert len(first) + len(last) + int(count.replace(b",", b"")) == size
    assert len(first) == 1_000
    assert len(last) > 8_800


@pytest.mark.parametrize("shift", range(8))
def test_no_character_is_cut_in_two(shift: int) -> None:
    kept = KeptOutput()
    kept.add(b"x" * shift + "äöü€😀".encode() * 5_000)
    assert "\ufffd" not in kept.body("[end]\n").decode("utf-8", "replace")


def test_a_last_line_of_any_length_fits() -> None:
    kept = KeptOutput()
    kept.add(b"x" * 20_000)
    assert len(kept.body("ä" * 100_000)) <= 10_000


# ── each option ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_timeout(runner: Runner, service: Receiver) -> None:
    done = runner.run("--timeout", "500ms", "job", "--", "sh", "-c", "echo begun; sleep 300")
    assert (done.returncode, done.stdout) == (124, b"begun\n")
    assert suffixes(service.received) == ["start", "124"]
    assert "it ran longer than --timeout 500ms" in sent(service.received[1]).text


def test_timeout_kills_what_ignores_term(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    """With everything in its process group."""
    child = tmp_path / "child"
    script = f'trap "" TERM; sleep 300 & echo $! >{child}; wait; wait; sleep 300'
    done = runner.run("--timeout", "500ms", "--kill-after", "300ms", "job", "--", "sh", "-c", script)
    assert done.returncode == 124
    assert "killed by signal 9 (SIGKILL)" in sent(service.received[1]).text
    eventually(lambda: not Path(f"/proc/{int(child.read_text())}").exists())


def test_timeout_of_a_job_that_ends_by_itself(runner: Runner, service: Receiver) -> None:
    script = 'trap "exit 0" TERM; while :; do sleep 0.05; done'
    assert runner.run("--timeout", "500ms", "job", "--", "sh", "-c", script).returncode == 124
    assert suffixes(service.received) == ["start", "124"]


def test_retries(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"echo x >>{count}; echo run $(wc -l <{count}); [ $(wc -l <{count}) -ge 3 ] || exit 5"
    done = runner.run("--retries", "3", "--retry-delay", "100ms", "job", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, b"run 1\nrun 2\nrun 3\n")
    assert suffixes(service.received) == ["start", "0"]
    text = sent(service.received[1]).text
    assert text.startswith("run 3\n")
    assert "run 3 of 4 at most" in text


def test_only_the_last_failure_is_reported(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    count = tmp_path / "count"
    done = runner.run("--retries", "2", "job", "--", "sh", "-c", f"echo x >>{count}; exit $(wc -l <{count})")
    assert done.returncode == 3
    assert suffixes(service.received) == ["start", "3"]


def test_a_command_that_cannot_be_started_is_not_retried(runner: Runner, service: Receiver) -> None:
    assert runner.run("--retries", "5", "--retry-delay", "1h", "job", "/nowhere").returncode == 127
    assert suffixes(service.received) == ["127"]


def test_a_signal_ends_the_retrying(runner: Runner, service: Receiver) -> None:
    process = runner.start("--retries", "5", "--retry-delay", "1h", "job", "--", "sh", "-c", "echo x; exit 3")
    assert process.stdout is not None
    assert process.stdout.readline() == b"x\n"
    eventually(lambda: service.received)
    process.terminate()
    assert process.wait(30) == 3
    assert suffixes(service.received) == ["start", "3"]
    process.stdout.close()


def test_lock(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done"
    first = runner.start("--lock", "job", "--", "sh", "-c", script)
    assert first.stdout is not None
    assert first.stdout.readline() == b"ready\n"
    second = runner.run("--lock", "job", "--", "touch", str(tmp_path / "ran"))
    assert second.returncode == 75
    assert b"skipped: the run before has not ended" in second.stderr
    assert not (tmp_path / "ran").exists()
    assert runner.run("--lock", "another", "true").returncode == 0
    go.touch()
    assert first.wait(30) == 0
    first.stdout.close()
    assert runner.run("--lock", "job", "true").returncode == 0
    [log] = [sent(each) for each in service.received if sent(each).suffix == "log"]
    assert log.text.startswith("[skipped: the run before has not ended")


def test_lock_holds_for_a_job_whose_wrapper_was_killed(runner: Runner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done; sleep 0.2"
    first = runner.start("--lock", "--no-output", "job", "--", "sh", "-c", script)
    assert first.stdout is not None
    assert first.stdout.readline() == b"ready\n"
    eventually(lambda: next((tmp_path / "locks").iterdir()).read_text().strip())
    first.kill()
    first.wait(30)
    assert runner.run("--lock", "job", "true").returncode == 75
    go.touch()
    eventually(lambda: runner.run("--lock", "job", "true").returncode == 0)
    first.stdout.close()


def test_no_lock_is_no_reason_not_to_run(runner: Runner) -> None:
    runner.environment["HEARTBEAT_LOCK_DIR"] = "/proc"
    done = runner.run("--lock", "job", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert b"the job runs without a lock" in done.stderr


def test_min_runtime(runner: Runner, service: Receiver) -> None:
    assert runner.run("--min-runtime", "1h", "job", "--", "true").returncode == 0
    assert runner.run("--min-runtime", "1ms", "job", "--", "sleep", "0.1").returncode == 0
    assert runner.run("--min-runtime", "1h", "job", "--", "false").returncode == 1
    assert suffixes(service.received) == ["start", "fail", "start", "0", "start", "1"]
    assert "shorter than --min-runtime 1h: reported as a failure" in sent(service.received[1]).text


def test_every(runner: Runner, service: Receiver) -> None:
    process = runner.start("--every", "300ms", "job", "--", "sh", "-c", "echo x; exit 3")
    eventually(lambda: suffixes(service.received).count("3") >= 3)
    process.terminate()
    assert process.wait(30) in (0, 3)
    runs = [sent(each).rid for each in service.received if sent(each).suffix == "start"]
    assert len(set(runs)) == len(runs)
    assert process.stdout is not None
    process.stdout.close()


def test_every_lets_a_job_end_that_was_stopped(runner: Runner, service: Receiver) -> None:
    script = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'
    process = runner.start("--every", "1h", "--lock", "job", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(30) == 7
    assert suffixes(service.received) == ["start", "7"]
    process.stdout.close()


def test_every_holds_its_lock_for_each_run(runner: Runner, service: Receiver) -> None:
    process = runner.start("--every", "100ms", "--lock", "job", "true")
    eventually(lambda: suffixes(service.received).count("0") >= 3)
    process.terminate()
    process.wait(30)
    assert "log" not in suffixes(service.received)
    assert process.stdout is not None
    process.stdout.close()


def test_settings_of_the_monitor(runner: Runner, service: Receiver) -> None:
    runner.run("--schedule", "0 3 * * *", "--timezone", "Europe/Rome", "--down-after", "1h", "job", "true")
    expected = {"create": "1", "schedule": "0 3 * * *", "timezone": "Europe/Rome", "down_after": "1h"}
    for each in service.received:
        query = sent(each).query
        query.pop("rid")
        assert query == expected
    settings = RunOptions(["--every", "1h", "--down-after", "2h", "job", "true"]).settings()
    assert settings == {"every": "1h", "down_after": "2h"}
    assert RunOptions(["--every", "1h", "job", "true"]).settings() == {}


BOTH = "echo out; echo err >&2; exit {}"


def test_quiet(runner: Runner, service: Receiver) -> None:
    done = runner.run("--quiet", "job", "--", "sh", "-c", BOTH.format(0))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(sent(service.received[1]).text.splitlines()[:2]) == ["err", "out"]
    done = runner.run("--quiet", "job", "--", "sh", "-c", BOTH.format(3))
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    done = runner.run("--quiet", "--min-runtime", "1h", "job", "--", "sh", "-c", BOTH.format(0))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"err\n")


def test_quiet_holds_much_back_without_memory(runner: Runner) -> None:
    done = runner.run("--quiet", "job", "--", "sh", "-c", "head -c 20000000 /dev/urandom | tee $HOME/sum >&2; exit 0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = runner.run("--quiet", "job", "--", "sh", "-c", "yes 0123456789 | head -c 20000000; exit 1")
    assert done.stdout == (b"0123456789\n" * 2_000_000)[:20_000_000]


def test_quiet_without_room_prints_at_once(runner: Runner) -> None:
    runner.environment["TMPDIR"] = "/nowhere"
    done = runner.run("--quiet", "job", "--", "sh", "-c", f"ulimit -f 0; {BOTH.format(0)}")
    assert done.returncode == 0  # Python finds another folder, or prints


def test_quiet_keeps_silent_about_a_service_that_is_away(runner: Runner) -> None:
    runner.url = f"http://127.0.0.1:{free_port()}"
    assert runner.run("--quiet", "--budget", "0s", "job", "true").stderr == b""
    assert b"not reported" in runner.run("--quiet", "--budget", "0s", "job", "false").stderr


def test_quiet_names_what_needs_a_person(runner: Runner, service: Receiver) -> None:
    service.behave(answer(404))
    assert b"wrong secret" in runner.run("--quiet", "job", "true").stderr


def test_no_output(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = runner.start("--no-output", "job", "--", "sh", "-c", "readlink /proc/$$/fd/1; exit 3", stdout=log)
        assert process.wait(30) == 3
    assert (tmp_path / "log").read_text() == f"{tmp_path}/log\n"  # the file itself, and no pipe
    assert sent(service.received[1]).text.startswith("[exit code 3 after ")


@pytest.mark.parametrize("document", ["README.md", "docs/run.md"])
def test_the_crontab_line(runner: Runner, service: Receiver, tmp_path: Path, document: str) -> None:
    """Of the documents: nothing to mail when all is well, and everything when the job fails."""
    [line] = re.findall(r"^```crontab\n(?:\S+ ){5}(heartbeat-run.*)\n```", (ROOT / document).read_text(), re.MULTILINE)
    job = tmp_path / "backup"
    job.write_text('#!/bin/sh\necho $* $RESULT; exit "$RESULT"\n')
    job.chmod(0o755)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "heartbeat-run"
    program.write_text(f'#!/bin/sh\nexec {runner.python} {runner.file} "$@"\n')
    program.chmod(0o755)
    for result, printed in (("0", b""), ("3", b"--full 3\n" if "--full" in line else b"3\n")):
        done = subprocess.run(
            ["/bin/sh", "-c", line.replace("/usr/local/bin/backup", str(job))],
            env={**runner.settings(), "PATH": f"{program.parent}:{os.environ['PATH']}", "RESULT": result},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (int(result), printed, b"")
    assert suffixes(service.received) == ["start", "0", "start", "3"]


# ── the spool ────────────────────────────────────────────────────────────────────────────────────────────────────────


def waiting(runner: Runner) -> list[str]:
    return sorted(path.name for path in (runner.folder / "spool").rglob("*.json"))


def test_what_could_not_be_sent_is_sent_with_the_next_run(runner: Runner, service: Receiver) -> None:
    spool = ("--spool", str(runner.folder / "spool"))
    url, runner.url = runner.url, f"http://127.0.0.1:{free_port()}"
    before = time.time()
    done = runner.run(*spool, "--budget", "500ms", "job", "--", "sh", "-c", "echo lost; exit 3")
    assert done.returncode == 3
    assert b"kept in " in done.stderr
    assert len(waiting(runner)) == 2
    for path in (runner.folder / "spool").rglob("*.json"):
        assert path.stat().st_mode & 0o77 == 0
        assert "SESAME" not in path.read_text()
    runner.url = url
    assert runner.run(*spool, "job", "--", "true").stderr == b""
    assert waiting(runner) == []
    heartbeats = [sent(each) for each in service.received]
    assert sorted(each.suffix for each in heartbeats) == ["0", "3", "start", "start"]
    [late] = [each for each in heartbeats if each.suffix == "3"]
    assert late.text.startswith("lost\n")
    at = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z", late.query["at"])
    assert at is not None
    import calendar

    assert before - 1 <= calendar.timegm(time.strptime(at[1], "%Y-%m-%dT%H:%M:%S")) <= time.time()
    assert len({each.rid for each in heartbeats}) == 2


def test_a_report_is_in_the_spool_before_it_is_sent(runner: Runner, service: Receiver) -> None:
    """A wrapper that is killed meanwhile loses nothing, and nothing counts twice: the moment is the same."""
    service.behave(silence)
    process = runner.start("--spool", str(runner.folder / "spool"), "--budget", "10m", "job", "--", "false")
    eventually(lambda: [name for name in waiting(runner) if name.endswith("-1.json") and name[0] != "."])
    process.kill()
    process.wait(30)
    service.behave(answer())
    runner.run("--spool", str(runner.folder / "spool"), "job", "true")
    assert waiting(runner) == []
    ends = [sent(each) for each in service.received if sent(each).suffix == "1"]
    assert ends
    assert len({(each.rid, each.query["at"]) for each in ends}) == 1
    assert process.stdout is not None
    process.stdout.close()


def test_a_spool_stays_while_the_secret_is_wrong_and_goes_when_it_is_right(runner: Runner, service: Receiver) -> None:
    spool = ("--spool", str(runner.folder / "spool"))
    service.behave(answer(404))
    assert b"kept in" in runner.run(*spool, "job", "false").stderr
    assert len(waiting(runner)) == 2
    service.behave(answer())
    runner.run(*spool, "job", "true")
    assert waiting(runner) == []


def test_a_report_that_will_never_be_taken_blocks_no_other(runner: Runner, service: Receiver) -> None:
    spool = ("--spool", str(runner.folder / "spool"))
    service.behave(answer(503, Retry_After="3600"))
    runner.run(*spool, "job", "false")
    service.behave(answer(400), answer())
    runner.run(*spool, "job", "true")
    eventually(lambda: not waiting(runner) or runner.run(*spool, "job", "true").returncode != 0)


def test_damaged_and_old_files_are_dropped(runner: Runner, service: Receiver) -> None:
    folder = runner.folder / "spool" / "job"
    folder.mkdir(parents=True)
    (folder / "000000000000001-aa-3.json").write_text("{")
    (folder / "000000000000002-aa-3.json").write_text("[]")
    old = '{"suffix": "3", "rid": "aa", "at": 3.0, "settings": {}, "body": ""}'
    (folder / "000000000000003-aa-3.json").write_text(old)
    done = runner.run("--spool", str(runner.folder / "spool"), "job", "true")
    assert (done.returncode, done.stderr.count(b"is dropped")) == (0, 3)
    assert waiting(runner) == []
    assert suffixes(service.received) == ["start", "0"]


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/spool"])
def test_a_spool_that_cannot_be_written_is_no_reason_not_to_report(
    runner: Runner, service: Receiver, folder: str
) -> None:
    done = runner.run("--spool", folder, "job", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert b"--spool" in done.stderr
    assert suffixes(service.received) == ["start", "3"]


def test_two_runs_share_a_spool(runner: Runner, service: Receiver) -> None:
    spool = ("--spool", str(runner.folder / "spool"))
    url, runner.url = runner.url, f"http://127.0.0.1:{free_port()}"
    first = [runner.start(*spool, "--budget", "300ms", "job", "false", stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in first] == [1, 1, 1]
    runner.url = url
    second = [runner.start(*spool, "job", "true") for _ in range(2)]
    assert [process.wait(60) for process in second] == [0, 0]
    for process in [*first, *second]:
        assert process.stdout is not None
        process.stdout.close()
    assert waiting(runner) == []
    assert len({sent(each).rid for each in service.received if sent(each).suffix == "1"}) == 3


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_secret_is_on_no_command_line(runner: Runner, service: Receiver) -> None:
    process = runner.start("job", "--", "sh", "-c", "echo ready; read x", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    lines = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getsid(int(folder.name)) == process.pid:
                    lines.append((folder / "cmdline").read_bytes())
            except (OSError, ProcessLookupError):
                continue
    assert len(lines) >= 2
    assert not [line for line in lines if b"SESAME" in line]
    process.stdin.close()
    assert process.wait(30) == 1
    process.stdout.close()
