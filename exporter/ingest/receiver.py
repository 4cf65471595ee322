"""The receiver: an HTTP request comes in, and its heartbeat is committed before it is answered."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import falcon.asgi

from exporter.core.clock import SECOND, Clock
from exporter.core.fleet import FleetMonitor
from exporter.core.telemetry import RejectReason, Telemetry
from exporter.ingest.body import KEPT, STREAM_PATIENCE, Body, read_body
from exporter.ingest.body import PATIENCE as BODY_PATIENCE
from exporter.ingest.credentials import Authenticator
from exporter.ingest.dialect import Beat, Dialect, IngestError
from exporter.ingest.guesses import Guesses
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.refusals import Refusals
from exporter.recording.recorder import Recorder
from exporter.recording.statements import Pending

PATIENCE = 4 * SECOND
"""How long a heartbeat may wait for its commit before the sender is told to come again."""
RETRY_AFTER = "5"
_SWEEP = 0.25
_NOT_FOUND = b'{"error":"there is no monitor with this tag and secret"}'
UNAVAILABLE = b'{"error":"the heartbeat could not be stored: send it again"}'
JSON = "application/json"


class Waiters:
    """Requests that wait for their commit. Lives on the event loop; only `settled` is called from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._order: deque[tuple[int, Pending]] = deque()
        self._timer = loop.call_later(_SWEEP, self._sweep)

    def wait_for(self, pending: Pending) -> asyncio.Future[bool]:
        """Resolves to whether the heartbeat was committed; False at the latest after PATIENCE."""
        future: asyncio.Future[bool] = self._loop.create_future()
        pending.waiter = future
        self._order.append((self._clock.monotonic() + PATIENCE, pending))
        return future

    def settled(self, batch: Sequence[Pending]) -> None:
        """The recorder's word on a group; one wake-up of the loop for all of it."""
        self._loop.call_soon_threadsafe(self._resolve, batch)

    def close(self) -> None:
        self._timer.cancel()

    @staticmethod
    def _resolve(batch: Sequence[Pending]) -> None:
        for pending in batch:
            waiter = pending.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(pending.error is None)

    def _sweep(self) -> None:
        # One timer for all requests: a timeout of its own for each would cost a third of the hot path. It is set again
        # first: an error here must not be the end of all patience.
        self._timer = self._loop.call_later(_SWEEP, self._sweep)
        now = self._clock.monotonic()
        while self._order:
            until, pending = self._order[0]
            waiter = pending.waiter
            waits = waiter is not None and not waiter.done()
            if waits and until > now:
                break
            self._order.popleft()
            if waiter is not None and waits:
                pending.abandoned = True
                waiter.set_result(False)


class HttpRequest:
    """A dialect's view of a Falcon request."""

    __slots__ = ("_authenticator", "_body", "_req", "received_at", "rest", "tag", "wrong")

    def __init__(self, rest: str, req: falcon.asgi.Request, authenticator: Authenticator, now: int) -> None:
        self.rest = rest
        self.received_at = now
        self.wrong = RejectReason.UNKNOWN_TAG
        """What was wrong with the last claim; of several readings of one path, a known tag is the telling one."""
        self.tag = ""
        """The tag of the last claim, where it can be shown."""
        self._req = req
        self._authenticator = authenticator
        self._body: Body | None = None

    @property
    def query(self) -> str:
        return self._req.query_string

    def header(self, name: str) -> str | None:
        return self._req.get_header(name)

    def authenticate(self, tag: str, secret: str) -> FleetMonitor | None:
        found = self._authenticator.check(tag, secret)
        if isinstance(found, FleetMonitor):
            self.tag = tag
            return found
        if self.wrong is RejectReason.UNKNOWN_TAG:
            self.wrong = found
            self.tag = self._authenticator.shown_tag(tag, secret) or self.tag
        return None

    @property
    def has_body(self) -> bool:
        return bool(self._req.content_length) or self._req.get_header("Transfer-Encoding") is not None

    async def body(self, keep: int = KEPT) -> Body:
        if self._body is None:  # else it is read for the second time, after a look for new monitors
            streamed = self._req.get_header("Transfer-Encoding") is not None
            patience = STREAM_PATIENCE if streamed else BODY_PATIENCE
            self._body = await read_body(self._req.stream, keep, patience)
        return self._body


