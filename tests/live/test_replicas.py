"""Several processes on one PostgreSQL: each does everything, one evaluates, and any of them may go."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.presentation.moments import parse_moment
from exporter.storage.repositories.leases import DURATION
from tests.live.conftest import Service, Starter, curl, eventually, fetch, monitors
from tests.live.load import Load
from tests.support.postgres import Line, Postgres, line, running

pytestmark = pytest.mark.live
FAST = "after_outage: strict\n" + monitors("job", "other", degraded_after="4s", down_after="6s")
WITHIN_A_SECOND = 2.0
"""Seconds: a second, and what a busy machine adds."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running(durable=True) as server:
        yield server


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create()


@pytest.fixture
def cable(postgres: Postgres) -> Iterator[Line]:
    with line(postgres) as one:
        yield one


def history(service: Service, tag: str = "job") -> list[tuple[str, int]]:
    found = json.loads(curl(f"{service.url}/api/v1/monitors/{tag}/transitions").body)["transitions"]
    return [(one["status"], parse_moment(one["at"])) for one in found]


def last_success(service: Service, tag: str = "job") -> int:
    return round(service.metrics()["heartbeat_last_success_timestamp_seconds", tag] * 1000)


def leaders(*services: Service) -> list[Service]:
    return [one for one in services if one.metrics()["heartbeat_exporter_lease_held",] == 1]


def goes_down(service: Service, tag: str = "job") -> None:
    """With every status once, and each at its moment."""
    eventually(lambda: service.status(tag) == "DOWN")
    success = last_success(service, tag)
    found = history(service, tag)
    assert [status for status, _ in found] == ["NO_DATA", "UP", "DEGRADED", "DOWN"]
    assert [at for _, at in found[2:]] == [success + 4_001, success + 6_001]


# ── replicas ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_does_everything_and_sees_the_others(start: Starter, url: str) -> None:
    one, two = start(name="one", storage=url), start(name="two", storage=url)
    assert one.ping("job").status == 200
    eventually(lambda: two.received("job") == 1, WITHIN_A_SECOND)
    eventually(lambda: two.status("job") == "UP", WITHIN_A_SECOND)
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda n: (one, two)[n % 2].ping("job").status, range(60)))
    assert answers == [200] * 60
    eventually(lambda: one.received("job") == two.received("job") == 61, WITHIN_A_SECOND)
    assert len(leaders(one, two)) == 1
    # A monitor that is added, paused and removed anywhere is so everywhere.
    secret = one.cli("monitor", "add", "fresh").partition("/ext/heartbeat/fresh:")[2].split()[0]
    eventually(lambda: two.ping("fresh", secret=secret).status == 200, WITHIN_A_SECOND)
    one.cli("monitor", "pause", "fresh")
    eventually(lambda: two.status("fresh") == one.status("fresh") == "PAUSED", WITHIN_A_SECOND)
    one.cli("monitor", "remove", "fresh")
    eventually(lambda: {each.ping("fresh", secret=secret).status for each in (one, two)} == {404}, WITHIN_A_SECOND)


def test_ten_that_start_together_make_the_tables_once(start: Starter, url: str, postgres: Postgres) -> None:
    crowd = [start(name=f"n{number}", storage=f"{url}?pool_size=1", ready=False) for number in range(10)]
    for one in crowd:
        one.ready()
    assert len(leaders(*crowd)) == 1
    name = url.rpartition("/")[2]
    assert postgres.execute("SELECT COUNT(*) FROM monitors", name) == [(1,)]
    assert postgres.execute("SELECT COUNT(*), COUNT(DISTINCT name) FROM schema_migrations", name)[0][0] == len(
        {row[0] for row in postgres.execute("SELECT name FROM schema_migrations", name)}
    )


Trouble = Callable[[Service, Line], None]
"""What happens to a replica; the second call of the pair ends it."""


def kill(service: Service, cable: Line) -> None:
    service.kill()


def pause(service: Service, cable: Line) -> None:
    service.send(signal.SIGSTOP, group=True)


def resume(service: Service, cable: Line) -> None:
    service.send(signal.SIGCONT, group=True)


def cut_off(service: Service, cable: Line) -> None:
    cable.cut()


def mend(service: Service, cable: Line) -> None:
    cable.mend()


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        pytest.param(kill, None, id="killed"),
        pytest.param(pause, resume, id="paused"),
        pytest.param(cut_off, mend, id="cut off from the database"),
    ],
)
def test_when_the_one_that_evaluates_fails_another_does(
    start: Starter, url: str, cable: Line, begins: Trouble, ends: Trouble | None
) -> None:
    one = start(FAST, "one", storage=cable.url(url))
    eventually(lambda: leaders(one))
    two = start(FAST, "two", storage=url)
    two.ping("job")
    two.ping("other")
    eventually(lambda: two.status("job") == two.status("other") == "UP")
    assert leaders(one, two) == [one]
    began = time.monotonic()
    begins(one, cable)
    eventually(lambda: leaders(two), DURATION / 1000 + WITHIN_A_SECOND)
    took = time.monotonic() - began
    assert took <= DURATION / 1000 + WITHIN_A_SECOND
    goes_down(two)
    two.ping("job")
    eventually(lambda: two.status("job") == "UP")
    if ends is None:
        return
    ends(one, cable)
    # It comes back, finds that it is no longer the one, writes nothing over its successor, and follows.
    eventually(lambda: fetch(f"{one.url}/-/ready").status == 200)
    assert one.ping("job").status == 200
    eventually(lambda: one.received("job") == two.received("job") == 3)
    goes_down(one, "other")
    goes_down(two, "other")
    eventually(lambda: one.status("job") == two.status("job"))
    found = history(two)
    assert found == history(one)
    assert len(found) == len(set(found))
    assert leaders(one, two) == [two]


