"""The API does what its description and docs/api.md say, whatever it is sent."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import falcon.asgi
import jsonschema
import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from exporter import __version__
from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.core.alerts.notification import Hold, NotificationState
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Calendar
from exporter.core.ingest_guard import Suspicion
from exporter.core.secret import digest
from exporter.core.spans import Span
from exporter.presentation.moments import rfc3339
from exporter.resources.incidents import AlertsAnswer
from exporter.web.api.openapi import describe, golden, operations
from exporter.web.api.operation import Operation
from exporter.web.api.resource import Resource
from exporter.web.api.routes import RESOURCES, ApiRoute, DeferredResource
from exporter.web.pages.rendering import Assets, Pages
from exporter.web.requests import WebRequest
from tests.support.scenes import World, alarmed, been_away, every_status

TOKEN = "SESAME"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "api.md").read_text()


@pytest.fixture
def world() -> World:
    world = every_status()
    world.web = WebSettings(auth=AuthSettings(token=Secret(TOKEN)))
    return world


@pytest.fixture
def alarms() -> World:
    world = alarmed()
    world.web = WebSettings(auth=AuthSettings(token=Secret(TOKEN)))
    return world


@pytest.fixture
def alarmed_client(alarms: World) -> testing.TestClient:
    return testing.TestClient(alarms.app(), headers=HEADERS)


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


def test_blackouts(world: World) -> None:
    nothing = testing.TestClient(world.app(), headers=HEADERS).simulate_get("/api/v1/blackouts").json
    assert nothing == {"forgiven": True, "blackouts": [], "ingest_suspect": None}
    away = been_away(forgives=False)
    away.break_storage()  # it is answered from memory
    client = testing.TestClient(away.app(), headers=HEADERS)
    found = client.simulate_get("/api/v1/blackouts").json
    assert found["forgiven"] is False
    assert [one["duration_seconds"] for one in found["blackouts"]] == [9, 38 * 60, 2 * 3600]
    middle = found["blackouts"][1]
    assert middle["started_at"] < middle["ended_at"]
    for since, count in ((middle["started_at"], 2), (middle["ended_at"], 1)):
        later = client.simulate_get("/api/v1/blackouts", params={"since": since}).json["blackouts"]
        assert later == found["blackouts"][:count]
    assert client.simulate_get("/api/v1/blackouts?since=yesterday").status_code == 400
    assert {one["kind"] for one in found["blackouts"]} == {"outage"}


def test_time_in_which_nothing_arrived_and_a_silence_that_is_on(world: World) -> None:
    now = world.clock.now()
    silence = Span(now - HOUR, now - 50 * MINUTE)
    world.fleet.use(Calendar((Span(now - DAY, now - DAY + MINUTE),), unreachable=(silence,)))
    world.suspicion = Suspicion(now - MINUTE, now - 90 * SECOND, now - 2 * MINUTE, now + 4 * MINUTE, 40, 50, (), ())
    client = testing.TestClient(world.app(), headers=HEADERS)
    found = client.simulate_get("/api/v1/blackouts").json
    assert [(one["kind"], one["duration_seconds"]) for one in found["blackouts"]] == [
        ("unreachable", 600),
        ("outage", 60),
    ]
    assert found["ingest_suspect"] == {
        "since": rfc3339(now - MINUTE),
        "held_until": rfc3339(now + 4 * MINUTE),
        "late": 40,
        "sample": 50,
        "last_heartbeat": rfc3339(now - 2 * MINUTE),
    }
    page = client.simulate_get("/", headers={**HEADERS, "Accept-Encoding": "identity"}).text
    assert "Heartbeats may not arrive." in page
    assert "40 of 50 monitors became late at once" in page
    world.suspicion = None
    assert "Heartbeats may not arrive." not in client.simulate_get("/").text


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
    watched = world.fleet.get("fresh")
    assert watched is not None
    assert watched.digest == digest(added.json["secret"], world.container.key)
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
    world.break_storage()
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


PARAMETERS = ["q", "status", "group", "limit", "cursor", "page", "since", "open", "state", "before"]


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=8)))
def test_no_parameter_breaks_anything(parameters: dict[str, str]) -> None:
    client = testing.TestClient(SHARED)
    for path in (
        "/",
        "/api/v1/monitors",
        "/monitors/new-etl",
        "/api/v1/monitors/new-etl/transitions",
        "/incidents",
        "/incidents/1",
        "/api/v1/alerts",
        "/api/v1/incidents",
        "/api/v1/incidents/1",
        "/api/v1/notifications",
    ):
        assert client.simulate_get(path, params=parameters).status_code in (200, 400, 404)


SHARED = alarmed().app()


def all_pages(client: testing.TestClient, path: str, name: str, **parameters: str) -> list[dict[str, object]]:
    found, cursor = [], ""
    while True:
        given = {"limit": "2", **parameters, **({"cursor": cursor} if cursor else {})}
        page = client.simulate_get(path, params=given)
        assert page.status_code == 200, page.text
        found += page.json[name]
        cursor = page.json["next_cursor"]
        if not cursor:
            return found


def test_alerts_are_listed_selected_and_paged(alarmed_client: testing.TestClient) -> None:
    everything = alarmed_client.simulate_get("/api/v1/alerts").json["alerts"]
    assert len(everything) == 6
    assert all_pages(alarmed_client, "/api/v1/alerts", "alerts") == everything
    assert alarmed_client.simulate_get("/api/v1/alerts?state=TRIGGERED").status_code == 400
    on = alarmed_client.simulate_get("/api/v1/alerts?state=FIRING").json["alerts"]
    assert {one["state"] for one in on} == {"firing"}
    assert len(on) == 4
    over = all_pages(alarmed_client, "/api/v1/alerts", "alerts", state="resolved")
    assert {(one["tag"], one["ending"]) for one in over} == {
        ("pg-dump-eu", "rule_changed"),
        ("search-reindex", "recovered"),
    }
    for bad in ("state=on", "cursor=x", "cursor=0", "limit=0", f"cursor={'9' * 30}"):
        answer = alarmed_client.simulate_get(f"/api/v1/alerts?{bad}")
        assert answer.status_code == 400
        assert bad.partition("=")[0] in answer.json["error"]


def test_incidents_are_listed_selected_and_paged(alarmed_client: testing.TestClient) -> None:
    everything = alarmed_client.simulate_get("/api/v1/incidents").json["incidents"]
    assert [one["id"] for one in everything] == [4, 3, 2, 1]
    assert all_pages(alarmed_client, "/api/v1/incidents", "incidents") == everything
    assert [one["id"] for one in all_pages(alarmed_client, "/api/v1/incidents", "incidents", open="true")] == [2, 1]
    assert [one["id"] for one in all_pages(alarmed_client, "/api/v1/incidents", "incidents", open="false")] == [4, 3]
    assert alarmed_client.simulate_get("/api/v1/incidents?open=maybe").status_code == 400
    one = alarmed_client.simulate_get("/api/v1/incidents/3").json
    assert (one["state"], one["impact"], one["duration_seconds"]) == ("RESOLVED", "warning", 7200.0)
    assert one["updates"][1]["text"].startswith("<script>")
    assert one["updates"][-1]["state"] == "RESOLVED"
    assert [alert["rule"] for alert in one["alerts"]] == ["late"]
    assert alarmed_client.simulate_get("/api/v1/incidents/99").json["error"] == "There is no incident 99."


def test_an_incident_is_updated_acknowledged_and_resolved(alarmed_client: testing.TestClient) -> None:
    post = alarmed_client.simulate_post
    added = post("/api/v1/incidents/1/updates", json={"text": "Found \u0007it.\r\n  😀", "state": "IDENTIFIED"})
    assert added.status_code == 201
    assert (added.json["state"], added.json["acknowledged_by"]) == ("IDENTIFIED", None)
    assert added.json["updates"][-1]["text"] == "Found it.\n  😀"
    assert added.json["updates"][-1]["author"] == "API"
    taken = post("/api/v1/incidents/1/acknowledge", json={"author": "anna"})
    assert (taken.status_code, taken.json["acknowledged_by"]) == (200, "anna")
    again = post("/api/v1/incidents/1/acknowledge", json={})
    assert (again.status_code, again.json["error"]) == (409, "Incident 1 is acknowledged already, by anna.")
    over = post("/api/v1/incidents/1/updates", json={"text": "Over.", "state": "RESOLVED", "author": "bert"})
    assert over.json["resolved_at"] is not None
    assert over.json["updates"][-1]["author"] == "bert"
    assert post("/api/v1/incidents/1/updates", json={"text": "More."}).status_code == 409
    for path in ("updates", "acknowledge"):
        body = {"text": "x"} if path == "updates" else {}
        assert post(f"/api/v1/incidents/99/{path}", json=body).status_code == 404
        assert post(f"/api/v1/incidents/x/{path}", json=body).status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "text"),
        ({"text": " \n\u0000"}, "text"),
        ({"text": "x" * 2001}, "text"),
        ({"text": 1}, "text"),
        ({"text": "x", "state": "DONE"}, "state"),
        ({"text": "x", "author": "y" * 101}, "author"),
        ({"text": "x", "status": "RESOLVED"}, "status"),
    ],
)
def test_a_bad_update_is_named(alarmed_client: testing.TestClient, body: dict[str, object], path: str) -> None:
    answer = alarmed_client.simulate_post("/api/v1/incidents/1/updates", json=body)
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json["problems"]] == [path]


def test_incidents_are_changed_by_holders_of_the_token_alone() -> None:
    world = alarmed()
    client = testing.TestClient(world.app(), headers={"Content-Type": "application/json"})
    for path in ("updates", "acknowledge"):
        answer = client.simulate_post(f"/api/v1/incidents/1/{path}", json={"text": "x"})
        assert (answer.status_code, "web.auth.token" in answer.json["error"]) == (403, True)
    world.web = WebSettings(auth=AuthSettings(token=Secret(TOKEN)))
    for path in ("updates", "acknowledge"):
        assert client.simulate_post(f"/api/v1/incidents/1/{path}", json={"text": "x"}).status_code == 401
    assert len(world.incidents.updates([1])[1]) == 1
    for path in ("/api/v1/alerts", "/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/notifications", "/incidents"):
        assert client.simulate_get(path).status_code == 401


def test_what_is_owed_is_listed(alarmed_client: testing.TestClient, alarms: World) -> None:
    for number, state in enumerate(("delivered", "dead", "pending", "replaced", "dead"), start=1):
        ended = None if state == "pending" else 9
        failure, error = ("rejected", "hooks.example.org answered 404") if state == "dead" else (None, None)
        alarms.troubles.notification(
            f"key-{number}", NotificationState(state), failure=failure, error=error, ended_at=ended
        )
    dead = all_pages(alarmed_client, "/api/v1/notifications", "notifications", state="DEAD", limit="1")
    assert [one["id"] for one in dead] == [5, 2]
    assert (dead[0]["failure"], dead[0]["error"]) == ("rejected", "hooks.example.org answered 404")
    assert dead[0]["next_attempt_at"] is None
    (pending,) = alarmed_client.simulate_get("/api/v1/notifications?state=pending").json["notifications"]
    assert (pending["next_attempt_at"], pending["held_until"]) == ("1970-01-01T00:00:00.007Z", None)
    until = alarms.clock.now() + 60_000
    alarms.troubles.hold(Hold("ops", 0, until, "hooks.example.org answered 429"))
    (pending,) = alarmed_client.simulate_get("/api/v1/notifications?state=pending").json["notifications"]
    assert pending["held_until"] == rfc3339(until)
    assert pending["next_attempt_at"] == "1970-01-01T00:00:00.008Z", "the last attempt waits for nothing"
    assert len(alarmed_client.simulate_get("/api/v1/notifications").json["notifications"]) == 5
    assert "dead" in alarmed_client.simulate_get("/api/v1/notifications?state=x").json["error"]


def test_alarms_are_503_without_the_database(alarmed_client: testing.TestClient, alarms: World) -> None:
    alarms.break_storage()
    for path in ("alerts", "incidents", "incidents/1", "notifications"):
        answer = alarmed_client.simulate_get(f"/api/v1/{path}")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_answers_are_what_the_description_says(alarmed_client: testing.TestClient) -> None:
    document = describe("1")
    for path, methods in operations().items():
        answer_model = methods.get("get")
        if answer_model is None or answer_model.answer is None:
            continue
        answer = alarmed_client.simulate_get(path.replace("{tag}", "pg-dump-eu").replace("{id}", "3"))
        assert answer.status_code == 200, path
        schema = {
            "$ref": f"#/components/schemas/{answer_model.answer.__name__}",
            "components": document["components"],
        }
        jsonschema.validate(answer.json, schema)


def test_the_published_description_is_the_present_one() -> None:
    assert (ROOT / "docs" / "openapi.json").read_text() == golden(__version__), "make openapi"


def test_operations_are_declared_by_keyword_and_read_only_what_their_methods_read() -> None:
    with pytest.raises(TypeError):
        Operation("summary", AlertsAnswer)  # type: ignore[misc]
    for path, methods in operations().items():
        for method, declared in methods.items():
            assert (declared.body is None) == (method in ("get", "delete")), (method, path)
            assert not re.search(r"\{(?!tag\}|id\})", path)


def test_the_description_is_of_the_routes_there_are(client: testing.TestClient, world: World) -> None:
    from exporter.web.app import routes

    assets = Assets()
    real = routes(world.parts(), assets, Pages(assets, "1"))
    api = {route.template: route.resource for route in real if route.template.startswith("/api/")}
    assert set(api) == set(operations())
    for path, resource in api.items():
        methods = {name[3:] for name in dir(resource) if name.startswith("on_")}
        assert methods == {name[3:] for name in dir(RESOURCES[path].resource()) if name.startswith("on_")}
        assert methods - {"head"} == set(operations()[path])
    document = client.simulate_get("/api/v1/openapi.json").json
    assert document == describe("1.2.3")
    assert document["openapi"].startswith("3.1")
    for route in real:
        row = re.search(rf"^\| `{re.escape(route.template)}` \| ([A-Z, ]+) \|", DOCS, re.MULTILINE)
        assert row is not None, f"{route.template} is not in docs/api.md"
        if route.template.startswith("/api/"):
            assert {name.lower() for name in row[1].split(", ")} == set(operations()[route.template])


def test_what_answers_is_imported_off_the_event_loop_and_once(world: World) -> None:
    """Heartbeats would wait for the import: it takes a fifth of a second, more on a small machine."""
    importers: list[threading.Thread] = []

    class Watched(ApiRoute):
        def resource(self) -> type[Resource]:
            importers.append(threading.current_thread())
            return ApiRoute.resource(self)

    app = falcon.asgi.App(request_type=WebRequest)
    with ThreadPoolExecutor(1) as executor:
        parts = replace(world.parts(), executor=executor)
        app.add_route("/{tag}", DeferredResource(parts, Watched("monitors:OneMonitor", ("get", "head"))))
        client = testing.TestClient(app)
        assert client.simulate_delete("/any").status_code == 405
        assert not importers
        tag = parts.fleet.all()[0].monitor.tag
        for _ in range(3):
            assert client.simulate_get(f"/{tag}").json["tag"] == tag
    assert len(importers) == 1
    assert importers[0] is not threading.main_thread()
