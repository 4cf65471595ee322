"""Transactions that only the holder of the lease may make."""

import pytest

from exporter.storage.repositories.leases import DURATION, LeaseLost
from tests.conftest import ManualClock
from tests.support.replica import Replica


def mark(replica: Replica, key: str) -> None:
    with replica.lease.transaction("test"):
        replica.db.tables.settings.insert(**{"key": key, "value": "1"}).execute()


def marks(replica: Replica) -> list[str]:
    return [row[0] for row in replica.execute("SELECT key FROM settings WHERE value = '1' ORDER BY key")]


def test_the_holder_alone_writes(replica: Replica, other: Replica, clock: ManualClock) -> None:
    with pytest.raises(LeaseLost):
        mark(replica, "before it was taken")
    assert replica.lease.hold()
    mark(replica, "held")
    clock.advance(DURATION)
    assert other.lease.hold()
    assert replica.lease.held  # it does not know yet
    with pytest.raises(LeaseLost):
        mark(replica, "lost")
    assert not replica.lease.held
    mark(other, "taken over")
    other.lease.release()
    with pytest.raises(LeaseLost):
        mark(other, "released")
    assert marks(replica) == ["held", "taken over"]


def test_what_raises_in_it_is_undone_and_keeps_the_lease(replica: Replica) -> None:
    def write_half() -> None:
        with replica.lease.transaction("test"):
            replica.db.tables.settings.insert(**{"key": "half", "value": "1"}).execute()
            raise KeyError

    assert replica.lease.hold()
    with pytest.raises(KeyError):
        write_half()
    assert marks(replica) == []
    mark(replica, "whole")
    assert marks(replica) == ["whole"]
