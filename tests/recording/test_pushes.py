"""Metrics of jobs in the database: committed with their heartbeats, seen by every process, and gone with their job."""

import threading

from exporter.core.clock import HOUR, MINUTE
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.job_metrics.model import Labels, Push, PushMode
from exporter.core.job_metrics.text import parse_text
from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.recording.statements import Pending
from exporter.storage.job_metrics import DELETED_FOR
from exporter.storage.repositories.pruning import Pruner
from tests.conftest import ManualClock
from tests.support.replica import DEADLINE, Replica, away

ONE, TWO = (("instance", "1"), ("job", "job")), (("instance", "2"), ("job", "job"))


def pushed(
    replica: Replica,
    body: str,
    labels: Labels = (),
    mode: PushMode = PushMode.REPLACE,
    tag: str = "job",
    alone: bool = False,
    required: bool = False,
) -> Pending:
    watched = replica.fleet.get(tag)
    assert watched is not None
    push = Push(mode, labels, parse_text(body), alone=alone, required=required)
    return Pending(watched, Heartbeat(Kind.SUCCESS, replica.clock.now()), None, push)


def commit(replica: Replica, *pending: Pending) -> list[str | None]:
    replica.recorder._commit(list(pending))
    return [one.push.refusal for one in pending if one.push is not None]


def lines(replica: Replica) -> list[str]:
    """What is exposed, without comments."""
    text = b"".join(JobMetricsScrape(replica.container.job_metrics).render()).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def series(replica: Replica) -> list[str]:
    return [line for line in lines(replica) if not line.startswith("push_")]


def received(replica: Replica, tag: str = "job") -> int:
    return int(
        replica.execute(f"SELECT received FROM states JOIN monitors ON id = monitor_id WHERE tag = '{tag}'")[0][0]
    )


def test_a_push_is_committed_with_its_heartbeat_and_seen_by_all(replica: Replica, other: Replica) -> None:
    replica.add("job")
    other.refresh()
    assert lines(replica) == lines(other) == []
    assert commit(replica, pushed(replica, "a 1\nb 2", ONE), pushed(replica, "c 3")) == [None, None]
    wanted = [
        'push_time_seconds{tag="job"} 1790000000',
        'push_time_seconds{instance="1",job="job",tag="job"} 1790000000',
        'push_failure_time_seconds{tag="job"} 0',
        'push_failure_time_seconds{instance="1",job="job",tag="job"} 0',
        'a{instance="1",job="job",tag="job"} 1',
        'b{instance="1",job="job",tag="job"} 2',
        'c{tag="job"} 3',
    ]
    for one in (replica, other):
        assert sorted(lines(one)) == sorted(wanted)
        assert received(one) == 2
    replica.clock.advance(5_500)
    commit(other, pushed(other, "b 4\nd 5", ONE, PushMode.MERGE))
    for one in (replica, other):
        assert series(one)[1:] == [
            'b{instance="1",job="job",tag="job"} 4',
            'c{tag="job"} 3',
            'd{instance="1",job="job",tag="job"} 5',
        ]
        assert 'push_time_seconds{instance="1",job="job",tag="job"} 1790000005.5' in lines(one)
    commit(replica, pushed(replica, "", ONE, PushMode.DELETE, alone=True))
    assert series(other) == series(replica) == ['c{tag="job"} 3']
    assert received(replica) == 3
    fresh = Replica(replica.container.settings.storage.url, replica.clock, "three")
    assert sorted(lines(fresh)) == sorted(lines(replica))
    fresh.db.close()


