"""Collaborators of the web that need no database, and a fleet in every status.

`app()` is what a gunicorn worker serves in the browser tests; one moment is now, so that pictures of it are alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from exporter import __version__
from exporter.config.settings import WebSettings
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, Run
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, merged
from exporter.core.status import Reason, Status, evaluate
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import StatusChange, past
from exporter.ingest.guesses import Guesses
from exporter.ingest.refusals import Refusals
from exporter.storage.repositories.history import Transition
from exporter.web.app import create_app
from exporter.web.context import WebContext
from tests.support.alarm_fakes import FakeAlerts, FakeIncidents, FakeNotifications, many, trouble

NOW = 1_795_532_612_000
"""Tue 24 Nov 2026, 15:03:32 UTC."""
_EXECUTOR = ThreadPoolExecutor(2)


class StoppedClock:
    """It is always the same moment."""

    def __init__(self, now: int = NOW) -> None:
        self.moment = now

    def now(self) -> int:
        return self.moment

    def monotonic(self) -> int:
        return self.moment


class FakeHistory:
    def __init__(
        self,
        transitions: Mapping[int, Sequence[Transition]] | None = None,
        heartbeats: Mapping[int, Sequence[Heartbeat]] | None = None,
    ) -> None:
        self.kept = dict(transitions or {})
        self.beats = dict(heartbeats or {})
        self.broken = False

    def transitions(self, monitor_ids: Sequence[int], since: int) -> Mapping[int, Sequence[Transition]]:
        if self.broken:
            raise StorageUnavailable("read transitions: database is locked")
        found = {}
        for monitor_id in monitor_ids:
            kept = self.kept.get(monitor_id, ())
            earlier = [each for each in kept if each.at <= since][-1:]
            found[monitor_id] = [*earlier, *(each for each in kept if each.at > since)]
        return found

    def heartbeats(self, monitor_id: int, limit: int) -> Sequence[Heartbeat]:
        if self.broken:
            raise StorageUnavailable("read heartbeats: database is locked")
        return self.beats.get(monitor_id, ())[:limit]


class FakeMonitors:
    """Writes into the fleet at once, as one replica sees it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.secrets: dict[str, str] = {}
        self.broken = False

    def add(self, monitor: Monitor, secret: str) -> None:
        self._check()
        if self._fleet.get(monitor.tag) is not None:
            raise Conflict(f"there is a monitor {monitor.tag!r} already")
        self.secrets[monitor.tag] = secret
        current = CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, NOW)
        self._fleet.update([FleetMonitor(1000 + len(self._fleet), monitor, b"", current)])

    def set_paused(self, tag: str, paused: bool) -> None:
        watched = self._found(tag)
        watched.monitor = watched.monitor.with_paused(paused)

    def remove(self, tag: str) -> None:
        watched = self._found(tag)
        if watched.provisioned:
            raise Conflict(f"{tag!r} comes from the configuration file")
        self._fleet.update((), [watched.id])

    def _found(self, tag: str) -> FleetMonitor:
        self._check()
        watched = self._fleet.get(tag)
        if watched is None:
            raise NotFound(f"there is no monitor {tag!r}")
        return watched

    def _check(self) -> None:
        if self.broken:
            raise StorageUnavailable("add monitor: disk full")


@dataclass
class FakeAnswer:
    content_type: str
    content_encoding: str | None
    chunks: Iterator[bytes]


class FakeScrape:
    def __init__(self, chunks: Sequence[bytes] = (b"heartbeat_age_seconds 1\n", b"more 2\n")) -> None:
        self.chunks: Sequence[bytes] | Callable[[], Iterator[bytes]] = chunks
        self.asked: list[tuple[str | None, str | None, frozenset[str] | None]] = []

    def answer(self, accept: str | None, accept_encoding: str | None, names: frozenset[str] | None) -> FakeAnswer:
        self.asked.append((accept, accept_encoding, names))
        chunks = self.chunks() if callable(self.chunks) else iter(self.chunks)
        return FakeAnswer("text/plain; version=0.0.4; charset=utf-8", None, chunks)


FALCONS_HOST = "falconframework.org"
"""What Falcon's test client calls."""


