"""Credentials in the database: provisioned, rotated, unique; and monitors that heartbeats create, exactly once."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import DAY, HOUR
from exporter.core.credentials import PingKey
from exporter.core.errors import Conflict, NotFound
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.core.telemetry import RejectReason
from exporter.ingest import creation as creation_module
from exporter.ingest.creation import Creation
from exporter.ingest.errors import IngestError
from exporter.recording.statements import Pending
from exporter.storage.repositories.credentials import Digests, MonitorCredentials, PingKeys
from tests.support.replica import Replica

KEY = b"k" * 32


def d(text: str) -> bytes:
    return digest(text, KEY)


def key(name: str = "ci", text: str = "key-of-ci", **options: object) -> PingKey:
    return PingKey(name=name, digest=d(text), selector=Selector(tags=("ci-*",)), **options)  # type: ignore[arg-type]


CI = key(defaults={"down_after": "1h", "labels": {"team": "ci"}}, max_monitors=3)


@pytest.fixture
def of_monitors(replica: Replica) -> MonitorCredentials:
    replica.monitors.add(Monitor(tag="job"), d("secret"))
    replica.monitors.add(Monitor(tag="other"), d("secret"))  # secrets may be shared
    return MonitorCredentials(replica.db, replica.clock)


@pytest.fixture
def keys(replica: Replica) -> PingKeys:
    return PingKeys(replica.db, replica.clock)


def provision(replica: Replica, wanted: dict[str, Digests]) -> int:
    """How many monitors changed."""
    with replica.db.write("test") as transaction:
        return len(MonitorCredentials(replica.db, replica.clock).provision(transaction, wanted))


def watched(replica: Replica, tag: str) -> FleetMonitor:
    replica.refresh()
    found = replica.fleet.get(tag)
    assert found is not None
    return found


def test_secrets_and_tokens_of_the_file_are_made_exactly_these(
    replica: Replica, other: Replica, of_monitors: MonitorCredentials
) -> None:
    wanted = {"job": Digests((d("older"), d("oldest")), (d("token-1"),)), "nobody": Digests((), (d("x"),))}
    assert provision(replica, wanted) == 1
    assert provision(replica, wanted) == 0
    job = watched(replica, "job")
    assert (job.secrets, job.tokens) == ((d("older"), d("oldest")), (d("token-1"),))
    assert other.follower.poll() == 2  # another process hears of it
    assert watched(other, "job").tokens == (d("token-1"),)
    assert provision(replica, {"other": Digests(tokens=(d("token-1"),))}) == 2  # it moves
    assert watched(replica, "job").tokens == ()
    assert replica.fleet.with_token(d("token-1")) is watched(replica, "other")


def test_nothing_opens_two_things(replica: Replica, of_monitors: MonitorCredentials, keys: PingKeys) -> None:
    provision(replica, {"job": Digests((d("older"),), (d("token-1"),))})
    keys.add(key())
    for text in ("secret", "older", "token-1", "key-of-ci"):
        with pytest.raises(Conflict) as raised:
            keys.add(key("another", text))
        assert "job" not in str(raised.value)
        assert "ci" not in str(raised.value).replace("openssl", "")
        with pytest.raises(Conflict):
            keys.provision([key("another", text, provisioned=True)])
    for text in ("secret", "older", "key-of-ci", "token-1"):
        with pytest.raises(Conflict):
            provision(replica, {"job": Digests((d("older"),), (d("token-1"),)), "other": Digests((), (d(text),))})
    for text in ("token-1", "key-of-ci"):
        with pytest.raises(Conflict):
            replica.monitors.add(Monitor(tag="new"), d(text))
    assert watched(replica, "other").tokens == ()
    with pytest.raises(Conflict, match="already"):
        keys.add(key("ci", "fresh"))


def test_a_rotation_replaces_the_secret_and_the_built_in_token(
    replica: Replica, of_monitors: MonitorCredentials
) -> None:
    before = watched(replica, "job").generation
    of_monitors.rotate("job", d("second"), keep_old=True)
    job = watched(replica, "job")
    assert (job.digest, job.secrets, job.generation) == (d("second"), (d("secret"),), before + 1)
    of_monitors.rotate("job", d("third"))
    job = watched(replica, "job")
    assert (job.digest, job.secrets, job.generation) == (d("third"), (), before + 2)
    with pytest.raises(NotFound):
        of_monitors.rotate("nobody", d("x"))
    replica.monitors.provision([(Monitor(tag="filed"), d("filed"))])
    with pytest.raises(Conflict, match="configuration file"):
        of_monitors.rotate("filed", d("x"))
    of_monitors.rotate("filed", None)
    assert watched(replica, "filed").generation == 1
    replica.monitors.remove("job")
    replica.monitors.add(Monitor(tag="job"), d("fourth"))
    assert watched(replica, "job").generation == before + 3


def test_ping_keys_come_and_go(replica: Replica, keys: PingKeys) -> None:
    revision = keys.revision()
    keys.add(CI)
    assert keys.all() == [CI]
    assert keys.revision() > revision
    keys.rotate("ci", d("rotated"))
    assert keys.all() == [replace(CI, digest=d("rotated"))]
    with pytest.raises(NotFound):
        keys.rotate("nobody", d("x"))
    provisioned = replace(CI, provisioned=True)
    assert keys.provision([provisioned, key("ops", "ops-key", provisioned=True)]) == 2
    assert keys.provision([provisioned, key("ops", "ops-key", provisioned=True)]) == 0
    for change in (lambda: keys.remove("ci"), lambda: keys.rotate("ci", d("x"))):
        with pytest.raises(Conflict, match="configuration file"):
            change()
    assert keys.provision([provisioned]) == 1
    assert keys.provision([]) == 1
    keys.add(CI)
    keys.remove("ci")
    assert keys.all() == []


# ── monitors that heartbeats create ──────────────────────────────────────────────────────────────────────────────


def creation(replica: Replica, executor: ThreadPoolExecutor) -> Creation:
    return Creation(replica.monitors, replica.fleet, KEY, lambda number: replica.refresh(), executor)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def ensure(
    replica: Replica, executor: ThreadPoolExecutor, tag: str, key: PingKey = CI, **settings: object
) -> FleetMonitor:
    return asyncio.run(creation(replica, executor).ensure(tag, replica.fleet.get(tag), key, settings))


def refused(
    replica: Replica, executor: ThreadPoolExecutor, tag: str, key: PingKey = CI, **settings: object
) -> IngestError:
    before = replica.execute("SELECT count(*) FROM monitors")
    with pytest.raises(IngestError) as raised:
        ensure(replica, executor, tag, key, **settings)
    assert replica.execute("SELECT count(*) FROM monitors") == before
    return raised.value


def test_a_monitor_is_created_once_whoever_comes_at_the_same_time(
    replica: Replica, other: Replica, executor: ThreadPoolExecutor
) -> None:
    numbers: list[int] = []
    gate = threading.Barrier(8)

    def one(who: Replica) -> None:
        gate.wait()
        numbers.append(who.monitors.create_for(Monitor(tag="ci-1"), d("x"), "ci", 3)[1])

    threads = [threading.Thread(target=one, args=(who,)) for who in (replica, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(numbers) == 8
    assert len(set(numbers)) == 1

    async def at_once() -> list[FleetMonitor]:
        made = creation(replica, executor)
        return await asyncio.gather(*(made.ensure("ci-2", None, CI, {}) for _ in range(8)))

    assert len({one.id for one in asyncio.run(at_once())}) == 1
    assert replica.execute("SELECT count(*) FROM monitors WHERE tag = 'ci-2'") == [(1,)]


def test_others_can_wait_for_the_creations_that_run(replica: Replica, executor: ThreadPoolExecutor) -> None:
    async def wait() -> list[str]:
        made, order = creation(replica, executor), []
        await made.finished()  # none runs
        tasks = [asyncio.create_task(made.ensure(tag, None, CI, {})) for tag in ("ci-1", "ci-2")]
        for task in tasks:
            task.add_done_callback(lambda task: order.append("created"))
        refused = asyncio.create_task(made.ensure("ci-3", None, CI, {"group": "x"}))
        await asyncio.sleep(0)
        await made.finished()
        order.append("finished")
        assert {replica.fleet.get(tag) is not None for tag in ("ci-1", "ci-2")} == {True}
        with pytest.raises(IngestError):
            await refused
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(wait()).count("created") == 2


def test_what_it_is_like(replica: Replica, executor: ThreadPoolExecutor, keys: PingKeys) -> None:
    keys.add(CI)
    found = ensure(replica, executor, "ci-1", schedule="0 3 * * *", timezone="Europe/Rome")
    assert (found.monitor.group, found.made_by, found.provisioned) == ("ci", "ci", False)
    assert (found.monitor.down_after, dict(found.monitor.labels)) == (HOUR, {"team": "ci"})
    assert (found.monitor.schedule, found.monitor.timezone) == ("0 3 * * *", "Europe/Rome")
    assert keys.created() == {"ci": 1}
    assert replica.status("ci-1") == ("NO_DATA", "never_received")
    replica.recorder._commit([Pending(found, Heartbeat(Kind.SUCCESS, replica.clock.now()))])


def test_a_sender_may_change_when_its_own_monitors_are_expected(replica: Replica, executor: ThreadPoolExecutor) -> None:
    ensure(replica, executor, "ci-1")
    changed = ensure(replica, executor, "ci-1", down_after="2d", max_runtime="1h")
    assert (changed.monitor.down_after, changed.monitor.max_runtime) == (2 * DAY, HOUR)
    assert dict(changed.monitor.labels) == {"team": "ci"}
    assert ensure(replica, executor, "ci-1", down_after="2d") is replica.fleet.get("ci-1")
    often = ensure(replica, executor, "ci-1", every="1h", failure_tolerance=3).monitor
    assert (often.every, often.schedule, often.failure_tolerance) == (HOUR, None, 3)
    nightly = ensure(replica, executor, "ci-1", schedule="0 3 * * *").monitor  # one of them replaces the other
    assert (nightly.every, nightly.schedule, nightly.failure_tolerance) == (None, "0 3 * * *", 3)
    replica.add("ci-mine")
    assert ensure(replica, executor, "ci-mine", down_after="2d").monitor.down_after != 2 * DAY  # not of this key
    assert refused(replica, executor, "ci-1", degraded_after="3d").status == 400
    replica.monitors.set_paused("ci-1", True)
    replica.refresh()
    ensure(replica, executor, "ci-1", down_after="3d")
    replica.monitors.set_paused("ci-1", False)
    assert not watched(replica, "ci-1").monitor.paused  # a pause by hand has not become the monitor's own


def test_the_first_check_of_settings_is_not_made_on_the_event_loop(
    replica: Replica, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It imports pydantic and the models of the configuration, for which heartbeats would wait."""
    ensure(replica, executor, "ci-1")
    checkers: list[threading.Thread] = []

    def checked(given: Mapping[str, Any]) -> Monitor:
        checkers.append(threading.current_thread())
        return real(given)

    real = creation_module._checked
    monkeypatch.setattr(creation_module, "_checked", checked)

    async def thrice() -> list[int]:
        made = creation(replica, executor)
        given: tuple[dict[str, str], ...] = ({}, {"down_after": "2d"}, {"down_after": "3d"})
        return [
            (await made.ensure("ci-1", watched(replica, "ci-1"), CI, settings)).monitor.down_after for settings in given
        ]

    assert asyncio.run(thrice()) == [HOUR, 2 * DAY, 3 * DAY]
    first, second = checkers  # without settings there is nothing to check
    assert first is not threading.main_thread()
    assert second is threading.main_thread()


