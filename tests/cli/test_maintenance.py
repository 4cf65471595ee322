"""`heartbeat-exporter maintenance`, run in this process on a database of its own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.cli.main import main
from exporter.resources.maintenances import MaintenanceAnswer
from tests.conftest import made


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """The URL of a database that a service has made."""
    return made(f"sqlite:///{tmp_path}/cli.db")


def run(storage: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage.url", storage])


def add(storage: str, *arguments: str) -> Result:
    return run(storage, "maintenance", "add", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("w", "--for", "2h"), "select monitors with"),
        (("w", "--for", "2h", "--all", "--monitor", "x"), "select monitors with"),
        (("w", "--all"), "--for or --until"),
        (("w", "--all", "--for", "2h", "--until", "2030-01-01 00:00"), "--for or --until"),
        (("w", "--all", "--for", "nonsense"), "is not a duration"),
        (("w", "--all", "--for", "0s"), "longer than 0s"),
        (("w", "--all", "--from", "tomorrow", "--for", "2h"), "is no moment"),
        (("w", "--all", "--from", "2030-01-02 00:00", "--until", "2030-01-01 00:00"), "must come after"),
        (("w", "--all", "--for", "2h", "--timezone", "Mars/X"), "is not a timezone"),
        (("w", "--all", "--for", "2h", "--rrule", "FREQ=SECONDLY"), "is no rule"),
        (("w", "--all", "--for", "32d", "--rrule", "FREQ=DAILY"), "31d at most"),
        (("", "--all", "--for", "2h"), "name: is empty"),
    ],
)
def test_bad_windows(storage: str, arguments: tuple[str, ...], said: str) -> None:
    done = add(storage, *arguments)
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output


def test_added_listed_ended(storage: str) -> None:
    assert "No maintenance" in run(storage, "maintenance", "list").output
    done = add(storage, "now", "--for", "2h", "--group", "a*", "--label", "team=x", "--description", "disks")
    assert "Added now: active for another 1 h 59 min" in done.output
    rule = ("--from", "2026-01-04 02:00", "--for", "3h", "--rrule", "FREQ=WEEKLY", "--timezone", "Europe/Rome")
    assert "Added sundays: " in add(storage, "sundays", *rule, "--monitor", "report-*").output
    later = add(storage, "later", "--from", "2099-01-01T00:00:00+01:00", "--until", "2099-01-02 00:00", "--all").output
    assert "2098, 23:00:00 UTC, for 1d1h" in later
    assert "already" in add(storage, "now", "--for", "1h", "--all").output
    text = run(storage, "maintenance", "list").output
    assert "groups a* and team=x" in text
    assert "tags report-*" in text
    found = {one["name"]: one for one in json.loads(run(storage, "maintenance", "list", "--json").output)}
    assert found["now"].keys() == {*MaintenanceAnswer.model_fields, "provisioned", "over_at"}, "the API's shape"
    assert found["now"]["running_until"] is not None
    assert found["sundays"]["rrule"] == "FREQ=WEEKLY"
    assert found["later"]["next_start_at"] == "2098-12-31T23:00:00.000Z"
    for name in ("now", "later"):
        assert run(storage, "maintenance", "end", name).stdout == f"Ended {name}.\n"
    assert "no maintenance 'now'" in run(storage, "maintenance", "end", "now").output
    assert "ended" in run(storage, "maintenance", "list", "--all").output
    assert [one["name"] for one in json.loads(run(storage, "maintenance", "list", "--json").output)] == ["sundays"]


def test_a_pause_with_an_end(storage: str) -> None:
    assert "no monitor" in run(storage, "monitor", "pause", "job", "--for", "2h").output
    run(storage, "monitor", "add", "job")
    for bad in ("soon", "0s"):
        assert run(storage, "monitor", "pause", "job", "--for", bad).exit_code == 1
    assert "job is in maintenance for 2 h, until" in run(storage, "monitor", "pause", "job", "--for", "2h").output
    assert "already" in run(storage, "monitor", "pause", "job", "--for", "3h").output
    assert "Resumed job" in run(storage, "monitor", "resume", "job").output
    assert "No maintenance" in run(storage, "maintenance", "list").output
