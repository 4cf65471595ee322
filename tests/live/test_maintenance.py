"""Maintenance and uptime with the real program: added by one process, in force in another within a second."""

import json

import pytest

from exporter.presentation.moments import parse_moment
from tests.live.conftest import Service, Starter, curl, eventually, monitors

pytestmark = pytest.mark.live
FAST = monitors("job", "other", degraded_after="8s", down_after="9s")
WITHIN_A_SECOND = 2.0


def past(service: Service, tag: str) -> list[tuple[str, int]]:
    found = json.loads(curl(f"{service.url}/api/v1/monitors/{tag}/transitions").body)["transitions"]
    return [(one["status"], parse_moment(one["at"])) for one in found]


def windows(service: Service) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(curl(f"{service.url}/api/v1/maintenances").body)["maintenances"]
    return found


def test_a_pause_with_an_end(start: Starter) -> None:
    service = start(FAST)
    for tag in ("job", "other"):
        service.ping(tag)
        eventually(lambda tag=tag: service.status(tag) == "UP")
    said = service.cli("monitor", "pause", "job", "--for", "5s")
    assert "job is in maintenance for 5 s, until" in said
    eventually(lambda: service.status("job") == "MAINTENANCE", WITHIN_A_SECOND)
    (shown,) = windows(service)
    assert shown["monitors"] == ["job"]
    assert "pause job" in curl(f"{service.url}/").body
    assert "pause job" in curl(f"{service.url}/monitors/job").body
    assert "pause job" not in curl(f"{service.url}/monitors/other").body
    # It resumes by itself, and then is late like any other.
    eventually(lambda: service.status("other") == "DOWN")
    eventually(lambda: service.status("job") == "DOWN")
    found = past(service, "job")
    assert [status for status, _ in found] == ["NO_DATA", "UP", "MAINTENANCE", "UP", "DEGRADED", "DOWN"]
    began, ended, late, down = (at for _, at in found[2:])
    assert ended == parse_moment(str(shown["running_until"])) == parse_moment(str(shown["starts_at"])) + 5_000
    assert 0 <= began - parse_moment(str(shown["starts_at"])) < 1_000
    success = round(service.metrics()["heartbeat_last_success_timestamp_seconds", "job"] * 1000)
    assert (late, down) == (success + 13_001, success + 14_001)
    assert windows(service) == []
    assert "No maintenance" in service.cli("maintenance", "list")


def test_windows_by_hand_and_of_the_file(start: Starter) -> None:
    service = start(FAST)
    service.ping("job")
    service.cli("maintenance", "add", "upgrade", "--for", "2h", "--all", "--description", "New disks")
    eventually(lambda: service.status("job") == service.status("other") == "MAINTENANCE", WITHIN_A_SECOND)
    listed = service.cli("maintenance", "list")
    assert "upgrade  active for another 1 h 59 min" in listed
    assert "every monitor" in listed
    assert "New disks" in curl(f"{service.url}/").body
    service.cli("maintenance", "end", "upgrade")
    eventually(lambda: service.status("other") == "NO_DATA", WITHIN_A_SECOND)
    assert [one["name"] for one in json.loads(service.cli("maintenance", "list", "--all", "--json"))] == ["upgrade"]
    always = "{name: always, monitors: [j*], starts_at: '2026-01-01 00:00', duration: 25h, rrule: FREQ=DAILY}"
    service.config.write_text(f"{FAST}maintenances: [{always}]\n")
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    eventually(lambda: service.status("job") == "MAINTENANCE", WITHIN_A_SECOND)
    assert service.status("other") == "NO_DATA"
    service.config.write_text(FAST)
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    eventually(lambda: service.status("job") != "MAINTENANCE", WITHIN_A_SECOND)


def test_uptime_by_the_transitions(start: Starter) -> None:
    service = start(monitors("job", "other"))
    service.ping("job")
    eventually(lambda: service.status("job") == "UP")
    assert service.metrics()["heartbeat_uptime_ratio", "job", "24h"] == 1
    assert ("heartbeat_uptime_ratio", "other", "24h") not in service.metrics()
    service.ping("job", "/fail")
    eventually(lambda: service.status("job") == "DOWN")
    service.ping("job")
    eventually(lambda: service.status("job") == "UP")

    def right() -> bool:
        """What is shown is worked out from the history, to the millisecond. A slow restart is a blackout, left out."""
        before = json.loads(curl(f"{service.url}/api/v1/monitors/job").body)
        found = past(service, "job")
        last = dict(found[1:])
        first, fell, rose = found[1][1], last["DOWN"], last["UP"]
        age = before["age_seconds"]
        now = round(parse_moment(before["last_success_at"]) + age * 1000)
        outages = json.loads(curl(f"{service.url}/api/v1/blackouts").body)["blackouts"]
        away = [(parse_moment(one["started_at"]), parse_moment(one["ended_at"])) for one in outages]

        def lasted(begin: int, end: int) -> int:
            return end - begin - sum(max(0, min(end, until) - max(begin, since)) for since, until in away)

        expected = 1 - lasted(fell, rose) / lasted(first, now)
        assert before["uptime"]["24h"] == before["uptime"]["90d"] == pytest.approx(expected, abs=1e-6)
        return 0 < before["uptime"]["24h"] < 1

    eventually(right)
    shown = service.metrics()["heartbeat_uptime_ratio", "job", "7d"]
    assert 0 < shown < 1
    service.kill()
    service.start_again()
    eventually(right)