def test_what_is_refused_leaves_nothing_behind(replica: Replica, executor: ThreadPoolExecutor) -> None:
    for tag, settings, status in (
        ("job", {}, 403),
        ("ci-1", {"group": "other"}, 400),
        ("ci-1", {"labels": {}}, 400),
        ("ci-1", {"secret": "x"}, 400),
        ("ci-1", {"schedule": "nonsense"}, 400),
        ("ci-/", {}, 400),
        ("ci-" + "x" * 126, {}, 400),
    ):
        assert refused(replica, executor, tag, **settings).status == status, (tag, settings)


def test_there_is_a_bound(replica: Replica, executor: ThreadPoolExecutor) -> None:
    for number in range(3):
        ensure(replica, executor, f"ci-{number}")
    problem = refused(replica, executor, "ci-3")
    assert (problem.status, problem.reason) == (403, RejectReason.TOO_MANY)
    assert ensure(replica, executor, "ci-0").made_by == "ci"  # those that are there still work
    replica.monitors.remove("ci-1")
    replica.refresh()
    ensure(replica, executor, "ci-3")


def test_a_tag_that_was_removed_does_not_come_back_by_itself(replica: Replica, executor: ThreadPoolExecutor) -> None:
    first = ensure(replica, executor, "ci-1")
    replica.beat("ci-1")
    replica.monitors.remove("ci-1")
    replica.fleet.update(removed=[first.id])
    assert refused(replica, executor, "ci-1").reason is RejectReason.CREATION_REFUSED
    replica.clock.advance(30 * DAY + 1)
    again = ensure(replica, executor, "ci-1")
    assert again.id != first.id
    assert again.state.received == 0
    assert replica.history.heartbeats(again.id, 10) == []


