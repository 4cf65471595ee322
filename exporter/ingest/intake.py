"""What it takes to take heartbeats, and what a dialect may do with it for one request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from exporter.core.clock import DAY, MINUTE
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Claim, Heartbeat, Kind
from exporter.core.job_metrics.model import JobFamily, Push, PushMode, PushRefused
from exporter.core.job_metrics.payload import MAX_PACKED, read_payload
from exporter.core.telemetry import PushOutcome, RejectReason, Silent, Telemetry
from exporter.fleet.job_metrics import JobMetricsView
from exporter.ingest.creation import Creation
from exporter.ingest.credentials import Credentials, Grant
from exporter.ingest.errors import IngestError, NotStored
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.request import Request
from exporter.ingest.waiters import Waiters
from exporter.recording.late import LatePending
from exporter.recording.recorder import Recorder
from exporter.recording.statements import Pending

_new = tuple.__new__
"""Makes a named tuple in half the time that its own constructor takes; thousands are made a second."""
MAX_RUN = 10 * 365 * DAY
"""Milliseconds; what a sender measured beyond it is kept as this."""

MAX_AGE = 7 * DAY
"""A heartbeat that is older counts as one of that age."""
MAX_AHEAD = MINUTE
"""How far ahead of ours a sender's clock may be; what it says beyond that is not believed."""
FULL = "the exporter keeps as many job metrics as it can"
_QUICK = 8 * 1024
"""Bytes of metrics that are read on the event loop: longer ones would hold up all others."""


class Beat(NamedTuple):
    """A heartbeat for a monitor, as a dialect reads it out of a request."""

    monitor: FleetMonitor
    kind: Kind = Kind.SUCCESS
    rid: str = ""
    """Pairs the start and the end of a run."""
    exit_code: int | None = None
    output: str = ""
    """What the job printed; see `text_of`."""
    duration: int | None = None
    """How long the run took as its sender measured it, in milliseconds; None when it did not say."""
    at: int | None = None
    """When it happened, as its sender says, in milliseconds of Unix time; see `counted_at`. None is its receipt. One of
    the same monitor, kind, rid and moment as a kept one counts once.
    """


