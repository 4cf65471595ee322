"""Why a request brings no heartbeat, as dialects raise it and answer it in their own language."""

from collections.abc import Sequence

from exporter.core.errors import HeartbeatExporterError
from exporter.core.telemetry import RejectReason
from exporter.ingest.response import TEXT, Response

CREDENTIALS = frozenset((RejectReason.UNKNOWN_TAG, RejectReason.WRONG_SECRET, RejectReason.UNKNOWN_TOKEN))
"""Reasons that a sender is slowed down for, and that are looked into once more before it is answered."""
METHOD = "This method is not allowed here; the Allow header names those that are."
STARTING = "Monitors are not known yet: ask again in some seconds."
DEFECT = "Something went wrong on our side; the log says what."
NOT_FOUND = b'{"error":"there is no monitor with this tag and secret"}'
_AGAIN = "the heartbeat could not be stored: send it again"
NOT_STORED = b'{"error":"the heartbeat could not be stored: send it again"}'
RETRY_AFTER = "5"
"""Seconds, in every answer with the status 503."""


class IngestError(HeartbeatExporterError):
    """A request that brings no heartbeat; `reason` is counted, the text is for the log and names no secret."""

    def __init__(
        self,
        reason: RejectReason | None,
        text: str,
        hint: str | None = None,
        status: int = 404,
        allowed: Sequence[str] = (),
    ) -> None:
        super().__init__(text)
        self.reason = reason
        """None for what was never meant as a heartbeat, such as a wrong method: it is not counted."""
        self.hint = hint
        """For the sender, once it has shown the right credentials; holds no secret."""
        self.status = status
        """Of the HTTP answer; 503 asks the sender to send it again."""
        self.allowed = allowed
        """The methods that would have been right, with the status 405."""


class Denied(IngestError):
    """The credentials open no monitor. Unknown monitors and wrong secrets must be answered alike."""

    def __init__(self, hint: str | None = None, status: int = 404) -> None:
        super().__init__(RejectReason.WRONG_SECRET, "no such monitor and secret", hint, status)


class NotStored(IngestError):
    """Our trouble and not the sender's, which is asked to send it again."""

    def __init__(self, reason: RejectReason = RejectReason.STORAGE) -> None:
        super().__init__(reason, "not stored", status=503)


def text_error(problem: IngestError, denied: str = "not found") -> Response:
    """One sentence, as plain text; `denied` answers wrong credentials."""
    text = problem.hint or (_AGAIN if problem.status == 503 else denied)
    return Response(problem.status, text.encode("utf-8", "replace"), TEXT)


def json_error(problem: IngestError) -> Response:
    """The answer of our own dialects: one sentence, as JSON."""
    if problem.hint is None:
        return Response(problem.status, NOT_STORED if problem.status == 503 else NOT_FOUND)
    return Response.json({"error": problem.hint}, problem.status)
