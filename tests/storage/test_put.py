"""Monitors that a management API puts into the database: one of each, however many ask, on every engine."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.core.errors import Conflict, InvalidValue, NotFound
from exporter.core.monitor import Monitor
from exporter.storage.repositories.monitors import NOT_EMPTY, Make
from tests.support.replica import DEADLINE, Replica

DIGEST = b"d" * 32


def made(**options: object) -> Make:
    """Makes a monitor, or changes one, to have these options."""

    def make(before: Monitor | None, free_tag: Callable[[str], str]) -> Monitor:
        if before is not None:
            return replace(before, **options)  # type: ignore[arg-type]
        return Monitor(**{**options, "tag": free_tag(str(options.get("tag", "job")))})  # type: ignore[arg-type]

    return make


def monitor(replica: Replica, tag: str) -> Monitor:
    replica.refresh()
    watched = replica.fleet.get(tag)
    assert watched is not None
    return watched.monitor


def test_a_monitor_is_added_and_changed_whole(replica: Replica, other: Replica) -> None:
    number, added = replica.monitors.put(
        made(name="Job", description="One\nTwo", runbook_url="https://r/", details='{"a":1}'), DIGEST
    )
    assert added
    first = monitor(replica, "job")
    assert first == Monitor(tag="job", name="Job", description="One\nTwo", runbook_url="https://r/", details='{"a":1}')
    assert other.follower.poll() == 1
    assert replica.monitors.put(made(tag="renamed", name="Other"), b"", id=number) == (number, False)
    assert monitor(replica, "job") == replace(first, name="Other")  # the tag stays
    watched = replica.fleet.get("job")
    assert watched is not None
    assert watched.digest == DIGEST
    assert other.follower.poll() == 1
    assert replica.monitors.put(made(name="Other"), b"", id=number) == (number, False)
    assert other.follower.poll() == 0  # nothing changed


def test_what_is_not_there_and_what_the_file_provides(replica: Replica) -> None:
    replica.monitors.provision([(Monitor(tag="filed", name="Filed"), DIGEST)])
    number = replica.monitors.find("filed")
    with pytest.raises(Conflict, match="configuration file"):
        replica.monitors.put(made(name="x"), b"", id=number)
    with pytest.raises(Conflict, match="configuration file"):
        replica.monitors.put(made(name="x"), DIGEST, where=[{"name": "Filed"}])
    assert replica.monitors.put(made(name="Filed"), b"", id=number) == (number, False)
    for id, fits in ((number + 1, True), (number, False)):
        with pytest.raises(NotFound):
            replica.monitors.put(made(), b"", id=id, fits=lambda monitor, fits=fits: fits)  # type: ignore[misc]

    def refuse(before: Monitor | None, free_tag: Callable[[str], str]) -> Monitor:
        free_tag("filed")
        raise InvalidValue("no")

    with pytest.raises(InvalidValue):
        replica.monitors.put(refuse, DIGEST)
    replica.refresh()
    assert len(replica.fleet) == 1


def test_taken_tags_are_numbered_and_removed_ones_are_given_away(replica: Replica) -> None:
    for _ in range(3):
        replica.monitors.put(made(), DIGEST)
    replica.monitors.put(made(tag="job-2-x"), DIGEST)
    replica.refresh()
    assert [watched.monitor.tag for watched in replica.fleet] == ["job", "job-2", "job-2-x", "job-3"]
    replica.beat("job-2")
    before = replica.fleet.get("job-2")
    assert before is not None
    replica.monitors.set_paused("job-2", True)
    replica.monitors.remove("job-2")
    number, added = replica.monitors.put(made(), DIGEST)
    assert added
    assert number != before.id
    replica.fleet.update((), [before.id])
    assert not monitor(replica, "job-2").paused
    fresh = replica.fleet.get("job-2")
    assert fresh is not None
    assert (fresh.state.received, fresh.id) == (0, number)  # nothing of the history


def test_the_first_that_has_the_columns_and_fits(replica: Replica) -> None:
    one, _ = replica.monitors.put(made(tag="a", name="same", every=60_000), DIGEST)
    two, _ = replica.monitors.put(made(tag="b", name="same", details="{}"), DIGEST)

    def find(*where: dict[str, object], tag: str = "") -> int | None:
        def fits(monitor: Monitor) -> bool:
            return tag in ("", monitor.tag)

        number, added = replica.monitors.put(made(tag="new"), DIGEST, where=where, fits=fits)
        return None if added else number

    assert find({"name": "same"}) == one
    assert find({"name": "same"}, tag="b") == two
    assert find({"details": NOT_EMPTY}) == two
    assert find({"name": "other"}, {"tag": "b"}) == two
    assert find({"name": "same", "every": 60_000}) == one
    assert find({"every": 61_000}) is None
    assert find({}, tag="b") == two
    replica.monitors.remove("b")
    assert find({"name": "same"}, tag="b") is None


def test_of_many_that_ask_at_once_in_two_processes_one_adds(replica: Replica, other: Replica) -> None:
    barrier, outcomes = threading.Barrier(8), []

    def put(process: Replica) -> None:
        barrier.wait(DEADLINE)
        outcomes.append(process.monitors.put(made(name="same"), DIGEST, where=[{"name": "same"}]))
        process.db.close()

    threads = [threading.Thread(target=put, args=(process,)) for process in (replica, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(outcomes) == 8
    assert len({number for number, _ in outcomes}) == 1
    assert sum(added for _, added in outcomes) == 1
