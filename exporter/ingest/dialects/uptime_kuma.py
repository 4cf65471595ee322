"""Uptime Kuma's push monitors: `/api/push/{token}?status=up|down&msg=…&ping=…`. Every error is 404, with JSON."""

from collections.abc import Sequence

from exporter.core.heartbeat import Kind
from exporter.ingest.built_in import UPTIME_KUMA
from exporter.ingest.dialects.run_details import lines_of, number_of
from exporter.ingest.errors import Denied, IngestError
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

_OK = Response(200, b'{"ok":true}')
_MAX_PING = 1e11
"""Milliseconds."""
_GOOD = frozenset(("", "up"))
_DENIED = "Monitor not found or not active."
_AGAIN = "The heartbeat could not be stored: send it again."
_OWN_STATUS = (405, 500, 503)


class UptimeKumaDialect:
    name = "uptime_kuma"
    routes: Sequence[Route] = UPTIME_KUMA

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        grant = ingest.authenticate(request.fields["token"])
        if grant is None:
            raise Denied
        kind, output = Kind.SUCCESS, ""
        body = (await request.body()).output if request.has_body else ""
        parameters = request.all_parameters
        if parameters:
            if "status" in parameters and not _GOOD.issuperset(parameters["status"]):
                kind = Kind.FAILURE
            ping = parameters["ping"][0] if "ping" in parameters else ""
            told = parameters["msg"][0] if "msg" in parameters else ""
            output = lines_of(told, body, _ping(ping)) if body or ping else lines_of(told)
        await ingest.record((Beat(grant.monitor, kind, output=output or body),))
        return _OK

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or (_AGAIN if problem.status == 503 else _DENIED)
        status = problem.status if problem.status in _OWN_STATUS else 404
        return Response.json({"ok": False, "msg": text}, status)


def _ping(given: str) -> str:
    """The round-trip time that a sender measured, as a line of the output; it is no run's duration."""
    ping = number_of(given)
    if ping is None or ping > _MAX_PING:
        return ""
    text = f"{ping:.3f}".rstrip("0").rstrip(".")
    return f"ping: {text} ms"
