"""Before a heartbeat is refused the database is looked at once, at most five times a second for all together."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from exporter.core.clock import SystemClock
from exporter.core.errors import StorageUnavailable
from exporter.ingest import newcomers
from exporter.ingest.newcomers import INTERVAL, Newcomers


class Follower:
    def __init__(self) -> None:
        self.began: list[int] = []
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def catch_up(self, seconds: float) -> None:
        self.began.append(SystemClock().monotonic())
        self.go_on.wait(30)
        if self.error is not None:
            raise self.error


@pytest.fixture
def follower() -> Follower:
    return Follower()


def looking(follower: Follower) -> Newcomers:
    return Newcomers(follower.catch_up, SystemClock(), ThreadPoolExecutor(1))


def test_a_flood_shares_its_looks(follower: Follower) -> None:
    began = []

    async def flood() -> None:
        watch = looking(follower)
        for _ in range(3):
            assert all(await asyncio.gather(*(watch.arrive() for _ in range(500))))
            assert watch._began is not None
            began.append(watch._began)  # the follower's own moments depend on when its thread gets its turn

    asyncio.run(flood())
    assert len(follower.began) == 3
    assert all(later - earlier >= INTERVAL - 5 for earlier, later in pairwise(began))


def test_a_look_that_had_begun_is_not_enough(follower: Follower) -> None:
    """What was written after it began it may not have seen."""

    async def late() -> None:
        watch = looking(follower)
        follower.go_on.clear()
        first = asyncio.create_task(watch.arrive())
        while not follower.began:  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.001)
        second = asyncio.create_task(watch.arrive())
        follower.go_on.set()
        assert await first
        assert await second

    asyncio.run(late())
    assert len(follower.began) == 2


def test_a_database_that_is_away_leaves_it_open(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> bool:
        return await looking(follower).arrive()

    follower.error = StorageUnavailable("read changes: locked")
    assert not asyncio.run(ask())
    follower.error = None
    follower.go_on.clear()
    monkeypatch.setattr(newcomers, "PATIENCE", 50)
    threading.Timer(1, follower.go_on.set).start()  # the thread has to end
    assert not asyncio.run(ask())


def test_a_sender_that_leaves_takes_nobody_along(follower: Follower) -> None:
    async def leave() -> None:
        watch = looking(follower)
        follower.go_on.clear()
        leaves, stays = asyncio.create_task(watch.arrive()), asyncio.create_task(watch.arrive())
        while not follower.began:  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.001)
        leaves.cancel()
        follower.go_on.set()
        assert await stays

    asyncio.run(leave())
