"""Quantiles of runtimes follow the log: on both engines, in every process, after restarts and late heartbeats."""

import pytest

from exporter.core.clock import DAY
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.runtimes import Runtimes
from exporter.evaluation import runtimes as module
from exporter.evaluation.runtimes import RuntimeTracker
from exporter.recording.statements import Pending
from tests.support.replica import Replica, away


def tracker(replica: Replica) -> RuntimeTracker:
    return replica.container.runtimes


def shown(replica: Replica, tag: str = "job") -> Runtimes | None:
    watched = replica.fleet.get(tag)
    assert watched is not None
    return watched.runtimes


def end(replica: Replica, *durations: int, tag: str = "job", before: int = 0) -> None:
    """Runs whose senders measured them; the last was received `before` milliseconds ago."""
    watched = replica.fleet.get(tag)
    assert watched is not None
    at = replica.clock.now() - before - len(durations)
    beats = [Heartbeat(Kind.SUCCESS, at + place, duration=took) for place, took in enumerate(durations, start=1)]
    replica.recorder._commit([Pending(watched, beat) for beat in beats])
    replica.clock.advance(1000)


@pytest.fixture
def leader(replica: Replica) -> Replica:
    replica.add("job")
    replica.add("silent")
    replica.lease.hold()
    return replica


def test_a_run_with_a_start_and_one_that_was_measured(leader: Replica) -> None:
    for _ in range(5):
        leader.beat("job", Kind.START, rid="r")
        leader.clock.advance(4000)
        leader.beat("job", rid="r")
        leader.clock.advance(4000)
    leader.beat("silent")
    assert tracker(leader).update() == 1
    assert shown(leader) == Runtimes(10, 5, 4000, 4000)
    end(leader, *[9000] * 5)
    assert tracker(leader).update() == 1
    assert shown(leader) == Runtimes(15, 10, 6500, 9000)
    assert shown(leader, "silent") is None  # it has no runs
    assert tracker(leader).update() == 0


def test_every_process_shows_what_the_one_with_the_lease_computed(leader: Replica, other: Replica, url: str) -> None:
    other.refresh()
    end(other, *range(1, 21))
    assert tracker(other).update() == 0  # it has no lease
    leader.refresh()
    assert tracker(leader).update() == 1
    assert shown(other) is None
    tracker(other).update()
    assert shown(other) == shown(leader) == Runtimes(20, 20, 10, 19)
    end(leader, *[100] * 20)
    tracker(leader).update()
    tracker(other).update()
    assert shown(other) == shown(leader) == Runtimes(40, 40, 60, 100)
    again = Replica(url, leader.clock, "three")  # a restart
    assert shown(again) == shown(leader)
    again.db.close()


def test_monitors_that_are_read_again_keep_their_runtimes(leader: Replica) -> None:
    end(leader, *range(1, 12))
    tracker(leader).update()
    leader.refresh()
    assert shown(leader) == Runtimes(11, 11, 6, 10)
    leader.monitors.set_paused("job", True)
    leader.refresh()
    assert shown(leader) == Runtimes(11, 11, 6, 10)


def test_a_late_heartbeat_counts_at_its_place_and_only_kept_ones_count(leader: Replica) -> None:
    end(leader, *[1000] * 60)
    end(leader, *[5000] * 50, before=DAY)  # such as from another process's spool
    tracker(leader).update()
    # The log keeps a hundred: ten of the first, by their numbers, are gone.
    assert shown(leader) == Runtimes(110, 100, 3000, 5000)
    end(leader, *[2000] * 99)
    tracker(leader).update()
    assert shown(leader) == Runtimes(209, 100, 2000, 2000)


def test_what_is_most_out_of_date_comes_first_when_time_is_short(
    leader: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    for tag in ("a", "b", "c"):
        leader.add(tag)
        end(leader, *[1000] * 20, tag=tag)
    assert tracker(leader).update() == 3
    end(leader, 1, tag="a")
    end(leader, *[1] * 9, tag="b")
    end(leader, *[1] * 3, tag="c")
    order = []
    while tracker(leader).update(max_turn=0):
        order.append([tag for tag in "abc" if (one := shown(leader, tag)) and one.median == 1000 and one.received > 20])
    assert order == [["b"], ["b", "c"], ["a", "b", "c"]]


def test_a_database_that_is_away_is_waited_for(leader: Replica, url: str) -> None:
    end(leader, *range(1, 12))
    with away(url):
        assert tracker(leader)._work() == module.EVERY
    assert shown(leader) is None
    tracker(leader)._work()
    assert shown(leader) == Runtimes(11, 11, 6, 10)


def test_a_removed_monitor_leaves_nothing_once_it_is_forgotten(leader: Replica) -> None:
    end(leader, *range(1, 12))
    tracker(leader).update()
    leader.monitors.remove("job")
    leader.clock.advance(400 * DAY)
    pruner = leader.container.pruner
    pruner._clock = leader.clock
    pruner.prune(100, 90 * DAY)
    assert leader.execute("SELECT count(*) FROM runtimes") == [(0,)]
