"""Gatus' external endpoints: `POST /api/v1/endpoints/{group}_{name}/external?success=true`, with a Bearer token."""

import re
from collections.abc import Sequence

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import GATUS
from exporter.ingest.credentials import Grant
from exporter.ingest.dialects.run_details import lines_of
from exporter.ingest.errors import Denied, IngestError, text_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import TEXT, Response
from exporter.ingest.routes import Route

_OK = Response(200, b"", TEXT)
_KINDS = {"true": Kind.SUCCESS, "false": Kind.FAILURE}
_NO_OUTCOME = "missing or invalid success query parameter"
_NO_HEADER = "invalid Authorization header"
_EMPTY = "bearer token must not be empty"
_DENIED = "invalid token"
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_PART = r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"([+-]?)(?:0|((?:{_PART})+))")
_PARTS = re.compile(_PART)
_MAX_DURATION = 2**63 / 1e6
"""Milliseconds: Go counts nanoseconds in 64 bits."""
_SPECIAL = str.maketrans(dict.fromkeys("/_., #+&", "-"))


class GatusDialect:
    name = "gatus"
    routes: Sequence[Route] = GATUS

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        parameters = request.all_parameters
        kind = _KINDS.get(parameters["success"][0]) if "success" in parameters else None
        if kind is None:
            raise IngestError(RejectReason.INVALID, "no success parameter", _NO_OUTCOME, 400)
        grant = _grant(request, ingest)
        duration = _duration(parameters["duration"][0]) if "duration" in parameters else None
        output = (await request.body()).output if request.has_body else ""
        if kind is Kind.FAILURE and "error" in parameters:
            output = lines_of(parameters["error"][0], output)
        await ingest.record((Beat(grant.monitor, kind, "", None, output, duration),))
        return _OK

    def error(self, problem: IngestError) -> Response:
        return text_error(problem, _DENIED)


def _grant(request: Request, ingest: Ingest) -> Grant:
    """What the token and the endpoint's key open; raises IngestError."""
    token = request.bearer()
    if token is None:
        scheme = (request.header("Authorization") or "").strip().lower()
        hint = _EMPTY if scheme == "bearer" else _NO_HEADER
        raise IngestError(RejectReason.INVALID, "no bearer token", hint, 401)
    if not token:
        raise IngestError(RejectReason.INVALID, "an empty bearer token", _EMPTY, 401)
    key = request.fields["key"]
    grant = ingest.authenticate(token, key)
    if grant is not None:
        return grant
    _, underscore, name = key.partition("_")
    if underscore and name:
        grant = ingest.authenticate(token, name)
        if grant is not None and _is_key_of(key, grant):
            return grant
    grant = ingest.authenticate(token)
    if grant is not None and _is_key_of(key, grant):
        return grant
    if grant is not None or ingest.recognizes(token):
        raise IngestError(RejectReason.UNKNOWN_TAG, "a good token, and an endpoint that it does not open", "not found")
    raise Denied(status=401)


def _is_key_of(key: str, grant: Grant) -> bool:
    """Whether Gatus would give an endpoint of the monitor's name and group this key; the group may be left out."""
    monitor = grant.monitor.monitor
    name = _sanitized(monitor.tag)
    return key in (monitor.tag, name, f"_{name}", f"{_sanitized(monitor.group or '')}_{name}")


def _sanitized(text: str) -> str:
    return text.lower().translate(_SPECIAL)


def _duration(text: str) -> int | None:
    """Milliseconds of a Go duration such as `1m2.5s`; None without one. A negative one says nothing."""
    if not text:
        return None
    matched = _DURATION.fullmatch(text)
    total = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text)) if matched else 0
    if matched is None or total > _MAX_DURATION:
        shown = text if text.isprintable() and len(text) <= 100 else ascii(text[:100])
        hint = f'invalid duration: time: invalid duration "{shown}"'
        raise IngestError(RejectReason.INVALID, "no duration", hint, 400)
    return None if matched[1] == "-" else int(total)
