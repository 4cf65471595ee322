"""A new monitor's first second, a rotated secret's, and guesses: with the real program on every engine."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, monitors
from tests.support.postgres import Postgres, running

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def services(request: pytest.FixtureRequest, start: Starter) -> list[Service]:
    """One service, or two replicas."""
    if request.param == "sqlite":
        return [start()]
    url = request.getfixturevalue("postgres").create()
    return [start(name=name, storage=url) for name in ("one", "two")]


def added(service: Service, tag: str) -> str:
    found = re.search(rf"/ext/heartbeat/{tag}:(\S+)", service.cli("monitor", "add", tag))
    assert found is not None
    return found[1]


def test_a_new_monitor_takes_heartbeats_at_once(services: list[Service]) -> None:
    for number in range(2):
        tag = f"fresh-{number}"
        secret = added(services[0], tag)
        for service in services:
            assert service.ping(tag, secret=secret).status == 200
        services[0].cli("monitor", "remove", tag)
        again = added(services[0], tag)
        for service in services:
            assert service.ping(tag, secret=again).status == 200
            assert service.ping(tag, secret=secret).status == 404
            assert service.ping(f"{tag}-x", secret=secret).status == 404


@contextmanager
def guessing(service: Service, folder: Path) -> Iterator[None]:
    """32 connections that guess as fast as they are answered."""
    script = folder / "guess.lua"
    script.write_text('request = function() return wrk.format("GET", "/ext/heartbeat/job:" .. math.random(1e9)) end\n')
    command = ["wrk", "-t1", "-c32", "-d60s", "-s", str(script), service.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_guesses_are_slow_and_quiet_and_good_heartbeats_are_not(start: Starter, tmp_path: Path) -> None:
    service = start(monitors("job"))
    with guessing(service, tmp_path):
        eventually(lambda: service.metrics()["heartbeat_exporter_refusals_delayed_total",] > 0)
        before = service.metrics()
        began = time.monotonic()
        took = []
        while time.monotonic() - began < 4:
            at = time.monotonic()
            assert service.ping("job").status == 200
            took.append(time.monotonic() - at)
        after, seconds = service.metrics(), time.monotonic() - began
    key = ("heartbeat_exporter_heartbeats_rejected_total", "native", "wrong_secret")
    assert (after[key] - before[key]) / seconds < 30
    assert after["heartbeat_exporter_refusals_delayed_total",] > 10
    assert sorted(took)[len(took) // 2] < 0.2
    lines = [line for line in service.output().splitlines() if "refused" in line]
    assert len(lines) == 1
    assert service.stop() == 0
    assert re.search(r"more requests were refused in the last minute: .* from 127.0.0.1", service.output())
    assert SECRET not in service.output()
    assert curl(service.url).status == 0
