"""The express lane: for every request the same answer, the same heartbeat and the same count as on the long way."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.core.status import Reason, Status
from exporter.core.telemetry import RejectReason, Silent
from exporter.core.timeline import CurrentStatus
from exporter.ingest.app import Express
from exporter.ingest.credentials import Authenticator
from exporter.ingest.dialects.native import HeartbeatDialect
from exporter.ingest.guesses import Guesses
from exporter.ingest.receiver import Ingest, Receiver, Waiters
from exporter.recording.statements import Pending
from exporter.web.app import create_app
from exporter.web.headers import PLAIN
from tests.support.scenes import World

KEY = b"k" * 32
SECRET = "s3cret"
LANE = "/ext/heartbeat/"


class FakeRecorder:
    """Settles at once, with the given fate; `None` in its place: too many wait already."""

    def __init__(self, waiters: Waiters, fate: StorageUnavailable | str | None) -> None:
        self._waiters = waiters
        self._fate = fate
        self.recorded: list[tuple[str, Heartbeat]] = []

    def record(self, pending: Pending) -> bool:
        if self._fate == "overloaded":
            return False
        self.recorded.append((pending.watched.monitor.tag, pending.beat))
        pending.error = self._fate if isinstance(self._fate, StorageUnavailable) else None
        self._waiters.settled([pending])
        return True


class Counts(Silent):
    def __init__(self) -> None:
        self.rejected: list[RejectReason] = []

    def heartbeat_rejected(self, reason: RejectReason) -> None:
        self.rejected.append(reason)


class Outcome(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    recorded: list[tuple[str, Heartbeat]]
    rejected: list[RejectReason]
    observed: list[tuple[str, str, int]]


class Asked(NamedTuple):
    path: str
    method: str = "GET"
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


def answer(asked: Asked, express: bool, fate: StorageUnavailable | str | None = None) -> tuple[Outcome, bool]:
    """What came of it, and whether the web application saw the request."""
    return asyncio.run(_answer(asked, express, fate))


async def _answer(asked: Asked, express: bool, fate: StorageUnavailable | str | None) -> tuple[Outcome, bool]:
    world, telemetry, dialect = World(), Counts(), HeartbeatDialect()
    waiters = Waiters(asyncio.get_running_loop(), world.clock)
    recorder = FakeRecorder(waiters, fate)
    current = CurrentStatus(Status.UP, Reason.ON_TIME, 0)
    world.fleet.update([FleetMonitor(1, Monitor(tag="job"), digest(SECRET, KEY), current)])
    ingest = None if fate == "starting" else Ingest(Authenticator(world.fleet, KEY), recorder, waiters)  # type: ignore[arg-type]
    receiver = Receiver(dialect, world.clock, telemetry, lambda: ingest, lambda request: "client", Guesses(world.clock))
    web = create_app(replace(world.parts(), ingest=[(receiver.route, receiver)]))
    long_way = False
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal long_way
        long_way = True
        await web(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    lane = Express(app, [dialect], world.clock, telemetry, lambda: ingest, world.parts().observe, PLAIN)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query,
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"localhost"), *asked.headers],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 10105),
    }
    await (lane if express else app)(scope, receive, send)
    waiters.close()
    body = b"".join(event.get("body", b"") for event in sent[1:])
    observed = [(handler, method, code) for handler, method, code, _ in world.observed]
    outcome = Outcome(
        sent[0]["status"], sorted(sent[0]["headers"]), body, recorder.recorded, telemetry.rejected, observed
    )
    return outcome, long_way


def bearer(secret: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"authorization", b"Bearer " + secret.encode()),)


def length(body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-length", b"%d" % len(body)),)


PLAIN_ONES = [
    Asked(f"{LANE}job:{SECRET}", query=b"status=down&msg=disk+full"),
    Asked(f"{LANE}job:{SECRET}/start", query=b"rid=a&success=false"),
    Asked(f"{LANE}job:{SECRET}", query=b"status=up&msg=OK&ping="),
    *(Asked(f"{LANE}job{path}") for path in (f":{SECRET}", f":{SECRET}/", f"/{SECRET}", f"/{SECRET}/", f":{SECRET}//")),
    *(Asked(f"{LANE}job:{SECRET}/{suffix}") for suffix in ("start", "fail", "log", "0", "3", "-1", "start/", "9" * 30)),
    Asked(f"{LANE}job:{SECRET}", "POST"),
    Asked(f"{LANE}job:{SECRET}", query=b"rid=run-1"),
    Asked(f"{LANE}job:{SECRET}", query=b"rid=no+such&rid=thing&x=%ff\xff"),
    Asked(f"{LANE}job:{SECRET}", headers=((b"x-forwarded-for", b"1.2.3.4"), (b"accept", b"text/html"))),
]
OTHERS = [
    Asked(f"{LANE}job:{SECRET}", "HEAD"),
    *(Asked(f"{LANE}job:{SECRET}", method) for method in ("PUT", "OPTIONS", "DELETE", "STRANGE")),
    *(Asked(LANE + path) for path in ("", "job", "job:wrong", "job/wrong/start", "never:x", f"/job:{SECRET}")),
    Asked(f"{LANE}job:{SECRET}/strat"),
    Asked(f"{LANE}job", headers=bearer(SECRET)),
    Asked(f"{LANE}job/start", headers=bearer(SECRET)),
    Asked(f"{LANE}job/{SECRET}", headers=bearer("another's")),
    Asked(f"{LANE}job:{SECRET}", "POST", headers=length(b"said"), body=b"said"),
    Asked(f"{LANE}job:{SECRET}", "POST", headers=((b"transfer-encoding", b"chunked"),), body=b"said"),
    Asked(f"{LANE}job:{SECRET}", "POST", headers=length(b"")),
    Asked("/-/healthy"),
    Asked("/ext/heartbeatjob"),
]


@pytest.mark.parametrize("asked", [*PLAIN_ONES, *OTHERS], ids=repr)
def test_the_answer_is_that_of_the_long_way(asked: Asked) -> None:
    (express, _), (web, _) = answer(asked, True), answer(asked, False)
    assert express == web


@pytest.mark.parametrize("asked", PLAIN_ONES, ids=repr)
def test_plain_heartbeats_do_not_reach_the_web_application(asked: Asked) -> None:
    outcome, long_way = answer(asked, True)
    assert (outcome.status, len(outcome.recorded), long_way) == (200, 1, False)


@pytest.mark.parametrize("asked", OTHERS, ids=repr)
def test_all_else_does(asked: Asked) -> None:
    _, long_way = answer(asked, True)
    assert long_way


@pytest.mark.parametrize("fate", [StorageUnavailable("disk full"), "overloaded", "starting"], ids=str)
def test_what_cannot_be_committed_is_503_on_both(fate: StorageUnavailable | str) -> None:
    asked = Asked(f"{LANE}job:{SECRET}")
    (express, _), (web, _) = answer(asked, True, fate), answer(asked, False, fate)
    assert express == web
    assert express.status == 503
    assert (b"retry-after", b"5") in express.headers


def test_a_dialect_may_ask_for_headers_that_are_not_there() -> None:
    """One that looks for a header it does not find stays in the lane; an ordinary request has a few others."""

    class Curious(HeartbeatDialect):
        async def read(self, request: Any) -> Any:
            assert request.header("X-Gate") is None
            return await super().read(request)

    world = World()
    world.fleet.update(
        [FleetMonitor(1, Monitor(tag="job"), digest(SECRET, KEY), CurrentStatus(Status.UP, Reason.ON_TIME, 0))]
    )

    async def run(headers: Iterable[tuple[bytes, bytes]]) -> bool:
        waiters = Waiters(asyncio.get_running_loop(), world.clock)
        recorder = FakeRecorder(waiters, None)
        ingest = Ingest(Authenticator(world.fleet, KEY), recorder, waiters)  # type: ignore[arg-type]
        gone = False

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal gone
            gone = True

        async def send(event: Any) -> None: ...

        lane = Express(app, [Curious()], world.clock, Silent(), lambda: ingest, world.parts().observe, PLAIN)
        path = f"{LANE}job:{SECRET}"
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": list(headers)}
        await lane(scope, send, send)
        waiters.close()
        assert [beat.kind for _, beat in recorder.recorded] == ([] if gone else [Kind.SUCCESS])
        return gone

    assert not asyncio.run(run([(b"host", b"localhost")]))
    assert asyncio.run(run([(b"host", b"localhost"), (b"x-gate", b"1")]))
