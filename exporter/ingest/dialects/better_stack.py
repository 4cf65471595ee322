"""Better Stack's heartbeats: `/api/v1/heartbeat/{token}`, with `/fail` or `/{exit code}`; the output is the body."""

from collections.abc import Sequence

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import BETTER_STACK
from exporter.ingest.dialects.run_details import EXIT_CODE, outcome_of
from exporter.ingest.errors import Denied, IngestError, text_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import TEXT, Response
from exporter.ingest.routes import Route

_OK = Response(200, b"OK", TEXT)
_HINT = "unknown suffix after the token: use /fail or an exit code"


class BetterStackDialect:
    name = "better_stack"
    routes: Sequence[Route] = BETTER_STACK

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        token, _, suffix = request.fields["rest"].partition("/")
        grant = ingest.authenticate(token)
        if grant is None:
            raise Denied
        kind, exit_code = _outcome(suffix) if suffix else (Kind.SUCCESS, None)
        output = (await request.body()).output if request.has_body else ""
        await ingest.record((Beat(grant.monitor, kind, "", exit_code, output),))
        return _OK

    def error(self, problem: IngestError) -> Response:
        return text_error(problem)


def _outcome(suffix: str) -> tuple[Kind, int | None]:
    if suffix == "fail":
        return Kind.FAILURE, None
    if EXIT_CODE.fullmatch(suffix):
        return outcome_of(suffix)
    raise IngestError(RejectReason.UNKNOWN_SUFFIX, "unknown suffix", _HINT)
