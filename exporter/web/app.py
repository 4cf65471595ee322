"""The web application: every route, and the access that it requires."""

import re
from collections.abc import Callable
from typing import Any

import falcon.asgi

from exporter.core.errors import InvalidValue
from exporter.ingest.guesses import Guesses
from exporter.presentation.held_alerts import describe_suspicion
from exporter.web.access import Access, AccessControl
from exporter.web.api.routes import RESOURCES, DeferredResource
from exporter.web.context import WebContext
from exporter.web.errors import Errors
from exporter.web.headers import REVALIDATED, STATIC
from exporter.web.metrics import JobMetricsResource, MetricsResource
from exporter.web.middleware import RequestMiddleware, WebRoute
from exporter.web.pages.document_pages import DocumentPage
from exporter.web.pages.documents import Documents
from exporter.web.pages.feed import Feed
from exporter.web.pages.incidents import IncidentPage, IncidentsPage
from exporter.web.pages.listing import Listing
from exporter.web.pages.monitor import MonitorPage
from exporter.web.pages.refusals import RefusalsPage
from exporter.web.pages.rendering import Assets, Pages
from exporter.web.pages.static_files import StaticFile
from exporter.web.pages.status import StatusPage
from exporter.web.probes import Healthy, Ready, ReloadConfiguration
from exporter.web.requests import WebRequest

JOBS = "/metrics/jobs"


def create_app(
    parts: WebContext, guesses: Guesses | None = None, owner: Callable[[str], str | None] = lambda path: None
) -> falcon.asgi.App[Any, Any]:
    """The application that gunicorn serves; nothing in it is global, so a test may have as many as it likes.

    `owner` returns the name of the dialect that takes a path. Raises InvalidValue if that is a path of a page.
    """
    assets = Assets()

    def ingest() -> str:
        return describe_suspicion(parts.suspicion(), parts.clock.now())

    pages = Pages(assets, parts.version, parts.notice, ingest)
    all_routes = routes(parts, assets, pages)
    for route in all_routes:
        name = owner(re.sub(r"\{[a-z]+\}", "x", route.template))
        if name is not None:
            raise InvalidValue(f"{route.template} is a page, and the dialect {name!r} takes it for its own")
    app = falcon.asgi.App(
        middleware=[
            RequestMiddleware(
                all_routes,
                AccessControl(parts.settings, guesses or Guesses(parts.clock)),
                parts.observe,
                parts.starting,
            )
        ],
        request_type=WebRequest,
    )
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = False
    Errors(pages.error).install(app)
    for route in all_routes:
        app.add_route(route.template, route.resource)
    return app


def routes(parts: WebContext, assets: Assets, pages: Pages) -> list[WebRoute]:
    """All of them; docs/api.md names each, and a test holds it to that."""
    telemetry = parts.settings().telemetry_path
    document = DocumentPage(parts, pages, Documents())

    def explains() -> bool:
        return parts.settings().auth.token is not None

    return [
        WebRoute("/", StatusPage(parts, pages, Listing(parts.fleet)), "page"),
        WebRoute("/monitors/{tag}", MonitorPage(parts, pages), "page"),
        WebRoute("/incidents", IncidentsPage(parts, pages), "page"),
        WebRoute("/incidents/{id}", IncidentPage(parts, pages), "page"),
        WebRoute("/incidents.atom", Feed(parts, pages), "feed", headers=REVALIDATED),
        WebRoute("/docs", document, "page", headers=REVALIDATED),
        WebRoute("/docs/{path:path}", document, "page", headers=REVALIDATED),
        WebRoute("/refusals", RefusalsPage(parts, pages), "page"),
        *(WebRoute(path, DeferredResource(parts, route), "api") for path, route in RESOURCES.items()),
        WebRoute(telemetry, MetricsResource(parts.scrape, parts.executor), "metrics", Access.METRICS),
        WebRoute(JOBS, JobMetricsResource(parts.job_metrics, parts.executor), "job_metrics", Access.METRICS),
        WebRoute("/-/healthy", Healthy(parts.health), "healthy", Access.OPEN),
        WebRoute("/-/ready", Ready(parts.readiness), "ready", Access.OPEN),
        WebRoute("/-/reload", ReloadConfiguration(parts.reload, parts.executor, explains), "reload", Access.RELOAD),
        WebRoute("/static/{name}", StaticFile(assets, parts.executor), "static", Access.OPEN, STATIC),
    ]
