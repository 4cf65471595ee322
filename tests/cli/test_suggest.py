"""`suggest`: YAML with its evidence, or words that say why there is none; the monitor's page shows the same."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from exporter.cli.main import main
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.suggestion.suggestion import suggest as suggest_settings
from exporter.core.suggestion.ticks import ticks_between
from exporter.presentation.suggestion import evidence_lines, suggestion_yaml
from exporter.recording.statements import Pending
from exporter.web.suggestions import SuggestionTexts
from tests.conftest import START
from tests.support.replica import Replica


def suggest(url: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["suggest", *arguments, "--storage.url", url])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def record(replica: Replica, tag: str, *beats: Heartbeat) -> None:
    watched = replica.fleet.get(tag)
    assert watched is not None
    replica.recorder._commit([Pending(watched, beat) for beat in beats])


def nightly(count: int, took: int = 7 * MINUTE) -> list[Heartbeat]:
    """Runs at 3 in Rome, with their starts."""
    ticks = ticks_between("0 3 * * *", "Europe/Rome", START - 60 * DAY, START, count)
    return [
        Heartbeat(kind, tick + delay, f"r{tick}")
        for tick in ticks
        for kind, delay in ((Kind.START, 1000), (Kind.SUCCESS, 1000 + took))
    ]


@pytest.fixture
def jobs(replica: Replica) -> Replica:
    replica.add("nightly", timezone="Europe/Rome")
    replica.add("young")
    replica.add("random")
    record(replica, "nightly", *nightly(40))
    record(replica, "young", *nightly(3))
    at = START
    for pause in (1, 40, 3, 90, 2, 17, 300, 5, 44, 8, 120, 61, 2, 9):
        at += pause * HOUR
        record(replica, "random", Heartbeat(Kind.SUCCESS, at))
    return replica


def test_one_monitor(jobs: Replica, url: str) -> None:
    result = suggest(url, "nightly")
    assert result.exit_code == 0
    assert result.stderr.endswith("1 of 1 monitors have a suggestion. Nothing was changed.\n")
    (entry,) = YAML(typ="safe").load(result.stdout)["monitors"]
    assert entry == {
        "tag": "nightly",
        "schedule": "0 3 * * *",
        "timezone": "Europe/Rome",
        "degraded_after": "15m",
        "down_after": "30m",
        "max_runtime": "15m",
    }
    for text in (
        "# nightly: 40 heartbeats with a result, from 2026-",
        "# 40 of 40 starts fit the schedule; 40 of its 40 times have one.",
        "# Success after the scheduled time: median 7 min 1 s, 95 % up to 7 min 1 s, longest 7 min 1 s.",
        "# Runtimes of 40 runs: median 7 min, 95 % up to 7 min, longest 7 min.",
        "# In force: no schedule, degraded_after 5m, down_after 10m.",
    ):
        assert text in result.stdout
    definition = jobs.execute("SELECT schedule FROM monitors WHERE tag = 'nightly'")
    assert definition == [(None,)]  # nothing was applied


def test_all_monitors_and_those_of_which_nothing_can_be_said(jobs: Replica, url: str, tmp_path: Path) -> None:
    result = suggest(url)
    assert result.exit_code == 0
    assert "1 of 3 monitors" in result.stderr
    assert [entry["tag"] for entry in YAML(typ="safe").load(result.stdout)["monitors"]] == ["nightly"]
    assert "# young: no suggestion, too few heartbeats: 3 with a result are kept, and 10 are needed." in result.stdout
    assert "# No pattern: neither a cron expression nor a regular interval fits them" in result.stdout
    alone = suggest(url, "young")
    assert (alone.exit_code, YAML(typ="safe").load(alone.stdout)) == (0, None)


def test_what_is_in_force_already_is_said(jobs: Replica, url: str) -> None:
    settings = {"schedule": "0 3 * * *", "timezone": "Europe/Rome", "degraded_after": 15 * MINUTE}
    jobs.add("right", **settings, down_after=30 * MINUTE, max_runtime=15 * MINUTE)
    record(jobs, "right", *nightly(40))
    assert "max_runtime 15m. Nothing would change." in suggest(url, "right").stdout


def test_json(jobs: Replica, url: str) -> None:
    one = json.loads(suggest(url, "nightly", "--json").stdout)
    (entry,) = YAML(typ="safe").load(suggest(url, "nightly").stdout)["monitors"]
    assert {"tag": one["tag"], **one["settings"]} == entry
    assert (one["pattern"], one["heartbeats"], one["differs"]) == ("schedule", 40, True)
    assert one["evidence"][1] == "40 of 40 starts fit the schedule; 40 of its 40 times have one."
    assert one["first"].endswith("Z")
    assert one["first"] < one["last"]
    everything = json.loads(suggest(url, "--json").stdout)
    assert [(each["tag"], each["pattern"]) for each in everything] == [
        ("nightly", "schedule"),
        ("random", "none"),
        ("young", "too_few"),
    ]
    assert everything[0] == one
    assert everything[2]["settings"] == {}
    assert not everything[2]["differs"]


def test_an_interval_and_an_early_job(jobs: Replica, url: str) -> None:
    jobs.add("loop", schedule="0 * * * *")
    record(jobs, "loop", *(Heartbeat(Kind.SUCCESS, START + number * 613_000) for number in range(40)))
    loop = suggest(url, "loop").stdout
    (entry,) = YAML(typ="safe").load(loop)["monitors"]
    assert entry == {"tag": "loop", "every": "10m", "degraded_after": "5m", "down_after": "10m"}
    assert "The schedule in force does not fit: remove it." in loop
    for tag, lead in (("hasty", 30_000), ("hastier", 100_000)):
        jobs.add(tag, schedule="0 3 * * *")
        ticks = ticks_between("0 3 * * *", "UTC", START - 60 * DAY, START, 40)
        record(jobs, tag, *(Heartbeat(Kind.SUCCESS, tick - lead) for tick in ticks))
    hasty, hastier = suggest(url, "hasty").stdout, suggest(url, "hastier").stdout
    assert "early" not in YAML(typ="safe").load(hasty)["monitors"][0]
    assert "by up to 30 s, which early: 1m covers." in hasty
    assert "Nothing would change." in hasty
    assert YAML(typ="safe").load(hastier)["monitors"][0]["early"] == "3m"
    assert YAML(typ="safe").load(hastier)["monitors"][0]["schedule"] == "0 3 * * *"


def test_no_such_monitor(jobs: Replica, url: str) -> None:
    for tag, said in (("other", "there is no monitor 'other'"), ("a b", "is not a tag")):
        result = suggest(url, tag)
        assert result.exit_code == 1
        assert said in result.stderr
        assert "Traceback" not in result.output


def test_the_page_shows_the_same_and_looks_again_only_when_something_has_arrived(
    jobs: Replica, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = SuggestionTexts(jobs.history, jobs.fleet)
    watched = jobs.fleet.get("nightly")
    assert watched is not None
    shown = texts.of(watched)
    assert "monitors:\n" + shown.yaml == suggest(url, "nightly").stdout
    assert all(f"  # {line}\n" in shown.yaml for line in shown.lines)
    monkeypatch.setattr(jobs.history, "results", lambda *_: [])
    assert texts.of(watched) is shown
    jobs.beat("nightly")
    assert texts.of(watched).yaml == ""


def test_a_text_that_needs_quotes_is_still_yaml() -> None:

    for tag in ("1.0", "null", "-", "0x1F", "yes"):
        ticks = ticks_between("0 3 * * *", "UTC", START, START + 60 * DAY, 40)
        found = suggest_settings(Monitor(tag=tag), [Heartbeat(Kind.SUCCESS, tick) for tick in ticks])
        (entry,) = YAML(typ="safe").load("monitors:\n" + suggestion_yaml(found))["monitors"]
        assert (entry["tag"], entry["schedule"]) == (tag, "0 3 * * *")
        assert json.dumps(tag) in suggestion_yaml(found)
        assert all(line == line.strip() for line in evidence_lines(found))
