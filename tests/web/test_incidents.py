"""Incidents and alerts on the pages: what people are told, and that it is only ever text."""

import re

import pytest
from falcon import testing
from pydantic import ValidationError

from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import MAX_AUTHOR, MAX_TEXT, IncidentState, clean_author, clean_text
from exporter.core.alerts.notification import Hold
from exporter.core.clock import MINUTE
from exporter.core.errors import InvalidValue
from exporter.core.fleet import FleetMonitor
from exporter.presentation.statuses import held, undelivered
from exporter.storage.repositories.incidents import Incidents
from tests.support.scenes import NOW, World, alarmed, every_status, much_trouble
from tests.support.troubles import NASTY, with_texts

HTML = {"Accept": "text/html"}


@pytest.fixture
def world() -> World:
    return alarmed()


@pytest.fixture
def client(world: World) -> testing.TestClient:
    return testing.TestClient(world.app(), headers=HTML)


def text_of(html: str) -> str:
    """What a person reads, on one line."""
    return " ".join(re.sub(r"<(style|script|title|svg)\b.*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def page(client: testing.TestClient, path: str, code: int = 200) -> str:
    answer = client.simulate_get(path)
    assert answer.status_code == code
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    return answer.text


def watched(world: World, tag: str) -> FleetMonitor:
    found = world.fleet.get(tag)
    assert found is not None
    return found


def test_open_incidents_stand_above_the_monitors(client: testing.TestClient) -> None:
    html = page(client, "/")
    told = text_of(html)
    assert told.index("Open incidents") < told.index("Needs attention")
    assert "Critical Invoice export is DOWN for 1 h invoice-export Investigating Alert backup-missed (critical)" in told
    assert "for 57 min pg-dump-eu Identified acknowledged by anna db1 refuses connections" in told
    assert told.index("Invoice export is DOWN") < told.index("Database dump, EU is DOWN"), "nobody looks after that one"
    assert 'href="/incidents/1"' in html
    assert "Video transcoder is DOWN" not in told
    filtered = text_of(page(client, "/?status=UP"))
    assert "2 open incidents" in filtered
    assert "Invoice export is DOWN" not in filtered


def test_alerts_that_are_on_stand_at_their_monitor(client: testing.TestClient) -> None:
    html = page(client, "/")
    assert 'title="Firing alerts: backup-missed, anything-late"' in html
    assert "backup-missed +1" in text_of(html)
    assert html.count('class="firing"') == 3


def test_without_alerting_nothing_is_in_the_way() -> None:
    client = testing.TestClient(every_status().app(), headers=HTML)
    told = text_of(page(client, "/"))
    assert "ncident" not in told.replace("Heartbeat Exporter Incidents", "")
    assert "Alerts" not in text_of(page(client, "/monitors/pg-dump-eu"))
    told = text_of(page(client, "/incidents"))
    assert "No open incident" in told
    assert "create_incident: true" in told


def test_a_dead_switch_does_not_hide_the_monitors() -> None:
    client = testing.TestClient(much_trouble().app(), headers=HTML)
    html = page(client, "/")
    assert html.count('<li class="incident') == 5
    assert "all 11 open" in html
    assert "Info" not in text_of(html).partition("Needs attention")[0]


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        ({}, ""),
        ({"ops": 1}, "1 notification to ops could not be delivered"),
        ({"ops": 3}, "3 notifications to ops could not be delivered"),
        ({"a": 1, "ops": 3}, "3 notifications to ops and 1 to a could not be delivered"),
        ({"a": 1, "b": 1, "c": 1200}, "1,200 notifications to c, 1 to a and 1 to b could not be delivered"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "4 notifications to d and 6 to 3 others could not be delivered"),
    ],
)
def test_who_could_not_be_told(dead: dict[str, int], said: str) -> None:
    assert undelivered(dead) == said


def test_what_could_not_be_delivered_is_told(client: testing.TestClient, world: World) -> None:
    assert "Notifications failed" not in page(client, "/")
    world.troubles.dead_letters({"ops": 3})
    told = text_of(page(client, "/"))
    assert "3 notifications to ops could not be delivered" in told
    assert "heartbeat-exporter notification list" in told
    assert "heartbeat-exporter notification retry --dead" in told


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("", ""),
        ("a", "a waits for 2 min, as its receiver asked"),
        ("abc", "a waits for 2 min, b waits for 2 min and c waits for 2 min, as their receivers asked"),
        ("abcd", "a waits for 2 min, b waits for 2 min and 2 others wait, as their receivers asked"),
    ],
)
def test_which_notifiers_wait(names: str, said: str) -> None:
    assert held({name: Hold(name, 0, 120_000, "busy") for name in names}, 0) == said