def test_what_is_refused_leaves_only_its_moment(replica: Replica) -> None:
    replica.add("job")
    commit(replica, pushed(replica, "# TYPE a gauge\na 1", ONE, required=True))
    replica.clock.advance(MINUTE)
    refused = pushed(replica, "# TYPE a counter\na 1", TWO, required=True)
    assert commit(replica, refused)[0] is not None
    assert received(replica) == 1
    # A heartbeat of its own counts, whatever its metrics are.
    kept = pushed(replica, "# TYPE a counter\na 1")
    assert commit(replica, kept)[0] is not None
    assert received(replica) == 2
    assert len(series(replica)) == 1
    again = pushed(replica, "# TYPE b gauge\nb 1\n" + "\n".join(f"c_{n} 1" for n in range(499)), ONE, PushMode.MERGE)
    assert commit(replica, again)[0] == "the monitor would have more than 500 samples"
    failed = pushed(replica, "", TWO, PushMode.FAILED, alone=True)
    commit(replica, failed)
    assert lines(replica) == [
        'push_time_seconds{instance="1",job="job",tag="job"} 1790000000',
        'push_failure_time_seconds{instance="1",job="job",tag="job"} 1790000060',
        'a{instance="1",job="job",tag="job"} 1',
    ]


def test_pushes_of_one_group_of_heartbeats_follow_each_other(replica: Replica) -> None:
    replica.add("job")
    replica.add("twin")
    refusals = commit(
        replica,
        pushed(replica, "a 1", ONE),
        pushed(replica, "b 1", ONE, PushMode.MERGE),
        pushed(replica, "", ONE, PushMode.DELETE, alone=True),
        pushed(replica, "c 1", ONE, PushMode.MERGE),
        pushed(replica, "# TYPE c gauge\nc 1", TWO, required=True),
        pushed(replica, "# TYPE c gauge\nc 1", TWO, tag="twin"),
    )
    assert [refusal is None for refusal in refusals] == [True, True, True, True, False, True]
    assert series(replica) == ['c{instance="1",job="job",tag="job"} 1', 'c{instance="2",job="job",tag="twin"} 1']
    assert received(replica) == 3


