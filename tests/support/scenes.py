"""Worlds that the web shows: a container on a real SQLite file, with a fleet in every status.

Each world has a copy of a file that its scene was written into once. `app()` is what a gunicorn worker serves in the
browser tests; one moment is now, so that pictures of it are alike.
"""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.app.container import Container
from exporter.config.settings import Settings, StorageSettings, WebSettings
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Calendar
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, Run
from exporter.core.ingest_guard import Suspicion
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, merged
from exporter.core.status import Reason, Status, evaluate
from exporter.core.timeline import CurrentStatus
from exporter.evaluation.calendars import NoExclusions
from exporter.fleet.loader import load
from exporter.ingest.guesses import Guesses
from exporter.ingest.refusals import Refusals
from exporter.metrics.exposition.renderer import Exposition
from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.metrics.scrape import Scrape
from exporter.storage.database import Database
from exporter.storage.repositories.history import Transition
from exporter.storage.repositories.monitors import REVISION, _definition
from exporter.storage.repositories.revisions import next_revision
from exporter.storage.schema import migrate
from exporter.web.app import create_app
from exporter.web.context import WebContext
from tests.support.troubles import Troubles, many, trouble

NOW = 1_795_532_612_000
"""Tue 24 Nov 2026, 15:03:32 UTC."""
FALCONS_HOST = "falconframework.org"
"""What Falcon's test client calls."""


class StoppedClock:
    """It is always the same moment."""

    def __init__(self, now: int = NOW) -> None:
        self.moment = now

    def now(self) -> int:
        return self.moment

    def monotonic(self) -> int:
        return self.moment


class AtOnce(Executor):
    """Works on the calling thread, which then needs the only connection to the database."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)
        return future


@cache
def _folder() -> Path:
    """Of this process's databases; removed when it ends."""
    folder = tempfile.TemporaryDirectory(prefix="scenes-")
    weakref.finalize(StoppedClock, folder.cleanup)
    return Path(folder.name)


@cache
def _migrated() -> Path:
    file = _folder() / "migrated.db"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    return file


class World:
    """What a test changes here, the app sees."""

    def __init__(
        self,
        now: int = NOW,
        *,
        file: Path | None = None,
        web: WebSettings | None = None,
        reason: str | None = None,
        illness: str | None = None,
    ) -> None:
        """`file` is the database to begin with, an empty one when None. `reason`: why it is not ready. `illness`: why
        it is not healthy.
        """
        folder = Path(tempfile.mkdtemp(dir=_folder()))
        self.file = folder / "web.db"
        shutil.copy(file or _migrated(), self.file)
        self.clock = StoppedClock(now)
        self.web = web or WebSettings()
        self.reason = reason
        self.illness = illness
        self.reload: Callable[[], Any] = lambda: None
        self.observed: list[tuple[str, str, int, float]] = []
        self.executor: Executor = AtOnce()
        self.version = "1.2.3"
        self.suspicion: Suspicion | None = None
        settings = Settings(storage=StorageSettings(url=f"sqlite:///{self.file}"))
        parts = self.container = Container(settings, self.clock, replica="scene", exclusions=NoExclusions())
        parts.recorder.reload = self._read_back  # type: ignore[method-assign] - its thread is not there
        self.database = parts.database
        self.fleet = parts.fleet
        parts.database.peewee.pragma("synchronous", "off", permanent=True)  # no scene outlives its process
        self.fleet.update(load(parts.database))
        self.history = parts.repositories.history
        self.alerts = parts.repositories.alerts
        self.incidents = parts.repositories.incidents
        self.notifications = parts.repositories.notifications
        self.refusals = Refusals(self.clock, Guesses(self.clock))
        self.troubles = Troubles(parts)
        self.scrape = Scrape(Exposition(self.fleet, self.clock), parts.registry, parts.telemetry)
        weakref.finalize(self, _discard, parts.database, folder)

    def break_storage(self) -> None:
        """Another program takes the database away."""
        self.file.unlink()

    def parts(self) -> WebContext:
        return WebContext(
            fleet=self.fleet,
            clock=self.clock,
            readiness=lambda: self.reason,
            health=lambda: self.illness,
            history=self.history,
            monitors=self.container.managed_monitors,
            alerts=self.alerts,
            incidents=self.incidents,
            notifications=self.notifications,
            refusals=self.refusals,
            scrape=self.scrape,
            job_metrics=JobMetricsScrape(self.container.job_metrics),
            reload=lambda: self.reload(),
            settings=lambda: replace(self.web, allowed_hosts=(*self.web.allowed_hosts, FALCONS_HOST)),
            executor=self.executor,
            observe=lambda *seen: self.observed.append(seen),
            version=self.version,
            suspicion=lambda: self.suspicion,
        )

    def app(self) -> Any:
        return create_app(self.parts())

    def put(
        self,
        monitor: Monitor,
        current: CurrentStatus,
        state: HeartbeatState,
        history: Sequence[Transition] = (),
        beats: Sequence[Heartbeat] = (),
        provisioned: bool = False,
    ) -> None:
        """Writes a monitor with its past, as a service would have left it. `beats` are the newest first."""
        tables = self.database.tables
        with self.database.write("put a monitor"):
            definition = {
                **_definition(monitor, b"", provisioned, next_revision(self.database, REVISION)),
                "created_at": 0,
                "paused_by_hand": False,
            }
            id = int(tables.monitors.insert(**definition).execute())
            numbers = {name: getattr(state, name) for name in HeartbeatState._fields if name != "runs"}
            status = {"status": current.status, "reason": current.reason, "status_since": current.since}
            moments = {"evaluated_at": self.clock.now(), "next_evaluation_at": None}
            tables.states.insert(**{"monitor_id": id, **numbers, **status, **moments}).execute()
            for run in state.runs:
                tables.runs.insert(**{"monitor_id": id, "rid": run.rid, "started_at": run.started_at}).execute()
            mine = {"monitor_id": id, "replica": "scene"}
            for change in history:
                row = {name: getattr(change, name) for name in Transition.__dataclass_fields__}
                tables.transitions.insert(**mine, **row).execute()
            for beat in reversed(beats):
                row = {name: getattr(beat, name) for name in ("kind", "received_at", "rid", "exit_code", "output")}
                tables.heartbeats.insert(**mine, **row).execute()

    def _read_back(self, ids: Sequence[int]) -> threading.Event:
        done = threading.Event()
        self.container.recorder._serve(ids, done)
        return done


