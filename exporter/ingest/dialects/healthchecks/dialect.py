"""Healthchecks' pings: `/ping/{uuid}` and `/ping/{ping_key}/{slug}`, with `/start`, `/fail`, `/log` or an exit status.

The UUID is a token of the monitor's, the ping key one of ours, and the slug is the tag.
"""

import re
from collections.abc import Iterable, Sequence

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.body import KEPT
from exporter.ingest.built_in import HEALTHCHECKS
from exporter.ingest.dialect import Management, Resource
from exporter.ingest.dialects.healthchecks.resources import CheckResources, management_error
from exporter.ingest.errors import Denied, IngestError, text_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

_KINDS = {"": Kind.SUCCESS, "start": Kind.START, "fail": Kind.FAILURE, "log": Kind.LOG}
_DIGITS = re.compile(r"[0-9]+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLAIN = "text/plain"
_HEADERS = (("Access-Control-Allow-Origin", "*"), ("Ping-Body-Limit", str(KEPT)))
_OK = Response(200, b"OK", _PLAIN, _HEADERS)
_CREATED = Response(201, b"Created", _PLAIN, _HEADERS)
_PREFLIGHT = Response(
    204, b"", None, (("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Methods", "GET, POST, HEAD"))
)


class HealthchecksDialect:
    name = "healthchecks"
    routes: Sequence[Route] = HEALTHCHECKS

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        if request.method == "OPTIONS":
            return _PREFLIGHT
        parameters = request.all_parameters
        create = "create" in parameters and parameters["create"][-1] == "1"
        for secret, tag, action in _readings(request.fields["rest"]):
            grant = ingest.authenticate(secret, tag, create and tag is not None)
            if grant is None:
                continue
            kind, exit_code = _outcome(action)
            rid = _rid(parameters["rid"][-1]) if "rid" in parameters else ""
            output = (await request.body()).output if request.has_body else ""
            answer, monitor = _OK, grant.watched
            if monitor is None:
                answer, monitor = _CREATED, (await ingest.ensure(grant)).monitor
            await ingest.record((Beat(monitor, kind, rid, exit_code, output),))
            return answer
        raise Denied

    def error(self, problem: IngestError) -> Response:
        return text_error(problem)

    def resources(self, api: Management) -> Iterable[tuple[Route, Resource]]:
        return CheckResources(api).routes()

    def management_error(self, problem: IngestError) -> Response:
        return management_error(problem)


def _readings(rest: str) -> Sequence[tuple[str, str | None, str]]:
    """What the path may mean, as (secret, tag, action); a token has no tag.

    `/ping/a/7` is the exit status 7 of the token `a`, or the monitor `7` of the key `a`: what exists decides.
    """
    first, slash, rest = rest.partition("/")
    if not slash:
        return ((first, None, ""),)
    second, slash, third = rest.partition("/")
    if slash:
        return ((first, second, third),) if _is_action(third) else ()
    key = (first, second, "")
    return ((first, None, second), key) if _is_action(second) else (key,)


def _is_action(text: str) -> bool:
    return text in _KINDS or _DIGITS.fullmatch(text) is not None


def _outcome(action: str) -> tuple[Kind, int | None]:
    kind = _KINDS.get(action)
    if kind is not None:
        return kind, None
    digits = action.lstrip("0") or "0"
    if len(digits) > 3 or int(digits) > 255:
        raise IngestError(RejectReason.INVALID, "an exit status over 255", "invalid url format", 400)
    exit_code = int(digits)
    return (Kind.FAILURE if exit_code else Kind.SUCCESS), exit_code


def _rid(given: str) -> str:
    rid = given.lower()
    if not _UUID.fullmatch(rid):
        raise IngestError(RejectReason.INVALID, "rid is no UUID", "invalid uuid format", 400)
    return rid
