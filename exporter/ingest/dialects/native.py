"""The native dialect, Kener's URLs and more: `/ext/heartbeat/{tag}:{secret}[/suffix][?rid=…]`."""

import json
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.bad_news import bad_news
from exporter.ingest.body import KEPT
from exporter.ingest.built_in import NATIVE
from exporter.ingest.errors import Denied, IngestError, json_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

_RID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EXIT_CODE = re.compile(r"-?[0-9]{1,300}")
_MAX_EXIT_CODE = 2**63 - 1
_SUFFIXES = {"": Kind.SUCCESS, "start": Kind.START, "fail": Kind.FAILURE, "log": Kind.LOG}
_LONG = "the body is longer than 10 kB: its first 1 kB and its last 9 kB are kept"
_NOT_WHOLE = "the body did not arrive whole: what arrived is kept"
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
            rid = _rid(query, kind, warnings) if query else ""
            output = ""
            if request.has_body:
                body = await request.body()
                output = body.output
                if body.cut and not request.holds_metrics:
                    warnings.append(_LONG if len(body.kept) == KEPT else _NOT_WHOLE)
            monitor = grant.watched
            if monitor is None:
                monitor = (await ingest.ensure(grant)).monitor
            await ingest.record((Beat(monitor, kind, rid, exit_code, output),))
            if ingest.warning is not None:
                warnings.append(ingest.warning)
            return _OK if not warnings else _warned(warnings)
        raise problem or Denied()

    def error(self, problem: IngestError) -> Response:
        return json_error(problem)


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


def _rid(query: str, kind: Kind, warnings: list[str]) -> str:
    """The run's id; what else the query says is not read, and named if it looks like bad news."""
    news = bad_news(query, kind)
    if news is not None:
        warnings.append(news)
    given = [value for key, value in parse_qsl(query, keep_blank_values=True, errors="replace") if key == "rid"]
    if not given:
        return ""
    if len(given) > 1:
        warnings.append("rid is given more than once: the first one counts")
    if not _RID.fullmatch(given[0]):
        warnings.append("rid is not 1 to 64 of letters, digits, '.', '_' and '-': it was left out")
        return ""
    return given[0]
