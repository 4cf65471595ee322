"""The API's own description, made from the models that it reads and writes."""

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import falcon.asgi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exporter.core.alert import PublicAlertState
from exporter.core.monitor import TAG_PATTERN
from exporter.core.notification import NotificationState
from exporter.core.status import Status
from exporter.web.api.bodies import Acknowledgement, MonitorChange, NewMonitor, NewUpdate
from exporter.web.api.incident_schemas import AlertsAnswer, IncidentsAnswer, NotificationsAnswer, WholeIncidentAnswer
from exporter.web.api.monitors import HEARTBEATS_PER_ANSWER
from exporter.web.api.resource import MOST_PER_ANSWER, PER_ANSWER, Resource, answer
from exporter.web.api.schemas import (
    BlackoutsAnswer,
    CreatedAnswer,
    ErrorAnswer,
    HeartbeatsAnswer,
    MaintenancesAnswer,
    MonitorAnswer,
    MonitorsAnswer,
    PausedAnswer,
    TransitionsAnswer,
)
from exporter.web.errors import JSON
from exporter.web.requests import WebRequest

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of one path does."""

    summary: str
    answer: type[BaseModel] | None
    _: KW_ONLY
    body: type[BaseModel] | None = None
    query: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Name → (description, schema)."""
    status: int = 200
    refusals: tuple[int, ...] = ()


def _limit(default: int) -> tuple[str, dict[str, Any]]:
    schema = {"type": "integer", "minimum": 1, "maximum": MOST_PER_ANSWER, "default": default}
    return ("Maximum number of items.", schema)


_MOMENT = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]{1,9})?$"},
    ],
    "examples": ["2026-11-24T03:00:00Z"],
}
_CURSOR = ("The `next_cursor` of the previous response.", {"type": "string"})
_NUMBER_CURSOR = ("The `next_cursor` of the previous response.", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"})
OPERATIONS: dict[str, dict[str, Operation]] = {
    "/api/v1/monitors": {
        "get": Operation(
            "List monitors, ordered by tag",
            MonitorsAnswer,
            query={
                "status": ("Only monitors with this status.", {"enum": [status.value for status in Status]}),
                "group": ("Only monitors of this group.", {"type": "string"}),
                "q": ("Only monitors with this text in tag, name or group.", {"type": "string"}),
                "limit": _limit(PER_ANSWER),
                "cursor": _CURSOR,
            },
            refusals=(400, 503),
        ),
        "post": Operation(
            "Create a monitor; only this response shows its secret",
            CreatedAnswer,
            body=NewMonitor,
            status=201,
            refusals=(403, 409, 413, 415, 422, 503),
        ),
    },
    "/api/v1/monitors/{tag}": {
        "get": Operation("Get a monitor", MonitorAnswer, refusals=(404, 503)),
        "patch": Operation(
            "Pause or resume a monitor",
            PausedAnswer,
            body=MonitorChange,
            refusals=(403, 404, 409, 413, 415, 422, 503),
        ),
        "delete": Operation(
            "Delete a monitor that the configuration file does not define",
            None,
            status=204,
            refusals=(403, 404, 409, 503),
        ),
    },
    "/api/v1/monitors/{tag}/transitions": {
        "get": Operation(
            "List the monitor's status changes, oldest first",
            TransitionsAnswer,
            query={"since": ("RFC 3339 or Unix seconds; one day ago by default.", _MOMENT)},
            refusals=(400, 404, 503),
        )
    },
    "/api/v1/monitors/{tag}/heartbeats": {
        "get": Operation(
            "List the monitor's recent heartbeats, newest first",
            HeartbeatsAnswer,
            query={"limit": _limit(HEARTBEATS_PER_ANSWER)},
            refusals=(400, 404, 503),
        )
    },
    "/api/v1/blackouts": {
        "get": Operation(
            "List outages of the exporter (blackouts), newest first",
            BlackoutsAnswer,
            query={"since": ("RFC 3339 or Unix seconds: only blackouts that ended later; all by default.", _MOMENT)},
            refusals=(400,),
        )
    },
    "/api/v1/maintenances": {"get": Operation("List current and future maintenance windows", MaintenancesAnswer)},
    "/api/v1/alerts": {
        "get": Operation(
            "List alerts, newest first",
            AlertsAnswer,
            query={
                "state": ("Only alerts in this state.", {"enum": [state.value for state in PublicAlertState]}),
                "limit": _limit(PER_ANSWER),
                "cursor": _NUMBER_CURSOR,
            },
            refusals=(400, 503),
        )
    },
    "/api/v1/incidents": {
        "get": Operation(
            "List incidents, newest first",
            IncidentsAnswer,
            query={
                "open": ("Only open or only resolved incidents.", {"type": "boolean"}),
                "limit": _limit(PER_ANSWER),
                "cursor": _NUMBER_CURSOR,
            },
            refusals=(400, 503),
        )
    },
    "/api/v1/incidents/{id}": {
        "get": Operation("Get an incident with its timeline and its alerts", WholeIncidentAnswer, refusals=(404, 503))
    },
    "/api/v1/incidents/{id}/updates": {
        "post": Operation(
            "Add an entry to the timeline of an incident; the state RESOLVED resolves it",
            WholeIncidentAnswer,
            body=NewUpdate,
            status=201,
            refusals=(403, 404, 409, 413, 415, 422, 503),
        )
    },
    "/api/v1/incidents/{id}/acknowledge": {
        "post": Operation(
            "Acknowledge an incident, so that its alerts send no more reminders",
            WholeIncidentAnswer,
            body=Acknowledgement,
            refusals=(403, 404, 409, 413, 415, 422, 503),
        )
    },
    "/api/v1/notifications": {
        "get": Operation(
            "List notifications and their delivery, newest first",
            NotificationsAnswer,
            query={
                "state": ("Only notifications in this state.", {"enum": [state.value for state in NotificationState]}),
                "limit": _limit(PER_ANSWER),
                "cursor": _NUMBER_CURSOR,
            },
            refusals=(400, 503),
        )
    },
    "/api/v1/openapi.json": {"get": Operation("Get this description", None)},
}


class Description(Resource):
    """`/api/v1/openapi.json`. Made when it is first asked for: most never are, and it takes a megabyte."""

    _body: bytes | None = None

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        if self._body is None:
            self._body = await self._off_loop(_described, self._parts.version)
        answer(resp, self._body)

    on_head = on_get


def _described(version: str) -> bytes:
    return json.dumps(describe(version), ensure_ascii=False).encode()


def describe(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    operations = [operation for methods in OPERATIONS.values() for operation in methods.values()]
    bodies: set[type[BaseModel]] = {each.body for each in operations if each.body is not None}
    answers: set[type[BaseModel]] = {each.answer for each in operations if each.answer is not None}
    # By name, for a set has no order and the document should not change from start to start.
    models = [(model, "validation") for model in sorted(bodies, key=_name)]
    models += [(model, "serialization") for model in sorted(answers | {ErrorAnswer}, key=_name)]
    _, schemas = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Heartbeat Exporter",
            "version": version,
            "summary": "Monitors, their statuses and their history; alerts and incidents",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            path: {method: _operation(path, method, each) for method, each in methods.items()}
            for path, methods in OPERATIONS.items()
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name, with the token as the password.",
                },
            },
        },
        "security": [{"bearer": []}, {"basic": []}, {}],
    }