def test_a_dead_jobs_metrics_disappear(replica: Replica) -> None:
    replica.add("job", every=HOUR)
    replica.add("kept", every=HOUR, keep_job_metrics=True)
    replica.add("failed", every=HOUR)
    for tag in ("job", "kept", "failed"):
        commit(replica, pushed(replica, "a 1", tag=tag))
    replica.beat("failed", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    assert [line.partition(" ")[0] for line in series(replica)] == ['a{tag="failed"}', 'a{tag="job"}', 'a{tag="kept"}']
    replica.clock.advance(2 * HOUR)
    replica.evaluator.evaluate_due()
    assert [line.partition(" ")[0] for line in series(replica)] == ['a{tag="failed"}', 'a{tag="kept"}']
    assert 'push_time_seconds{tag="job"}' not in "\n".join(lines(replica))
    commit(replica, pushed(replica, "a 2"))
    assert 'a{tag="job"} 2' in series(replica)


def test_what_is_deleted_is_forgotten_in_the_end(replica: Replica, other: Replica) -> None:
    replica.add("job")
    other.refresh()
    commit(replica, pushed(replica, "a 1", ONE), pushed(replica, "b 1", TWO))
    assert len(series(other)) == 2
    commit(replica, pushed(replica, "", ONE, PushMode.DELETE, alone=True))
    assert replica.execute("SELECT COUNT(*) FROM job_metrics") == [(2,)]
    replica.clock.advance(DELETED_FOR + 1)
    Pruner(replica.db, replica.clock).prune(100, 1000 * HOUR)
    assert replica.execute("SELECT COUNT(*) FROM job_metrics") == [(1,)]
    # A process that slept all the time reads everything, since what was deleted shows nowhere any more.
    assert series(other) == series(replica) == ['b{instance="2",job="job",tag="job"} 1']
    view = replica.container.job_metrics
    view.tidy()
    assert (view.groups, view.samples) == (1, 1)
    assert view.size > 0


def test_a_removed_monitors_metrics_go_and_may_come_back(replica: Replica, other: Replica) -> None:
    replica.add("job")
    commit(replica, pushed(replica, "a 1"))
    view = replica.container.job_metrics
    # This process hears of the metrics before it hears of the monitor.
    assert series(other) == []
    other.refresh()
    assert series(other) == ['a{tag="job"} 1']
    replica.monitors.remove("job")
    replica.fleet.update(removed=[watched.id for watched in replica.fleet])
    assert lines(replica) == []
    view.tidy()
    view.tidy()
    assert (view.groups, view.samples, view.size) == (0, 0, 0)
    replica.add("job")
    assert series(replica) == ['a{tag="job"} 1']


def test_the_metrics_of_a_monitor_that_is_gone_for_good_are_deleted(replica: Replica) -> None:
    replica.add("job")
    commit(replica, pushed(replica, "a 1"))
    replica.monitors.remove("job")
    replica.clock.advance(HOUR)
    Pruner(replica.db, replica.clock).prune(100, MINUTE)
    assert replica.execute("SELECT COUNT(*) FROM job_metrics") == [(0,)]


def test_nothing_is_kept_while_the_database_is_away(url: str, clock: ManualClock) -> None:
    replica = Replica(url, clock)
    replica.add("job")
    commit(replica, pushed(replica, "a 1"))
    assert len(series(replica)) == 1
    pending = pushed(replica, "a 2")
    with away(url):
        replica.recorder.start()
        assert replica.recorder.record(pending)
        done = threading.Event()
        for _ in range(int(DEADLINE * 100)):
            if replica.settled:
                break
            done.wait(0.01)
        assert pending.error is not None
        assert len(series(replica)) == 1  # what this process knows is exposed all the same
    replica.recorder.stop()
    assert series(replica) == ['a{tag="job"} 1']
    replica.db.close()


def test_characters_of_every_kind_survive(replica: Replica) -> None:
    replica.add("job")
    value = 'ä\\n\\"\\\\😀\x01 '
    commit(replica, pushed(replica, f'# HELP a {value}x\na{{x="{value}"}} 1', (("job", "j/o😀b"),)))
    replica.container.job_metrics._seen = None
    assert series(replica)[0].startswith('a{job="j/o😀b",tag="job",x="ä')
    assert f'x="{value}"' in series(replica)[0]


def test_what_no_version_wrote_is_left_out(replica: Replica) -> None:
    replica.add("job")
    replica.add("twin")
    for tag in ("job", "twin"):
        commit(replica, pushed(replica, "a 1", tag=tag))
    for content, labels, types in (("nonsense", "[]", "{}"), ('[["a"]]', "[1]", "[]"), ("null", "null", "null")):
        replica.execute(
            f"UPDATE job_metrics SET content = '{content}', labels = '{labels}', types = '{types}', revision = 0 "
            "WHERE monitor_id = 1"
        )
        replica.container.job_metrics._seen = None
        replica.container.job_metrics._groups.clear()
        assert series(replica) == ['a{tag="twin"} 1']
        assert commit(replica, pushed(replica, "b 1", ONE, PushMode.MERGE)) == [None]
    assert commit(replica, pushed(replica, "c 1")) == [None]
    assert series(replica)[-1] == 'c{tag="job"} 1'


def test_two_processes_push_for_the_same_monitors_at_once(replica: Replica, other: Replica) -> None:
    tags = ["a", "b", "c"]
    for tag in tags:
        replica.add(tag)
    other.refresh()
    errors: list[BaseException] = []

    def send(one: Replica, order: list[str]) -> None:
        try:
            for number in range(20):
                labels = (("instance", one.name),)
                commit(one, *(pushed(one, f"x {number}", labels, tag=tag) for tag in order))
                commit(one, pushed(one, f"y {number}", (("instance", "shared"),), PushMode.MERGE, tag=order[0]))
        except BaseException as error:  # noqa: BLE001 - the test fails with it
            errors.append(error)
        finally:
            one.db.close()

    threads = [
        threading.Thread(target=send, args=(replica, tags)),
        threading.Thread(target=send, args=(other, tags[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert errors == []
    assert [received(replica, tag) for tag in tags] == [60, 40, 60]
    wanted = {f'x{{instance="{name}",tag="{tag}"}} 19' for name in ("one", "two") for tag in tags}
    for one in (replica, other):
        assert {line for line in series(one) if line.startswith("x")} == wanted
        assert sum(line.startswith("y") for line in series(one)) == 2
