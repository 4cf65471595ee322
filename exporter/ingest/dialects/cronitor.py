"""Cronitor's telemetry: `/p/{key}/{monitor}` and `/ping/{key}/{monitor}`, with a state in the query or the path.

The second path is Healthchecks' too: what has a parameter that only Cronitor's clients send is Cronitor's.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import CRONITOR
from exporter.ingest.dialects.run_details import (
    EXIT_CODE,
    form_of,
    lines_of,
    milliseconds_of,
    number_of,
    outcome_of,
    run_id,
)
from exporter.ingest.errors import Denied, IngestError, text_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import TEXT, Response
from exporter.ingest.routes import Route

_OK = Response(200, b"OK", TEXT)
_KINDS = {
    "": Kind.SUCCESS,
    "run": Kind.START,
    "complete": Kind.SUCCESS,
    "fail": Kind.FAILURE,
    "ok": Kind.SUCCESS,
}
_FIELDS = frozenset(("state", "message", "msg", "series", "status_code", "metric", "stamp"))
_HINT = "unknown state: use run, complete, fail or ok"
_MAX_STAMPS = 10_000

Fields = Mapping[str, Sequence[str]]
_NO_FORM: Fields = {}


class CronitorDialect:
    name = "cronitor"
    routes: Sequence[Route] = CRONITOR

    def __init__(self) -> None:
        self._stamps: OrderedDict[tuple[int, str], float] = OrderedDict()
        """When runs that have not ended began by their senders' clocks, by monitor and rid: for durations only. The
        oldest makes room, and what another process took is not here; then the moments of receipt decide.
        """

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        key, tag, verb = _parts(request)
        grant = ingest.authenticate(key, tag, create=True)
        if grant is None:
            raise Denied
        form, body = await form_of(request, _FIELDS) if request.has_body else (_NO_FORM, "")
        fields: Fields = {**form, **request.all_parameters} if form else request.all_parameters
        kind, exit_code = _outcome(verb, fields)
        rid, duration, stamp, output = "", None, None, body
        if len(fields) > 1 or (fields and "state" not in fields):
            rid = run_id(_first(fields, "series"))
            stamp = number_of(_first(fields, "stamp"))
            duration, figures = _metrics(fields)
            output = lines_of(_first(fields, "message") or _first(fields, "msg"), body, *figures)
        monitor = grant.watched
        if monitor is None:
            monitor = (await ingest.ensure(grant)).monitor
        if duration is None and stamp is not None and kind is not Kind.START:
            duration = self._lasted(monitor.id, rid, stamp)
        await ingest.record((Beat(monitor, kind, rid, exit_code, output, duration),))
        self._note(monitor.id, rid, kind, stamp)
        return _OK

    def error(self, problem: IngestError) -> Response:
        return text_error(problem)

    def _lasted(self, monitor: int, rid: str, stamp: float) -> int | None:
        began = self._stamps.get((monitor, rid))
        return None if began is None or stamp < began else milliseconds_of(stamp - began)

    def _note(self, monitor: int, rid: str, kind: Kind, stamp: float | None) -> None:
        if kind is Kind.START and stamp is not None:
            self._stamps[monitor, rid] = stamp
            self._stamps.move_to_end((monitor, rid))
            if len(self._stamps) > _MAX_STAMPS:
                self._stamps.popitem(last=False)
        elif self._stamps:
            self._stamps.pop((monitor, rid), None)


def _parts(request: Request) -> tuple[str, str, str]:
    """The key, the monitor and the verb of the path."""
    fields = request.fields
    if "rest" in fields:
        key, _, rest = fields["rest"].partition("/")
        tag, _, verb = rest.partition("/")
        return key, tag, verb
    last = request.route.segments[-1]
    return fields["key"], fields["name"], "" if last == "{name}" else last


def _outcome(verb: str, fields: Fields) -> tuple[Kind, int | None]:
    """Bad news counts wherever it stands: in the path, as the state, or as a status code."""
    if not fields and verb in _KINDS:
        return _KINDS[verb], None
    state = _first(fields, "state").strip().lower()
    if verb not in _KINDS or state not in _KINDS:
        raise IngestError(RejectReason.INVALID, "unknown state", _HINT, 400)
    kinds = (_KINDS[verb], _KINDS[state])
    kind = Kind.FAILURE if Kind.FAILURE in kinds else _KINDS[state or verb]
    code = _first(fields, "status_code").strip()
    if kind is Kind.START or not EXIT_CODE.fullmatch(code):
        return kind, None
    outcome, exit_code = outcome_of(code)
    if kind is Kind.FAILURE:
        return kind, exit_code or None
    return outcome, exit_code


def _metrics(fields: Fields) -> tuple[int | None, Sequence[str]]:
    """The duration in milliseconds, and what else is worth showing, as lines."""
    duration = milliseconds_of(_first(fields, "duration"))
    lines = [f"{name}: {value}" for name in ("host", "env") if (value := _first(fields, name))]
    for metric in fields.get("metric", ()):
        name, colon, value = metric.partition(":")
        if not colon:
            name, _, value = metric.partition("=")
        if name.strip() == "duration":
            measured = milliseconds_of(value.strip())
            duration = measured if measured is not None else duration
        elif number_of(value.strip()) is not None:
            lines.append(f"{name.strip()}: {value.strip()}")
    return duration, lines


def _first(fields: Fields, name: str) -> str:
    values = fields.get(name)
    return values[0] if values else ""
