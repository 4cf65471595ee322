"""`/`: everything that is watched, at a glance."""

import asyncio
import re
import zlib
from collections.abc import Mapping
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

import falcon.asgi

from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.status import Status
from exporter.presentation.moments import moment
from exporter.presentation.statuses import summarize, worst
from exporter.web.addresses import base_url, ping_url
from exporter.web.context import WebContext
from exporter.web.errors import log
from exporter.web.headers import answer_html
from exporter.web.pages.alerts import AlertSummary, alarms
from exporter.web.pages.bar import SPAN
from exporter.web.pages.listing import PER_PAGE, Listing, ListingPage, Query
from exporter.web.pages.maintenance import window_rows
from exporter.web.pages.outages import outage
from exporter.web.pages.rendering import Pages
from exporter.web.pages.rows import row
from exporter.web.requests import WebRequest

PLACEHOLDER = "SECRET"
_REFUSES_GZIP = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")
HISTORY_MISSING = (
    "History, alerts and incidents are missing because the database does not respond. Statuses are current."
)


class StatusPage:
    """All monitors, trouble first."""

    def __init__(self, parts: WebContext, pages: Pages, listing: Listing) -> None:
        self._parts = parts
        self._pages = pages
        self._listing = listing

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        query = Query.parse(*(req.get_param(name) for name in ("q", "status", "group", "page")))
        base = base_url(req, self._parts.settings)
        await answer_page(req, resp, self._parts, self._render, query, base)

    on_head = on_get

    def _render(self, query: Query, base: str) -> bytes:
        now = self._parts.clock.now()
        selection = self._listing.select(query)
        not_ready = self._parts.readiness()
        transitions, details, trouble = self._read(selection.watched, now)
        calendar = self._parts.fleet.calendar
        rows = [
            row(watched, transitions.get(watched.id, ()), now, details.firing.get(watched.id, ()), calendar.away)
            for watched in selection.watched
        ]
        return self._pages.render(
            "status.html",
            {
                "query": query,
                "selection": selection,
                "sections": [
                    (title, list(members)) for title, members in groupby(rows, key=lambda shown: shown.section)
                ],
                "summary": summarize(selection.fleet_counts),
                "worst": worst(selection.fleet_counts),
                "total": sum(selection.fleet_counts.values()),
                "chips": _chips(query, selection),
                "previous": _link(query, page=query.page - 1) if selection.page > 1 else None,
                "next": _link(query, page=selection.page + 1) if selection.page < selection.pages else None,
                "unfiltered": _link(Query()),
                "not_ready": not_ready,
                "trouble": trouble,
                "outage": outage(calendar, now),
                "windows": window_rows(calendar.maintenances, now),
                "alarms": details,
                "whole": query == Query(),
                "rendered": moment(now, now, "UTC"),
                "ping_url": ping_url(base, "nightly-backup", PLACEHOLDER),
                "last": min(selection.first + PER_PAGE - 1, selection.matching),
            },
        )

    def _read(self, watched: tuple[FleetMonitor, ...], now: int) -> tuple[Mapping[int, Any], AlertSummary, str | None]:
        """The last 24 hours by monitor id, and alarms. A page without them is still worth having: then, and why not."""
        try:
            transitions = self._parts.history.transitions([each.id for each in watched], now - SPAN) if watched else {}
            return transitions, alarms(self._parts, watched, now), None
        except StorageUnavailable as error:
            log.warning("a page goes without its history: %s", error)
            return {}, AlertSummary(), HISTORY_MISSING


async def answer_page(
    req: WebRequest, resp: falcon.asgi.Response, parts: WebContext, render: Any, *arguments: Any
) -> None:
    """What `render` makes, as a page."""
    answer_html(resp, await made(req, resp, parts, render, *arguments))


async def made(req: WebRequest, resp: falcon.asgi.Response, parts: WebContext, render: Any, *arguments: Any) -> bytes:
    """Renders, and compresses for clients that accept it, in the executor."""
    accepted = req.get_header("Accept-Encoding") or ""
    gzip = "gzip" in accepted and not _REFUSES_GZIP.search(accepted)

    def work() -> bytes:
        body: bytes = render(*arguments)
        # A page contains no secret, so the length of its compressed form reveals none.
        return zlib.compress(body, 1, wbits=31) if gzip else body

    body = await asyncio.get_running_loop().run_in_executor(parts.executor, work)
    resp.append_header("vary", "Accept-Encoding")
    if gzip:
        resp.set_header("content-encoding", "gzip")
    return body


def _chips(query: Query, selection: ListingPage) -> list[dict[str, Any]]:
    """All, then every status that some monitor has, or that is asked for."""
    everything = {
        "status": None,
        "label": "All",
        "count": sum(selection.counts.values()),
        "href": _link(query, status=None),
        "current": query.status is None,
    }
    chips = [everything]
    for status, count in selection.counts.items():
        if count or selection.fleet_counts[status] or query.status is status:
            href, current = _link(query, status=status), query.status is status
            chips.append({"status": status, "label": None, "count": count, "href": href, "current": current})
    return chips


def _link(query: Query, status: Status | str | None = "", page: int = 1) -> str:
    """The same page with one thing changed; `status=""` keeps it."""
    kept = query.status if status == "" else status
    given = {"q": query.q, "status": kept or "", "group": query.group, "page": str(page) if page > 1 else ""}
    encoded = urlencode({name: value for name, value in given.items() if value}, errors="replace")
    return f"/?{encoded}" if encoded else "/"
