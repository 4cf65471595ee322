"""A request as dialects see it. What is not asked for is not worked out."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from exporter.core.job_metrics.payload import MAX_PACKED, is_metrics
from exporter.ingest.body import KEPT, PATIENCE, STREAM_PATIENCE, Body, read_body
from exporter.ingest.routes import Route

_WORDS = re.compile(r"[\s,=]+")
"""What separates the parts of a header field such as `X-Sentry-Auth: Sentry sentry_key=…, sentry_version=7`."""
_NONE: Mapping[str, list[str]] = {}
Receive = Callable[[], Awaitable[Any]]


class Basic(NamedTuple):
    """What `Authorization: Basic` holds."""

    user: str
    password: str


class Request:
    """One HTTP request for a dialect's route."""

    __slots__ = ("_body", "_parameters", "_receive", "_scope", "fields", "received_at", "route")
    _body: Body

    def __init__(self, scope: Any, receive: Receive, route: Route, fields: Mapping[str, str], now: int) -> None:
        self.fields = fields
        """What the route's template found in the path, percent-decoded; a slash at the end is left out."""
        self.received_at = now
        """Unix time in milliseconds."""
        self.route = route
        self._scope = scope
        self._receive = receive
        self._parameters: Mapping[str, list[str]] | None = None  # and no more: most are asked for nothing else

    @property
    def method(self) -> str:
        return str(self._scope["method"])

    @property
    def peer(self) -> str:
        """The address that the connection comes from, which may be a proxy's; empty for a local socket."""
        return str((self._scope.get("client") or ("",))[0])

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the connection is."""
        return str(self._scope["scheme"])

    @property
    def raw_path(self) -> bytes:
        """The whole path as it was sent, with its percent-encoding."""
        return bytes(self._scope["raw_path"])

    @property
    def query(self) -> str:
        """The raw query string, without the question mark."""
        return str(self._scope["query_string"].decode("utf-8", "replace"))

    def parameter(self, name: str, default: str = "") -> str:
        """The first value of a parameter of the query; it may be empty."""
        values = self.all_parameters.get(name)
        return values[0] if values else default

    def parameters(self, name: str) -> list[str]:
        """All values of a parameter of the query, in their order."""
        return self.all_parameters.get(name, [])

    @property
    def all_parameters(self) -> Mapping[str, list[str]]:
        """All parameters of the query, by name; none without a query."""
        found = self._parameters
        if found is None:
            query = self._scope["query_string"]
            found = self._parameters = parameters_of(query.decode("utf-8", "replace")) if query else _NONE
        return found

    def header(self, name: str) -> str | None:
        """The value of a header field; of several fields of one name, their values with commas between them."""
        wanted = name.lower().encode("latin-1")
        values = [value for given, value in self._scope["headers"] if given == wanted]
        return b",".join(values).decode("latin-1") if values else None

    def credentials(self, scheme: str) -> str | None:
        """What follows the scheme in `Authorization`, as `Bearer` or `GenieKey`; None with another scheme or none."""
        values = [value for name, value in self._scope["headers"] if name == b"authorization"]
        if not values:
            return None
        given, blank, credentials = b",".join(values).decode("latin-1").partition(" ")
        return credentials.strip() if blank and given.lower() == scheme.lower() else None

    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`; None without one."""
        return self.credentials("Bearer")

    def basic(self) -> Basic | None:
        """User and password of `Authorization: Basic`; None without them, and when they cannot be read."""
        credentials = self.credentials("Basic")
        if credentials is None:
            return None
        try:
            user, colon, password = b64decode(credentials, validate=True).decode("utf-8", "replace").partition(":")
        except (Base64Error, ValueError):
            return None
        return Basic(user, password) if colon else None

    @property
    def has_body(self) -> bool:
        for name, value in self._scope["headers"]:
            if name == b"content-length":
                return bool(value.strip(b"0"))
            if name == b"transfer-encoding":
                return True
        return False

    @property
    def holds_metrics(self) -> bool:
        """Whether the body is metrics of the job, by its type, and not its output."""
        content_type = self.header("Content-Type")
        return content_type is not None and is_metrics(content_type)

    @property
    def body_if_read(self) -> Body | None:
        """The body, once a dialect has asked for it."""
        return getattr(self, "_body", None)

    async def body(self, keep: int = KEPT) -> Body:
        """The first `keep` bytes of the body, or more; the rest is read and dropped. Never raises.

        Ask for it after the credentials have proved right: until then its sender is not asked to send it.
        """
        if not hasattr(self, "_body"):  # else this is the second attempt, after a look for new monitors
            if not self.has_body:
                return Body(b"", False)
            if self.holds_metrics:
                keep = max(keep, MAX_PACKED)
            streamed = any(name == b"transfer-encoding" for name, _ in self._scope["headers"])
            self._body = await read_body(_pieces(self._receive), keep, STREAM_PATIENCE if streamed else PATIENCE)
        return self._body

    def secrets(self) -> Iterable[str]:
        """The parts of this request that must not be shown."""
        for name, value in self.fields.items():
            if name not in self.route.public:
                yield value
        for name in self.route.secret:
            yield from self.parameters(name)
            header = self.header(name) or ""
            yield header
            yield from _WORDS.split(header)
        _, _, credentials = (self.header("Authorization") or "").partition(" ")
        yield credentials
        yield from self.basic() or ()


def parameters_of(text: str) -> dict[str, list[str]]:
    """The parameters of a query, or of a form in a body; as `parse_qs` with blank values, in a third of its time."""
    found: dict[str, list[str]] = {}
    escaped = "%" in text or "+" in text
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            if escaped:
                name, value = unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace")
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
    return found


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises OSError when its sender has left."""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise OSError("the sender has left")
        piece = event.get("body", b"")
        if piece:
            yield piece
        if not event.get("more_body", False):
            return
