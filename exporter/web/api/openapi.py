"""The API's own description, made from what its resources declare.

`make openapi` rewrites docs/openapi.json; a test compares.
"""

import json
import sys
from typing import Any

import falcon.asgi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exporter.core.monitor import TAG_PATTERN
from exporter.web.api.operation import Operation, operation, operations_of
from exporter.web.api.problems import ErrorAnswer
from exporter.web.api.resource import Resource, answer
from exporter.web.api.routes import RESOURCES
from exporter.web.errors import JSON
from exporter.web.requests import WebRequest

_REF = "#/components/schemas/{model}"


class Description(Resource):
    """`/api/v1/openapi.json`. Made when it is first asked for: most never are, and it takes a megabyte."""

    _body: bytes | None = None

    @operation(summary="Get this description")
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        if self._body is None:
            self._body = await self._off_loop(_described, self._parts.version)
        answer(resp, self._body)

    on_head = on_get


def operations() -> dict[str, dict[str, Operation]]:
    """By path and method."""
    return {path: operations_of(route.resource()) for path, route in RESOURCES.items()}


def golden(version: str) -> str:
    """docs/openapi.json, for people who want to read it or make a client without a running service."""
    return json.dumps(describe(version), ensure_ascii=False, indent=2) + "\n"


def _described(version: str) -> bytes:
    return json.dumps(describe(version), ensure_ascii=False).encode()


def describe(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    declared = operations()
    every = [each for methods in declared.values() for each in methods.values()]
    bodies: set[type[BaseModel]] = {each.body for each in every if each.body is not None}
    answers: set[type[BaseModel]] = {each.answer for each in every if each.answer is not None}
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
            for path, methods in declared.items()
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


def _operation(path: str, method: str, declared: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": "_".join([method, *(p.strip("{}") for p in path.split("/")[3:])]).replace(".", "_"),
        "summary": declared.summary,
        "parameters": [
            # An empty one is as if it were left out: forms send those.
            {"name": name, "in": "query", "description": text, "schema": schema, "allowEmptyValue": True}
            for name, (text, schema) in declared.query.items()
        ],
        "responses": {
            str(declared.status): _success(declared),
            **{str(code): _content("Error.", ErrorAnswer) for code in (401, 421, *declared.refusals)},
        },
    }
    if "{tag}" in path:
        tag = {"type": "string", "pattern": f"^{TAG_PATTERN}$"}
        described["parameters"].insert(0, {"name": "tag", "in": "path", "required": True, "schema": tag})
    if "{id}" in path:
        number = {"type": "integer", "minimum": 1}
        described["parameters"].insert(0, {"name": "id", "in": "path", "required": True, "schema": number})
    if declared.body is not None:
        described["requestBody"] = {**_content("", declared.body), "required": True}
        del described["requestBody"]["description"]
    if method != "get":
        described["security"] = [{"bearer": []}, {"basic": []}]
    return described


def _success(declared: Operation) -> dict[str, Any]:
    if declared.status == 204:
        return {"description": "Success."}
    if declared.answer is None:
        return {"description": "Success.", "content": {JSON: {"schema": {"type": "object"}}}}
    return _content("Success.", declared.answer)


def _content(description: str, model: type[BaseModel]) -> dict[str, Any]:
    reference = {"$ref": _REF.format(model=model.__name__)}
    return {"description": description, "content": {JSON: {"schema": reference}}}


def _name(model: type[BaseModel]) -> str:
    return model.__name__


if __name__ == "__main__":
    from exporter import __version__

    sys.stdout.write(golden(__version__))
