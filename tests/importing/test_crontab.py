"""A crontab: a monitor for each line, and lines that do what they did before, wrapped."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from exporter.importing.crontab import CrontabOptions, from_crontab
from exporter.importing.takeover import Takeover
from tests.importing.conftest import command

TEXT = """\
# my jobs
MAILTO=ops@example.org

0 3 * * * /usr/local/bin/backup.sh --full >> /var/log/b.log 2>&1
*/5 * * * * cd /srv/app && ./clear-sessions
CRON_TZ=Europe/Rome
@daily report 'of $HOME' 100\\% done%first line%second
30 2 * * mon-fri FOO=bar nice -n 10 /usr/bin/rsync -a /a /b
15 4 1 * * sh -c 'pg_dump db | gzip > /b.gz'
0 1 * * * /usr/local/bin/backup.sh --incremental
@reboot /usr/bin/startup
61 * * * * bad
0 * * * * /usr/local/bin/heartbeat-run x -- true
hello
"""


def options(**values: object) -> CrontabOptions:
    usual = {"key": "SESAME-ping-key", "key_name": "crontab", "timezone": "UTC", "config": "/etc/heartbeat/run.env"}
    return CrontabOptions(**{**usual, **values})  # type: ignore[arg-type]


def test_lines() -> None:
    takeover = Takeover()
    wrapped = from_crontab(TEXT, options(), takeover).splitlines()
    assert [(entry["tag"], entry["schedule"], entry.get("timezone")) for entry in takeover.monitors] == [
        ("backup", "0 3 * * *", None),
        ("clear-sessions", "*/5 * * * *", None),
        ("report", "0 0 * * *", "Europe/Rome"),
        ("rsync", "30 2 * * mon-fri", "Europe/Rome"),
        ("pg_dump", "15 4 1 * *", "Europe/Rome"),
        ("backup-2", "0 1 * * *", "Europe/Rome"),
    ]
    assert takeover.ping_keys[0]["monitors"] == [entry["tag"] for entry in takeover.monitors]
    run = '/usr/local/bin/heartbeat-run {} -- "${{SHELL:-/bin/sh}}" -c '
    assert wrapped == [
        "HEARTBEAT_CONFIG=/etc/heartbeat/run.env",
        *TEXT.splitlines()[:3],
        f"0 3 * * * {run.format('backup')}'/usr/local/bin/backup.sh --full >> /var/log/b.log 2>&1'",
        f"*/5 * * * * {run.format('clear-sessions')}'cd /srv/app && ./clear-sessions'",
        "CRON_TZ=Europe/Rome",
        rf"@daily {run.format('report')}'report '\''of $HOME'\'' 100\% done'%first line%second",
        f"30 2 * * mon-fri {run.format('rsync')}'FOO=bar nice -n 10 /usr/bin/rsync -a /a /b'",
        rf"15 4 1 * * {run.format('pg_dump')}'sh -c '\''pg_dump db | gzip > /b.gz'\'''",
        f"0 1 * * * {run.format('backup-2')}'/usr/local/bin/backup.sh --incremental'",
        *TEXT.splitlines()[-4:],
    ]
    assert [remark.partition(":")[0] for remark in takeover.remarks] == ["line 11", "line 12", "line 13", "line 14"]
    again = Takeover()
    assert from_crontab("\n".join(wrapped), options(), again).splitlines() == wrapped, "nothing is wrapped twice"
    assert not again.monitors


def test_secrets_are_the_same_each_time_and_not_the_key() -> None:
    first, second, other = Takeover(), Takeover(), Takeover()
    from_crontab(TEXT, options(), first)
    from_crontab(TEXT, options(), second)
    from_crontab(TEXT, options(key="SESAME-other-key"), other)
    secrets = [entry["secret"] for entry in first.monitors]
    assert secrets == [entry["secret"] for entry in second.monitors]
    assert len({*secrets, *(entry["secret"] for entry in other.monitors)}) == 2 * len(secrets)
    assert not any("SESAME" in secret for secret in secrets)


def test_a_system_crontab() -> None:
    takeover = Takeover()
    wrapped = from_crontab(
        "17 * * * * root cd / && run-parts /etc/cron.hourly\n5 * * * * root\n",
        options(system=True, prefix="web1-"),
        takeover,
    )
    assert takeover.monitors[0]["tag"] == "web1-run-parts"
    assert wrapped.splitlines()[1].startswith("17 * * * * root /usr/local/bin/heartbeat-run web1-run-parts -- ")
    assert "with a user" in takeover.remarks[0]


@pytest.mark.parametrize(
    "line",
    [
        r"echo it\'s; printf '%s\n' \"$X\" 'a b'".replace("%", r"\%"),
        "cat; echo done%one%two",
        "X='1' sh -c 'echo \"$X\" $0' name",
        "echo \\% 'c' | tr c d",
    ],
)
def test_a_wrapped_line_does_what_the_line_did(line: str, tmp_path: Path) -> None:
    """Run as cron does: `%` begins what the command reads, further ones are line ends, `\\%` is a percent sign."""
    runner = tmp_path / "runner"
    runner.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    runner.chmod(0o755)
    wrapped = from_crontab(f"0 3 * * * {line}\n", options(runner=str(runner)), Takeover()).splitlines()[1]

    def run(command: str) -> tuple[int, bytes]:
        head, percent, stdin = command.replace(r"\%", "\0").partition("%")
        result = subprocess.run(
            ["/bin/sh", "-c", head.replace("\0", "%")],
            input=(stdin.replace("%", "\n") + "\n" * bool(percent)).encode(),
            capture_output=True,
            env={**os.environ, "SHELL": "/bin/sh", "X": "x y"},
        )
        return result.returncode, result.stdout

    assert run(line) == run(wrapped.removeprefix("0 3 * * * "))
    assert run(line)[1]


def test_the_command(tmp_path: Path) -> None:
    source, config, rewritten = tmp_path / "crontab.txt", tmp_path / "run.env", tmp_path / "crontab.new"
    source.write_bytes(TEXT.encode() + b"1 2 3 4 5 echo \xff\n")
    without = command("crontab", source, "--run-config", config)
    assert without.exit_code == 1
    assert "give --url to make it" in without.stderr
    arguments = ("crontab", source, "--run-config", config, "--url", "https://h.example/", "--rewritten", rewritten)
    first = command(*arguments, "--timezone", "Asia/Tokyo", "--key-name", "web1")
    assert first.exit_code == 0, first.stderr
    assert stat.S_IMODE(config.stat().st_mode) == stat.S_IMODE(rewritten.stat().st_mode) == 0o600
    assert config.read_text().startswith("HEARTBEAT_URL=https://h.example\nHEARTBEAT_SECRET=")
    assert f"HEARTBEAT_CONFIG={config}" in rewritten.read_text(errors="surrogateescape")
    assert "Asia/Tokyo" in first.stdout
    again = command(*arguments, "--timezone", "Asia/Tokyo", "--key-name", "web1")
    assert again.stdout == first.stdout, "the key in the file is used again"
    config.write_text("HEARTBEAT_URL=https://h.example\n")
    assert "has no line HEARTBEAT_SECRET" in command(*arguments).stderr
    config.unlink()
    assert "'Mars/Base'" in command(*arguments, "--timezone", "Mars/Base").stderr


def test_thresholds_by_how_often_it_runs() -> None:
    takeover = Takeover()
    from_crontab("0 * * * * often\n0 3 * * * seldom\n", options(), takeover)
    often, seldom = takeover.monitors
    assert "down_after" not in often
    assert (seldom["degraded_after"], seldom["down_after"]) == ("30m", "1h")
