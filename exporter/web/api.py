"""`/api/v1/…`."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, TypeVar

import falcon
import falcon.asgi
from pydantic import BaseModel

from exporter.core.clock import DAY
from exporter.core.errors import InvalidValue
from exporter.core.moments import parse_moment
from exporter.core.secret import make_secret
from exporter.core.status import Status
from exporter.storage.fleet import Watched
from exporter.web.addresses import base_url, ping_url
from exporter.web.answers import (
    CreatedAnswer,
    HeartbeatAnswer,
    HeartbeatsAnswer,
    MonitorAnswer,
    MonitorsAnswer,
    PausedAnswer,
    TransitionAnswer,
    TransitionsAnswer,
)
from exporter.web.bodies import MonitorChange, NewMonitor, read_body
from exporter.web.errors import JSON, RETRY_AFTER
from exporter.web.listing import Query, breathing
from exporter.web.monitor_page import find
from exporter.web.parts import Parts
from exporter.web.requests import Request

PER_ANSWER = 100
MOST_PER_ANSWER = 1_000
HEARTBEATS_PER_ANSWER = 20
_T = TypeVar("_T")


class _Resource:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def _off_loop(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, work, *arguments)


class MonitorList(_Resource):
    """`/api/v1/monitors`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        status = req.get_param("status", default="").upper()
        if status and status not in Status.__members__:
            raise _bad("status", f"is one of {', '.join(Status)}")
        query = Query.parse(req.get_param("q"), status, req.get_param("group"))
        limit = _number(req, "limit", PER_ANSWER, MOST_PER_ANSWER)
        cursor = req.get_param("cursor", default="")
        if not len(self._parts.fleet):
            reason = self._parts.readiness()
            if reason is not None:
                raise falcon.HTTPServiceUnavailable(description=f"Not ready: {reason}.", retry_after=RETRY_AFTER)
        _answer(resp, await self._off_loop(self._page, query, limit, cursor))

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        new = await read_body(req, NewMonitor)
        secret = new.secret.get_secret_value() if new.secret is not None else make_secret()
        await self._off_loop(self._parts.monitors.add, new.monitor(), secret)
        url = ping_url(base_url(req, self._parts.settings), new.tag, secret)
        resp.status = falcon.HTTP_201
        resp.set_header("location", f"/api/v1/monitors/{new.tag}")
        _answer(resp, _json(CreatedAnswer(tag=new.tag, secret=secret, ping_url=url)))

    def _page(self, query: Query, limit: int, cursor: str) -> bytes:
        """In the order of tags, in which a cursor stays right whatever comes and goes meanwhile."""
        now, watched = self._parts.clock.now(), self._parts.fleet.all()
        start = bisect_right(watched, cursor, key=_tag) if cursor else 0
        found: list[Watched] = []
        for index in breathing(range(start, len(watched))):
            each = watched[index]
            if query.status is not None and each.standing.status is not query.status:
                continue
            if query.matches(each):
                found.append(each)
                if len(found) > limit:
                    break
        shown = found[:limit]
        return _json(
            MonitorsAnswer(
                monitors=[MonitorAnswer.of(each, now) for each in shown],
                next_cursor=shown[-1].monitor.tag if len(found) > limit else None,
            )
        )


class OneMonitor(_Resource):
    """`/api/v1/monitors/{tag}`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, tag: str) -> None:
        _answer(resp, _json(MonitorAnswer.of(find(self._parts, tag), self._parts.clock.now())))

    on_head = on_get

    async def on_patch(self, req: Request, resp: falcon.asgi.Response, tag: str) -> None:
        change = await read_body(req, MonitorChange)
        find(self._parts, tag)
        await self._off_loop(self._parts.monitors.set_paused, tag, change.paused)
        _answer(resp, _json(PausedAnswer(tag=tag, paused=change.paused)))

    async def on_delete(self, req: Request, resp: falcon.asgi.Response, tag: str) -> None:
        find(self._parts, tag)
        await self._off_loop(self._parts.monitors.remove, tag)
        resp.status = falcon.HTTP_204


class TransitionList(_Resource):
    """`/api/v1/monitors/{tag}/transitions`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, tag: str) -> None:
        watched = find(self._parts, tag)
        text = req.get_param("since")
        try:
            since = parse_moment(text) if text else self._parts.clock.now() - DAY
        except InvalidValue as error:
            raise _bad("since", str(error)) from error
        _answer(resp, await self._off_loop(self._page, watched, since))

    on_head = on_get

    def _page(self, watched: Watched, since: int) -> bytes:
        found = self._parts.history.transitions([watched.id], since).get(watched.id, ())
        return _json(TransitionsAnswer(transitions=[TransitionAnswer.of(each) for each in found]))


class HeartbeatList(_Resource):
    """`/api/v1/monitors/{tag}/heartbeats`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, tag: str) -> None:
        watched = find(self._parts, tag)
        limit = _number(req, "limit", HEARTBEATS_PER_ANSWER, MOST_PER_ANSWER)
        _answer(resp, await self._off_loop(self._page, watched, limit))

    on_head = on_get

    def _page(self, watched: Watched, limit: int) -> bytes:
        found = self._parts.history.heartbeats(watched.id, limit)
        return _json(HeartbeatsAnswer(heartbeats=[HeartbeatAnswer.of(each) for each in found]))


def _number(req: Request, name: str, default: int, most: int) -> int:
    text = req.get_param(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise _bad(name, f"is a number from 1 to {most}")
    return int(text)


def _bad(name: str, message: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=f"The parameter {name}: {message}.")


def _tag(watched: Watched) -> str:
    return watched.monitor.tag


def _json(answer: BaseModel) -> bytes:
    return answer.model_dump_json().encode()


def _answer(resp: falcon.asgi.Response, body: bytes) -> None:
    resp.content_type = JSON
    resp.data = body
