"""The API does what its description and docs/api.md say, whatever it is sent."""

import re
from pathlib import Path

import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.web.openapi import OPERATIONS, describe
from exporter.web.rendering import Assets, Pages
from tests.web_fakes import World, every_status

TOKEN = "SESAME"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
DOCS = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()


@pytest.fixture
def world() -> World:
    world = every_status()
    world.web = WebSettings(auth=AuthSettings(token=Secret(TOKEN)))
    return world


@pytest.fixture
def client(world: World) -> testing.TestClient:
    return testing.TestClient(world.app(), headers=HEADERS)


def test_monitors_are_listed_selected_and_paged(client: testing.TestClient) -> None:
    everything = client.simulate_get("/api/v1/monitors").json["monitors"]
    assert len(everything) == 11
    tags = [one["tag"] for one in everything]
    assert tags == sorted(tags)
    down = client.simulate_get("/api/v1/monitors", params={"status": "down"}).json["monitors"]
    assert {one["status"] for one in down} == {"DOWN"}
    assert [one["tag"] for one in client.simulate_get("/api/v1/monitors?group=Edge").json["monitors"]] == [
        "cdn-purge.staging",
        "tls-renewal",
    ]
    assert len(client.simulate_get("/api/v1/monitors?q=VACUUM").json["monitors"]) == 1
    paged, cursor = [], ""
    while True:
        page = client.simulate_get("/api/v1/monitors", params={"limit": "4", **({"cursor": cursor} if cursor else {})})
        paged += [one["tag"] for one in page.json["monitors"]]
        cursor = page.json["next_cursor"]
        if not cursor:
            break
    assert paged == tags


def test_one_monitor_and_its_history(client: testing.TestClient) -> None:
    found = client.simulate_get("/api/v1/monitors/pg-dump-eu").json
    assert (found["status"], found["reason"], found["last_exit_code"]) == ("DOWN", "failed", 3)
    transitions = client.simulate_get("/api/v1/monitors/pg-dump-eu/transitions").json["transitions"]
    assert [one["status"] for one in transitions] == ["UP", "DOWN", "UP", "DOWN"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["at"]) for one in transitions)
    since = client.simulate_get("/api/v1/monitors/pg-dump-eu/transitions", params={"since": transitions[2]["at"]})
    assert [one["status"] for one in since.json["transitions"]] == ["UP", "DOWN"]
    beats = client.simulate_get("/api/v1/monitors/pg-dump-eu/heartbeats?limit=2").json["heartbeats"]
    assert [one["kind"] for one in beats] == ["failure", "start"]
    for path in ("", "/transitions", "/heartbeats"):
        assert client.simulate_get(f"/api/v1/monitors/nobody{path}").status_code == 404


def test_a_monitor_is_added_paused_and_removed(client: testing.TestClient, world: World) -> None:
    added = client.simulate_post("/api/v1/monitors", json={"tag": "fresh", "down_after": "1h", "labels": {"a": "b"}})
    assert added.status_code == 201
    assert added.headers["location"] == "/api/v1/monitors/fresh"
    assert added.json["ping_url"].endswith(f"/ext/heartbeat/fresh:{added.json['secret']}")
    assert world.monitors.secrets["fresh"] == added.json["secret"]
    watched = world.fleet.get("fresh")
    assert watched is not None
    assert (watched.monitor.down_after, watched.monitor.labels) == (3_600_000, (("a", "b"),))
    assert client.simulate_post("/api/v1/monitors", json={"tag": "fresh"}).status_code == 409
    assert client.simulate_patch("/api/v1/monitors/fresh", json={"paused": True}).json["paused"] is True
    assert client.simulate_delete("/api/v1/monitors/fresh").status_code == 204
    assert client.simulate_delete("/api/v1/monitors/fresh").status_code == 404
    assert client.simulate_delete("/api/v1/monitors/nightly-backup").status_code == 409


def test_every_problem_of_a_body_is_named_and_no_secret(client: testing.TestClient) -> None:
    body = {"tag": "a b", "schedule": "0 0 30 2 *", "secret": "SESAME with blanks", "nonsense": 1, "down_after": 5}
    answer = client.simulate_post("/api/v1/monitors", json=body)
    assert answer.status_code == 422
    assert {one["path"] for one in answer.json["problems"]} == {"tag", "schedule", "secret", "nonsense", "down_after"}
    assert "SESAME" not in answer.text
    assert client.simulate_post("/api/v1/monitors", body="{").status_code == 422
    assert client.simulate_post("/api/v1/monitors", body="x" * 70_000).status_code == 413
    form = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
    assert client.simulate_post("/api/v1/monitors", body="tag=x", headers=form).status_code == 415


def test_storage_trouble_is_503(client: testing.TestClient, world: World) -> None:
    world.monitors.broken = world.history.broken = True
    for answer in (
        client.simulate_post("/api/v1/monitors", json={"tag": "fresh"}),
        client.simulate_get("/api/v1/monitors/new-etl/transitions"),
        client.simulate_get("/api/v1/monitors/new-etl/heartbeats"),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_without_a_token_reading_is_open_and_changing_is_not(world: World) -> None:
    world.web = WebSettings()
    client = testing.TestClient(world.app(), headers={"Content-Type": "application/json"})
    assert client.simulate_get("/api/v1/monitors").status_code == 200
    for answer in (
        client.simulate_post("/api/v1/monitors", json={"tag": "x"}),
        client.simulate_patch("/api/v1/monitors/new-etl", json={"paused": True}),
        client.simulate_delete("/api/v1/monitors/new-etl"),
    ):
        assert answer.status_code == 403
        assert "web.auth.token" in answer.json["error"]


@given(
    st.dictionaries(st.sampled_from(["q", "status", "group", "limit", "cursor", "page", "since"]), st.text(max_size=8))
)
def test_no_parameter_breaks_anything(parameters: dict[str, str]) -> None:
    client = testing.TestClient(SHARED)
    for path in ("/", "/api/v1/monitors", "/monitors/new-etl", "/api/v1/monitors/new-etl/transitions"):
        assert client.simulate_get(path, params=parameters).status_code in (200, 400, 404)


SHARED = every_status().app()


def test_the_description_is_of_the_routes_there_are(client: testing.TestClient, world: World) -> None:
    from exporter.web.app import routes

    assets = Assets()
    real = routes(world.parts(), assets, Pages(assets, "1"))
    api = {route.template: route.resource for route in real if route.template.startswith("/api/")}
    assert set(api) == set(OPERATIONS)
    for path, resource in api.items():
        methods = {name[3:] for name in dir(resource) if name.startswith("on_")} - {"head", "options"}
        assert methods == set(OPERATIONS[path])
    document = client.simulate_get("/api/v1/openapi.json").json
    assert document == describe("1.2.3")
    assert document["openapi"].startswith("3.1")
    for route in real:
        row = re.search(rf"^\| `{re.escape(route.template)}` \| ([A-Z, ]+) \|", DOCS, re.MULTILINE)
        assert row is not None, f"{route.template} is not in docs/api.md"
        if route.template.startswith("/api/"):
            assert {name.lower() for name in row[1].split(", ")} == set(OPERATIONS[route.template])