# ── the database away ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A server that the test stops."""
    with running(durable=True) as server:
        yield server


def refused(service: Service) -> float:
    """A heartbeat gets 503 and learns when to come again; the seconds it took."""
    began = time.monotonic()
    answer = service.ping("job")
    took = time.monotonic() - began
    assert answer.status == 503, answer
    assert int(answer.header("Retry-After") or 0) >= 1
    return took


@pytest.mark.parametrize("how", ["stopped", "crashed", "paused"])
def test_a_server_that_is_away(start: Starter, mortal: Postgres, how: str) -> None:
    service = start(storage=mortal.create())
    assert service.ping("job").status == 200
    eventually(lambda: service.status("job") == "UP")
    if how == "paused":
        mortal.pause()
    else:
        mortal.stop(signal.SIGINT if how == "stopped" else signal.SIGQUIT)
    with ThreadPoolExecutor(8) as clients:
        assert max(clients.map(lambda _: refused(service), range(16))) <= 5.0
    # What is known is shown, and that it may be old.
    eventually(lambda: service.metrics()["heartbeat_exporter_storage_up",] == 0)
    assert service.status("job") == "UP"
    assert service.received("job") == 1
    assert curl(f"{service.url}/").status == 200
    assert curl(f"{service.url}/-/ready").status == 503
    assert refused(service) <= 5.0
    if how == "paused":
        mortal.resume()
    else:
        mortal.start()
    eventually(lambda: fetch(f"{service.url}/-/ready").status == 200)
    eventually(lambda: service.ping("job").status == 200)
    eventually(lambda: service.metrics()["heartbeat_exporter_storage_up",] == 1)
    # One that was under way when the server stood still may have been recorded though nobody was told.
    eventually(lambda: service.received("job") >= 2)
    assert "SESAME" not in service.output()


def test_a_server_that_comes_later(start: Starter, mortal: Postgres) -> None:
    url = mortal.create()
    mortal.stop()
    service = start(storage=url, ready=False)
    eventually(lambda: "cannot be opened" in fetch(f"{service.url}/-/ready").body)
    assert refused(service) <= 5.0
    mortal.start()
    service.ready()
    assert service.ping("job").status == 200
    assert "SESAME" not in service.output()


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def served(service: Service) -> float:
    return service.metrics()["heartbeat_exporter_http_requests_total", "200", "heartbeat", "GET"]


def test_workers_answer_as_one(start: Starter, url: str) -> None:
    service = start(monitors("job"), storage=url, options=("--workers", "3"))
    eventually(lambda: service.output().count("] ready: ") == 3)  # whoever is ready first says that the service is
    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(lambda _: service.ping("job").status, range(50))) == {200}
    for _ in range(5):  # whichever is asked
        eventually(lambda: served(service) == 50, WITHIN_A_SECOND)
        eventually(lambda: service.metrics()["heartbeat_exporter_lease_held",] == 1, WITHIN_A_SECOND)
        assert service.metrics()["heartbeat_exporter_storage_up",] == 1
        eventually(lambda: service.metrics()["heartbeat_exporter_commit_batch_size_sum",] == 50, WITHIN_A_SECOND)
        eventually(lambda: service.metrics()["heartbeat_exporter_monitors", "UP"] == 1, WITHIN_A_SECOND)
        eventually(lambda: service.received("job") == 50, WITHIN_A_SECOND)
    # A reload that one of them is asked for is done by all.
    service.config.write_text(monitors("job", "new"))
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    eventually(lambda: service.output().count("configuration reloaded") >= 3)
    eventually(lambda: {service.ping("new").status for _ in range(8)} == {200}, WITHIN_A_SECOND)
    assert service.stop() == 0


def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(start: Starter, url: str) -> None:
    service = start("storage: {heartbeats_kept: 10000}\n" + monitors("job"), storage=url, options=("--workers", "2"))
    eventually(lambda: len(service.workers()) == 2)
    with Load(service) as load:
        eventually(lambda: len(load.acknowledged) > 300)
        first = service.workers()[0]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: first not in service.workers() and len(service.workers()) == 2)
        eventually(lambda: len(load.acknowledged) > 900)
        load.stop()
    counted = "heartbeat_exporter_commit_batch_size_sum"
    # A group may have been committed and not counted: the worker was killed between the two.
    eventually(lambda: service.received("job") >= len(load.acknowledged))
    assert service.metrics()[counted,] >= len(load.acknowledged) - 1000
    eventually(lambda: service.metrics()["heartbeat_exporter_lease_held",] == 1, DURATION / 1000 + 5)
    assert service.stop() == 0


def test_a_stop_of_all_workers_cuts_nothing(start: Starter, url: str, postgres: Postgres) -> None:
    service = start("storage: {heartbeats_kept: 10000}\n" + monitors("job"), storage=url, options=("--workers", "2"))
    with Load(service) as load:
        eventually(lambda: len(load.acknowledged) > 300)
        assert service.stop() == 0
        load.stop()
    assert load.cut == []
    found = [row[0] for row in postgres.execute("SELECT rid FROM heartbeats", url.rpartition("/")[2])]
    assert len(found) == len(set(found))
    assert load.acknowledged <= set(found)