@dataclass
class World:
    """All fakes together; what a test changes here, the app sees."""

    fleet: Fleet = field(default_factory=Fleet)
    clock: StoppedClock = field(default_factory=StoppedClock)
    history: FakeHistory = field(default_factory=FakeHistory)
    scrape: FakeScrape = field(default_factory=FakeScrape)
    web: WebSettings = field(default_factory=WebSettings)
    reason: str | None = None
    illness: str | None = None
    reload: Callable[[], Any] = lambda: None
    observed: list[tuple[str, str, int, float]] = field(default_factory=list)
    executor: Executor = _EXECUTOR
    version: str = "1.2.3"
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    notifications: FakeNotifications = field(default_factory=FakeNotifications)
    monitors: FakeMonitors = field(init=False)
    incidents: FakeIncidents = field(init=False)
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self.refusals = Refusals(self.clock, Guesses(self.clock))
        self.monitors = FakeMonitors(self.fleet)
        self.incidents = FakeIncidents(self.clock, self.alerts)

    def break_storage(self) -> None:
        for part in (self.history, self.monitors, self.alerts, self.incidents, self.notifications):
            part.broken = True

    def parts(self) -> WebContext:
        return WebContext(
            fleet=self.fleet,
            clock=self.clock,
            readiness=lambda: self.reason,
            health=lambda: self.illness,
            history=self.history,
            monitors=self.monitors,
            alerts=self.alerts,
            incidents=self.incidents,
            notifications=self.notifications,
            refusals=self.refusals,
            scrape=self.scrape,
            reload=lambda: self.reload(),
            settings=lambda: replace(self.web, allowed_hosts=(*self.web.allowed_hosts, FALCONS_HOST)),
            executor=self.executor,
            observe=lambda *seen: self.observed.append(seen),
            version=self.version,
        )

    def app(self) -> Any:
        return create_app(self.parts())


def every_status(now: int = NOW) -> World:
    """Eleven monitors as they are in real life, in every status and for every reason."""
    world = World(clock=StoppedClock(now))
    for number, (monitor, state, history) in enumerate(_jobs(now), start=1):
        found = evaluate(monitor, state, now)
        status, reason = found.status, found.reason
        if monitor.tag == "db-vacuum":
            status, reason = Status.MAINTENANCE, Reason.ON_TIME
        transitions = [Transition(now - ago, was, why, now - ago + 40) for ago, was, why in history]
        since = transitions[-1].at if transitions else now - 2 * DAY
        current = CurrentStatus(status, reason, since)
        watched = FleetMonitor(number, monitor, b"", current, state, provisioned=number % 2 == 1)
        watched.past = past([StatusChange(one.at, one.status) for one in transitions])
        world.fleet.update([watched])
        world.history.kept[number] = transitions
        world.history.beats[number] = _beats(state)
    return world


def _state(now: int, success: int | None, duration: int | None = None, **more: Any) -> HeartbeatState:
    return HeartbeatState(
        received=412,
        failures=3,
        starts=204,
        last_received_at=None if success is None else now - success,
        last_success_at=None if success is None else now - success,
        last_start_at=None if success is None or duration is None else now - success - duration,
        last_outcome=None if success is None else more.pop("outcome", Kind.SUCCESS),
        last_exit_code=more.pop("exit_code", None if success is None else 0),
        last_duration=duration,
        **more,
    )


def _beats(state: HeartbeatState) -> list[Heartbeat]:
    if state.last_success_at is None:
        return []
    beats = []
    if state.last_failure_at is not None:
        output = 'pg_dump: error: connection to server at "db1" failed: <Connection refused>\n' * 3
        beats.append(Heartbeat(Kind.FAILURE, state.last_failure_at, "run-8812", state.last_exit_code, output))
        beats.append(Heartbeat(Kind.START, state.last_failure_at - 48 * SECOND, "run-8812"))
    beats.append(Heartbeat(Kind.SUCCESS, state.last_success_at, "", 0, "42 files, 1.3 GB\ndone\n"))
    beats.append(Heartbeat(Kind.LOG, state.last_success_at - 30 * SECOND, output="halfway there"))
    if state.last_start_at is not None:
        beats.append(Heartbeat(Kind.START, state.last_start_at))
    return beats


