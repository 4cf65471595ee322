"""`/incidents.atom`: the newest incidents with their timelines, for feed readers (RFC 4287)."""

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import falcon.asgi

from exporter.presentation.moments import rfc3339
from exporter.web.addresses import base_url
from exporter.web.context import WebContext
from exporter.web.etags import answer_unless_known
from exporter.web.pages.incident_rows import IncidentRow, incident_rows, title_of
from exporter.web.pages.rendering import Pages
from exporter.web.pages.status import made
from exporter.web.requests import WebRequest

if TYPE_CHECKING:
    from exporter.storage.repositories.incidents import Incident

MAX_ENTRIES = 50
ATOM = "application/atom+xml; charset=utf-8"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even as a reference."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    id: str
    title: str
    updated: str
    row: IncidentRow


class Feed:
    """Asked again and again by readers, so it has an ETag."""

    def __init__(self, parts: WebContext, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        body = await made(req, resp, self._parts, self._render, base_url(req, self._parts.settings))
        resp.content_type = ATOM
        answer_unless_known(req, resp, body)

    on_head = on_get

    def _render(self, base: str) -> bytes:
        incidents = self._parts.incidents
        newest = incidents.recent(limit=MAX_ENTRIES)
        # Nothing in it depends on the moment at which it is asked for, or its ETag would.
        rows = incident_rows(newest, incidents, self._parts.fleet, 0)
        text = self._pages.render(
            "incidents.atom",
            {
                "base": base,
                "updated": rfc3339(max((incident.updated_at for incident in newest), default=0)),
                "entries": [
                    FeedEntry(urn(incident), title_of(row), rfc3339(incident.updated_at), row)
                    for incident, row in zip(newest, rows, strict=True)
                ],
            },
        )
        return _NOT_XML.sub("\ufffd", text.decode()).encode()


def urn(incident: "Incident") -> str:
    """Never changes, whatever the URL of this service is, and differs between services."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{incident.tag} {incident.started_at} {incident.id}").urn
