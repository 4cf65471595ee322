"""Dead Man's Snitch: `/snitch/{token}?m=message&s=exit status`, in the query or, as `curl -d` sends them, in a form."""

from collections.abc import Sequence

from exporter.core.heartbeat import Kind
from exporter.ingest.built_in import DEAD_MANS_SNITCH
from exporter.ingest.dialects.run_details import EXIT_CODE, form_of, lines_of, outcome_of
from exporter.ingest.errors import Denied, IngestError, text_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import TEXT, Response
from exporter.ingest.routes import Route

_FIELDS = ("m", "s")
_THANKS = Response(202, b"Got it, thanks!", TEXT)


class DeadMansSnitchDialect:
    name = "dead_mans_snitch"
    routes: Sequence[Route] = DEAD_MANS_SNITCH

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        grant = ingest.authenticate(request.fields["token"])
        if grant is None:
            raise Denied
        kind, exit_code, output = Kind.SUCCESS, None, ""
        if request.all_parameters or request.has_body:
            form, body = await form_of(request, _FIELDS)
            statuses = [*request.parameters("s"), *form.get("s", ())]
            kind, exit_code = _outcome(statuses)
            told = [*request.parameters("m"), *form.get("m", ())]
            output = lines_of(*told, body)
        await ingest.record((Beat(grant.monitor, kind, "", exit_code, output),))
        return _THANKS

    def error(self, problem: IngestError) -> Response:
        return text_error(problem)


def _outcome(statuses: Sequence[str]) -> tuple[Kind, int | None]:
    """Of several statuses the first that is bad counts."""
    for status in map(str.strip, statuses):
        if not EXIT_CODE.fullmatch(status):
            if status:
                return Kind.FAILURE, None
        elif int(status) != 0:
            return outcome_of(status)
    return Kind.SUCCESS, 0 if any(statuses) else None
