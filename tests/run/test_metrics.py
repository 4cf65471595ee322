"""HEARTBEAT_METRICS: what the job wrote becomes its metrics, and nothing else does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.conftest import SECRET as LIVE_SECRET
from tests.live.conftest import Starter, fetch, monitors, start
from tests.support.receivers import Receiver
from tests.support.runner import Runner, sent, suffixes

pytestmark = pytest.mark.live
__all__ = ["start"]
SAMPLES = "backup_bytes 1234567\n"


def metrics_of(received: Receiver) -> list[tuple[str, bytes]]:
    return [
        (sent(each).suffix, each.body) for each in received.received if each.headers["content-type"].find("0.0.4") > 0
    ]


def test_the_samples_that_the_job_wrote_go_before_its_end(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "backup.prom"
    runner.environment["HEARTBEAT_METRICS"] = str(file)
    done = runner.run("job", "--", "sh", "-c", f'printf "{SAMPLES}" > "$HEARTBEAT_METRICS"; echo done; exit 3')
    assert done.returncode == 3
    assert suffixes(service.received) == ["start", "log", "3"]
    assert metrics_of(service) == [("log", SAMPLES.encode())]
    assert len({sent(each).rid for each in service.received}) == 1
    assert b"done" in service.received[-1].body


def old(file: Path) -> None:
    file.write_text(SAMPLES)
    os.utime(file, (1_000_000_000, 1_000_000_000))


def large(file: Path) -> None:
    file.write_text(SAMPLES * 5000)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [(old, b""), (large, b"holds more than 65536 bytes"), (Path.mkdir, b"Is a directory"), (Path.touch, b"")],
)
def test_what_is_no_file_of_this_run(
    runner: Runner, service: Receiver, tmp_path: Path, prepare: Callable[[Path], None], said: bytes
) -> None:
    prepare(tmp_path / "backup.prom")
    runner.environment["HEARTBEAT_METRICS"] = str(tmp_path / "backup.prom")
    done = runner.run("job", "--", "true")
    assert done.returncode == 0
    assert said in done.stderr
    assert suffixes(service.received) == ["start", "0"]


def test_the_service_exposes_them(runner: Runner, start: Starter, tmp_path: Path) -> None:
    live = start(monitors("job"))
    file = tmp_path / "backup.prom"
    runner.url = live.url
    runner.environment |= {"HEARTBEAT_METRICS": str(file), "HEARTBEAT_SECRET": LIVE_SECRET}
    assert runner.run("job", "--", "sh", "-c", f'printf "{SAMPLES}" > {file}').returncode == 0
    assert 'backup_bytes{tag="job"} 1234567' in fetch(f"{live.url}/metrics/jobs").body
    assert live.received("job") == 3


def test_samples_wait_in_the_spool(runner: Runner, service: Receiver, tmp_path: Path) -> None:
    file, spool = tmp_path / "backup.prom", tmp_path / "spool"
    runner.environment["HEARTBEAT_METRICS"] = str(file)
    away, runner.url = runner.url, "http://127.0.0.1:9"
    job = ("--spool", str(spool), "--budget", "1s", "job", "--", "sh", "-c", f'printf "{SAMPLES}" > {file}')
    assert runner.run(*job).returncode == 0
    assert not service.received
    runner.url = away
    del runner.environment["HEARTBEAT_METRICS"]
    assert runner.run("--spool", str(spool), "job", "--", "true").returncode == 0
    assert metrics_of(service) == [("log", SAMPLES.encode())]