class Intake:
    """All of it, once storage is there."""

    __slots__ = ("count", "creation", "credentials", "job_metrics", "newcomers", "recorder", "telemetry", "waiters")

    def __init__(
        self,
        credentials: Credentials,
        recorder: Recorder,
        waiters: Waiters,
        newcomers: Newcomers | None = None,
        creation: Creation | None = None,
        count: Callable[[str, Kind], None] = lambda dialect, kind: None,
        job_metrics: JobMetricsView | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Without `newcomers` no other process adds monitors; without `creation` no sender does. `count` is called with
        the dialect and the kind of each heartbeat that was recorded.
        """
        self.count = count
        self.job_metrics = job_metrics
        self.telemetry = telemetry or Silent()
        self.credentials = credentials
        self.recorder = recorder
        self.waiters = waiters
        self.newcomers = newcomers
        self.creation = creation


class Ingest:
    """One request's way into the service."""

    __slots__ = ("_dialect", "_intake", "_received_at", "_request", "failure", "granted", "tag", "warning")

    def __init__(self, intake: Intake, dialect: str, received_at: int, request: Request | None = None) -> None:
        """`request` may hold metrics beside its heartbeat."""
        self._intake = intake
        self._request = request
        self._dialect = dialect
        self._received_at = received_at
        self.failure: RejectReason | None = None
        """What was wrong with the credentials; of several readings of one request, a known tag is the telling one."""
        self.granted = False
        """Whether any of the credentials was right."""
        self.tag = ""
        """The tag of the last claim, where it may be shown; a token alone claims none."""
        self.warning: str | None = None
        """Why metrics were not kept that came with a heartbeat that was recorded."""

    def authenticate(self, secret: str, tag: str | None = None, create: bool = False) -> Grant | None:
        """What the sender's credential opens; None when it opens nothing. The same time is spent whatever is wrong.

        With a `tag`, `secret` is the monitor's own secret, or a ping key that opens the monitor: both work wherever one
        of them does. Without one it is a token, which identifies its monitor without a tag. With `create`, a ping key
        is good for a monitor that is not there yet, and that `ensure` is to create.
        """
        found = self._intake.credentials.check(secret, tag, create)
        if isinstance(found, Grant):
            self.granted = True
            if tag is not None:
                self.tag = tag
            return found
        if self.failure is None or self.failure is RejectReason.UNKNOWN_TAG:
            self.failure = found
            if tag is not None:
                self.tag = self._intake.credentials.shown_tag(tag, secret) or self.tag
        return None

    def recognizes(self, secret: str) -> bool:
        """Whether it is a ping key or a token in force, whatever it opens: where a protocol answers a good key for
        something unknown otherwise than a wrong key.
        """
        return self._intake.credentials.is_known(secret)

    async def ensure(self, grant: Grant, settings: Mapping[str, Any] | None = None) -> Grant:
        """The grant with its monitor, which is created if it is not there: exactly once, however many ask for it.

        `settings`, named and written as in the configuration, are those that the sender wants. They apply to a new
        monitor, and to one that the same ping key has created. Check everything else first: what is refused after this
        leaves the monitor behind. Raises IngestError.
        """
        if grant.watched is not None and (grant.key is None or not settings):
            return grant
        creation = self._intake.creation
        if creation is None or grant.key is None:
            raise IngestError(RejectReason.CREATION_REFUSED, "nothing can be created here", status=403)
        return grant._replace(watched=await creation.ensure(grant.tag, grant.watched, grant.key, settings or {}))

    async def record(self, beats: Sequence[Beat]) -> None:
        """Returns once all of them are committed, or were before. Raises NotStored.

        A body that is metrics, by its type, is kept with the heartbeat, if there is one and not several; whatever is
        wrong with it is the `warning`.
        """
        intake, at = self._intake, self._received_at
        push = None
        if self._request is not None and self._request.body_if_read is not None and len(beats) == 1:
            push, beats = await self._with_metrics(self._request, beats[0])
        waits: list[tuple[asyncio.Future[bool], Pending]] = []
        for monitor, kind, rid, exit_code, output, duration, claimed_at in beats:
            if duration is not None:
                duration = min(max(0, duration), MAX_RUN)
            counts_at = at if claimed_at is None else counted_at(claimed_at, at)
            beat = _new(Heartbeat, (kind, at if counts_at is None else counts_at, rid, exit_code, output, duration))
            if claimed_at is None or counts_at is None:
                pending = Pending(monitor, beat, None, push)
            else:
                pending = LatePending(monitor, beat, Claim(max(0, claimed_at), at), None, push)
            wait = intake.waiters.wait_for(pending)
            if not intake.recorder.record(pending):
                wait.set_result(False)
                raise NotStored(RejectReason.OVERLOADED)
            waits.append((wait, pending))
        for wait, pending in waits:
            if not await wait:
                raise NotStored
            if not pending.repeated:
                intake.count(self._dialect, pending.beat.kind)
        if push is not None:
            self._settle(push)

    def admit(self, monitor: FleetMonitor | None, push: Push) -> None:
        """Raises IngestError if no more metrics can be kept, of all jobs together; for a monitor that does not exist
        yet, ask before it is created.
        """
        view = self._intake.job_metrics
        if view is not None and not view.admits(monitor.id if monitor is not None else None, push):
            raise IngestError(RejectReason.OVERLOADED, "too many job metrics", FULL, 503)

    async def push(self, monitor: FleetMonitor, push: Push) -> None:
        """Returns once the metrics are committed, with the success that they bring unless they come `alone`. Raises
        IngestError, with the reason as its hint, for what cannot be kept, and NotStored.
        """
        intake = self._intake
        pending = Pending(monitor, Heartbeat(Kind.SUCCESS, self._received_at), None, push)
        wait = intake.waiters.wait_for(pending)
        if not intake.recorder.record(pending):
            wait.set_result(False)
            raise NotStored(RejectReason.OVERLOADED)
        if not await wait:
            raise NotStored
        self._settle(push)
        if push.refusal is not None:
            raise IngestError(RejectReason.INVALID, "metrics that cannot be kept", push.refusal, 400)
        if not push.alone:
            intake.count(self._dialect, Kind.SUCCESS)

    async def families(self, request: Request) -> tuple[JobFamily, ...]:
        """The metrics in a body. Raises PushRefused."""
        body = await request.body(MAX_PACKED)
        content_type, encoding = request.header("Content-Type") or "", request.header("Content-Encoding") or ""
        arguments = (body.kept, body.cut, content_type, encoding)
        if len(body.kept) <= _QUICK and not encoding:
            return read_payload(*arguments)
        return await asyncio.get_running_loop().run_in_executor(None, read_payload, *arguments)

    async def _with_metrics(self, request: Request, beat: Beat) -> tuple[Push | None, Sequence[Beat]]:
        """The metrics beside a heartbeat, if there are any, and the heartbeat."""
        body = request.body_if_read
        if body is None or not request.holds_metrics:
            return None, (beat,)
        try:
            push = Push(PushMode.REPLACE, (), await self.families(request))
            self.admit(beat.monitor, push)
        except (PushRefused, IngestError) as error:
            push = Push(PushMode.FAILED, reason=FULL if isinstance(error, IngestError) else str(error))
        packed = request.header("Content-Encoding") is not None
        if beat.output == body.output and (packed or push.mode is not PushMode.FAILED):
            beat = beat._replace(output="")
        return push, (beat,)

    def _settle(self, push: Push) -> None:
        refusal = push.reason or push.refusal
        if push.mode is PushMode.DELETE:
            self._intake.telemetry.pushed(PushOutcome.DELETED)
        elif refusal is None and push.mode is not PushMode.FAILED:
            self._intake.telemetry.pushed(PushOutcome.KEPT)
        else:
            self._intake.telemetry.pushed(PushOutcome.REFUSED)
            self.warning = f"the metrics were not kept: {refusal}"


def counted_at(claimed_at: int, received_at: int) -> int | None:
    """The moment at which a heartbeat counts whose sender says `claimed_at`; None when that is not believed."""
    if claimed_at > received_at + MAX_AHEAD:
        return None
    return min(received_at, max(claimed_at, received_at - MAX_AGE))
