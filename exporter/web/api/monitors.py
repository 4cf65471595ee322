"""`/api/v1/…`."""

from bisect import bisect_right

import falcon
import falcon.asgi

from exporter.config.strength import MIN_LENGTH
from exporter.core.clock import DAY
from exporter.core.errors import InvalidValue
from exporter.core.fleet import FleetMonitor
from exporter.core.maintenance import Window
from exporter.core.secret import make_secret
from exporter.core.status import Status
from exporter.presentation.moments import parse_moment
from exporter.resources.maintenances import MaintenanceAnswer, MaintenancesAnswer
from exporter.resources.monitors import (
    BlackoutAnswer,
    BlackoutKind,
    BlackoutsAnswer,
    CreatedAnswer,
    HeartbeatAnswer,
    HeartbeatsAnswer,
    MonitorAnswer,
    MonitorsAnswer,
    PausedAnswer,
    TransitionAnswer,
    TransitionsAnswer,
)
from exporter.web.addresses import base_url, ping_url
from exporter.web.api.bodies import MonitorChange, NewMonitor, read_body
from exporter.web.api.operation import CURSOR, MOMENT, limit, operation
from exporter.web.api.resource import MAX_PER_ANSWER, PER_ANSWER, Resource, answer, bad, number, to_json
from exporter.web.errors import RETRY_AFTER, Refused, log
from exporter.web.pages.listing import Query, yielding_gil
from exporter.web.pages.monitor import find
from exporter.web.pages.outages import kept
from exporter.web.requests import WebRequest

HEARTBEATS_PER_ANSWER = 20


