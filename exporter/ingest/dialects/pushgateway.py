"""Pushgateway's pushes: `/metrics/job/{job}{/label/value}…`, whose job is the monitor's tag.

The key is the monitor's secret or a ping key, as the password of Basic or as a Bearer token. PUT and POST are a
success; DELETE is no heartbeat, and a push that cannot be kept is none either.
"""

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from exporter.core.errors import InvalidValue
from exporter.core.job_metrics.model import Labels, Push, PushMode, PushRefused, check_grouping
from exporter.core.job_metrics.payload import UnsupportedMedia
from exporter.core.monitor import check_tag
from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import PUSHGATEWAY
from exporter.ingest.credentials import Grant
from exporter.ingest.errors import Denied, IngestError, NotStored
from exporter.ingest.intake import Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import TEXT, Response
from exporter.ingest.routes import Route

_BASE64 = "@base64"
_BASE64_TEXT = re.compile(r"[A-Za-z0-9_+/-]*={0,2}")
_MODES = {"PUT": PushMode.REPLACE, "POST": PushMode.MERGE, "DELETE": PushMode.DELETE}
_EXPECTATIONS = ("schedule", "every")
_THRESHOLDS = ("degraded_after", "down_after")
_PUSHED = Response(200, b"", None)
_ACCEPTED = Response(202, b"", None)
_DENIED = "the key is wrong or missing: give it as the password of HTTP Basic, or as a Bearer token"
_UNKNOWN = "the key opens no monitor of this job"
_AGAIN = "the push could not be stored: send it again"


class Target(NamedTuple):
    """What a path names."""

    tag: str
    labels: Labels
    """The grouping key, the job included."""


class PushgatewayDialect:
    name = "pushgateway"
    routes: Sequence[Route] = PUSHGATEWAY

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        try:
            target = target_of(request.raw_path)
        except (PushRefused, InvalidValue) as error:
            raise _refused(error) from None
        grant = _grant(request, ingest, target.tag)
        if request.method == "DELETE":
            if grant.watched is not None:
                await ingest.push(grant.watched, Push(PushMode.DELETE, target.labels, alone=True))
            return _ACCEPTED
        try:
            families = await ingest.families(request)
        except PushRefused as error:
            await _note_failure(ingest, grant, target)
            raise _refused(error) from None
        push = Push(_MODES[request.method], target.labels, families, required=True)
        monitor = grant.watched
        ingest.admit(monitor, push)
        if monitor is None:
            monitor = (await ingest.ensure(grant, _expectations(grant))).monitor
        await ingest.push(monitor, push)
        return _PUSHED

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or (_AGAIN if problem.status == 503 else _DENIED)
        headers = (("WWW-Authenticate", 'Basic realm="Heartbeat Exporter"'),) if problem.status == 401 else ()
        return Response(problem.status, f"{text}\n".encode("utf-8", "replace"), TEXT, headers)


def target_of(raw_path: bytes) -> Target:
    """Raises PushRefused and InvalidValue. A slash that is escaped belongs to its value."""
    try:
        segments = [unquote_to_bytes(part).decode("utf-8") for part in _parts(raw_path)]
    except UnicodeDecodeError:
        raise PushRefused("the path is no UTF-8") from None
    if len(segments) % 2:
        raise PushRefused("the path has a label without a value")
    labels = dict(_label(*pair) for pair in zip(segments[2::2], segments[3::2], strict=True))
    _, job = _label(*segments[:2])
    if not job:
        raise PushRefused("the path names no job")
    return Target(check_tag(job), check_grouping({**labels, "job": job}.items()))


def _parts(raw_path: bytes) -> Sequence[bytes]:
    """From `job` on; a slash at the end is left out."""
    return raw_path.removesuffix(b"/").split(b"/")[2:]


def _label(name: str, value: str) -> tuple[str, str]:
    if not name.endswith(_BASE64):
        return name, value
    if not _BASE64_TEXT.fullmatch(value):
        raise PushRefused(f"the value of {name[:100]} is no base64")
    plain = value.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        decoded = urlsafe_b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8")
    except (Base64Error, ValueError):
        raise PushRefused(f"the value of {name[:100]} is no base64 of UTF-8") from None
    return name.removesuffix(_BASE64), decoded


def _grant(request: Request, ingest: Ingest, tag: str) -> Grant:
    basic, bearer = request.basic(), request.bearer()
    given = (*((basic.password, basic.user) if basic is not None else ()), bearer)
    keys = [key for key in given if key] or [""]
    known = False
    for key in keys:
        grant = ingest.authenticate(key, tag, create=True)
        if grant is not None:
            return grant
        known = known or ingest.recognizes(key)
    if known:
        raise IngestError(RejectReason.UNKNOWN_TAG, "a good key, and a job that it does not open", _UNKNOWN)
    raise Denied(status=401)


def _expectations(grant: Grant) -> Mapping[str, Any]:
    """What is expected of a monitor that a push makes, where its ping key says nothing of it."""
    given = (grant.key.defaults if grant.key is not None else None) or {}
    settings: dict[str, Any] = {}
    if not any(name in given for name in _EXPECTATIONS):
        settings["every"] = "1d"
    if not any(name in given for name in _THRESHOLDS):
        settings.update({"degraded_after": "1h", "down_after": "2h"})
    return settings


async def _note_failure(ingest: Ingest, grant: Grant, target: Target) -> None:
    """The group, if there is one, shows when its last push failed."""
    if grant.watched is None:
        return
    try:
        await ingest.push(grant.watched, Push(PushMode.FAILED, target.labels, alone=True))
    except NotStored:  # what is refused is refused all the same
        return


def _refused(error: Exception) -> IngestError:
    status = 415 if isinstance(error, UnsupportedMedia) else 400
    return IngestError(RejectReason.INVALID, "a push that cannot be kept", str(error), status)
