"""What one method of one path does, declared at the method that does it; the OpenAPI document is made of these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from exporter.web.api.resource import MAX_PER_ANSWER

_ATTRIBUTE = "operation"
_F = TypeVar("_F", bound=Callable[..., Any])

MOMENT = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]{1,9})?$"},
    ],
    "examples": ["2026-11-24T03:00:00Z"],
}
CURSOR = ("The `next_cursor` of the previous response.", {"type": "string"})
NUMBER_CURSOR = ("The `next_cursor` of the previous response.", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """By keyword alone: one model in another's place would be a wrong document that no type checker finds."""

    summary: str
    answer: type[BaseModel] | None = None
    """Of the success; None is no body, or JSON without a model."""
    body: type[BaseModel] | None = None
    """What the method reads, if it reads any."""
    query: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Name → (description, schema)."""
    status: int = 200
    refusals: tuple[int, ...] = ()
    """Status codes of refusals, beside those that every operation has."""


def limit(default: int) -> tuple[str, dict[str, Any]]:
    """The query parameter `limit`."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_PER_ANSWER, "default": default}
    return ("Maximum number of items.", schema)


def operation(
    *,
    summary: str,
    answer: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    query: Mapping[str, tuple[str, dict[str, Any]]] | None = None,
    status: int = 200,
    refusals: tuple[int, ...] = (),
) -> Callable[[_F], _F]:
    """Declares the method below it."""
    declared = Operation(summary=summary, answer=answer, body=body, query=query or {}, status=status, refusals=refusals)

    def declare(method: _F) -> _F:
        setattr(method, _ATTRIBUTE, declared)
        return method

    return declare


def operations_of(resource: type) -> dict[str, Operation]:
    """Method in lower case → what it does, for all that the resource declares."""
    declared = {name: getattr(getattr(resource, f"on_{name}", None), _ATTRIBUTE, None) for name in _METHODS}
    return {name: operation for name, operation in declared.items() if operation is not None}


_METHODS = ("get", "post", "put", "patch", "delete")
