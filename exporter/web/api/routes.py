"""The paths of the API and their methods, known without the modules that answer. A new resource is a line in RESOURCES.

Those modules bring pydantic and the models: several megabytes of a service that no program may ever ask. They are
imported at the first request, which therefore takes a fifth of a second longer, and off the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import falcon.asgi

from exporter.web.context import WebContext
from exporter.web.requests import WebRequest

if TYPE_CHECKING:
    from exporter.web.api.resource import Resource

Responder = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """What answers at one path."""

    where: str
    """Module of this package and class in it."""
    methods: tuple[str, ...]
    """In lower case, and `head` wherever `get` is: those that the class has."""

    def resource(self) -> "type[Resource]":
        """Imports it."""
        module, _, name = self.where.partition(":")
        found: type[Resource] = getattr(import_module(f"{__package__}.{module}"), name)
        return found


_READ = ("get", "head")

RESOURCES: Mapping[str, ApiRoute] = {
    "/api/v1/monitors": ApiRoute("monitors:MonitorList", (*_READ, "post")),
    "/api/v1/monitors/{tag}": ApiRoute("monitors:OneMonitor", (*_READ, "patch", "delete")),
    "/api/v1/monitors/{tag}/transitions": ApiRoute("monitors:TransitionList", _READ),
    "/api/v1/monitors/{tag}/heartbeats": ApiRoute("monitors:HeartbeatList", _READ),
    "/api/v1/blackouts": ApiRoute("monitors:BlackoutList", _READ),
    "/api/v1/maintenances": ApiRoute("monitors:MaintenanceList", _READ),
    "/api/v1/alerts": ApiRoute("incidents:AlertList", _READ),
    "/api/v1/incidents": ApiRoute("incidents:IncidentList", _READ),
    "/api/v1/incidents/{id}": ApiRoute("incidents:OneIncident", _READ),
    "/api/v1/incidents/{id}/updates": ApiRoute("incidents:IncidentUpdates", ("post",)),
    "/api/v1/incidents/{id}/acknowledge": ApiRoute("incidents:Acknowledge", ("post",)),
    "/api/v1/notifications": ApiRoute("incidents:NotificationList", _READ),
    "/api/v1/refusals": ApiRoute("refusals:RefusalList", _READ),
    "/api/v1/openapi.json": ApiRoute("openapi:Description", _READ),
}
"""By path: everything under `/api/v1/` but what takes heartbeats."""


class DeferredResource:
    """Stands for the resource of a route until it is first asked, and then answers through it."""

    def __init__(self, parts: WebContext, route: ApiRoute) -> None:
        self._parts = parts
        self._route = route
        self._resource: Resource | None = None
        for method in route.methods:  # Falcon and the access control look at which of them there are
            setattr(self, f"on_{method}", self._responder(method))

    def _responder(self, method: str) -> Responder:
        async def respond(req: WebRequest, resp: falcon.asgi.Response, **params: Any) -> None:
            if self._resource is None:
                self._resource = await asyncio.get_running_loop().run_in_executor(self._parts.executor, self._made)
            await getattr(self._resource, f"on_{method}")(req, resp, **params)

        return respond

    def _made(self) -> "Resource":
        """With models that are ready to check and to write: to make them so takes another while."""
        resource = self._route.resource()
        from exporter.web.api.operation import operations_of

        for each in operations_of(resource).values():
            for model in (each.body, each.answer):
                if model is not None:
                    model.model_rebuild()
        return resource(self._parts)