class MonitorList(Resource):
    """`/api/v1/monitors`."""

    @operation(
        summary="List monitors, ordered by tag",
        answer=MonitorsAnswer,
        query={
            "status": ("Only monitors with this status.", {"enum": [status.value for status in Status]}),
            "group": ("Only monitors of this group.", {"type": "string"}),
            "q": ("Only monitors with this text in tag, name or group.", {"type": "string"}),
            "limit": limit(PER_ANSWER),
            "cursor": CURSOR,
        },
        refusals=(400, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        status = req.get_param("status", default="").upper()
        if status and status not in Status.__members__:
            raise bad("status", f"must be one of {', '.join(Status)}")
        query = Query.parse(req.get_param("q"), status, req.get_param("group"))
        limit = number(req, "limit", PER_ANSWER, MAX_PER_ANSWER)
        cursor = req.get_param("cursor", default="")
        if not len(self._parts.fleet):
            reason = self._parts.readiness()
            if reason is not None:
                raise falcon.HTTPServiceUnavailable(description=f"Not ready: {reason}.", retry_after=RETRY_AFTER)
        answer(resp, await self._off_loop(self._page, query, limit, cursor))

    on_head = on_get

    @operation(
        summary="Create a monitor; only this response shows its secret",
        answer=CreatedAnswer,
        body=NewMonitor,
        status=201,
        refusals=(403, 409, 413, 415, 422, 503),
    )
    async def on_post(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        new = await read_body(req, NewMonitor)
        secret = new.secret.get_secret_value() if new.secret is not None else make_secret()
        try:
            await self._off_loop(self._parts.monitors.add, new.monitor(), secret)
        except InvalidValue as error:  # of its dependencies, which only the database knows
            path, _, message = str(error).partition(": ")
            raise Refused(
                falcon.HTTP_422, "The request body is invalid.", [{"path": path, "message": message}]
            ) from None
        if len(secret) < MIN_LENGTH:
            log.warning("the monitor %s was added with a secret of fewer than %d characters", new.tag, MIN_LENGTH)
        url = ping_url(base_url(req, self._parts.settings), new.tag, secret)
        resp.status = falcon.HTTP_201
        resp.set_header("location", f"/api/v1/monitors/{new.tag}")
        answer(resp, to_json(CreatedAnswer(tag=new.tag, secret=secret, ping_url=url)))

    def _page(self, query: Query, limit: int, cursor: str) -> bytes:
        """In the order of tags, in which a cursor stays right whatever comes and goes meanwhile."""
        now, watched = self._parts.clock.now(), self._parts.fleet.all()
        start = bisect_right(watched, cursor, key=_tag) if cursor else 0
        matching: list[FleetMonitor] = []
        for index in yielding_gil(range(start, len(watched))):
            each = watched[index]
            if query.status is not None and each.shown.status is not query.status:
                continue
            if query.matches(each):
                matching.append(each)
                if len(matching) > limit:
                    break
        shown = matching[:limit]
        return to_json(
            MonitorsAnswer(
                monitors=[
                    MonitorAnswer.of(each, now, self._parts.fleet.calendar.away, self._parts.fleet) for each in shown
                ],
                next_cursor=shown[-1].monitor.tag if len(matching) > limit else None,
            )
        )


class OneMonitor(Resource):
    """`/api/v1/monitors/{tag}`."""

    @operation(summary="Get a monitor", answer=MonitorAnswer, refusals=(404, 503))
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        watched, blackouts = find(self._parts, tag), self._parts.fleet.calendar.away
        now = self._parts.clock.now()
        answer(resp, to_json(MonitorAnswer.of(watched, now, blackouts, self._parts.fleet)))

    on_head = on_get

    @operation(
        summary="Pause or resume a monitor",
        answer=PausedAnswer,
        body=MonitorChange,
        refusals=(403, 404, 409, 413, 415, 422, 503),
    )
    async def on_patch(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        change = await read_body(req, MonitorChange)
        find(self._parts, tag)
        await self._off_loop(self._parts.monitors.set_paused, tag, change.paused)
        answer(resp, to_json(PausedAnswer(tag=tag, paused=change.paused)))

    @operation(
        summary="Delete a monitor that the configuration file does not define",
        status=204,
        refusals=(403, 404, 409, 503),
    )
    async def on_delete(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        find(self._parts, tag)
        await self._off_loop(self._parts.monitors.remove, tag)
        resp.status = falcon.HTTP_204


class TransitionList(Resource):
    """`/api/v1/monitors/{tag}/transitions`."""

    @operation(
        summary="List the monitor's status changes, oldest first",
        answer=TransitionsAnswer,
        query={"since": ("RFC 3339 or Unix seconds; one day ago by default.", MOMENT)},
        refusals=(400, 404, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        watched = find(self._parts, tag)
        since = _since(req, self._parts.clock.now() - DAY)
        answer(resp, await self._off_loop(self._page, watched, since))

    on_head = on_get

    def _page(self, watched: FleetMonitor, since: int) -> bytes:
        found = self._parts.history.transitions([watched.id], since).get(watched.id, ())
        return to_json(TransitionsAnswer(transitions=[TransitionAnswer.of(each) for each in found]))


class HeartbeatList(Resource):
    """`/api/v1/monitors/{tag}/heartbeats`."""

    @operation(
        summary="List the monitor's recent heartbeats, newest first",
        answer=HeartbeatsAnswer,
        query={"limit": limit(HEARTBEATS_PER_ANSWER)},
        refusals=(400, 404, 503),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        watched = find(self._parts, tag)
        limit = number(req, "limit", HEARTBEATS_PER_ANSWER, MAX_PER_ANSWER)
        answer(resp, await self._off_loop(self._page, watched, limit))

    on_head = on_get

    def _page(self, watched: FleetMonitor, limit: int) -> bytes:
        found = self._parts.history.heartbeats(watched.id, limit)
        return to_json(HeartbeatsAnswer(heartbeats=[HeartbeatAnswer.of(each) for each in found]))


class BlackoutList(Resource):
    """`/api/v1/blackouts`: from memory, so it answers while the database is away."""

    @operation(
        summary="List outages of the exporter (blackouts), newest first",
        answer=BlackoutsAnswer,
        query={"since": ("RFC 3339 or Unix seconds: only blackouts that ended later; all by default.", MOMENT)},
        refusals=(400,),
    )
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        since, calendar = _since(req, 0), self._parts.fleet.calendar
        spans = [(span, BlackoutKind.OUTAGE) for span in kept(calendar.blackouts, since)]
        spans += [(span, BlackoutKind.UNREACHABLE) for span in kept(calendar.unreachable, since)]
        blackouts = [BlackoutAnswer.of(*each) for each in sorted(spans, reverse=True)]
        answer(resp, to_json(BlackoutsAnswer.of(calendar.forgives, blackouts, self._parts.suspicion())))

    on_head = on_get


class MaintenanceList(Resource):
    """`/api/v1/maintenances`: from memory, so it answers while the database is away."""

    @operation(summary="List current and future maintenance windows", answer=MaintenancesAnswer)
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        now, windows = self._parts.clock.now(), self._parts.fleet.calendar.maintenances
        shown = [window for window in windows if isinstance(window, Window) and not _over(window, now)]
        answer(resp, to_json(MaintenancesAnswer(maintenances=[MaintenanceAnswer.of(window, now) for window in shown])))

    on_head = on_get


def _over(window: Window, now: int) -> bool:
    at = window.over_at()
    return at is not None and at <= now


def _since(req: WebRequest, default: int) -> int:
    text = req.get_param("since")
    try:
        return parse_moment(text) if text else default
    except InvalidValue as error:
        raise bad("since", str(error)) from error


def _tag(watched: FleetMonitor) -> str:
    return watched.monitor.tag
