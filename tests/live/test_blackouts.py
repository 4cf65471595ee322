"""Outages of our own, with the real program: no false alarm by them, and none missed after them."""

import json
import signal
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from exporter.presentation.moments import parse_moment
from tests.live.conftest import Service, Starter, curl, eventually, monitors
from tests.support.receivers import Receiver, answer

pytestmark = pytest.mark.live
DEGRADED, DOWN = 4_000, 6_000
"""After so many milliseconds."""
FAST = monitors("job", degraded_after="4s", down_after="6s")
AWAY = 7.0
"""Seconds: over the deadline, and more than a restart."""


def alarmed(receiver: Receiver) -> str:
    return (
        FAST
        + "alerts: [{name: down, notify: [ops]}]\n"
        + f'notifiers: [{{name: ops, type: webhook, group_wait: 0s, url: "{receiver.url}/hook"}}]\n'
    )


def let_pass(seconds: float) -> None:
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, seconds + 1)


def kept(service: Service, query: str) -> list[Any]:
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        return database.execute(query).fetchall()


def blackouts(service: Service) -> list[tuple[int, int]]:
    return kept(service, "SELECT started_at, ended_at FROM blackouts ORDER BY id")


def history(service: Service) -> list[tuple[str, int]]:
    found = json.loads(curl(f"{service.url}/api/v1/monitors/job/transitions").body)["transitions"]
    return [(one["status"], parse_moment(one["at"])) for one in found]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_over_a_deadline_and_started_again(start: Starter, number: int) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(alarmed(receiver))
        service.ping("job")
        eventually(lambda: service.status("job") == "UP")
        service.stop(number, group=True)
        let_pass(AWAY)
        service.start_again()
        assert service.status("job") == "UP"
        (away,) = blackouts(service)
        assert away[1] - away[0] >= AWAY * 1000
        total = service.metrics()["heartbeat_exporter_blackout_seconds_total",]
        assert total == pytest.approx((away[1] - away[0]) / 1000)
        # The job is dead: what was left of its time before the outage is left of it after.
        eventually(lambda: service.status("job") == "DOWN")
        success = round(service.metrics()["heartbeat_last_success_timestamp_seconds", "job"] * 1000)
        gone = away[1] - max(away[0], success)  # a stamp may be older than the last heartbeat
        found = history(service)
        assert [status for status, _ in found] == ["NO_DATA", "UP", "DEGRADED", "DOWN"]
        assert [at for _, at in found[2:]] == [success + gone + after + 1 for after in (DEGRADED, DOWN)]
        eventually(lambda: receiver.received)
        (alarm,) = receiver.received
        assert alarm.json["event"] == "TRIGGERED"
        assert parse_moment(alarm.json["alerts"][0]["triggered_at"]) == found[-1][1]
        assert blackouts(service) == [away]


def test_paused_over_a_deadline(start: Starter) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(alarmed(receiver))
        service.ping("job")
        eventually(lambda: service.status("job") == "UP")
        service.send(signal.SIGSTOP, group=True)
        let_pass(AWAY)
        service.send(signal.SIGCONT, group=True)
        eventually(lambda: blackouts(service))
        assert service.ping("job").status == 200
        eventually(lambda: service.received("job") == 2)
        assert [status for status, _ in history(service)] == ["NO_DATA", "UP"]
        assert receiver.received == []
        assert "Traceback" not in service.output()


def test_one_of_two_replicas_is_enough(start: Starter) -> None:
    one, two = start(FAST, "one"), start(FAST, "two")
    one.ping("job")
    eventually(lambda: one.status("job") == two.status("job") == "UP")
    one.kill()
    let_pass(AWAY)
    one.start_again()
    assert blackouts(two) == []
    assert two.metrics()["heartbeat_exporter_blackout_seconds_total",] == 0
    eventually(lambda: one.status("job") == two.status("job") == "DOWN")


def test_strict_alarms_at_once(start: Starter) -> None:
    with Receiver(answer(200)) as receiver:
        service = start("after_outage: strict\n" + alarmed(receiver))
        service.ping("job")
        eventually(lambda: service.status("job") == "UP")
        service.kill()
        let_pass(AWAY)
        service.start_again()
        eventually(lambda: service.status("job") == "DOWN")
        success = round(service.metrics()["heartbeat_last_success_timestamp_seconds", "job"] * 1000)
        assert history(service)[-1] == ("DOWN", success + DOWN + 1)
        assert len(blackouts(service)) == 1
        eventually(lambda: receiver.received)


def test_a_database_that_was_locked_for_long(start: Starter) -> None:
    service = start(FAST)
    eventually(lambda: service.ping("job").status == 200 and service.status("job") == "UP")
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"), isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        let_pass(AWAY)
        held.execute("ROLLBACK")
    eventually(lambda: service.ping("job").status == 200)
    eventually(lambda: blackouts(service))
    assert [status for status, _ in history(service)] == ["NO_DATA", "UP"]


def lease_ends(service: Service, seconds: int) -> None:
    """The lease of the process that was killed ends in so many seconds; in more than 20 it would not be believed."""
    moment = round((time.time() + seconds) * 1000)
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"), timeout=30)) as database, database:
        database.execute("UPDATE leases SET expires_at = ?", (moment,))


def test_a_reload_changes_after_outage(start: Starter) -> None:
    service = start(FAST)
    eventually(lambda: service.ping("job").status == 200 and service.status("job") == "UP")
    service.kill()
    let_pass(AWAY)
    lease_ends(service, 15)  # nothing is evaluated before the reload
    service.start_again()
    assert service.status("job") == "UP"
    service.config.write_text("after_outage: strict\n" + FAST)
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    lease_ends(service, 0)
    eventually(lambda: service.status("job") == "DOWN")
    # Forgiven, it would be DOWN too by then, but not from a moment within the outage.
    success = round(service.metrics()["heartbeat_last_success_timestamp_seconds", "job"] * 1000)
    assert ("DOWN", success + DOWN + 1) in history(service)
