"""Healthchecks' management API, versions 1 to 3: checks, their pings, and channels, in front of our monitors.

What a request may do follows from its key: the API's token may do everything. A client without a key reads what names
and opens nothing, where anonymous reading is allowed.
"""

import json
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.monitor import Monitor
from exporter.core.process.pause import Pause
from exporter.core.telemetry import RejectReason
from exporter.ingest.built_in import HEALTHCHECKS_API
from exporter.ingest.dialect import Management, Resource
from exporter.ingest.dialects.healthchecks.check import (
    TAGS,
    CheckWriter,
    channel_id,
    channel_kind,
    label_of,
    pings_of,
    slug_of,
    unique_key,
)
from exporter.ingest.dialects.healthchecks.spec import MAX_BODY, Spec, bad, fits, is_unique, monitor_from, read_spec
from exporter.ingest.errors import IngestError
from exporter.ingest.request import Request
from exporter.ingest.response import JSON, TEXT, Response
from exporter.ingest.routes import Route
from exporter.storage.repositories.monitors import NOT_EMPTY

_VERSIONS = {"v1": 1, "v2": 2, "v3": 3}
_UUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNIQUE_KEY = re.compile(r"[0-9a-f]{40}")
_METHODS = ("GET", "POST", "DELETE", "OPTIONS")
_PINGS = 1000
_PART = 150
"""Checks that are written, and compressed, before other threads get a turn: some milliseconds."""
_GZIP = re.compile(r"(?i)(^|,)\s*(x-)?gzip\s*(;\s*q=(0\.\d*[1-9]|1)[\d.]*\s*)?(,|$)")
_BASIC = {401: "wrong api key", 404: "not found", 405: "method not allowed", 503: "try again"}


class _Sender(NamedTuple):
    """Who asks."""

    version: int
    readonly: bool
    """Whether it sees nothing that opens a monitor, and changes nothing."""
    body: Mapping[str, Any]


Answer = Callable[[Request, _Sender], Awaitable[Response]]


def management_error(problem: IngestError) -> Response:
    text = problem.hint or _BASIC.get(problem.status, "the request cannot be answered")
    response = Response.json({"error": text}, problem.status)
    return response.with_headers(*_cors(problem.allowed or _METHODS))


