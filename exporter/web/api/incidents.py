"""`/api/v1/alerts`, `/api/v1/incidents…` and `/api/v1/notifications`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import falcon
import falcon.asgi

from exporter.core.alerts.alert import AlertState, PublicAlertState
from exporter.core.alerts.incident import IncidentState
from exporter.core.alerts.notification import NotificationState
from exporter.resources.incidents import (
    AlertAnswer,
    AlertsAnswer,
    IncidentAnswer,
    IncidentsAnswer,
    WholeIncidentAnswer,
)
from exporter.resources.notifications import NotificationAnswer, NotificationsAnswer
from exporter.web.api.bodies import Acknowledgement, NewUpdate, read_body
from exporter.web.api.operation import NUMBER_CURSOR, limit, operation
from exporter.web.api.resource import MAX_PER_ANSWER, PER_ANSWER, Resource, answer, bad, number, to_json
from exporter.web.pages.incidents import as_id, incident_id
from exporter.web.requests import WebRequest

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")


class AlertList(Resource):
    """`/api/v1/alerts`."""

    @operation(
        summary="List alerts, newest first",
        answer=AlertsAnswer,
        query={
            "state": ("Only alerts in this state.", {"enum": [state.value for state in PublicAlertState]}),
            "limit": limit(PER_ANSWER),
            "cursor": NUMBER_CURSOR,
        },
        refusals=(400, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        state = _one_of(req, "state", PublicAlertState)
        stored = None if state is None else state.stored
        answer(resp, await self._off_loop(self._page, stored, *_page_of(req)))

    on_head = on_get

    def _page(self, step: AlertState | None, limit: int, before: int | None) -> bytes:
        alerts, more = _cut(self._parts.alerts.recent(step=step, limit=limit + 1, before_id=before), limit)
        cursor = str(alerts[-1].id) if more else None
        return to_json(AlertsAnswer(alerts=[AlertAnswer.of(each) for each in alerts], next_cursor=cursor))


class IncidentList(Resource):
    """`/api/v1/incidents`."""

    @operation(
        summary="List incidents, newest first",
        answer=IncidentsAnswer,
        query={
            "open": ("Only open or only resolved incidents.", {"type": "boolean"}),
            "limit": limit(PER_ANSWER),
            "cursor": NUMBER_CURSOR,
        },
        refusals=(400, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        text = (req.get_param("open") or "").lower()
        if text not in ("", "true", "false"):
            raise bad("open", "must be true or false")
        open_only = {"true": True, "false": False}.get(text)
        answer(resp, await self._off_loop(self._page, open_only, *_page_of(req)))

    on_head = on_get

    def _page(self, open_only: bool | None, limit: int, before: int | None) -> bytes:
        incidents, more = _cut(self._parts.incidents.recent(open=open_only, limit=limit + 1, before_id=before), limit)
        cursor = str(incidents[-1].id) if more else None
        return to_json(IncidentsAnswer(incidents=[IncidentAnswer.of(each) for each in incidents], next_cursor=cursor))


class _WithIncident(Resource):
    def _whole(self, id: int) -> bytes:
        incidents = self._parts.incidents
        incident = incidents.find(id)
        alerts = self._parts.alerts.recent(incident_id=id, limit=MAX_PER_ANSWER)
        return to_json(WholeIncidentAnswer.whole(incident, incidents.updates([id])[id], alerts))


class OneIncident(_WithIncident):
    """`/api/v1/incidents/{id}`."""

    @operation(
        summary="Get an incident with its timeline and its alerts", answer=WholeIncidentAnswer, refusals=(404, 503)
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, id: str) -> None:
        answer(resp, await self._off_loop(self._whole, incident_id(id)))

    on_head = on_get


class IncidentUpdates(_WithIncident):
    """`/api/v1/incidents/{id}/updates`."""

    @operation(
        summary="Add an entry to the timeline of an incident; the state RESOLVED resolves it",
        answer=WholeIncidentAnswer,
        body=NewUpdate,
        status=201,
        refusals=(403, 404, 409, 413, 415, 422, 503),
    )
    async def on_post(self, req: WebRequest, resp: falcon.asgi.Response, id: str) -> None:
        number, new = incident_id(id), await read_body(req, NewUpdate)
        body = await self._off_loop(self._add, number, new.state, new.text, new.author)
        resp.status = falcon.HTTP_201
        answer(resp, body)

    def _add(self, id: int, state: IncidentState | None, text: str, author: str) -> bytes:
        self._parts.incidents.update(id, state, text, author)
        return self._whole(id)


class Acknowledge(_WithIncident):
    """`/api/v1/incidents/{id}/acknowledge`."""

    @operation(
        summary="Acknowledge an incident: its alerts send no more reminders",
        answer=WholeIncidentAnswer,
        body=Acknowledgement,
        refusals=(403, 404, 409, 413, 415, 422, 503),
    )
    async def on_post(self, req: WebRequest, resp: falcon.asgi.Response, id: str) -> None:
        number, given = incident_id(id), await read_body(req, Acknowledgement)
        answer(resp, await self._off_loop(self._acknowledge, number, given.author))

    def _acknowledge(self, id: int, author: str) -> bytes:
        self._parts.incidents.acknowledge(id, author)
        return self._whole(id)


class NotificationList(Resource):
    """`/api/v1/notifications`."""

    @operation(
        summary="List notifications and their delivery, newest first",
        answer=NotificationsAnswer,
        query={
            "state": ("Only notifications in this state.", {"enum": [state.value for state in NotificationState]}),
            "limit": limit(PER_ANSWER),
            "cursor": NUMBER_CURSOR,
        },
        refusals=(400, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        state = _one_of(req, "state", NotificationState)
        answer(resp, await self._off_loop(self._page, state, *_page_of(req)))

    on_head = on_get

    def _page(self, state: NotificationState | None, limit: int, before: int | None) -> bytes:
        notifications, more = _cut(
            self._parts.notifications.recent(state=state, limit=limit + 1, before_id=before), limit
        )
        holds = self._parts.notifications.holds(self._parts.clock.now())
        return to_json(
            NotificationsAnswer(
                notifications=[NotificationAnswer.of(each, holds) for each in notifications],
                next_cursor=str(notifications[-1].id) if more else None,
            )
        )


def _page_of(req: WebRequest) -> tuple[int, int | None]:
    """How many, and before which."""
    cursor = req.get_param("cursor") or ""
    before = as_id(cursor)
    if cursor and before is None:
        raise bad("cursor", "must be the next_cursor of a previous response")
    return number(req, "limit", PER_ANSWER, MAX_PER_ANSWER), before


def _one_of(req: WebRequest, name: str, kind: type[_E]) -> _E | None:
    """Whatever its case; None when it is not given."""
    text = req.get_param(name) or ""
    for member in kind:
        if member.value.lower() == text.lower():
            return member
    if text:
        raise bad(name, f"must be one of {', '.join(kind)}")
    return None


def _cut(rows: Sequence[_T], limit: int) -> tuple[Sequence[_T], bool]:
    return rows[:limit], len(rows) > limit
