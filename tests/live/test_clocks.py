"""The real program while its wall clock is wrong: no false alarm, no dead job unseen, and nothing pruned."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.core.clock import DAY, HOUR
from tests.live.conftest import Service, Starter, curl, eventually, monitors
from tests.live.test_blackouts import let_pass
from tests.live.wall_clock import WallClock
from tests.support.postgres import Postgres, running
from tests.support.receivers import Receiver, answer

pytestmark = pytest.mark.live
DOWN = 8.0
"""Seconds until a silent job is DOWN."""
CONFIG = monitors("alive", "dead", degraded_after="4s", down_after="8s")


@pytest.fixture
def wall(tmp_path: Path) -> Iterator[WallClock]:
    wall = WallClock(tmp_path, synchronised=False)
    yield wall
    wall.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgres").create())


def alarmed(receiver: Receiver) -> str:
    return (
        CONFIG
        + "alerts: [{name: down, notify: [ops]}]\n"
        + f'notifiers: [{{name: ops, type: webhook, group_wait: 0s, url: "{receiver.url}/hook"}}]\n'
    )


def beats(service: Service, tag: str, seconds: float) -> None:
    """A heartbeat a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert service.ping(tag).status == 200
        let_pass(1.0)


def statuses(service: Service, tag: str) -> list[str]:
    found = curl(f"{service.url}/api/v1/monitors/{tag}/transitions").body
    return [part.split('"')[0] for part in found.split('"status":"')[1:]]


def alarms(receiver: Receiver) -> list[str]:
    return [alert["monitor_tag"] for one in receiver.received for alert in one.json["alerts"]]


@pytest.mark.parametrize(("ahead", "seconds"), [(2 * DAY, 6.0), (365 * DAY, 9.0), (-2 * DAY, 6.0)], ids=str)
def test_a_clock_that_is_wrong_for_a_while(
    start: Starter, wall: WallClock, storage: str, ahead: int, seconds: float
) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(alarmed(receiver), storage=storage, environment=wall.environment)
        for tag in ("alive", "dead"):
            service.ping(tag)
        eventually(lambda: service.status("dead") == "UP")
        wall.set(ahead)
        beats(service, "alive", seconds / 2)
        silent_since = time.monotonic()
        service.ping("dead")  # received while the clock is wrong; then silence
        beats(service, "alive", seconds / 2)
        assert service.status("alive") == "UP"
        assert service.status("dead") != "DOWN"
        wall.set(0)
        while time.monotonic() < silent_since + DOWN + 3:
            beats(service, "alive", 1.0)
        eventually(lambda: service.status("dead") == "DOWN", 3)
        eventually(lambda: alarms(receiver) == ["dead"])
        # After a clock that was behind, the first of them are of days ago.
        assert set(statuses(service, "alive")) <= {"NO_DATA", "UP"}
        assert statuses(service, "dead")[-2:] == ["DEGRADED", "DOWN"]
        assert statuses(service, "dead").count("DOWN") == 1
        success = service.metrics()["heartbeat_last_success_timestamp_seconds", "alive"]
        assert abs(success - time.time()) < 5
        assert storage or "the clock was set" in service.output()  # the server's clock goes on unmoved


def test_a_boot_with_an_old_clock(start: Starter, wall: WallClock) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(alarmed(receiver), environment=wall.environment)
        for tag in ("alive", "dead"):
            service.ping(tag)
        eventually(lambda: service.status("dead") == "UP")
        service.kill()
        wall.set(-5 * HOUR)
        service.start_again()
        assert "no monitor is evaluated" in curl(f"{service.url}/").body
        beats(service, "alive", 4)
        wall.set(0)
        beats(service, "alive", 5)
        assert statuses(service, "dead")[:2] == ["NO_DATA", "UP"]
        assert "DOWN" not in statuses(service, "dead")
        beats(service, "alive", 5)
        eventually(lambda: service.status("dead") == "DOWN")
        eventually(lambda: alarms(receiver) == ["dead"])
        assert statuses(service, "alive") == ["NO_DATA", "UP"]


def test_a_start_ahead_of_time(start: Starter, wall: WallClock) -> None:
    """What it wrote is of the future when the clock is right again."""
    wall.set(2 * DAY)
    with Receiver(answer(200)) as receiver:
        service = start(alarmed(receiver), environment=wall.environment)
        for tag in ("alive", "dead"):
            service.ping(tag)
        eventually(lambda: service.status("dead") == "UP")
        let_pass(3)
        wall.set(0)
        beats(service, "alive", DOWN + 2)
        eventually(lambda: service.status("dead") == "DOWN")
        assert statuses(service, "alive") == ["NO_DATA", "UP"]
        assert "moments in the future have become now" in service.output()
        assert service.metrics()["heartbeat_last_success_timestamp_seconds", "dead"] < time.time()
        assert service.stop(signal.SIGTERM) == 0


def test_a_replica_with_the_wrong_clock(start: Starter, wall: WallClock, postgres: Postgres) -> None:
    url = postgres.create()
    with Receiver(answer(200)) as receiver:
        right = start(alarmed(receiver), "right", storage=url)
        wrong = start(alarmed(receiver), "wrong", storage=url, environment=wall.environment)
        for tag in ("alive", "dead"):
            right.ping(tag)
        eventually(lambda: wrong.status("dead") == "UP")
        wall.set(2 * DAY)
        silent_since = time.monotonic()
        wrong.ping("dead")
        while time.monotonic() < silent_since + DOWN + 3:
            beats(wrong, "alive", 1.0)
        eventually(lambda: right.status("dead") == wrong.status("dead") == "DOWN")
        assert statuses(right, "alive") == ["NO_DATA", "UP"]
        assert abs(right.metrics()["heartbeat_last_success_timestamp_seconds", "dead"] - time.time()) < 60
        eventually(lambda: alarms(receiver) == ["dead"])
