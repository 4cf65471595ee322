"""`/api/v1/refusals`: the last heartbeats that were refused, from memory."""

import falcon.asgi
from pydantic import Field

from exporter.core.telemetry import RejectReason
from exporter.ingest.refusals import Refusal
from exporter.presentation.moments import rfc3339
from exporter.resources.model import ResponseModel
from exporter.web.api.operation import operation
from exporter.web.api.resource import Resource, answer, to_json
from exporter.web.requests import WebRequest


class RefusalAnswer(ResponseModel):
    at: str
    address: str = Field(description="The client's; empty for a local socket.")
    tag: str = Field(description="As the client gave it; empty when it gave none, or one that could be a secret.")
    reason: RejectReason

    @classmethod
    def of(cls, refusal: Refusal) -> "RefusalAnswer":
        return cls(at=rfc3339(refusal.at), address=refusal.address, tag=refusal.tag, reason=refusal.reason)


class RefusalsAnswer(ResponseModel):
    """Newest first, of this process since it started."""

    since: str = Field(description="When this process started to keep them.")
    refusals: list[RefusalAnswer]


class RefusalList(Resource):
    """`/api/v1/refusals`."""

    @operation(summary="List the last refused heartbeats, newest first", answer=RefusalsAnswer)
    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        refusals = self._parts.refusals
        shown = [RefusalAnswer.of(refusal) for refusal in refusals.recent()]
        answer(resp, to_json(RefusalsAnswer(since=rfc3339(refusals.since), refusals=shown)))

    on_head = on_get
