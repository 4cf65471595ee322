"""What happens around every request that Falcon sees. Heartbeats are answered in front of it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import falcon
import falcon.asgi

from exporter.core.telemetry import IRREGULAR
from exporter.web.access import Access, AccessControl
from exporter.web.context import Observe
from exporter.web.errors import RETRY_AFTER, without_paths
from exporter.web.headers import PLAIN
from exporter.web.requests import WebRequest

_METHODS = frozenset(falcon.HTTP_METHODS)
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class WebRoute:
    """One route of the application. Guarded unless it says otherwise, so that a new one cannot be open by mistake."""

    template: str
    resource: object
    handler: str
    """Its name in the metrics: few, and never anything that a client sent."""
    access: Access = Access.GUARDED
    headers: tuple[tuple[str, str], ...] = PLAIN


_NO_ROUTE = WebRoute("", None, "other", Access.OPEN)


class RequestMiddleware:
    """Requires the token, adds the headers, and reports how long the request took."""

    def __init__(
        self,
        routes: list[WebRoute],
        guard: AccessControl,
        observe: Observe,
        starting: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`starting` returns why monitors are not known yet: then there are no pages to show."""
        self._starting = starting
        self._routes: dict[str | None, WebRoute] = {route.template: route for route in routes}
        self._guarded = {route.template: route.access for route in routes if route.access is not Access.OPEN}
        self._guard = guard
        self._observe = observe

    async def process_resource(
        self, req: WebRequest, resp: falcon.asgi.Response, resource: object, params: dict[str, Any]
    ) -> None:
        # Two readings of an irregular request are possible; only a heartbeat gains nothing by that, and counts.
        if IRREGULAR in req.scope.get("extensions", ()):
            raise falcon.HTTPBadRequest
        access = self._guarded.get(req.uri_template)  # type: ignore[arg-type]
        if access is not None:
            await self._guard.check_host(access, req)
            # A method that the resource does not have changes nothing: it goes on to its 405.
            changes = req.method not in _SAFE and hasattr(resource, f"on_{req.method.lower()}")
            await self._guard.check(access, req, changes)
            if access is Access.GUARDED:
                reason = self._starting()
                if reason is not None:
                    raise falcon.HTTPServiceUnavailable(
                        description=f"Not ready: {without_paths(reason)}.", retry_after=RETRY_AFTER
                    )

    async def process_response(
        self, req: WebRequest, resp: falcon.asgi.Response, resource: object, succeeded: bool
    ) -> None:
        route = self._route(req)
        resp.set_headers(route.headers)
        if resp.stream is not None and req.method != "HEAD":
            resp.stream = self._until_sent(resp.stream, route.handler, req, resp.status_code)
        else:
            self._tell(route.handler, req, resp.status_code)

    def _route(self, req: WebRequest) -> WebRoute:
        return self._routes.get(req.uri_template, _NO_ROUTE)

    def _tell(self, handler: str, req: WebRequest, code: int) -> None:
        method = req.method
        self._observe(handler, method if method in _METHODS else "other", code, perf_counter() - req.started)

    async def _until_sent(self, stream: Any, handler: str, req: WebRequest, code: int) -> AsyncIterator[bytes]:
        """A streamed answer is done when its last chunk is, or when its reader has gone."""
        try:
            async for chunk in stream:
                yield chunk
        finally:
            self._tell(handler, req, code)