class CheckResources:
    """One of it answers all requests, on the event loop."""

    def __init__(self, api: Management) -> None:
        self._api = api

    def routes(self) -> Iterable[tuple[Route, Resource]]:
        answers: Mapping[str, Mapping[str, Answer]] = {
            "/checks": {"GET": self._list, "POST": self._create},
            "/checks/{id}": {"GET": self._show, "POST": self._update, "DELETE": self._delete},
            "/checks/{id}/pause": {"POST": self._pause},
            "/checks/{id}/resume": {"POST": self._resume},
            "/checks/{id}/pings": {"GET": self._pings},
            "/checks/{id}/pings/{number}/body": {"GET": self._ping_body},
            "/channels": {"GET": self._channels},
            "/status": {},
        }
        for route in HEALTHCHECKS_API:
            template = route.template.removeprefix("/api/{version}")
            yield route, self._resource(route, answers[template], readable=template in ("/checks", "/checks/{id}"))

    def _resource(self, route: Route, answers: Mapping[str, Answer], readable: bool) -> Resource:
        """What answers requests of this route. `readable`: for clients, too, that may read only."""

        async def respond(request: Request) -> Response:
            version = _VERSIONS.get(request.fields["version"])
            if version is None:
                raise IngestError(None, "an unknown version", status=404)
            if request.method == "OPTIONS":
                return Response(204, b"", None, _cors(route.methods))
            if not answers:  # the status, which is asked without a key
                return Response(200, b"OK", TEXT, _cors(route.methods))
            sender = await self._sender(request, version, readable and request.method == "GET")
            if not sender.readonly:
                await self._api.catch_up()  # another process may have answered the request before this one
            try:
                response = await answers[request.method](request, sender)
            except NotFound:
                raise IngestError(None, "no such check", status=404) from None
            except Conflict as error:
                raise IngestError(None, "read-only", str(error), 403) from None
            except StorageUnavailable:
                raise IngestError(None, "the database is away", status=503) from None
            # Without a key, pages of other sites must not read it: any of them could ask.
            return response if sender.readonly else response.with_headers(*_cors(route.methods))

        return respond

    async def _sender(self, request: Request, version: int, readable: bool) -> _Sender:
        key, body = request.header("X-Api-Key"), {}
        if request.method == "POST":
            if key is None or self._api.admits(key):  # no other one is asked for a body
                body = await _read(request)
            given = body.pop("api_key", None)
            key = key if key is not None or given is None else str(given)
        if not key:
            if readable and await self._api.anonymous(request):
                return _Sender(version, True, {})
            raise IngestError(None, "no key", "missing api key", 401)
        if not self._api.admits(key):
            raise IngestError(RejectReason.WRONG_SECRET, "a wrong API key", "wrong api key", 401)
        return _Sender(version, False, body)

    # ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list(self, request: Request, sender: _Sender) -> Response:
        gzip = _GZIP.search(request.header("Accept-Encoding") or "") is not None
        tags, slug = frozenset(request.parameters("tag")), request.parameter("slug")
        body = await self._api.run(self._written, self._writer(request, sender), sender.readonly, tags, slug, gzip)
        headers = (("Vary", "Accept-Encoding"), *((("Content-Encoding", "gzip"),) if gzip else ()))
        return Response(200, body, JSON, headers)

    def _written(self, writer: CheckWriter, readonly: bool, tags: frozenset[str], slug: str, gzip: bool) -> bytes:
        """All checks that have these tags and this slug, beside an event loop that must not wait for it."""
        compressor = zlib.compressobj(1, wbits=31) if gzip else None
        monitors, uuid_of, pause = self._api.monitors(), self._api.uuids(), Pause()
        readonly = readonly or not self._api.built_in_tokens
        parts, separator = [_packed(['{"checks": ['], compressor)], ""
        for start in range(0, len(monitors), _PART):
            some = monitors[start : start + _PART]
            if tags or slug:
                some = [
                    each
                    for each in some
                    if tags <= set(label_of(each.monitor, TAGS).split()) and slug in ("", slug_of(each.monitor))
                ]
            texts = [writer.write(each, uuid_of(each.id, each.generation), readonly) for each in some]
            if texts:
                parts.append(_packed([separator, ", ".join(texts)], compressor))
                separator = ", "
            pause.when_due()
        parts.append(_packed(["]}"], compressor))
        if compressor is not None:
            parts.append(compressor.flush())
        return b"".join(parts)

    async def _create(self, request: Request, sender: _Sender) -> Response:
        if not self._api.built_in_tokens:
            raise Conflict("checks have no UUIDs: built_in_tokens is off in the configuration")
        spec = read_spec(sender.body)
        number, added = await self._api.run(self._put, spec)
        return self._check(request, sender, self._there(number), 201 if added else 200)

    def _put(self, spec: Spec) -> tuple[int, bool]:
        """The number of the check, and whether it was made now. Blocks."""
        channels = self._channel_names()

        def make(before: Monitor | None, free_tag: Callable[[str], str]) -> Monitor:
            return monitor_from(spec, before, free_tag, channels)

        if not is_unique(spec):
            return self._api.put(make)
        pause = Pause()
        for watched in self._api.monitors():  # so that the database need not be searched under its lock
            pause.when_due()
            if fits(spec, watched.monitor):
                try:
                    return self._api.put(make, id=watched.id, fits=lambda monitor: fits(spec, monitor))
                except NotFound:  # it was removed or changed meanwhile
                    break
        return self._api.put(make, where=_where(spec), fits=lambda monitor: fits(spec, monitor))

    async def _show(self, request: Request, sender: _Sender) -> Response:
        return self._check(request, sender, await self._found(request))

    async def _update(self, request: Request, sender: _Sender) -> Response:
        watched, spec, channels = await self._found(request), read_spec(sender.body), self._channel_names()

        def make(before: Monitor | None, free_tag: Callable[[str], str]) -> Monitor:
            return monitor_from(spec, before, free_tag, channels)

        number, _ = await self._api.run(lambda: self._api.put(make, id=watched.id))
        return self._check(request, sender, self._there(number))

    async def _delete(self, request: Request, sender: _Sender) -> Response:
        watched = await self._found(request)
        response = self._check(request, sender, watched)
        await self._api.run(self._api.remove, watched.monitor.tag)
        return response

    async def _pause(self, request: Request, sender: _Sender) -> Response:
        watched = await self._found(request)
        if not watched.monitor.paused:
            await self._api.run(self._api.set_paused, watched.monitor.tag, True)
        return self._check(request, sender, watched)

    async def _resume(self, request: Request, sender: _Sender) -> Response:
        watched = await self._found(request)
        if not watched.monitor.paused:
            raise IngestError(None, "not paused", "check is not paused", 409)
        await self._api.run(self._api.set_paused, watched.monitor.tag, False)
        return self._check(request, sender, watched)

    # ── pings and channels ───────────────────────────────────────────────────────────────────────────────────────

    async def _pings(self, request: Request, sender: _Sender) -> Response:
        watched = await self._found(request)
        heartbeats = await self._api.run(self._api.heartbeats, watched, _PINGS)
        url = f"{self._api.base_url(request)}/api/v{sender.version}/checks/{request.fields['id']}"
        return Response.json({"pings": pings_of(heartbeats, url)})

    async def _ping_body(self, request: Request, sender: _Sender) -> Response:
        watched = await self._found(request)
        for number, beat in await self._api.run(self._api.heartbeats, watched, _PINGS):
            if str(number) == request.fields["number"].lstrip("0") and beat.output:
                return Response(200, beat.output.encode("utf-8", "replace"), TEXT)
        raise NotFound("there is no such ping, or it has no body")

    async def _channels(self, request: Request, sender: _Sender) -> Response:
        channels = [
            {"id": channel_id(name), "name": name, "kind": channel_kind(type)} for name, type in self._api.notifiers()
        ]
        return Response.json({"channels": channels})

    # ── what they share ──────────────────────────────────────────────────────────────────────────────────────────

    def _writer(self, request: Request, sender: _Sender) -> CheckWriter:
        return CheckWriter(sender.version, self._api.base_url(request), self._channel_names())

    def _channel_names(self) -> Sequence[tuple[str, str]]:
        return [(channel_id(name), name) for name, _ in self._api.notifiers()]

    def _check(self, request: Request, sender: _Sender, watched: FleetMonitor, status: int = 200) -> Response:
        uuid = self._api.uuids()(watched.id, watched.generation)
        readonly = sender.readonly or not self._api.built_in_tokens
        text = self._writer(request, sender).write(watched, uuid, readonly)
        return Response(status, text.encode("ascii"))

    async def _found(self, request: Request) -> FleetMonitor:
        """The check of the path, by its UUID, by one that was imported, or by its unique key. Raises NotFound."""
        id = request.fields["id"]
        if _UNIQUE_KEY.fullmatch(id):
            watched = await self._api.run(self._with_unique_key, id)
        else:
            watched = self._api.with_token(id) if _UUID.fullmatch(id) else None
        if watched is None:
            raise NotFound("there is no such check")
        return watched

    def _with_unique_key(self, key: str) -> FleetMonitor | None:
        pause, uuid_of = Pause(), self._api.uuids()
        for watched in self._api.monitors():
            pause.when_due()
            if unique_key(uuid_of(watched.id, watched.generation)) == key:
                return watched
        return None

    def _there(self, number: int) -> FleetMonitor:
        """The check that was just written. Raises IngestError when this process has not been able to read it."""
        watched = self._api.numbered(number)
        if watched is None:
            raise IngestError(None, "written, and not read yet", status=503)
        return watched


async def _read(request: Request) -> dict[str, Any]:
    """The object that is the body; nothing and `null` are an empty one. Raises IngestError, which quotes nothing."""
    body = await request.body(MAX_BODY)
    if body.cut:
        raise IngestError(None, "too long", "the request body is too long, or incomplete", 413)
    try:
        content = json.loads(body.kept.decode() or "null")
    except (ValueError, RecursionError):
        raise bad("could not parse request body") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise bad("json validation error: value is not an object")
    return content


def _where(spec: Spec) -> Sequence[Mapping[str, object]]:
    """Columns of the monitors that `unique` may mean, as few as possible."""
    unique = spec["unique"]
    if "name" in unique:
        return [{"name": spec["name"]}, {"name": "", "tag": spec["name"]}]
    if "slug" in unique:
        return [{"tag": spec["slug"]}, {"details": NOT_EMPTY}]
    return [{}]


def _packed(texts: Iterable[str], compressor: Any) -> bytes:
    part = "".join(texts).encode("ascii")
    return part if compressor is None else compressor.compress(part)


def _cors(methods: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return (
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Headers", "X-Api-Key"),
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        ("Access-Control-Max-Age", "600"),
    )