def _discard(database: Database, folder: Path) -> None:
    database.close()
    shutil.rmtree(folder, ignore_errors=True)


@cache
def _written(write: Callable[[World], None], now: int) -> Path:
    """The database of a scene, written once."""
    world = World(now)
    write(world)
    world.database.close()  # the last one to leave moves the log into the file
    file = _folder() / f"{write.__name__}-{now}.db"
    shutil.copy(world.file, file)
    return file


def every_status(now: int = NOW) -> World:
    """Eleven monitors as they are in real life, in every status and for every reason."""
    return World(now, file=_written(_every_status, now))


def _every_status(world: World, *, in_maintenance: bool = True) -> None:
    now = world.clock.now()
    for number, (monitor, state, history) in enumerate(_jobs(now), start=1):
        outcome = evaluate(monitor, state, now)
        status, reason = outcome.status, outcome.reason
        if monitor.tag == "db-vacuum":
            history = history if in_maintenance else history[:1]
            _, status, reason = history[-1]
        transitions = [Transition(now - ago, was, why, now - ago + 40) for ago, was, why in history]
        since = transitions[-1].at if transitions else now - 2 * DAY
        current = CurrentStatus(status, reason, since)
        world.put(monitor, current, state, transitions, _beats(state), provisioned=number % 2 == 1)
    world.fleet.update(load(world.database))


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
    world = World(now, file=_written(_as_it_is, now))
    world.version = __version__
    return world


def _as_it_is(world: World) -> None:
    _every_status(world, in_maintenance=False)
    _trouble(world)


def longest_names(now: int = NOW) -> World:
    """Two monitors of which everything that people choose is as long as it may be, and which flap."""
    return World(now, file=_written(_longest_names, now))


def _longest_names(world: World) -> None:
    now = world.clock.now()
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
        beats = [Heartbeat(Kind.FAILURE, now - MINUTE, "r" * 64, -(2**31), "y" * 3000)]
        world.put(monitor, current, state, history, beats)


def alarmed(now: int = NOW) -> World:
    """Every status, with what alerting makes of it."""
    return World(now, file=_written(_alarmed, now))


def _alarmed(world: World) -> None:
    _every_status(world)
    _trouble(world)


def _trouble(world: World) -> None:
    for watched in world.fleet.all():
        trouble(world.troubles, watched, world.clock.now())


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
    world.troubles.dead_letters({"ops": 3, "the-boss@example.org": 1})
    return world


def much_trouble() -> World:
    return World(file=_written(_much_trouble, NOW))


def _much_trouble(world: World) -> None:
    _every_status(world)
    many(world.troubles, world.fleet.all(), world.clock.now())


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
    scene = WORLDS[world]()
    scene.executor = ThreadPoolExecutor(2)
    return scene.app()