def _jobs(now: int) -> list[tuple[Monitor, HeartbeatState, list[tuple[int, Status, Reason]]]]:
    up, late, down = Status.UP, Status.DEGRADED, Status.DOWN
    on_time, overdue, missed = Reason.ON_TIME, Reason.LATE, Reason.MISSED
    return [
        (
            Monitor(
                tag="nightly-backup",
                name="Nightly backup",
                group="Storage",
                schedule="0 3 * * *",
                timezone="Europe/Rome",
                degraded_after=15 * MINUTE,
                down_after=HOUR,
                labels=(("owner", "anna"), ("team", "storage")),
            ),
            _state(now, 12 * HOUR + 51 * MINUTE, 8 * MINUTE + 42 * SECOND),
            [(40 * DAY, up, on_time)],
        ),
        (
            Monitor(
                tag="invoice-export",
                name="Invoice export",
                group="Billing",
                schedule="30 14 * * *",
                timezone="Europe/Berlin",
                degraded_after=10 * MINUTE,
                down_after=30 * MINUTE,
            ),
            _state(now, 25 * HOUR + 28 * MINUTE, 95 * SECOND),
            [(20 * DAY, up, on_time), (80 * MINUTE, late, overdue), (60 * MINUTE, down, missed)],
        ),
        (
            Monitor(tag="pg-dump-eu", name="Database dump, EU", group="Storage", schedule="0 * * * *"),
            _state(
                now,
                2 * HOUR + 3 * MINUTE,
                4 * MINUTE + 10 * SECOND,
                outcome=Kind.FAILURE,
                exit_code=3,
                last_failure_at=now - 57 * MINUTE,
            ),
            [
                (9 * DAY, up, on_time),
                (11 * HOUR, down, Reason.FAILED),
                (10 * HOUR, up, on_time),
                (57 * MINUTE, down, Reason.FAILED),
            ],
        ),
        (
            Monitor(
                tag="video-transcoder",
                name="Video transcoder",
                group="Media",
                max_runtime=2 * HOUR,
                degraded_after=6 * HOUR,
                down_after=12 * HOUR,
            ),
            _state(now, 5 * HOUR, 74 * MINUTE, runs=(Run("7f3a", now - 2 * HOUR - 25 * MINUTE),)),
            [(3 * DAY, up, on_time), (25 * MINUTE, down, Reason.OVERRUN)],
        ),
        (
            Monitor(
                tag="queue-worker",
                name="Queue worker",
                group="Billing",
                degraded_after=2 * MINUTE,
                down_after=10 * MINUTE,
            ),
            _state(now, 4 * MINUTE, 640),
            [
                (6 * DAY, up, on_time),
                (19 * HOUR, late, overdue),
                (18 * HOUR + 50 * MINUTE, up, on_time),
                (2 * MINUTE, late, overdue),
            ],
        ),
        (
            Monitor(tag="search-reindex", name="Search reindex", group="Media", schedule="*/20 * * * *"),
            _state(now, 55 * SECOND, 31 * SECOND),
            [
                (30 * DAY, up, on_time),
                (9 * HOUR, late, overdue),
                (8 * HOUR + 55 * MINUTE, down, missed),
                (7 * HOUR, up, on_time),
            ],
        ),
        (
            Monitor(
                tag="tls-renewal",
                name="TLS renewal",
                group="Edge",
                schedule="17 4 * * 1",
                timezone="America/New_York",
                down_after=DAY,
            ),
            _state(now, 29 * HOUR + 40 * MINUTE, 12 * SECOND),
            [(90 * DAY, up, on_time)],
        ),
        (
            Monitor(tag="cdn-purge.staging", group="Edge", schedule="*/5 * * * *"),
            _state(now, 3 * MINUTE + 29 * SECOND, 340),
            [(10 * HOUR, Status.NO_DATA, Reason.NEVER_RECEIVED), (8 * HOUR, up, on_time)],
        ),
        (
            Monitor(tag="db-vacuum", name="Vacuum", group="Storage", schedule="0 1 * * *"),
            _state(now, 13 * HOUR + 40 * MINUTE, 22 * MINUTE),
            [(14 * DAY, up, on_time), (40 * MINUTE, Status.MAINTENANCE, Reason.ON_TIME)],
        ),
        (
            Monitor(tag="legacy-ftp-pull", name="Legacy FTP pull", group="Billing", paused=True),
            _state(now, 9 * DAY, 41 * SECOND),
            [(60 * DAY, up, on_time), (8 * DAY, Status.PAUSED, Reason.PAUSED)],
        ),
        (
            Monitor(tag="new-etl", name="Sales ETL", group="Media", schedule="0 6 * * *", timezone="Asia/Tokyo"),
            _state(now, None),
            [(3 * HOUR, Status.NO_DATA, Reason.NEVER_RECEIVED)],
        ),
    ]


