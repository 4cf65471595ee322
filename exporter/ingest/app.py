"""The express lane: plain heartbeats are answered in front of the web application.

What Falcon does for a request (request and response objects, routing, middleware) takes a seventh of a heartbeat's time
on the event loop. A heartbeat that is all in its path and query needs none of that. Whatever else comes, and whatever a
dialect refuses, goes the long way, as if there were no express lane; a test holds the answers together.
"""

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

from exporter.core.clock import Clock
from exporter.core.fleet import FleetMonitor
from exporter.core.telemetry import RejectReason, Telemetry
from exporter.ingest.body import KEPT, Body
from exporter.ingest.credentials import Authenticator
from exporter.ingest.dialect import Beat, Dialect, IngestError
from exporter.ingest.receiver import JSON, RETRY_AFTER, UNAVAILABLE, Ingest

_REST = "{rest:path}"
_METHODS = frozenset(("GET", "POST"))
_BODY_HEADERS = frozenset((b"content-length", b"transfer-encoding"))


class _TheLongWay(Exception):
    """The request is not plain."""


class PlainRequest:
    """A dialect's view of an ASGI scope; for more than a path and a query it takes the long way."""

    __slots__ = ("_authenticator", "_scope", "received_at", "rest")

    def __init__(self, rest: str, scope: Any, authenticator: Authenticator, now: int) -> None:
        self.rest = rest
        self.received_at = now
        self._scope = scope
        self._authenticator = authenticator

    @property
    def query(self) -> str:
        return str(self._scope["query_string"].decode("utf-8", "replace"))

    def header(self, name: str) -> str | None:
        wanted = name.lower().encode()
        if any(given == wanted for given, _ in self._scope["headers"]):
            raise _TheLongWay
        return None

    def authenticate(self, tag: str, secret: str) -> FleetMonitor | None:
        found = self._authenticator.check(tag, secret)
        return found if isinstance(found, FleetMonitor) else None

    @property
    def has_body(self) -> bool:
        if any(given in _BODY_HEADERS for given, _ in self._scope["headers"]):
            raise _TheLongWay
        return False

    async def body(self, keep: int = KEPT) -> Body:
        raise _TheLongWay


class Express:
    """An ASGI application around another one."""

    def __init__(
        self,
        app: Any,
        dialects: Iterable[Dialect],
        clock: Clock,
        telemetry: Telemetry,
        ingest: Callable[[], Ingest | None],
        observe: Callable[[str, str, int, float], None],
        headers: Iterable[tuple[str, str]],
    ) -> None:
        """`headers` go with every answer; `observe` is told (handler, method, status code, seconds)."""
        self._app = app
        self._lanes = [(one.route.removesuffix(_REST), one) for one in dialects if one.route.endswith(_REST)]
        self._clock = clock
        self._telemetry = telemetry
        self._ingest = ingest
        self._observe = observe
        self._headers = [(name.encode(), value.encode()) for name, value in (("content-type", JSON), *headers)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = perf_counter()
        ingest = self._ingest()
        plain = await self._read(scope, ingest) if ingest is not None and scope["type"] == "http" else None
        if ingest is None or plain is None:
            await self._app(scope, receive, send)
            return
        dialect, signals = plain
        failure = await ingest.commit(signals)
        self._observe("heartbeat", scope["method"], 503 if failure else 200, perf_counter() - began)
        await self._answer(send, failure, UNAVAILABLE if failure else dialect.answer(signals))

    async def _read(self, scope: Any, ingest: Ingest) -> tuple[Dialect, Sequence[Beat]] | None:
        """What a plain heartbeat says; None for what has to go the long way."""
        path, method = scope["path"], scope["method"]
        for prefix, dialect in self._lanes:
            if path.startswith(prefix) and method in _METHODS and method in dialect.methods:
                rest = path[len(prefix) :].removesuffix("/")
                if not rest:
                    return None  # no route of Falcon's
                request = PlainRequest(rest, scope, ingest.authenticator, self._clock.now())
                try:
                    return dialect, await dialect.read(request)
                except (_TheLongWay, IngestError):
                    return None
        return None

    async def _answer(self, send: Any, failure: RejectReason | None, body: bytes) -> None:
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        if failure is not None:
            self._telemetry.heartbeat_rejected(failure)
            headers.append((b"retry-after", RETRY_AFTER.encode()))
        await send({"type": "http.response.start", "status": 200 if failure is None else 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
