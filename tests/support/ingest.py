"""The ingest application with a fleet and a recorder that are only lists: for the tests of dialects."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import PingKey
from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat
from exporter.core.job_metrics.model import Push
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.core.status import Reason, Status
from exporter.core.telemetry import RejectReason, Silent
from exporter.core.timeline import CurrentStatus
from exporter.ingest.app import IngestApplication
from exporter.ingest.credentials import Credentials
from exporter.ingest.dialect import Dialect, Management
from exporter.ingest.errors import IngestError
from exporter.ingest.guesses import Guesses
from exporter.ingest.intake import Beat, Ingest, Intake
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.refusals import Refusals
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.waiters import Waiters
from exporter.recording.statements import Pending
from tests.conftest import ManualClock

KEY = b"k" * 32
SECRET = "s3cret"
TOKEN = "0b6f9d3a-1111-4222-8333-0123456789ab"
MAKER = "key-that-creates"
READER = "key-that-creates-nothing"
KEYS = (
    PingKey(name="maker", digest=digest(MAKER, KEY), selector=Selector(tags=("job", "new*")), defaults={}),
    PingKey(name="reader", digest=digest(READER, KEY), selector=Selector(tags=("job",))),
)

Fate = StorageUnavailable | str | None
"""Of heartbeats: `overloaded`, or `starting` where nothing can be taken yet, or why they are not stored."""


def monitor(id: int, tag: str, secret: str = SECRET, tokens: Sequence[str] = (), **options: Any) -> FleetMonitor:
    current = CurrentStatus(Status.UP, Reason.ON_TIME, 0)
    made = FleetMonitor(id, Monitor(tag=tag, **options), digest(secret, KEY), current)
    made.tokens = tuple(digest(token, KEY) for token in tokens)
    return made


def fleet_of(*monitors: FleetMonitor) -> Fleet:
    fleet = Fleet()
    fleet.update(monitors)
    return fleet


class FakeRecorder:
    """Settles at once, with the given fate."""

    def __init__(self, waiters: Waiters, fate: Fate, refusal: str | None = None) -> None:
        """`refusal`: why pushes are not kept."""
        self._waiters = waiters
        self._fate = fate
        self._refusal = refusal
        self.recorded: list[tuple[str, Heartbeat]] = []
        self.pushes: list[Push] = []

    def record(self, pending: Pending) -> bool:
        if self._fate == "overloaded":
            return False
        if pending.push is not None:
            self.pushes.append(pending.push)
            pending.push.refusal = self._refusal
        if pending.push is None or pending.push.brings_heartbeat:
            self.recorded.append((pending.watched.monitor.tag, pending.beat))
        pending.error = self._fate if isinstance(self._fate, StorageUnavailable) else None
        self._waiters.settled([pending])
        return True


class Counts(Silent):
    def __init__(self) -> None:
        self.rejected: list[RejectReason] = []

    def heartbeat_rejected(self, dialect: str, reason: RejectReason) -> None:
        self.rejected.append(reason)


class DoctorContext(Guesses):
    """Counts whom it would slow down, and does not do it."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.slowed: list[str] = []

    async def slow(self, client: str) -> None:
        self.slowed.append(client)


