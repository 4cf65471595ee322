"""What the resources of the API share: work off the event loop, parameters, answers."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import falcon
import falcon.asgi
from pydantic import BaseModel

from exporter.web.context import WebContext
from exporter.web.errors import JSON
from exporter.web.requests import WebRequest

PER_ANSWER = 100
MAX_PER_ANSWER = 1_000
_T = TypeVar("_T")


class Resource:
    """Base of all."""

    def __init__(self, parts: WebContext) -> None:
        self._parts = parts

    async def _off_loop(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, work, *arguments)


def number(req: WebRequest, name: str, default: int, most: int) -> int:
    text = req.get_param(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise bad(name, f"must be a number from 1 to {most}")
    return int(text)


def bad(name: str, message: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=f"The parameter {name}: {message}.")


def to_json(answer: BaseModel) -> bytes:
    return answer.model_dump_json().encode()


def answer(resp: falcon.asgi.Response, body: bytes) -> None:
    resp.content_type = JSON
    resp.data = body