def _operation(path: str, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": "_".join([method, *(p.strip("{}") for p in path.split("/")[3:])]).replace(".", "_"),
        "summary": operation.summary,
        "parameters": [
            # An empty one is as if it were left out: forms send those.
            {"name": name, "in": "query", "description": text, "schema": schema, "allowEmptyValue": True}
            for name, (text, schema) in operation.query.items()
        ],
        "responses": {
            str(operation.status): _success(operation),
            **{str(code): _content("Error.", ErrorAnswer) for code in (401, 421, *operation.refusals)},
        },
    }
    if "{tag}" in path:
        tag = {"type": "string", "pattern": f"^{TAG_PATTERN}$"}
        described["parameters"].insert(0, {"name": "tag", "in": "path", "required": True, "schema": tag})
    if "{id}" in path:
        number = {"type": "integer", "minimum": 1}
        described["parameters"].insert(0, {"name": "id", "in": "path", "required": True, "schema": number})
    if operation.body is not None:
        described["requestBody"] = {**_content("", operation.body), "required": True}
        del described["requestBody"]["description"]
    if method != "get":
        described["security"] = [{"bearer": []}, {"basic": []}]
    return described


def _success(operation: Operation) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "Success."}
    if operation.answer is None:
        return {"description": "Success.", "content": {JSON: {"schema": {"type": "object"}}}}
    return _content("Success.", operation.answer)


def _content(description: str, model: type[BaseModel]) -> dict[str, Any]:
    reference = {"$ref": _REF.format(model=model.__name__)}
    return {"description": description, "content": {JSON: {"schema": reference}}}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
