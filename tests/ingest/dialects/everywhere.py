"""A dialect that takes credentials from every place there is, and does all that a dialect can do."""

from collections.abc import Iterable

from exporter.plugins import (
    TEXT,
    Beat,
    Denied,
    Ingest,
    IngestError,
    Kind,
    Management,
    RejectReason,
    Request,
    Resource,
    Response,
    Route,
    text_of,
)
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked


class EverywhereDialect:
    name = "everywhere"
    routes = (
        Route(("GET", "POST", "DELETE"), "/everywhere/{tag}", public=("tag",), secret=("key", "X-Api-Key")),
        Route(("GET",), "/everywhere/{tag}/in/{key}", public=("tag",)),
        Route(("PUT",), "/everywhere/{tag}/several", public=("tag",)),
        Route(("OPTIONS",), "/everywhere/{rest*}"),
    )

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        if request.method == "OPTIONS":
            return Response(204, content_type=None, headers=(("Access-Control-Allow-Origin", "*"),))
        basic = request.basic()
        secret = (
            request.fields.get("key")
            or request.parameter("key")
            or request.header("X-Api-Key")
            or request.bearer()
            or request.credentials("GenieKey")
            or (basic.password if basic is not None else "")
        )
        grant = ingest.authenticate(secret, request.fields["tag"], create=request.parameter("create") == "yes")
        if grant is None:
            raise Denied(status=401)
        if request.parameter("mood") not in ("", "good"):
            raise IngestError(RejectReason.INVALID, "no such mood", "mood is good, or left out", 400)
        grant = await ingest.ensure(grant, {"down_after": request.parameter("late")} if "late" in request.query else {})
        if request.route.template.endswith("/several"):
            tags = text_of((await request.body(1000)).kept).split()
            others = [ingest.authenticate(secret, tag) for tag in tags]
            await ingest.record([Beat(one.monitor, duration=90_000) for one in (grant, *others) if one is not None])
        else:
            kind = Kind.FAILURE if request.method == "DELETE" else Kind.SUCCESS
            body = await request.body(20)
            await ingest.record([Beat(grant.monitor, kind, output=body.output)])
        return Response(200, b"", None)

    def error(self, problem: IngestError) -> Response:
        return Response(problem.status, f"everywhere: {problem.hint}".encode(), TEXT, (("Cache-Control", "no-cache"),))

    def resources(self, api: Management) -> Iterable[tuple[Route, Resource]]:
        async def list_tags(request: Request) -> Response:
            if not api.admits(request.header("X-Api-Key")):
                raise Denied(status=401)
            return Response.json({"tags": [watched.monitor.tag for watched in api.monitors()]})

        yield Route(("GET",), "/everywhere/api/tags", secret=("X-Api-Key",)), list_tags


URL = "/everywhere/job"
ENTRY = Entry(
    EverywhereDialect(),
    good=[
        Asked(f"{URL}/in/{{secret}}"),
        Asked(URL, query=b"key={secret}"),
        Asked(URL, headers=((b"x-api-key", b"{secret}"),)),
        Asked(URL, headers=((b"authorization", b"Bearer {secret}"),)),
        Asked(URL, headers=((b"authorization", b"GenieKey {secret}"),)),
        Asked(URL, "DELETE", headers=((b"authorization", b"Basic {basic}"),)),
        Asked(f"{URL}/several", "PUT", headers=((b"x-api-key", b"{secret}"),)),
    ],
    wrong=[
        Asked(URL),
        Asked(URL, headers=((b"authorization", b"Basic ///"),)),
        Asked(URL, headers=((b"authorization", b"Bearer"),)),
        Asked(f"{URL}/in/{{token}}"),
    ],
    denied=401,
    body=Asked(URL, "POST", headers=((b"x-api-key", b"{secret}"),)),
    methods=("HEAD", "PATCH", "STRANGE"),
    refused=[(Asked(URL, query=b"key={secret}&mood=bad"), 400)],
)