class _Unsure(Exception):
    """Nobody knows whether there is such a monitor: the database that would know is away."""


class Receiver:
    """The Falcon resource of one dialect."""

    def __init__(
        self,
        dialect: Dialect,
        clock: Clock,
        telemetry: Telemetry,
        ingest: Callable[[], "Ingest | None"],
        client_address: Callable[[falcon.asgi.Request], str],
        guesses: Guesses,
        refusals: Refusals | None = None,
    ) -> None:
        self._guesses = guesses
        self._refusals = refusals or Refusals(clock, guesses)
        self._dialect = dialect
        self._clock = clock
        self._telemetry = telemetry
        self._ingest = ingest
        self._client_address = client_address
        for method in falcon.HTTP_METHODS:
            setattr(self, f"on_{method.lower()}", self._receive if method in dialect.methods else self._refuse_method)

    @property
    def route(self) -> str:
        return self._dialect.route

    async def _refuse_method(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, **_: Any) -> None:
        raise falcon.HTTPMethodNotAllowed(list(self._dialect.methods))

    async def _receive(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, rest: str = "") -> None:
        resp.content_type = JSON
        ingest = self._ingest()
        if ingest is None:
            self._unavailable(resp, RejectReason.STORAGE)
            return
        request = HttpRequest(rest, req, ingest.authenticator, self._clock.now())
        try:
            signals = await self._read(request, ingest.newcomers)
        except _Unsure:
            await self._guesses.slow(self._client_address(req))
            self._unavailable(resp, RejectReason.STORAGE)
            return
        except IngestError as refused:
            claimed = refused.reason is RejectReason.WRONG_SECRET  # or an unknown tag: the dialect is not told which
            if claimed:
                await self._guesses.slow(self._client_address(req))
            self._refuse(req, resp, request.wrong if claimed else refused.reason, refused, request.tag)
            return
        failure = await ingest.commit(signals)
        if failure is not None:
            self._unavailable(resp, failure)
            return
        resp.data = self._dialect.answer(signals)

    async def _read(self, request: HttpRequest, newcomers: Newcomers | None) -> Sequence[Beat]:
        """Raises IngestError once it is sure that there is no such monitor and secret; _Unsure when it is not."""
        try:
            return await self._dialect.read(request)
        except IngestError as refused:
            if refused.reason is not RejectReason.WRONG_SECRET or newcomers is None:
                raise
        if not await newcomers.arrive():
            raise _Unsure
        request.wrong = RejectReason.UNKNOWN_TAG
        return await self._dialect.read(request)

    def _refuse(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, reason: RejectReason, refused: IngestError, tag: str
    ) -> None:
        self._telemetry.heartbeat_rejected(reason)
        self._refusals.note(reason, self._client_address(req), tag)
        resp.status = refused.status
        if refused.status == 503:
            resp.set_header("Retry-After", RETRY_AFTER)
        resp.data = _NOT_FOUND if refused.hint is None else json.dumps({"error": refused.hint}).encode()

    def _unavailable(self, resp: falcon.asgi.Response, reason: RejectReason) -> None:
        self._telemetry.heartbeat_rejected(reason)
        resp.status = falcon.HTTP_503
        resp.set_header("Retry-After", RETRY_AFTER)
        resp.data = UNAVAILABLE


class Ingest:
    """What it takes to take heartbeats, once storage is there."""

    __slots__ = ("authenticator", "newcomers", "recorder", "waiters")

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
        waiters: Waiters,
        newcomers: Newcomers | None = None,
    ) -> None:
        """Without `newcomers` no other process adds monitors."""
        self.newcomers = newcomers
        self.authenticator = authenticator
        self.recorder = recorder
        self.waiters = waiters

    async def commit(self, signals: Sequence[Beat]) -> RejectReason | None:
        """Returns once all of them are committed: None; or why they are not."""
        waits = []
        for signal in signals:
            pending = Pending(signal.watched, signal.beat)
            wait = self.waiters.wait_for(pending)
            if not self.recorder.record(pending):
                wait.set_result(False)
                return RejectReason.OVERLOADED
            waits.append(wait)
        for wait in waits:
            if not await wait:
                return RejectReason.STORAGE
        return None
