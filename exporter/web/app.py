"""The web application: every route, and who may use it."""

import re
from collections.abc import Callable
from typing import Any

import falcon.asgi

from exporter.core.errors import InvalidValue
from exporter.ingest.guesses import Guesses
from exporter.web.api import BlackoutList, HeartbeatList, MaintenanceList, MonitorList, OneMonitor, TransitionList
from exporter.web.auth import Access, Guard
from exporter.web.errors import Errors
from exporter.web.feed import Feed
from exporter.web.headers import FEED, STATIC
from exporter.web.incident_api import (
    Acknowledge,
    AlertList,
    IncidentList,
    IncidentUpdates,
    NotificationList,
    OneIncident,
)
from exporter.web.incident_pages import IncidentPage, IncidentsPage
from exporter.web.listing import Listing
from exporter.web.middleware import Passage, Route
from exporter.web.monitor_page import MonitorPage
from exporter.web.openapi import Description
from exporter.web.parts import Parts
from exporter.web.probes import Healthy, Ready, ReloadConfiguration
from exporter.web.rendering import Assets, Pages
from exporter.web.requests import Request
from exporter.web.scraping import Exposition
from exporter.web.static_files import StaticFile
from exporter.web.status_page import StatusPage


def create_app(
    parts: Parts, guesses: Guesses | None = None, owner: Callable[[str], str | None] = lambda path: None
) -> falcon.asgi.App[Any, Any]:
    """The application that gunicorn serves; nothing in it is global, so a test may have as many as it likes.

    `owner` returns the name of the dialect that takes a path. Raises InvalidValue if that is a path of a page.
    """
    assets = Assets()
    pages = Pages(assets, parts.version, parts.notice)
    all_routes = routes(parts, assets, pages)
    for route in all_routes:
        name = owner(re.sub(r"\{[a-z]+\}", "x", route.template))
        if name is not None:
            raise InvalidValue(f"{route.template} is a page, and the dialect {name!r} takes it for its own")
    app = falcon.asgi.App(
        middleware=[Passage(all_routes, Guard(parts.settings, guesses or Guesses(parts.clock)), parts.observe)],
        request_type=Request,
    )
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = False
    Errors(pages.error).install(app)
    for route in all_routes:
        app.add_route(route.template, route.resource)
    return app


def routes(parts: Parts, assets: Assets, pages: Pages) -> list[Route]:
    """All of them; docs/api.md names each, and a test holds it to that."""
    telemetry = parts.settings().telemetry_path

    def explains() -> bool:
        return parts.settings().auth.token is not None

    return [
        Route("/", StatusPage(parts, pages, Listing(parts.fleet)), "page"),
        Route("/monitors/{tag}", MonitorPage(parts, pages), "page"),
        Route("/incidents", IncidentsPage(parts, pages), "page"),
        Route("/incidents/{id}", IncidentPage(parts, pages), "page"),
        Route("/incidents.atom", Feed(parts, pages), "feed", headers=FEED),
        Route("/api/v1/monitors", MonitorList(parts), "api"),
        Route("/api/v1/monitors/{tag}", OneMonitor(parts), "api"),
        Route("/api/v1/monitors/{tag}/transitions", TransitionList(parts), "api"),
        Route("/api/v1/monitors/{tag}/heartbeats", HeartbeatList(parts), "api"),
        Route("/api/v1/blackouts", BlackoutList(parts), "api"),
        Route("/api/v1/maintenances", MaintenanceList(parts), "api"),
        Route("/api/v1/alerts", AlertList(parts), "api"),
        Route("/api/v1/incidents", IncidentList(parts), "api"),
        Route("/api/v1/incidents/{id}", OneIncident(parts), "api"),
        Route("/api/v1/incidents/{id}/updates", IncidentUpdates(parts), "api"),
        Route("/api/v1/incidents/{id}/acknowledge", Acknowledge(parts), "api"),
        Route("/api/v1/notifications", NotificationList(parts), "api"),
        Route("/api/v1/openapi.json", Description(parts), "api"),
        Route(telemetry, Exposition(parts.scrape, parts.executor), "metrics", Access.METRICS),
        Route("/-/healthy", Healthy(parts.health), "healthy", Access.OPEN),
        Route("/-/ready", Ready(parts.readiness), "ready", Access.OPEN),
        Route("/-/reload", ReloadConfiguration(parts.reload, parts.executor, explains), "reload", Access.RELOAD),
        Route("/static/{name}", StaticFile(assets), "static", Access.OPEN, STATIC),
    ]
