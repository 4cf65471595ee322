"""What others changed is read in parts, so that heartbeats never wait for all of it."""

import threading
from collections.abc import Sequence

import pytest

from tests.support.replica import Replica


@pytest.mark.parametrize(("count", "parts"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])])
def test_parts(replica: Replica, other: Replica, monkeypatch: pytest.MonkeyPatch, count: int, parts: list[int]) -> None:
    monkeypatch.setattr("exporter.fleet.follower.AT_ONCE", 2)
    sizes: list[int] = []

    def reload(ids: Sequence[int]) -> threading.Event:
        sizes.append(len(ids))
        return threading.Event()

    monkeypatch.setattr(replica.follower, "_reload", reload)
    for number in range(count):
        other.add(f"m{number}")
    assert replica.follower.poll() == count
    assert sizes == parts
    replica.follower.catch_up(0)
    assert sizes == [*parts, 0]