class Asked(NamedTuple):
    path: str
    method: str = "GET"
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class Outcome(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    recorded: Sequence[tuple[str, Heartbeat]]
    rejected: Sequence[RejectReason]
    observed: Sequence[tuple[str, str, int]]
    slowed: Sequence[str]
    refused: Sequence[tuple[RejectReason, str]]
    """(reason, tag that may be shown) of the refusals that are listed, newest first."""
    passed_on: bool
    """Whether the application behind was asked."""
    pushes: Sequence[Push] = ()


class FakeCreation:
    """Adds monitors to the fleet, and notes what it was asked for: (tag, settings)."""

    def __init__(self, fleet: Fleet, refusal: IngestError | None = None) -> None:
        self._fleet = fleet
        self._refusal = refusal
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.running: list[FleetMonitor] = []
        """Monitors that are there once the creations that run are over."""

    async def finished(self) -> None:
        self._fleet.update(self.running)

    async def ensure(
        self, tag: str, watched: FleetMonitor | None, key: PingKey, settings: Mapping[str, Any]
    ) -> FleetMonitor:
        self.asked.append((tag, settings))
        if self._refusal is not None:
            raise self._refusal
        if watched is None:
            watched = monitor(1000 + len(self._fleet), tag)
            self._fleet.update([watched])
        return watched


def ping(
    dialect: Dialect,
    path: str,
    query: str = "",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    fleet: Fleet | None = None,
    **options: Any,
) -> Outcome:
    """What comes of a request to a dialect: a POST if it has a body. The monitor `job` has TOKEN and SECRET."""
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    fields += [(b"content-length", b"%d" % len(body))] if body else []
    asked = Asked(path, method or ("POST" if body else "GET"), query.encode("utf-8"), tuple(fields), body)
    return send(asked, [dialect], fleet or fleet_of(monitor(1, "job", tokens=[TOKEN])), **options)


def send(
    asked: Asked,
    dialects: Sequence[Dialect],
    fleet: Fleet,
    fate: Fate = None,
    *,
    keys: Sequence[PingKey] = (),
    newcomers: Newcomers | None = None,
    management: Management | None = None,
    switched_off: Sequence[str] = (),
    creation: FakeCreation | None = None,
    refusal: str | None = None,
    full: bool = False,
) -> Outcome:
    """What comes of one request. `refusal`: why the recorder does not keep metrics; `full`: there are too many."""
    return asyncio.run(
        _send(asked, dialects, fleet, fate, keys, newcomers, management, switched_off, creation, refusal, full)
    )


async def _send(
    asked: Asked,
    dialects: Sequence[Dialect],
    fleet: Fleet,
    fate: Fate,
    keys: Sequence[PingKey],
    newcomers: Newcomers | None,
    management: Management | None,
    switched_off: Sequence[str],
    creation: FakeCreation | None,
    refusal: str | None,
    full: bool,
) -> Outcome:
    clock, telemetry, guesses = ManualClock(), Counts(), DoctorContext()
    refusals = Refusals(clock, guesses)
    waiters = Waiters(asyncio.get_running_loop(), clock)
    recorder = FakeRecorder(waiters, fate, refusal)
    credentials = Credentials(fleet, KEY)
    credentials.use(keys)
    view: Any = SimpleNamespace(admits=lambda id, push: not full)
    intake = Intake(credentials, recorder, waiters, newcomers, creation, job_metrics=view)  # type: ignore[arg-type]
    observed: list[tuple[str, str, int]] = []
    sent: list[Any] = []
    passed_on = False

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        nonlocal passed_on
        passed_on = True
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def collect(event: Any) -> None:
        sent.append(event)

    app = IngestApplication(
        behind,
        dialects,
        clock,
        telemetry,
        lambda: None if fate == "starting" else intake,
        lambda handler, method, code, seconds: observed.append((handler, method, code)),
        lambda peer, forwarded: forwarded or peer,
        guesses,
        refusals,
        management,
    )
    app.switch_off(switched_off)
    await app(scope_of(asked), receive, collect)
    waiters.close()
    return Outcome(
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        b"".join(event.get("body", b"") for event in sent[1:]),
        recorder.recorded,
        telemetry.rejected,
        observed,
        guesses.slowed,
        [(one.reason, one.tag) for one in refusals.recent()],
        passed_on,
        recorder.pushes,
    )


def scope_of(asked: Asked) -> dict[str, Any]:
    return {
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


class CollectingIngest(Ingest):
    """Notes what is recorded; every heartbeat is stored."""

    __slots__ = ("beats",)

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(Intake(Credentials(fleet, KEY), None, None), "tested", 1000)  # type: ignore[arg-type]
        self.beats: list[Beat] = []

    async def record(self, beats: Sequence[Beat]) -> None:
        self.beats += beats


def handle(
    dialect: Dialect,
    fleet: Fleet,
    rest: str,
    query: str = "",
    authorization: str | None = None,
    body: bytes = b"",
    stalled: bool = False,
    method: str = "POST",
) -> tuple[Response, Sequence[Beat]]:
    """The answer of a dialect whose first route takes the `rest` of a path, and the heartbeats; raises IngestError."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("utf-8", "surrogatepass"))]
    headers += [(b"content-length", b"%d" % (len(body) + stalled))] if body or stalled else []
    left = [body]

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": stalled}
        return {"type": "http.disconnect"}

    scope = scope_of(Asked("", method, query.encode("utf-8", "surrogatepass"), tuple(headers)))
    ingest = CollectingIngest(fleet)

    async def run() -> Response:
        return await dialect.handle(Request(scope, receive, dialect.routes[0], {"rest": rest}, 1000), ingest)

    return asyncio.run(run()), ingest.beats
