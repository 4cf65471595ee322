"""`/incidents` and `/incidents/{id}`: open and past incidents, and their acknowledgements."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import falcon
import falcon.asgi

from exporter.core.alerts.alert import AlertState
from exporter.core.errors import StorageUnavailable
from exporter.presentation.moments import moment
from exporter.web.context import WebContext
from exporter.web.errors import log
from exporter.web.pages.incident_rows import IncidentRow, alert_rows, incident_row, incident_rows, title_of, worst_first
from exporter.web.pages.rendering import Pages
from exporter.web.pages.status import answer_page
from exporter.web.requests import WebRequest

if TYPE_CHECKING:
    from exporter.storage.repositories.incidents import Incident

MAX_OPEN = 500
PER_PAGE = 50
"""Past ones."""
MAX_ALERTS = 100
_ID = re.compile(r"[1-9][0-9]{0,17}")
INCIDENTS_MISSING = "Incidents are missing because the database does not respond."


class IncidentsPage:
    """All incidents: the open ones, then the past ones a page at a time."""

    def __init__(self, parts: WebContext, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        # What makes no sense is as if it were not there.
        await answer_page(req, resp, self._parts, self._render, as_id(req.get_param("before") or ""))

    on_head = on_get

    def _render(self, before: int | None) -> bytes:
        now = self._parts.clock.now()
        trouble: str | None = None
        open_ones: tuple[IncidentRow, ...] = ()
        past: tuple[IncidentRow, ...] = ()
        count = 0
        try:
            if before is None:
                open_ones = self._rows(worst_first(self._parts.incidents.recent(open=True, limit=MAX_OPEN)), now)
                count = len(open_ones) if len(open_ones) < MAX_OPEN else self._parts.incidents.count_open()
            past = self._rows(self._parts.incidents.recent(open=False, limit=PER_PAGE + 1, before_id=before), now)
        except StorageUnavailable as error:
            log.warning("a page goes without its incidents: %s", error)
            trouble = INCIDENTS_MISSING
        return self._pages.render(
            "incidents.html",
            {
                "open": open_ones,
                "open_count": count,
                "past": past[:PER_PAGE],
                "first": before is None,
                "older": f"/incidents?before={past[PER_PAGE - 1].id}" if len(past) > PER_PAGE else None,
                "trouble": trouble,
                "not_ready": self._parts.readiness(),
                "rendered": moment(now, now, "UTC"),
            },
        )

    def _rows(self, shown: Sequence["Incident"], now: int) -> tuple[IncidentRow, ...]:
        return incident_rows(shown, self._parts.incidents, self._parts.fleet, now)


class IncidentPage:
    """One incident."""

    def __init__(self, parts: WebContext, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, id: str) -> None:
        await answer_page(req, resp, self._parts, self._render, incident_id(id))

    on_head = on_get

    def _render(self, id: int) -> bytes:
        now, incidents = self._parts.clock.now(), self._parts.incidents
        incident = incidents.find(id)
        row = incident_row(incident, incidents.updates([id])[id], self._parts.fleet, now)
        watched = self._parts.fleet.get(incident.tag)
        alerts = self._parts.alerts.recent(incident_id=id, limit=MAX_ALERTS)
        return self._pages.render(
            "incident.html",
            {
                "incident": row,
                "title": title_of(row),
                "alerts": alert_rows(alerts, watched.monitor.timezone if watched is not None else "UTC", now),
                "goes_on": any(alert.step is AlertState.TRIGGERED for alert in alerts),
                "not_ready": self._parts.readiness(),
                "rendered": moment(now, now, "UTC"),
            },
        )


def incident_id(text: str) -> int:
    """From a URL; 404 for what cannot be one."""
    id = as_id(text)
    if id is None:
        raise falcon.HTTPNotFound(description="There is no such incident.")
    return id


def as_id(text: str) -> int | None:
    """None for what no database would have numbered so."""
    return int(text) if _ID.fullmatch(text) else None
