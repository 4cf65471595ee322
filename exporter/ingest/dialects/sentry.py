"""Sentry's cron check-ins, over both transports: `/api/{project}/cron/{slug}/{key}` and `/api/{project}/envelope`.

The key is the public one of a DSN. It is a ping key here, or the secret of the monitor, whose tag is the slug.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import SENTRY
from exporter.ingest.credentials import Grant
from exporter.ingest.dialects.check_in import KINDS, CheckIn, check_in_of
from exporter.ingest.dialects.envelope import READ, Envelope, opened
from exporter.ingest.errors import Denied, IngestError
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

_ACCEPTED = Response(202, b"", None)
_KEY = re.compile(r"sentry_key=([^,\s&]+)")
_DSN = re.compile(r"https?://([^:@/\s]+)(?::[^@/\s]*)?@")
_MAX_SLUG = 50
_DENIED = "event submission rejected with_reason: ProjectId"
_AGAIN = "the check-in could not be stored: send it again"
_NOT_WHOLE = "the request did not arrive whole: send it again"


class SentryDialect:
    name = "sentry"
    routes: Sequence[Route] = SENTRY

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        fields = request.fields
        if not (fields["project"].isascii() and fields["project"].isdecimal()):
            raise IngestError(None, "no project", "the project is a number")
        if "slug" in fields:
            return await self._cron(request, ingest)
        return await self._envelope(request, ingest)

    async def _cron(self, request: Request, ingest: Ingest) -> Response:
        fields, parameters = request.fields, request.all_parameters
        if len(parameters) == 1 and "status" in parameters and "key" in fields and not request.has_body:
            # As curl sends most of them: nothing else has to be read.
            kind = KINDS.get(parameters["status"][0])
            grant = ingest.authenticate(fields["key"], fields["slug"]) if kind is not None else None
            if kind is not None and grant is not None:
                await ingest.record((Beat(grant.monitor, kind),))
                return _ACCEPTED
        keys = (fields["key"],) if "key" in fields else _keys(request)
        content: Mapping[str, Any] = {name: given[0] for name, given in parameters.items()}
        if request.has_body:
            if _grant(ingest, keys, fields["slug"]) is None and not any(map(ingest.recognizes, keys)):
                raise Denied(status=403)  # and none of the body is read
            content = await _content(request, content)
        check_in = check_in_of(fields["slug"], content)
        await ingest.record((await _granted(ingest, keys, check_in),))
        return _ACCEPTED

    async def _envelope(self, request: Request, ingest: Ingest) -> Response:
        body = await request.body(READ)
        not_whole = body.cut and len(body.kept) < READ
        try:
            envelope = opened(body.kept, request.header("Content-Encoding") or "", body.cut)
        except IngestError:
            if not_whole:
                raise _not_whole() from None
            raise
        if not_whole and not envelope.check_ins:
            raise _not_whole()
        keys, beats, problem = _keys(request, envelope), [], IngestError(None, "no check-in")
        for check_in in [check_in_of(content.get("monitor_slug"), content) for content in envelope.check_ins]:
            try:
                beats.append(await _granted(ingest, keys, check_in))
            except IngestError as error:
                if error.status == 503:
                    raise
                problem = error  # the others of the envelope count, as they would in envelopes of their own
        if envelope.check_ins and not beats:
            raise problem
        await ingest.record(beats)
        return Response.json({"id": envelope.event_id} if envelope.event_id else {})

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or (_AGAIN if problem.status == 503 else _DENIED)
        return Response.json({"detail": text}, problem.status)


def _grant(ingest: Ingest, keys: Iterable[str], slug: str, create: bool = False) -> Grant | None:
    """What a key opens: the monitor of the whole slug, else, as there, the one of its first 50 characters."""
    for key in keys:
        grant = ingest.authenticate(key, slug, create and len(slug) <= _MAX_SLUG)
        if grant is None and len(slug) > _MAX_SLUG:
            grant = ingest.authenticate(key, slug[:_MAX_SLUG], create)
        if grant is not None:
            return grant
    return None


async def _granted(ingest: Ingest, keys: Iterable[str], check_in: CheckIn) -> Beat:
    """The heartbeat of a check-in, whose monitor is created or changed if need be. Raises IngestError."""
    grant = _grant(ingest, keys, check_in.slug, check_in.settings is not None)
    if grant is None:
        raise Denied(status=403)
    if check_in.settings is not None:
        grant = await ingest.ensure(grant, check_in.settings)
    return Beat(grant.monitor, check_in.kind, check_in.rid, None, check_in.output, check_in.duration)


async def _content(request: Request, query: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a request to the cron URL says in JSON, else in its query."""
    body = await request.body(READ)
    is_json = (request.header("Content-Type") or "").lower().startswith("application/json")
    if not is_json and ("status" in query or not body.kept.lstrip().startswith(b"{")):
        return query
    if body.cut and len(body.kept) < READ:
        raise _not_whole()
    try:
        content = json.loads(body.kept)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise IngestError(RejectReason.UNREADABLE_BODY, "no JSON", "the body is no JSON object", 400)
    return {**query, **content}


def _not_whole() -> IngestError:
    return IngestError(RejectReason.UNREADABLE_BODY, "not whole", _NOT_WHOLE, 503)


def _keys(request: Request, envelope: Envelope | None = None) -> Sequence[str]:
    """Wherever a client may have put its key; one that shows none has the empty one."""
    given = request.parameters("sentry_key")[:1]
    for header in (request.header("X-Sentry-Auth"), request.credentials("Sentry")):
        matched = _KEY.search(header or "")
        if matched is not None:
            given.append(matched[1])
    matched = _DSN.match(envelope.dsn) if envelope is not None else None
    if matched is not None:
        given.append(matched[1])
    return [key for key in dict.fromkeys(given) if key] or [""]
