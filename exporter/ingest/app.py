"""The ingest application: answers every heartbeat, with or without a body, in front of the web application.

It finds the dialect of a request, hands the request over, and sends the dialect's answer. What refuses a heartbeat ends
in ONE place, `_refused`: counted, logged, and slowed down where credentials were wrong.
"""

import logging
import traceback
from collections.abc import Callable, Container, Iterable, Sequence
from time import perf_counter
from typing import Any

from exporter.core.clock import Clock
from exporter.core.telemetry import IRREGULAR, RejectReason, Telemetry
from exporter.ingest.dialect import Dialect, Management, Resource
from exporter.ingest.errors import CREDENTIALS, DEFECT, METHOD, RETRY_AFTER, STARTING, IngestError, NotStored
from exporter.ingest.guesses import Guesses
from exporter.ingest.intake import Ingest, Intake
from exporter.ingest.refusals import Refusals
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import NotAllowed, Route, Routes

log = logging.getLogger(__name__)

_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_HIDDEN = "<secret>"
_MIN_SECRET = 4
"""Characters of a secret that is looked for in a traceback; shorter ones are found in every text."""


class IngestApplication:
    """An ASGI application around another one, which answers whatever is no dialect's. Lives on the event loop."""

    def __init__(
        self,
        app: Any,
        dialects: Sequence[Dialect],
        clock: Clock,
        telemetry: Telemetry,
        intake: Callable[[], Intake | None],
        observe: Callable[[str, str, int, float], None],
        client_address: Callable[[str, str | None], str],
        guesses: Guesses,
        refusals: Refusals,
        management: Management | None = None,
    ) -> None:
        """`intake` returns None until heartbeats can be taken. `observe` is called with (handler, method, status code,
        seconds) of each request, `client_address` with a connection's peer and the `X-Forwarded-For` header. Without
        `management`, dialects have no management resources. Raises InvalidValue where two dialects want the same
        requests.
        """
        self._app = app
        self._clock = clock
        self._telemetry = telemetry
        self._intake = intake
        self._observe = observe
        self._client_address = client_address
        self._guesses = guesses
        self._refusals = refusals
        self._entries = [entry for dialect in dialects for entry in _entries(dialect, management)]
        self._routes = Routes(self._entries)

    @property
    def routes(self) -> list[Route]:
        """Those of all dialects, with their management resources, also of dialects that are switched off."""
        return [route for _, route, _ in self._entries]

    def switch_off(self, names: Container[str]) -> None:
        """From now on the routes of these dialects are not served, and those of all others are."""
        self._routes = Routes(entry for entry in self._entries if entry[0].name not in names)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        method = scope["method"]
        found = self._routes.find(scope["path"], method, scope["query_string"])
        if found is None:
            await self._app(scope, receive, send)
            return
        handler = "heartbeat"
        if isinstance(found, NotAllowed):
            handler = "api" if found.resource else handler
            problem = IngestError(None, "wrong method", METHOD, 405, tuple(found.allowed))
            response = _answer(found.dialect, problem, found.resource)
        else:
            served, fields = found
            dialect, intake = served.dialect, self._intake()
            request = Request(scope, receive, served.route, fields, self._clock.now())
            if served.resource is not None:
                handler = "api"
                response = (
                    _answer(dialect, IngestError(None, "starting", STARTING, 503), True)
                    if intake is None
                    else await self._manage(dialect, served.resource, request, scope)
                )
            elif intake is None:
                response = self._refused(dialect, NotStored(), scope)
            else:
                ingest = Ingest(intake, dialect.name, request.received_at, request)
                try:
                    response = await dialect.handle(request, ingest)
                except Exception as error:  # noqa: BLE001 - logged there, and answered as what it is
                    response = await self._failed(dialect, error, request, intake, scope, ingest.tag)
                else:
                    if ingest.failure is not None and not ingest.granted:
                        response = await self._look_again(dialect, request, intake, scope)
        self._observe(handler, method if method in _METHODS else "other", response.status, perf_counter() - began)
        start, body = response.messages()
        await send(start)
        await send(body)

    # ── heartbeats that are not taken ────────────────────────────────────────────────────────────────────────────

    async def _failed(
        self, dialect: Dialect, error: Exception, request: Request, intake: Intake, scope: Any, tag: str
    ) -> Response:
        if not isinstance(error, IngestError):
            return self._defective(dialect, error, request, scope, tag)
        if error.reason in CREDENTIALS:
            return await self._look_again(dialect, request, intake, scope)
        return self._refused(dialect, error, scope, tag=tag)

    async def _look_again(self, dialect: Dialect, request: Request, intake: Intake, scope: Any) -> Response:
        """The credentials are wrong, unless they are those of a monitor that is being created, or that another process
        has just added.
        """
        if intake.creation is not None:
            await intake.creation.finished()
        if intake.newcomers is not None and not await intake.newcomers.arrive():
            await self._guesses.slow(self._client(scope))
            return self._refused(dialect, NotStored(), scope)  # whether they are wrong is not known
        ingest = Ingest(intake, dialect.name, request.received_at, request)
        try:
            response = await dialect.handle(request, ingest)
            if ingest.failure is None or ingest.granted:
                return response
            problem = IngestError(ingest.failure, "denied by the dialect's own answer", status=response.status)
        except IngestError as error:
            problem, response = error, None
        except Exception as error:  # noqa: BLE001 - logged there, and answered as what it is
            return self._defective(dialect, error, request, scope, ingest.tag)
        if problem.reason in CREDENTIALS:
            problem.reason = ingest.failure or problem.reason
            await self._guesses.slow(self._client(scope))
        return self._refused(dialect, problem, scope, response, ingest.tag)

    def _refused(
        self, dialect: Dialect, problem: IngestError, scope: Any, response: Response | None = None, tag: str = ""
    ) -> Response:
        """Counts, logs and lists a heartbeat that was not taken, and returns what the dialect answers. Every refusal of
        every dialect comes through here. `tag` is the one that the sender claimed, where it may be shown.
        """
        if problem.reason is not None:
            self._telemetry.heartbeat_rejected(dialect.name, problem.reason)
            if not isinstance(problem, NotStored):  # storage says by itself what troubles it
                self._refusals.note(problem.reason, self._client(scope), tag)
        return response if response is not None else _answer(dialect, problem)

    def _defective(self, dialect: Dialect, error: Exception, request: Request, scope: Any, tag: str = "") -> Response:
        return self._refused(dialect, self._defect(dialect, error, request), scope, tag=tag)

    def _defect(self, dialect: Dialect, error: Exception, request: Request) -> IngestError:
        """Logs the error, without what is secret in the request."""
        text = "".join(traceback.format_exception(error))
        for secret in sorted(request.secrets(), key=len, reverse=True):
            if len(secret) >= _MIN_SECRET:
                text = text.replace(secret, _HIDDEN)
        log.error("an unexpected error in the dialect %s\n%s", dialect.name, text)
        return IngestError(RejectReason.INTERNAL, "a defect of the dialect", DEFECT, 500)

    def _client(self, scope: Any) -> str:
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = scope.get("client") or ("",)
        return self._client_address(peer[0], b",".join(forwarded).decode("latin-1") if forwarded else None)

    # ── management ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _manage(self, dialect: Dialect, resource: Resource, request: Request, scope: Any) -> Response:
        if IRREGULAR in scope.get("extensions", ()):
            problem = IngestError(None, "irregular", "This request cannot be understood.", 400)
            return _answer(dialect, problem, True)
        try:
            return await resource(request)
        except IngestError as problem:
            if problem.reason in CREDENTIALS:
                await self._guesses.slow(self._client(scope))
                self._guesses.tell("a wrong token was given", self._client(scope), logging.WARNING)
            return _answer(dialect, problem, True)
        except Exception as error:  # noqa: BLE001 - logged there, and answered as what it is
            # A body may hold the sender's token, and what it says may be in the error: only its kind is shown.
            shown = RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
            defect = self._defect(dialect, shown, request)
            return self._refused(dialect, defect, scope, _answer(dialect, defect, True))


def _entries(dialect: Dialect, management: Management | None) -> Iterable[tuple[Dialect, Route, Resource | None]]:
    for route in dialect.routes:
        yield dialect, route, None
    offered = getattr(dialect, "resources", None)
    if offered is not None and management is not None:
        for route, resource in offered(management):
            yield dialect, route, resource


def _answer(dialect: Dialect, problem: IngestError, managed: bool = False) -> Response:
    """The dialect's answer to a problem, with the header fields that HTTP wants with it."""
    error: Callable[[IngestError], Response] = dialect.error
    try:
        response = getattr(dialect, "management_error", error)(problem) if managed else error(problem)
    except Exception:
        log.exception("an unexpected error in the dialect %s, while it answered an error", dialect.name)
        response = Response.json({"error": DEFECT}, 500)
    if problem.allowed:
        response = response.with_headers(("allow", ", ".join(problem.allowed)))
    if response.status == 503:
        response = response.with_headers(("retry-after", RETRY_AFTER))
    return response