def test_a_duration_that_the_sender_measured_is_kept(replica: Replica) -> None:
    replica.add("job")
    job = replica.fleet.get("job")
    assert job is not None
    now = replica.clock.now()
    replica.beat("job", Kind.START, rid="r")
    replica.clock.advance(5000)

    def beat(at: int, duration: int | None, rid: str = "") -> Pending:
        return Pending(job, Heartbeat(Kind.SUCCESS, at, rid, None, "", duration))

    replica.recorder._commit([beat(now + 5000, 1234, "r")])
    assert job.state.last_duration == 1234  # and not the 5 s between two receipts
    replica.recorder._commit([beat(now + 9000, 77)])
    replica.recorder._commit([beat(now + 7000, 55)])  # from another process, which was slower
    assert job.state.last_duration == 77
    assert watched(replica, "job").state.last_duration == 77
    assert [one.duration for one in replica.history.heartbeats(job.id, 10)] == [77, 55, 1234, None]


def test_durations_of_a_monitor_without_starts_are_in_the_order_of_receipt(replica: Replica) -> None:
    replica.add("job")
    job = replica.fleet.get("job")
    assert job is not None
    now = replica.clock.now()
    for at, duration in ((now + 2000, 20), (now + 1000, 10)):
        replica.recorder._commit([Pending(job, Heartbeat(Kind.SUCCESS, at, "", None, "", duration))])
    assert job.state.last_duration == 20
    assert watched(replica, "job").state.last_duration == 20
