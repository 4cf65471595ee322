"""The moment of receipt decides: a process that commits late undoes nothing that others received later."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, monitors
from tests.live.stalls import Pulse, Sent, cut_off, file_locked, paused, row_locked
from tests.live.test_replicas import history, last_success
from tests.support.postgres import Postgres, line, running

pytestmark = pytest.mark.live
TRIES = 5
CONFIG = (
    "after_outage: strict\n"
    + monitors("job", degraded_after="3s", down_after="4s")
    + f"  - {{tag: run, secret: {SECRET}, max_runtime: 3s}}\n"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running(durable=True) as server:
        yield server


@dataclass
class World:
    slow: Service
    quick: Service
    """The one that evaluates."""
    hold: Callable[[], AbstractContextManager[None]]
    """What the slow one receives meanwhile is not committed before the end."""
    holds_both: bool = False


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, start: Starter, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        quick = start(CONFIG, "quick")
        slow = start(CONFIG, "slow")
        yield World(slow, quick, lambda: file_locked(quick.storage), holds_both=True)
        return
    server = request.getfixturevalue("postgres")
    with line(server) as cable:
        url = server.create()
        quick = start(CONFIG, "quick", storage=url)
        slow = start(CONFIG, "slow", storage=cable.url(url))
        yield World(slow, quick, lambda: cut_off(cable))


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


@contextmanager
def stalled(world: World, tag: str, suffix: str = "") -> Iterator[Sent]:
    """The slow one stands still meanwhile, with this heartbeat in its queue."""
    with ExitStack() as stack:
        held = stack.enter_context(ExitStack())
        held.enter_context(world.hold())
        sent = Sent(world.slow, tag, suffix)
        stack.callback(sent.status)
        resumed = stack.enter_context(ExitStack())
        resumed.enter_context(paused(world.slow))
        if world.holds_both:
            held.close()
        yield sent
        held.close()  # a server ends the session of a client that began a transaction and stands still


def settled(world: World, tag: str, received: int) -> list[tuple[str, int]]:
    """Both know the same in the end; the transitions."""
    both = (world.slow, world.quick)
    eventually(lambda: [one.received(tag) for one in both] == [received] * 2)
    eventually(lambda: [one.status(tag) for one in both] == ["UP"] * 2)
    assert last_success(world.slow, tag) == last_success(world.quick, tag)
    assert history(world.slow, tag) == history(world.quick, tag)
    return history(world.quick, tag)


def recorded(service: Service, tag: str, rid: str) -> bool:
    body = curl(f"{service.url}/api/v1/monitors/{tag}/heartbeats?limit=100").body
    return any(one["rid"] == rid for one in json.loads(body)["heartbeats"])


def test_a_process_that_stood_still_with_a_heartbeat_in_its_queue(world: World) -> None:
    world.quick.ping("job")
    eventually(lambda: world.quick.status("job") == world.slow.status("job") == "UP")
    seen: set[str] = set()
    late = False
    with Pulse(world.quick, "job") as pulse:
        for number in range(TRIES):  # on a busy machine it may be given up, and answered 503
            with stalled(world, "job", f"?rid={number}"):
                wait(6)
            for _ in range(10):
                seen |= {one.status("job") for one in (world.quick, world.slow)}
                wait(0.2)
            late = recorded(world.quick, "job", str(number))
            if late:
                break
    assert late
    assert seen == {"UP"}
    past = settled(world, "job", 1 + pulse.acknowledged + late)
    assert [status for status, _ in past] == ["NO_DATA", "UP"]


def test_a_start_that_is_committed_long_after_its_end_is_no_overrun(world: World) -> None:
    assert world.quick.ping("run").status == 200
    for number in range(TRIES):
        with stalled(world, "run", f"/start?rid={number}") as start:
            wait(1.5)
            assert world.quick.ping("run", f"?rid={number}").status == 200
        if start.status() == 200:
            break
    assert start.status() == 200
    assert recorded(world.quick, "run", str(number))
    for _ in range(8):
        wait(0.5)
        assert world.quick.status("run") == "UP"
    assert world.quick.metrics()["heartbeat_last_duration_seconds", "run"] >= 1.5
    assert [status for status, _ in settled(world, "run", 3 + number)] == ["NO_DATA", "UP"]


def test_a_failure_that_a_lock_holds_back_does_not_undo_a_later_success(start: Starter, postgres: Postgres) -> None:
    url = postgres.create()
    config = "after_outage: strict\n" + monitors("held", "job")
    quick, slow = start(config, "quick", storage=url), start(config, "slow", storage=url)
    assert quick.ping("job").status == quick.ping("held").status == 200
    eventually(lambda: quick.status("job") == slow.status("job") == "UP")
    with row_locked(url, "held"):
        first = Sent(slow, "held")
        failure = Sent(slow, "job", "/fail")
        wait(1)
        assert quick.ping("job").status == 200
        wait(1)
    assert first.status() == failure.status() == 200
    eventually(lambda: slow.received("job") == quick.received("job") == 3)
    past = settled(World(slow, quick, lambda: row_locked(url, "held")), "job", 3)
    # It did fail, for that second.
    assert [status for status, _ in past] == ["NO_DATA", "UP", "DOWN", "UP"]
    assert past[-1][1] == last_success(quick)
    wait(1)
    assert history(quick) == past
    assert slow.status("job") == quick.status("job") == "UP"
