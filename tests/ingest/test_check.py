"""How a monitor looks as a check: every status, and every way in which a monitor says what it expects."""

import json
from typing import Any

import pytest

from exporter.core.clock import HOUR, MINUTE
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import HeartbeatState, Kind, Run
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus
from exporter.ingest.dialects.healthchecks.check import CheckWriter, channel_id, channel_names, expectation

UUID = "0b6f9d3a-1111-4222-8333-0123456789ab"
AT = 1_790_000_000_000


def shown(
    status: Status,
    reason: Reason = Reason.ON_TIME,
    *,
    version: int = 3,
    outcome: Kind | None = Kind.SUCCESS,
    runs: tuple[Run, ...] = (),
    at: int = AT,
    readonly: bool = False,
    base: str = "https://hb",
    **options: Any,
) -> dict[str, Any]:
    success, failure = (at if outcome is kind else None for kind in (Kind.SUCCESS, Kind.FAILURE))
    state = HeartbeatState(3, last_success_at=success, last_failure_at=failure, last_outcome=outcome, runs=runs)
    watched = FleetMonitor(1, Monitor(tag="job", **options), b"", CurrentStatus(status, reason, at), state)
    writer = CheckWriter(version, base, [(channel_id(name), name) for name in ("ops", "mail")])
    return dict(json.loads(writer.write(watched, UUID, readonly)))


@pytest.mark.parametrize(
    ("status", "reason", "outcome", "text"),
    [
        (Status.UP, Reason.ON_TIME, Kind.SUCCESS, "up"),
        (Status.DEGRADED, Reason.LATE, Kind.SUCCESS, "grace"),
        (Status.DEGRADED, Reason.FAILING, Kind.FAILURE, "grace"),
        (Status.DOWN, Reason.MISSED, Kind.SUCCESS, "down"),
        (Status.DOWN, Reason.FAILED, Kind.FAILURE, "down"),
        (Status.NO_DATA, Reason.NEVER_RECEIVED, None, "new"),
        (Status.PAUSED, Reason.PAUSED, Kind.SUCCESS, "paused"),
        (Status.MAINTENANCE, Reason.MAINTENANCE, Kind.SUCCESS, "up"),
        (Status.MAINTENANCE, Reason.MAINTENANCE, Kind.FAILURE, "down"),
        (Status.MAINTENANCE, Reason.MAINTENANCE, None, "new"),
    ],
)
def test_status(status: Status, reason: Reason, outcome: Kind | None, text: str) -> None:
    run = (Run("", AT),)
    for version in (1, 2, 3):
        assert shown(status, reason, version=version, outcome=outcome)["status"] == text
        started = shown(status, reason, version=version, outcome=outcome, runs=run)
        assert started["started"] is True
        assert started["status"] == ("started" if version == 1 and status is not Status.PAUSED else text)
    overrun = shown(Status.DOWN, Reason.OVERRUN, version=1, runs=run)
    assert overrun["status"] == "down"


@pytest.mark.parametrize(
    ("options", "timeout", "grace"),
    [
        ({}, 300, 300),
        ({"every": HOUR}, 3900, 300),
        ({"every": HOUR, "degraded_after": 0, "down_after": MINUTE}, 3600, 60),
        ({"degraded_after": 0, "down_after": 1}, 1, 1),
        ({"every": 1500, "degraded_after": 0, "down_after": 1500}, 2, 2),
    ],
)
def test_what_is_expected(options: dict[str, Any], timeout: int, grace: int) -> None:
    assert expectation(Monitor(tag="job", **options)) == (timeout, grace)
    check = shown(Status.UP, **options)
    assert (check["timeout"], check["grace"], "schedule" in check) == (timeout, grace, False)


def test_next_ping() -> None:
    assert shown(Status.UP)["next_ping"] == "2026-09-21T14:18:20+00:00"  # five minutes, in which it is not late
    assert shown(Status.UP, every=HOUR, degraded_after=0)["next_ping"] == "2026-09-21T15:13:20+00:00"
    assert shown(Status.UP, schedule="0 3 * * *", timezone="Europe/Rome")["next_ping"] == "2026-09-22T01:00:00+00:00"
    for status in (Status.DOWN, Status.PAUSED, Status.NO_DATA, Status.MAINTENANCE):
        assert shown(status)["next_ping"] is None
    far = shown(Status.UP, at=253_402_300_799_000, every=HOUR)
    assert (far["last_ping"], far["next_ping"]) == ("9999-12-31T23:59:59+00:00", None)
    assert shown(Status.UP, schedule="not a schedule")["next_ping"] is None  # as a damaged database may have it


def test_channels_that_are_gone_are_left_out() -> None:
    assert shown(Status.UP, labels=(("channels", "gone,ops"),))["channels"] == channel_id("ops")
    everything = ",".join(sorted(map(channel_id, ("ops", "mail"))))
    assert shown(Status.UP, labels=(("channels", "*"),))["channels"] == everything
    many = [(channel_id(name), name) for name in (f"notifier of the team {number}" for number in range(20))]
    assert channel_names("*", many) == "*"  # their names are longer than a label may be


def test_what_a_client_writes_cannot_leave_its_string() -> None:
    evil = '"}], "uuid": "\\\n\u2028\ud83d</script>'
    check = shown(Status.UP, name=evil, description=evil, labels=(("tags", evil),), base='https://a"b')
    assert (check["name"], check["desc"], check["tags"]) == (evil, evil, evil)
    assert check["uuid"] == UUID
    readonly = shown(Status.UP, readonly=True)
    assert UUID not in json.dumps(readonly)
    assert "channels" not in readonly
