"""Opsgenie's heartbeats: `/v2/heartbeats/{name}/ping` with an API key, which is a ping key, or the monitor's secret.

The service ends on 2027-04-05.
"""

import json
import os
from collections.abc import Sequence
from itertools import count

from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import OPSGENIE
from exporter.ingest.errors import Denied, IngestError
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import JSON, Response
from exporter.ingest.routes import Route

_ID = b"00000000-0000-0000-0000-000000000000"
_PONG_BODY = b'{"result":"PONG - Heartbeat received","took":0.001,"requestId":"%s"}' % _ID
_PONG = Response(202, _PONG_BODY, JSON)
_DENIED = "Could not authenticate"
_UNKNOWN = "No heartbeat exists with this name"
_AGAIN = "The heartbeat could not be stored: send it again"


class OpsgenieDialect:
    name = "opsgenie"
    routes: Sequence[Route] = OPSGENIE

    def __init__(self) -> None:
        self._process = f"{os.urandom(4).hex()}-{os.urandom(2).hex()}-4000-8000-"
        self._requests = count()

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        name, denied = request.fields["name"], True
        for key in _keys(request):
            grant = ingest.authenticate(key, name, create=True)
            if grant is not None:
                break
            denied = denied and not ingest.recognizes(key)
        else:
            if denied:
                raise Denied(status=401)
            raise IngestError(RejectReason.UNKNOWN_TAG, "a good key, and a name that it does not open", _UNKNOWN)
        output = (await request.body()).output if request.has_body else ""
        monitor = grant.watched
        if monitor is None:
            monitor = (await ingest.ensure(grant)).monitor
        await ingest.record((Beat(monitor, output=output),))
        return _PONG.with_body(_PONG_BODY.replace(_ID, self._request_id().encode()))

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or (_AGAIN if problem.status == 503 else _DENIED)
        content = {"message": text, "took": 0.001, "requestId": self._request_id()}
        return Response(problem.status, json.dumps(content).encode(), JSON)

    def _request_id(self) -> str:
        """A UUID of this request; one by random costs as much as a heartbeat's credentials."""
        return f"{self._process}{next(self._requests) & 0xFFFFFFFFFFFF:012x}"


def _keys(request: Request) -> Sequence[str]:
    """Wherever a client may have put its key; a proxy may have added another header field of the same name."""
    key = request.credentials("GenieKey")
    if key is not None and not request.all_parameters:
        return (key,)
    basic = request.basic()
    given = (key, basic.password if basic is not None else None, request.bearer(), request.parameter("apiKey"))
    return [one for one in given if one] or [""]
