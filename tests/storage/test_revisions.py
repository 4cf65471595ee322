"""Counters: every change has a number of its own, in the order in which changes become visible."""

import pytest

from exporter.storage.repositories.revisions import next_revision
from tests.support.replica import Replica


def take(replica: Replica, name: str) -> int:
    with replica.db.write("count"):
        return next_revision(replica.db, name)


def take_and_fail(replica: Replica) -> None:
    with replica.db.write("count"):
        next_revision(replica.db, "ours")
        raise LookupError


def test_numbers_go_up_by_one_whoever_takes_them(replica: Replica, other: Replica) -> None:
    assert [take(who, "ours") for who in (replica, other, other, replica)] == [1, 2, 3, 4]
    assert take(other, "another") == 1


def test_a_number_whose_change_was_undone_is_taken_again(replica: Replica) -> None:
    take(replica, "ours")
    with pytest.raises(LookupError):
        take_and_fail(replica)
    assert take(replica, "ours") == 2
