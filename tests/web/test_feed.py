"""The feed is Atom as RFC 4287 has it, whatever stands in an incident, and stays the same until something happens."""

import re
from xml.etree import ElementTree

import pytest
from falcon import testing

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.core.alerts.incident import IncidentState
from exporter.core.clock import MINUTE
from exporter.storage.repositories.incidents import Incidents
from tests.support.scenes import NOW, World, alarmed, every_status
from tests.support.troubles import NASTY, many, with_texts

ATOM = "{http://www.w3.org/2005/Atom}"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def world() -> World:
    world = alarmed()
    world.web = WebSettings(external_url="https://heartbeats.example.org/x?&'")
    return world


@pytest.fixture
def client(world: World) -> testing.TestClient:
    return testing.TestClient(world.app())


def read(text: str) -> ElementTree.Element:
    """Parsed, and held to what RFC 4287 asks for."""
    feed = ElementTree.fromstring(text)
    assert feed.tag == f"{ATOM}feed"
    for one in (feed, *feed.iter(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(one.findall(f"{ATOM}{name}")) == 1, name
        assert _DATE.fullmatch(one.findtext(f"{ATOM}updated") or "")
        assert re.match(r"(https?|urn):", one.findtext(f"{ATOM}id") or "")
        alternates = [link for link in one.findall(f"{ATOM}link") if link.get("rel") == "alternate"]
        assert len(alternates) == 1
        assert (alternates[0].get("href") or "").startswith("https://heartbeats.example.org")
    assert feed.findtext(f"{ATOM}author/{ATOM}name")
    ids = [entry.findtext(f"{ATOM}id") for entry in feed.iter(f"{ATOM}entry")]
    assert len(set(ids)) == len(ids)
    return feed


def entries(client: testing.TestClient) -> list[ElementTree.Element]:
    answer = client.simulate_get("/incidents.atom")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/atom+xml")
    return list(read(answer.text).iter(f"{ATOM}entry"))


def field(entry: ElementTree.Element, name: str) -> str:
    return entry.findtext(f"{ATOM}{name}") or ""


def test_one_entry_for_each_incident_with_its_timeline(client: testing.TestClient) -> None:
    found = entries(client)
    assert [field(entry, "title") for entry in found] == [
        "Resolved: Video transcoder is DOWN",
        "Resolved: Search reindex is DOWN",
        "Identified: Database dump, EU is DOWN",
        "Investigating: Invoice export is DOWN",
    ]
    dump = next(entry for entry in found if "Database dump" in field(entry, "title"))
    assert {one.get("term") for one in dump.iter(f"{ATOM}category")} == {"IDENTIFIED", "critical"}
    content = field(dump, "content")
    assert content.index("DOWN, failed.") < content.index("db1 refuses connections; the disk is full.")
    assert "Acknowledged by anna" in content
    assert dump.find(f"{ATOM}content").get("type") == "html"  # type: ignore[union-attr]
    link = dump.find(f"{ATOM}link")
    assert link is not None
    assert (link.get("href") or "").endswith("/incidents/2")


def test_nasty_texts_stay_texts(client: testing.TestClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # No database holds half of a surrogate pair, but other texts of a page may.
    monkeypatch.setattr(Incidents, "recent", with_texts(Incidents.recent, "half", "\ud83d"))
    monkeypatch.setattr(Incidents, "updates", with_texts(Incidents.updates, "half", "\ud83d"))
    world.troubles.acknowledged(1, NOW, "<x>", title=f"{NASTY} \x00\x0b\ufffehalf ]]> &amp;")
    world.troubles.tell(1, NOW, "\x1b[31m ]]> <b>half", "\x07")
    entry = next(entry for entry in entries(client) if "<script>" in field(entry, "title"))
    assert "]]> &amp;" in field(entry, "title")
    content = field(entry, "content")
    assert "&lt;b&gt;" in content
    assert "<b>\ufffd" not in content
    assert "<script>" not in content


def test_an_entry_keeps_its_id_and_tells_that_it_changed(client: testing.TestClient, world: World) -> None:
    before = {field(entry, "id"): field(entry, "updated") for entry in entries(client)}
    world.clock.moment += MINUTE
    world.incidents.update(1, IncidentState.RESOLVED, "Over.", "anna")
    world.web = WebSettings(external_url="https://heartbeats.example.org/elsewhere")
    after = {field(entry, "id"): field(entry, "updated") for entry in entries(client)}
    assert set(after) == set(before)
    assert len([id for id in after if after[id] > before[id]]) == 1
    assert not [id for id in after if after[id] < before[id]]
    other = alarmed(NOW + MINUTE)
    other.web = world.web
    assert not set(before) & {field(entry, "id") for entry in entries(testing.TestClient(other.app()))}


def test_what_did_not_change_is_not_sent_again(client: testing.TestClient, world: World) -> None:
    first = client.simulate_get("/incidents.atom")
    tag = first.headers["etag"]
    world.clock.moment += MINUTE
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.simulate_get("/incidents.atom", headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "no-store" not in first.headers["cache-control"]
    assert first.headers["x-content-type-options"] == "nosniff"
    zipped = client.simulate_get("/incidents.atom", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["etag"] != tag
    assert "Accept-Encoding" in zipped.headers["vary"]
    world.incidents.update(1, None, "News.", "anna")
    for given in (tag, "", '"', "\xff", "W/"):
        assert client.simulate_get("/incidents.atom", headers={"If-None-Match": given}).status_code == 200


def test_without_incidents_it_is_empty_and_good() -> None:
    world = every_status()
    world.web = WebSettings(external_url="https://heartbeats.example.org")
    client = testing.TestClient(world.app())
    assert entries(client) == []
    many(world.troubles, world.fleet.all(), NOW)
    assert len(entries(client)) == 50


def test_it_is_guarded_and_away_with_the_database(client: testing.TestClient, world: World) -> None:
    world.break_storage()
    answer = client.simulate_get("/incidents.atom")
    assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
    world.web = WebSettings(auth=AuthSettings(token=Secret("SESAME")))
    assert client.simulate_get("/incidents.atom").status_code == 401
