"""Monitors of the configuration file: only what differs is written, in chunks, and what was written is remembered."""

import pytest

from exporter.core.monitor import Monitor
from exporter.storage.repositories.monitors import Monitors
from tests.support.replica import Replica, execute


def wanted(*tags: str, name: str = "") -> list[tuple[Monitor, bytes]]:
    return [(Monitor(tag=tag, name=name), b"digest") for tag in tags]


def tags(replica: Replica) -> list[str]:
    rows = execute(replica.db, "SELECT tag FROM monitors WHERE removed_at IS NULL AND provisioned ORDER BY tag")
    return [row[0] for row in rows]


@pytest.fixture
def monitors(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> Monitors:
    monkeypatch.setattr("exporter.storage.repositories.monitors._ROWS", 3)
    return Monitors(replica.db, replica.clock, "here")


def test_more_rows_than_are_written_at_a_time(replica: Replica, monitors: Monitors) -> None:
    many = [f"m{number}" for number in range(10)]
    assert monitors.provision(wanted(*many)) == (10, 0, 0)
    assert monitors.provision(wanted(*many, name="new")) == (0, 10, 0)
    assert monitors.provision(wanted(*many[2:], "x", name="new")) == (1, 0, 2)
    assert tags(replica) == [*many[2:], "x"]
    assert execute(replica.db, "SELECT count(*) FROM states") == [(11,)]
    assert execute(replica.db, "SELECT count(*) FROM transitions") == [(11,)]


def test_nothing_is_written_when_nothing_differs(replica: Replica, monitors: Monitors) -> None:
    monitors.provision(wanted("a", "b"), "one")
    before = execute(replica.db, "SELECT key, value FROM settings ORDER BY key")
    assert monitors.provision(wanted("a", "b"), "one") == (0, 0, 0)
    assert execute(replica.db, "SELECT key, value FROM settings ORDER BY key") == before


def test_what_was_provisioned_is_remembered(replica: Replica, monitors: Monitors) -> None:
    assert monitors.provisioned() == ""
    monitors.provision(wanted("a"), "one")
    assert monitors.provisioned() == "one"
    monitors.provision(wanted("a"), "two")
    assert monitors.provisioned() == "two"
    monitors.provision(wanted("b"))
    assert monitors.provisioned() == ""


def test_a_change_between_comparing_and_writing(
    replica: Replica, other: Replica, monitors: Monitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is made again, or one of the two would be added twice or be lost."""
    monitors.provision(wanted("a"))
    original, calls = Monitors._compare, 0

    def compare(self: Monitors, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        found = original(self, *arguments)  # type: ignore[arg-type]
        if calls == 1:
            Monitors(other.db, other.clock, "there").provision(wanted("a", "b"))
        return found

    monkeypatch.setattr(Monitors, "_compare", compare)
    assert monitors.provision(wanted("b", "c")) == (1, 0, 1)
    assert tags(replica) == ["b", "c"]
    assert calls >= 3
