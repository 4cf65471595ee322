"""The native dialect, Kener's URLs and more: `/ext/heartbeat/{tag}:{secret}[/suffix][?rid=…&at=…]`."""

import json
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.bad_news import bad_news
from exporter.ingest.body import KEPT
from exporter.ingest.built_in import NATIVE
from exporter.ingest.creation import settings_of
from exporter.ingest.credentials import Grant
from exporter.ingest.errors import Denied, IngestError, json_error
from exporter.ingest.intake import MAX_AGE, Beat, Ingest, counted_at
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route
from exporter.presentation.sent_moments import read_moment

_RID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EXIT_CODE = re.compile(r"-?[0-9]{1,300}")
_MAX_EXIT_CODE = 2**63 - 1
_SUFFIXES = {"": Kind.SUCCESS, "start": Kind.START, "fail": Kind.FAILURE, "log": Kind.LOG}
_LONG = "the body is longer than 10 kB: its first 1 kB and its last 9 kB are kept"
_NOT_WHOLE = "the body did not arrive whole: what arrived is kept"
_RECEIPT = "the moment of receipt counts"
_OK = Response(body=b'{"status":"OK"}')


class NativeDialect:
    name = "native"
    routes: Sequence[Route] = NATIVE

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        problem: IngestError | None = None
        query = request.query
        create = "create=1" in query and request.parameter("create") == "1"
        for tag, secret, suffix in _claims(request):
            grant = ingest.authenticate(secret, tag, create)
            if grant is None:
                continue
            warnings: list[str] = []
            try:
                kind, exit_code = _kind(suffix, warnings)
            except IngestError as error:
                problem = error  # what is no suffix here may be the secret in the next reading
                continue
            rid, at = _parameters(query, kind, request.received_at, warnings) if query else ("", None)
            output = ""
            if request.has_body:
                body = await request.body()
                output = body.output
                if body.cut and not request.holds_metrics:
                    warnings.append(_LONG if len(body.kept) == KEPT else _NOT_WHOLE)
            monitor = grant.watched
            if create:
                monitor = await _ensure_as_asked(ingest, grant, query, warnings)
            if monitor is None:
                monitor = (await ingest.ensure(grant)).monitor
            await ingest.record((Beat(monitor, kind, rid, exit_code, output, None, at),))
            if ingest.warning is not None:
                warnings.append(ingest.warning)
            return _OK if not warnings else _warned(warnings)
        raise problem or Denied()

    def error(self, problem: IngestError) -> Response:
        return json_error(problem)


async def _ensure_as_asked(ingest: Ingest, grant: Grant, query: str, warnings: list[str]) -> FleetMonitor:
    """Returns the monitor, created or changed as the query asks.

    What cannot be is an IngestError for a monitor that is to be created. One that is there keeps its settings instead,
    and a warning says why: no parameter makes its heartbeat fail.
    """
    settings = settings_of(query)
    watched = grant.watched
    if watched is None:
        return (await ingest.ensure(grant, settings)).monitor
    if not settings:
        return watched
    kept = "the settings of the monitor stay as they are"
    if grant.key is None or watched.made_by != grant.key.name:
        warnings.append(f"{kept}: it was not created with this ping key")
        return watched
    try:
        return (await ingest.ensure(grant, settings)).monitor
    except IngestError as error:
        if error.status == 503:
            raise
        warnings.append(f"{kept}: {error.hint or error}")
        return watched


def _warned(warnings: Sequence[str]) -> Response:
    return Response(body=json.dumps({"status": "OK", "warning": "; ".join(warnings)}).encode())


def _claims(request: Request) -> Sequence[tuple[str, str, str]]:
    """What the path may mean, as (tag, secret, suffix).

    With a Bearer header the part after the tag is the suffix; but some proxies add such a header to a URL that holds
    the secret, so that is tried as well: no header makes a good heartbeat fail.
    """
    rest = request.fields["rest"].removesuffix("/")
    head, _, tail = rest.partition("/")
    tag, colon, secret = head.partition(":")
    if colon:
        return ((tag, secret, tail),)
    given = request.bearer()
    secret, _, suffix = tail.partition("/")
    in_path = (head, secret, suffix)
    return (in_path,) if given is None else ((head, given, tail), in_path)


def _kind(suffix: str, warnings: list[str]) -> tuple[Kind, int | None]:
    kind = _SUFFIXES.get(suffix)
    if kind is not None:
        return kind, None
    if not _EXIT_CODE.fullmatch(suffix):
        # Not taken as a success: a mistyped /fail must not be good news.
        hint = "unknown suffix after the secret: use /start, /fail, /log or an exit code"
        raise IngestError(RejectReason.UNKNOWN_SUFFIX, "unknown suffix", hint)
    exit_code = int(suffix)
    if exit_code == 0:
        return Kind.SUCCESS, 0
    if abs(exit_code) > _MAX_EXIT_CODE:
        warnings.append("the exit code is out of range: counted as a failure without one")
        return Kind.FAILURE, None
    return Kind.FAILURE, exit_code


def _parameters(query: str, kind: Kind, received_at: int, warnings: list[str]) -> tuple[str, int | None]:
    """The run's id, and the moment of the heartbeat if it is not that of its receipt. What else the query says is not
    read, and named if it looks like bad news.
    """
    news = bad_news(query, kind)
    if news is not None:
        warnings.append(news)
    given: dict[str, list[str]] = {"rid": [], "at": []}
    for key, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if key in given:
            given[key].append(value)
    return _rid(given["rid"], warnings), _at(given["at"], received_at, warnings) if given["at"] else None


def _rid(given: Sequence[str], warnings: list[str]) -> str:
    if not given:
        return ""
    if len(given) > 1:
        warnings.append("rid is given more than once: the first one counts")
    if not _RID.fullmatch(given[0]):
        warnings.append("rid is not 1 to 64 of letters, digits, '.', '_' and '-': it was left out")
        return ""
    return given[0]


def _at(given: Sequence[str], received_at: int, warnings: list[str]) -> int | None:
    at = read_moment(given[0])
    if len(given) > 1:
        warnings.append(f"at is given more than once: {_RECEIPT}")
        return None
    if at is None:
        warnings.append(f"at is neither RFC 3339, as 2026-11-24T03:00:00Z, nor Unix seconds: {_RECEIPT}")
        return None
    if counted_at(at, received_at) is None:
        warnings.append(f"at is more than a minute ahead of the exporter's clock: {_RECEIPT}")
        return None
    if at < received_at - MAX_AGE:
        warnings.append("at is more than 7 days ago: the heartbeat counts as 7 days old")
    return at
