"""The last refusals: who, what and why, and never a secret."""

import json
import logging

import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.errors import InvalidValue
from exporter.core.fleet import Fleet
from exporter.core.monitor import check_tag
from exporter.core.secret import make_secret
from exporter.core.telemetry import RejectReason
from exporter.ingest.credentials import Credentials
from exporter.ingest.guesses import Guesses
from exporter.ingest.refusals import KEPT, Refusals, looks_like_tag
from exporter.web.pages.refusals import REASONS
from tests.conftest import START, ManualClock
from tests.core.test_fleet import watched
from tests.support.scenes import World, every_status


@pytest.mark.parametrize(
    "tag",
    ["nightly-backup", "db.dump_2", "a", "Job-7", "backup-2026-11-24", "postgres16-replica", "etl.load.customers"],
)
def test_tags_are_shown(tag: str) -> None:
    assert looks_like_tag(tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "<script>",
        "x" * 129,
        "5f0c1b9e-3d7a-4c1e-9f5b-0a1b2c3d4e5f",
        "d41d8cd98f00b204e9800998ecf8427e",
        "hbx_9aZ3kQ7bT1mX5cV8",
        "abcdefghijklmnopqrstuvwxyzabcdef",
    ],
)
def test_what_could_be_a_secret_or_is_no_tag_is_not_shown(text: str) -> None:
    assert not looks_like_tag(text)


def test_hardly_any_generated_secret_looks_like_a_tag() -> None:
    """One without any digit does, if a separator makes short words of it."""
    assert sum(looks_like_tag(make_secret()) for _ in range(1000)) < 20


@given(st.text(max_size=40))
def test_only_what_could_be_a_tag_is_shown(text: str) -> None:
    if looks_like_tag(text):
        try:
            check_tag(text)
        except InvalidValue:
            pytest.fail("it is not a tag")


def test_a_secret_in_the_place_of_the_tag_is_not_shown() -> None:
    fleet = Fleet()
    fleet.update([watched(1)])
    credentials = Credentials(fleet, b"k" * 32)
    assert credentials.shown_tag("job1", "whatever") == "job1"
    assert credentials.shown_tag("job2", "whatever") == "job2"
    assert credentials.shown_tag("open-sesame", "job1") == ""
    assert credentials.shown_tag("open-sesame", "") == ""


def test_the_last_are_kept_newest_first(clock: ManualClock) -> None:
    refusals = Refusals(clock, Guesses(clock))
    for number in range(KEPT + 5):
        clock.advance(1)
        refusals.note(RejectReason.UNKNOWN_TAG, "192.0.2.1", f"job{number}")
    recent = refusals.recent()
    assert (len(recent), recent[0].tag, recent[-1].tag) == (KEPT, f"job{KEPT + 4}", "job5")
    assert recent[0].at == START + KEPT + 5


def test_a_refusal_is_logged_with_its_fields(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(clock, Guesses(clock))
    with caplog.at_level(logging.INFO):
        refusals.note(RejectReason.WRONG_SECRET, "192.0.2.1", "job")
        refusals.note(RejectReason.UNKNOWN_TAG, "192.0.2.2", "")
    first, second = caplog.records
    assert first.getMessage() == "heartbeat refused: wrong secret, from 192.0.2.1"
    assert (vars(first)["tag"], vars(first)["address"], vars(first)["reason"]) == ("job", "192.0.2.1", "wrong_secret")
    assert "tag" not in vars(second)


def test_each_reason_has_words() -> None:
    assert set(REASONS) == set(RejectReason)


def refused(world: World) -> World:
    world.refusals.note(RejectReason.WRONG_SECRET, "192.0.2.1", world.fleet.all()[0].monitor.tag)
    world.refusals.note(RejectReason.UNKNOWN_TAG, "", "a<b")
    return world


def test_the_page_lists_them() -> None:
    world = refused(every_status())
    client = testing.TestClient(world.app())
    page = client.simulate_get("/refusals", headers={"Accept": "text/html"})
    assert page.status_code == 200
    known = world.fleet.all()[0].monitor.tag
    assert f'<a href="/monitors/{known}">{known}</a>' in page.text
    assert "a&lt;b" in page.text
    assert "a local socket" in page.text
    assert "The secret is not this monitor" in page.text
    assert "No heartbeat was refused." in testing.TestClient(World().app()).simulate_get("/refusals").text


def test_the_api_lists_them() -> None:
    found = testing.TestClient(refused(every_status()).app()).simulate_get("/api/v1/refusals").json
    assert [one["reason"] for one in found["refusals"]] == ["unknown_tag", "wrong_secret"]
    assert json.dumps(found["since"])
