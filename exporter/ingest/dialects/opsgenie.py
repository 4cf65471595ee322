"""Opsgenie's heartbeats: `/v2/heartbeats/{name}/ping` with an API key, which is a ping key, or the monitor's secret.

The service ends on 2027-04-05.
"""

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

_PONG_BODY = b'{"result":"PONG - Heartbeat received","took":0.001,"requestId":"%b%012x"}'
_MAX_REQUESTS = 16**12
_DENIED = "Could not authenticate"
_UNKNOWN = "No heartbeat exists with this name"
_AGAIN = "The heartbeat could not be stored: send it again"


class OpsgenieDialect:
    name = "opsgenie"
    routes: Sequence[Route] = OPSGENIE

    def __init__(self) -> None:
        # Of the ids of requests; a random UUID for each costs as much as the credentials of a heartbeat.
        self._process = f"{os.urandom(4).hex()}-{os.urandom(2).hex()}-4000-8000-".encode()
        self._requests = count()
        self._pong = Response(202, _PONG_BODY % (self._process, 0), JSON)

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
        return self._pong.with_body(_PONG_BODY % (self._process, next(self._requests) % _MAX_REQUESTS))

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or (_AGAIN if problem.status == 503 else _DENIED)
        request_id = b"%b%012x" % (self._process, next(self._requests) % _MAX_REQUESTS)
        return Response.json({"message": text, "took": 0.001, "requestId": request_id.decode()}, problem.status)


def _keys(request: Request) -> Sequence[str]:
    """Wherever a client may have put its key; a proxy may have added another header field of the same name."""
    key = request.credentials("GenieKey")
    if key is not None and not request.all_parameters:
        return (key,)
    basic = request.basic()
    given = (key, basic.password if basic is not None else None, request.bearer(), request.parameter("apiKey"))
    return [one for one in given if one] or [""]