def test_a_hold_is_told(client: testing.TestClient, world: World) -> None:
    assert "Notifications delayed" not in page(client, "/")
    world.troubles.hold(Hold("ops", 0, world.clock.now() + 120_000, "busy"))
    assert "Notifications delayed. ops waits for 2 min, as its receiver asked." in text_of(page(client, "/"))


def test_a_database_that_is_away_leaves_the_pages_up(client: testing.TestClient, world: World) -> None:
    world.break_storage()
    for path in ("/", "/monitors/pg-dump-eu"):
        told = text_of(page(client, path))
        assert "Database unavailable." in told
        assert "Database dump, EU" in told
    assert "Database unavailable." in page(client, "/incidents")
    assert client.simulate_get("/incidents/1").headers["retry-after"]
    page(client, "/incidents/1", 503)


def test_the_page_of_an_incident(client: testing.TestClient) -> None:
    html = page(client, "/incidents/2")
    told = text_of(html)
    assert "<title>Identified: Database dump, EU is DOWN" in html
    assert "Identified , open for 57 min" in told
    assert "Impact Critical" in told
    assert "Duration 57 min so far" in told
    assert "Acknowledged by anna, 41 min ago" in told
    assert told.index("Alert backup-missed (critical): DOWN, failed.") < told.index("db1 refuses connections")
    assert 'href="/monitors/pg-dump-eu"' in html
    assert "57 min ago backup-missed Critical Down: failed 57 min so far" in told
    assert "incident ack" not in told, "somebody has"
    assert "incident resolve 2" in told
    assert "incident ack 1" in page(client, "/incidents/1")


def test_a_resolved_one_tells_how_long_it_took(client: testing.TestClient, world: World) -> None:
    told = text_of(page(client, "/incidents/3"))
    assert "Resolved 7 h ago , after 2 h" in told
    assert "incident resolve" not in told
    assert "stays open" not in told
    world.fleet.update((), [watched(world, "search-reindex").id])
    html = page(client, "/incidents/3")
    assert "search-reindex (removed)" in html
    assert 'href="/monitors/search-reindex"' not in html


def test_one_that_a_person_resolved_while_its_alert_goes_on(client: testing.TestClient) -> None:
    told = text_of(page(client, "/incidents/4"))
    assert (
        "An alert is still firing. It stays open but sends no reminders. The next new alert opens another incident."
        in told
    )