def as_it_is(now: int = NOW) -> World:
    """`every_status` without what cannot be had yet: for the picture in the README."""
    world = every_status(now)
    world.version = __version__
    vacuum = world.fleet.get("db-vacuum")
    assert vacuum is not None
    vacuum.current = CurrentStatus(Status.UP, Reason.ON_TIME, now - 14 * DAY)
    world.history.kept[vacuum.id] = world.history.kept[vacuum.id][:1]
    for watched in world.fleet.all():
        trouble(world.incidents, watched, now)
    return world


def longest_names(now: int = NOW) -> World:
    """Two monitors of which everything that people choose is as long as it may be, and which flap."""
    world = World(clock=StoppedClock(now))
    cycle = ((Status.UP, Reason.ON_TIME), (Status.DEGRADED, Reason.LATE), (Status.DOWN, Reason.MISSED))
    history = [Transition(now - (360 - n) * 5 * MINUTE, *cycle[n % 3], now) for n in range(360)]
    state = _state(now, 3 * DAY + 5 * HOUR + 17 * MINUTE, DAY + 3 * HOUR + 59 * MINUTE, last_failure_at=now - 3 * DAY)
    for number, (tag, name) in enumerate((("W" * 128, ""), ("w" * 128, "Überweisungsdonaudampfschifffahrt " * 5))):
        monitor = Monitor(
            tag=tag,
            name=name,
            group="Finance and controlling, shared service centre " * 3,
            schedule="0,5,10,15,20,25,30,35,40,45,50,55 0-23 1-31 JAN-DEC MON-FRI",
            timezone="America/Argentina/Buenos_Aires",
            labels=(("runbook", "https://wiki.example.org/" + "runbooks/" * 10), ("team", "x" * 200)),
        )
        current = CurrentStatus(*cycle[number * 2], now - 5 * MINUTE)
        world.fleet.update([FleetMonitor(number, monitor, b"", current, state)])
        world.history.kept[number] = history
        world.history.beats[number] = [Heartbeat(Kind.FAILURE, now - MINUTE, "r" * 64, -(2**31), "y" * 3000)]
    return world


def alarmed(now: int = NOW) -> World:
    """Every status, with what alerting makes of it."""
    world = every_status(now)
    for watched in world.fleet.all():
        trouble(world.incidents, watched, now)
    return world


def been_away(forgives: bool = True) -> World:
    """With two outages of our own in the last 24 hours and one before them."""
    world = every_status()
    now = world.clock.now()
    lengths = {3 * DAY: 2 * HOUR, 11 * HOUR + 14 * MINUTE: 38 * MINUTE, 100 * MINUTE: 9 * SECOND}
    spans = [Span(now - ago, now - ago + length) for ago, length in lengths.items()]
    world.fleet.use(Calendar(merged(spans), forgives=forgives))
    return world


def undelivered() -> World:
    world = alarmed()
    world.notifications.dead = {"ops": 3, "the-boss@example.org": 1}
    return world


def much_trouble() -> World:
    world = every_status()
    many(world.incidents, world.fleet.all(), NOW)
    return world


def away() -> World:
    world = alarmed()
    world.break_storage()
    return world


WORLDS: dict[str, Callable[[], World]] = {
    "every_status": every_status,
    "as_it_is": as_it_is,
    "longest_names": longest_names,
    "nothing": World,
    "alarmed": alarmed,
    "undelivered": undelivered,
    "many": much_trouble,
    "away": away,
    "been_away": been_away,
}


def app(world: str = "alarmed") -> Any:
    """The application over a world that is named here, so that a gunicorn can be told which."""
    return WORLDS[world]().app()
