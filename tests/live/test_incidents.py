"""Incidents of the real service: what the command line and the API do to them is seen on its pages and in its feed."""

from collections.abc import Callable
from contextlib import closing

import pytest
from playwright.sync_api import sync_playwright

from exporter.core.alerts.alert_rule import Severity
from exporter.core.clock import HOUR, SystemClock
from exporter.storage.database import Database
from exporter.storage.repositories.incidents import Incidents, NewIncident
from tests.live.conftest import Service, Starter, curl, eventually, monitors
from tests.live.test_page import QUIET
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
TOKEN = "SESAME-token"
BEARER = ("-H", f"Authorization: Bearer {TOKEN}")
SOON = 2.0
"""Seconds in which a running service shows what was done by the command line."""


def open_incident(service: Service) -> int:
    """As the engine would."""
    with closing(Database(service.storage)) as database:
        incidents = Incidents(database, SystemClock())
        at = SystemClock().now() - HOUR
        with database.write("test"):
            new = NewIncident(1, "job", "Job <b>is</b> DOWN", Severity.CRITICAL, at, "Alert missed (critical): DOWN.")
            return incidents.join([new])[1].id


def seen(service: Service, path: str, *texts: str) -> Callable[[], bool]:
    def look() -> bool:
        answer = curl(*BEARER, f"{service.url}{path}")
        return answer.status == 200 and all(text in answer.body for text in texts)

    return look


def test_what_people_do_is_seen_everywhere(start: Starter) -> None:
    service = start(monitors("job") + f"web: {{auth: {{token: {TOKEN}}}}}\n")
    assert seen(service, "/incidents", "No open incident")()
    id = open_incident(service)
    assert seen(service, "/", "Job &lt;b&gt;is&lt;/b&gt; DOWN", "Investigating")()
    feed = curl(*BEARER, f"{service.url}/incidents.atom")
    assert "Investigating: Job" in feed.body
    tag = feed.header("etag")
    assert curl(*BEARER, "-H", f"If-None-Match: {tag}", f"{service.url}/incidents.atom").status == 304

    assert "Job <b>is</b> DOWN" in service.cli("incident", "list")
    service.cli("incident", "ack", str(id), "--author", "anna")
    eventually(seen(service, "/", "acknowledged by anna"), SOON)
    service.cli("incident", "update", str(id), "--state", "MONITORING", "--text", "Looks better.")
    for path in ("/", "/incidents", f"/incidents/{id}", "/monitors/job", "/incidents.atom"):
        eventually(seen(service, path, "Monitoring", "Looks better."), SOON)
    assert curl(*BEARER, "-H", f"If-None-Match: {tag}", f"{service.url}/incidents.atom").status == 200

    body = ("-H", "Content-Type: application/json", "-d", '{"text": "Über 😀", "state": "RESOLVED", "author": "bert"}')
    updates = f"{service.url}/api/v1/incidents/{id}/updates"
    assert curl(*body, updates).status == 401
    assert curl(*BEARER, *body, updates).status == 201
    assert "Über 😀" in service.cli("incident", "show", str(id))
    assert curl(*BEARER, *body, updates).status == 409
    for path in ("/", "/incidents", "/incidents.atom", f"/incidents/{id}", f"/api/v1/incidents/{id}"):
        assert curl(f"{service.url}{path}").status == 401
    assert "No open incident" in service.cli("incident", "list")
    assert TOKEN not in service.output()


def test_an_open_page_follows(start: Starter) -> None:
    """The script's own refresh, without waiting for its fifteen seconds."""
    service = start()
    id = open_incident(service)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        page = browser.new_page()
        page.goto(f"{service.url}/incidents/{id}", wait_until="networkidle")
        assert page.locator(".timeline li").count() == 1
        service.cli("incident", "resolve", str(id), "--text", "It was nothing.")
        page.evaluate("refresh()")
        page.locator(".timeline li", has_text="It was nothing.").wait_for()
        assert page.title().startswith("Resolved: Job <b>is</b> DOWN")
        browser.close()