def test_what_people_write_is_text(client: testing.TestClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    html = page(client, "/incidents/3")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34; &#39;single&#39; 👩‍🚒🔥 {{ 7*7 }}" in html
    assert "nasty &lt;b&gt;&amp;amp;&lt;/b&gt; author" in html
    # No database holds half of a surrogate pair, but other texts of a page may.
    for method in ("recent", "find", "of_monitor"):
        monkeypatch.setattr(Incidents, method, with_texts(getattr(Incidents, method), "half", "\ud83d"))
    world.troubles.acknowledged(1, NOW, "<i>x</i> half", title=NASTY)
    for path in ("/", "/incidents", "/incidents/1", "/monitors/invoice-export", "/incidents.atom"):
        assert "<script>alert" not in client.simulate_get(path).text
        assert "<i>x" not in client.simulate_get(path).text


def test_past_incidents_are_paged() -> None:
    client = testing.TestClient(much_trouble().app(), headers=HTML)
    seen: list[str] = []
    path = "/incidents"
    sizes = []
    while path:
        html = page(client, path)
        found = re.findall(r'<a href="/incidents/(\d+)">', html)
        sizes.append(len(found))
        seen += found
        older = re.search(r'rel="next" href="([^"]+)"', html)
        path = older[1] if older else ""
        assert ("← Newest" in html) == (len(sizes) > 1)
    assert sizes == [11 + 50, 50, 20]
    assert len(set(seen)) == 131
    assert "No older incidents" in page(client, "/incidents?before=1")
    for nonsense in ("0", "-1", "x", "9" * 40, "1%00"):
        assert len(re.findall(r'<li class="incident', page(client, f"/incidents?before={nonsense}"))) == 61


@pytest.mark.parametrize("id", ["0", "00", "-1", "99", "1x", "٣", "9" * 18, "9" * 40, "%00", "1.5", "%F0%9F%94%A5"])
def test_an_incident_that_is_not_there(client: testing.TestClient, id: str) -> None:
    assert "incident" in page(client, f"/incidents/{id}", 404)
    assert client.simulate_get(f"/api/v1/incidents/{id}").status_code == 404


def test_a_monitors_page_has_its_alerts_and_incidents(client: testing.TestClient) -> None:
    html = page(client, "/monitors/pg-dump-eu")
    told = text_of(html)
    assert "Open incident Critical Database dump, EU is DOWN" in told
    assert "57 min so far" in told
    assert "1 h ; the rule was changed" in told
    assert 'href="/incidents/2">#2' in html
    past = text_of(page(client, "/monitors/search-reindex"))
    assert "Past incidents Resolved Search reindex is DOWN 9 h ago , for 2 h search-reindex" in past
    assert "Open incident" not in past


def test_every_page_names_the_feed_and_refreshes_itself(client: testing.TestClient) -> None:
    for path in ("/", "/incidents", "/incidents/1", "/monitors/pg-dump-eu", "/nothing"):
        html = client.simulate_get(path).text
        assert '<link rel="alternate" href="/incidents.atom" type="application/atom+xml" title="Incidents">' in html
    for path in ("/incidents", "/incidents/1"):
        html = page(client, path)
        assert "live." in html
        assert 'http-equiv="refresh"' in html
        assert "data-live" in html


def test_what_is_shown_of_each_impact(world: World) -> None:
    world = every_status()
    for tag, severity in zip(("new-etl", "db-vacuum", "pg-dump-eu"), Severity, strict=True):
        world.troubles.open(watched(world, tag), "It", severity, NOW - MINUTE, "x")
    html = page(testing.TestClient(world.app(), headers=HTML), "/incidents")
    badges = re.findall(r'<span class="badge i-(\w+)"><svg.*?</svg>(\w+)', html, re.DOTALL)
    assert badges == [("critical", "Critical"), ("warning", "Warning"), ("info", "Info")]
    shapes = re.findall(r'<span class="badge i-\w+"><svg[^>]*>\s*<(\w+)', html)
    assert len(set(re.findall(r'<span class="badge i-\w+">(<svg.*?</svg>)', html, re.DOTALL))) == 3, shapes


def test_no_page_can_be_hidden_by_the_metrics(world: World) -> None:
    from exporter.config.models import WebSection
    from exporter.web.app import routes
    from exporter.web.pages.rendering import Assets, Pages

    assets = Assets()
    for route in routes(world.parts(), assets, Pages(assets, "1")):
        if route.handler != "metrics":
            path = re.sub(r"\{.*?\}", "x", route.template)
            with pytest.raises(ValidationError, match=r"must be a path|is the path of another page"):
                WebSection(telemetry_path=path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  plain  ", "plain"),
        ("two\r\nlines\n", "two\nlines"),
        ("tab\tand\u00a0no-break", "tab and no-break"),
        ("bell\x07 escape\x1b[31m null\x00", "bell escape[31m null"),
        ("turned \u202eround\u202c", "turned round"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("👩‍🚒 नमस्ते", "👩‍🚒 नमस्ते"),
    ],
)
def test_texts_are_cleaned(given: str, kept: str) -> None:
    assert clean_text(given) == kept


def test_texts_have_an_end_and_a_beginning() -> None:
    assert len(clean_text("x" * MAX_TEXT)) == MAX_TEXT
    assert clean_author(" anna \n b ") == "anna b"
    for bad in (
        lambda: clean_text("x" * (MAX_TEXT + 1)),
        lambda: clean_author("x" * (MAX_AUTHOR + 1)),
        lambda: clean_text("x" + "\n" * MAX_TEXT),  # the API's schema refuses it too
        lambda: clean_author("x" + "\x00" * MAX_AUTHOR),
    ):
        with pytest.raises(InvalidValue, match="at most"):
            bad()
    for empty in (lambda: clean_text(" \n\x00\t"), lambda: clean_author("\u202e")):
        with pytest.raises(InvalidValue, match="is empty"):
            empty()


def test_every_state_has_its_word_and_colour(client: testing.TestClient) -> None:
    from exporter.presentation.reasons import RESOLVE_REASONS
    from exporter.presentation.statuses import IMPACTS, STATES
    from exporter.web.pages.rendering import HERE

    style = (HERE / "static" / "style.css").read_text()
    assert set(STATES) == set(IncidentState)
    assert set(IMPACTS) == set(Severity)
    assert set(RESOLVE_REASONS) == set(type(next(iter(RESOLVE_REASONS))))
    for state in IncidentState:
        assert f".t-{state}.changed" in style
    for severity in Severity:
        assert f".i-{severity} " in style
