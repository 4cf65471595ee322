"""Pulse: a ping protocol of our own invention, with one token and plain-text answers.

GET or POST /pulse/{token}            the job ran
GET or POST /pulse/{token}?bad=why    the job failed
"""

from exporter.plugins import TEXT, Beat, Denied, Ingest, IngestError, Kind, Request, Response, Route

THUMP = Response(202, b"thump\n", TEXT, headers=(("X-Pulse", "1"),))


class PulseDialect:
    name = "pulse"
    routes = (Route(("GET", "POST"), "/pulse/{token}"),)

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        grant = ingest.authenticate(request.fields["token"])
        if grant is None:
            raise Denied
        reason = request.parameter("bad")
        seconds = request.parameter("seconds")
        beat = Beat(
            grant.monitor,
            Kind.FAILURE if reason else Kind.SUCCESS,
            output=reason or (await request.body()).output,
            duration=int(seconds) * 1000 if seconds.isdecimal() and len(seconds) < 9 else None,
        )
        await ingest.record([beat])
        return THUMP

    def error(self, problem: IngestError) -> Response:
        text = problem.hint or ("try again" if problem.status == 503 else "no such pulse")
        return Response(problem.status, f"{text}\n".encode(), TEXT)
