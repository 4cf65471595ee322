"""The web application: every route, and who may use it."""

from typing import Any

import falcon.asgi

from exporter.ingest.guesses import Guesses
from exporter.web.access import Access, AccessControl
from exporter.web.api.incidents import (
    Acknowledge,
    AlertList,
    IncidentList,
    IncidentUpdates,
    NotificationList,
    OneIncident,
)
from exporter.web.api.monitors import (
    BlackoutList,
    HeartbeatList,
    MaintenanceList,
    MonitorList,
    OneMonitor,
    TransitionList,
)
from exporter.web.api.openapi import Description
from exporter.web.context import WebContext
from exporter.web.errors import Errors
from exporter.web.headers import REVALIDATED, STATIC
from exporter.web.metrics import MetricsResource
from exporter.web.middleware import RequestMiddleware, Route
from exporter.web.pages.document_pages import DocumentPage
from exporter.web.pages.documents import Documents
from exporter.web.pages.feed import Feed
from exporter.web.pages.incidents import IncidentPage, IncidentsPage
from exporter.web.pages.listing import Listing
from exporter.web.pages.monitor import MonitorPage
from exporter.web.pages.rendering import Assets, Pages
from exporter.web.pages.static_files import StaticFile
from exporter.web.pages.status import StatusPage
from exporter.web.probes import Healthy, Ready, ReloadConfiguration
from exporter.web.requests import WebRequest


def create_app(parts: WebContext, guesses: Guesses | None = None) -> falcon.asgi.App[Any, Any]:
    """The application that gunicorn serves; nothing in it is global, so a test may have as many as it likes."""
    assets = Assets()
    pages = Pages(assets, parts.version, parts.notice)
    all_routes = routes(parts, assets, pages)
    app = falcon.asgi.App(
        middleware=[
            RequestMiddleware(all_routes, AccessControl(parts.settings, guesses or Guesses(parts.clock)), parts.observe)
        ],
        request_type=WebRequest,
    )
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = False
    Errors(pages.error).install(app)
    for route in all_routes:
        app.add_route(route.template, route.resource)
    return app


def routes(parts: WebContext, assets: Assets, pages: Pages) -> list[Route]:
    """All of them; docs/api.md names each, and a test holds it to that."""
    telemetry = parts.settings().telemetry_path
    document = DocumentPage(parts, pages, Documents())

    def explains() -> bool:
        return parts.settings().auth.token is not None

    return [
        *(Route(template, resource, "heartbeat", Access.OPEN) for template, resource in parts.ingest),
        Route("/", StatusPage(parts, pages, Listing(parts.fleet)), "page"),
        Route("/monitors/{tag}", MonitorPage(parts, pages), "page"),
        Route("/incidents", IncidentsPage(parts, pages), "page"),
        Route("/incidents/{id}", IncidentPage(parts, pages), "page"),
        Route("/incidents.atom", Feed(parts, pages), "feed", headers=REVALIDATED),
        Route("/docs", document, "page", headers=REVALIDATED),
        Route("/docs/{path:path}", document, "page", headers=REVALIDATED),
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
        Route(telemetry, MetricsResource(parts.scrape, parts.executor), "metrics", Access.METRICS),
        Route("/-/healthy", Healthy(parts.health), "healthy", Access.OPEN),
        Route("/-/ready", Ready(parts.readiness), "ready", Access.OPEN),
        Route("/-/reload", ReloadConfiguration(parts.reload, parts.executor, explains), "reload", Access.RELOAD),
        Route("/static/{name}", StaticFile(assets), "static", Access.OPEN, STATIC),
    ]
