"""`/refusals`: the last heartbeats that were refused, from memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import falcon.asgi

from exporter.core.telemetry import RejectReason
from exporter.ingest.refusals import KEPT
from exporter.presentation.moments import Moment, moment
from exporter.web.context import WebContext
from exporter.web.pages.rendering import Pages
from exporter.web.pages.status import answer_page
from exporter.web.requests import WebRequest

REASONS: Mapping[RejectReason, str] = {
    RejectReason.UNKNOWN_TAG: "There is no monitor with this tag.",
    RejectReason.WRONG_SECRET: "The secret is not this monitor's.",
    RejectReason.UNKNOWN_TOKEN: "No monitor has this token.",
    RejectReason.UNKNOWN_SUFFIX: "After the secret only /start, /fail, /log or an exit code may follow.",
    RejectReason.UNREADABLE_BODY: "The body could not be read.",
    RejectReason.INVALID: "The protocol of this URL does not allow the request.",
    RejectReason.CREATION_REFUSED: "The sender may not create this monitor.",
    RejectReason.TOO_MANY: "The ping key has created as many monitors as it may.",
    RejectReason.INTERNAL: "A defect of the service; the log describes it.",
    RejectReason.STORAGE: "The heartbeat could not be stored.",
    RejectReason.OVERLOADED: "Too many heartbeats were waiting.",
}


@dataclass(frozen=True, slots=True)
class _Row:
    at: Moment
    address: str
    tag: str
    known: bool
    """Whether there is a monitor with this tag."""
    reason: str


class RefusalsPage:
    """For people."""

    def __init__(self, parts: WebContext, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        await answer_page(req, resp, self._parts, self._render)

    on_head = on_get

    def _render(self) -> bytes:
        now, refusals, fleet = self._parts.clock.now(), self._parts.refusals, self._parts.fleet
        rows = [
            _Row(
                moment(refusal.at, now, "UTC"),
                refusal.address or "a local socket",
                refusal.tag,
                bool(refusal.tag) and fleet.get(refusal.tag) is not None,
                REASONS[refusal.reason],
            )
            for refusal in refusals.recent()
        ]
        return self._pages.render(
            "refusals.html",
            {
                "rows": rows,
                "kept": KEPT,
                "since": moment(refusals.since, now, "UTC"),
                "not_ready": self._parts.readiness(),
                "rendered": moment(now, now, "UTC"),
            },
        )
