"""Reads whole monitors out of the database: definition, state, open runs and standing, as the fleet holds them."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

from peewee import fn

from exporter.core.errors import HeartbeatExporterError
from exporter.core.heartbeat import NO_HEARTBEATS, HeartbeatState, Kind, Run
from exporter.core.monitor import Monitor
from exporter.core.schedule import next_tick
from exporter.core.status import Reason, Status
from exporter.core.timeline import Standing
from exporter.core.uptime import NOTHING_HAPPENED
from exporter.storage.database import Database
from exporter.storage.digests import gathered_digests
from exporter.storage.fleet import Watched
from exporter.storage.pasts import load_pasts
from exporter.storage.tables import MONITOR_COLUMNS, STANDING_COLUMNS, STATE_COLUMNS

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError, HeartbeatExporterError)
"""What reading a row raises whose values no version of ours wrote."""
CHUNK = 400
"""Ids in one IN (…): far below every engine's limit of parameters, and as fast as any more."""
PART = 20_000
"""Monitors read by one query when all are."""


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def load(database: Database, ids: Sequence[int] | None = None, *, pasts: bool = True) -> list[Watched]:
    """The monitors with these ids, or all of them; removed ones are left out. Raises StorageUnavailable.

    Without their `pasts` they are for looking at, not for the fleet.
    """
    monitors, states = database.tables.monitors, database.tables.states
    found: list[Watched] = []
    with database.read("read monitors"):
        runs = load_runs(database, None) if ids is None else {}
        digests = gathered_digests(database) if ids is None else {}
        for some in _parts(database) if ids is None else chunks(ids):
            if ids is not None:
                digests = gathered_digests(database, some)
            part = list(_load(database, _among(monitors.id, some), load_runs(database, some) if ids else runs))
            for watched in part:
                secrets, tokens = digests.get(watched.id, ((), ()))
                watched.secrets, watched.tokens = tuple(secrets), tuple(tokens)
            if pasts:
                known = load_pasts(database, _among(states.monitor_id, some))
                for watched in part:
                    watched.past = known.get(watched.id, NOTHING_HAPPENED)
            found += part
    return found


def load_standings(database: Database, ids: Sequence[int]) -> dict[int, Standing]:
    """The standings of these monitors as they are in the database now. Raises StorageUnavailable."""
    states = database.tables.states
    query = states.select(states.monitor_id, *(getattr(states, column) for column in STANDING_COLUMNS))
    with database.read("read standings"):
        return {
            int(id): standing_of(*row)
            for some in chunks(ids)
            for id, *row in query.where(states.monitor_id.in_(some)).tuples()
        }


def _among(column: Any, ids: Sequence[int]) -> Any:
    """A range is asked for as one."""
    if isinstance(ids, range):
        return (column >= ids.start) & (column < ids.stop)
    return column.in_(ids)


def _parts(database: Database) -> Iterator[range]:
    """The ids of all monitors, so many at a time that no answer is long in coming."""
    monitors = database.tables.monitors
    newest = next(iter(monitors.select(fn.MAX(monitors.id)).tuples()))[0] or 0
    return (range(start, start + PART) for start in range(1, newest + 1, PART))


def load_runs(database: Database, ids: Sequence[int] | None) -> Mapping[int, tuple[Run, ...]]:
    """Open runs by monitor, in the order in which they were started, whatever the clock did."""
    runs = database.tables.runs
    query = runs.select(runs.monitor_id, runs.rid, runs.started_at).order_by(runs.id)
    found: dict[int, tuple[Run, ...]] = {}
    for monitor_id, rid, started_at in (query if ids is None else query.where(runs.monitor_id.in_(ids))).tuples():
        found[monitor_id] = (*found.get(monitor_id, ()), Run(rid, started_at))
    return found


def _load(database: Database, which: Any, runs: Mapping[int, tuple[Run, ...]]) -> Iterator[Watched]:
    monitors, states = database.tables.monitors, database.tables.states
    query = (
        monitors.select(
            monitors.id,
            monitors.digest,
            monitors.provisioned,
            monitors.paused_by_hand,
            monitors.generation,
            monitors.made_by,
            *(getattr(monitors, column) for column in MONITOR_COLUMNS),
            *(getattr(states, column) for column in STATE_COLUMNS),
            *(getattr(states, column) for column in STANDING_COLUMNS),
        )
        .join(states, on=(states.monitor_id == monitors.id))
        .where(monitors.removed_at.is_null() & which)
    )
    first_state = 6 + len(MONITOR_COLUMNS)
    first_standing = first_state + len(STATE_COLUMNS)
    for row in query.tuples():
        id, digest, provisioned, by_hand, generation, made_by = row[:6]
        definition, state = row[6:first_state], row[first_state:first_standing]
        unreadable = False
        try:
            monitor = monitor_of(definition, bool(by_hand))
            check_ticks(monitor)
            standing, heartbeats = standing_of(*row[first_standing:]), state_of(state, runs.get(id, ()))
        except UNREADABLE as error:
            # The others must not suffer, and its sender must not be sent away: it is kept, and never evaluated.
            log.error("the monitor %s cannot be read from the database and is set aside: %s", definition[0], error)
            monitor = Monitor(tag=str(definition[0]), paused=True)
            standing, heartbeats = Standing(Status.PAUSED, Reason.PAUSED, 0), NO_HEARTBEATS
            unreadable = True
        watched = Watched(
            id=id,
            monitor=monitor,
            digest=bytes(digest),
            standing=standing,
            state=heartbeats,
            provisioned=bool(provisioned),
            unreadable=unreadable,
        )
        watched.generation, watched.made_by = generation, intern(made_by)
        yield watched


def check_ticks(monitor: Monitor) -> None:
    """Raises one of UNREADABLE when a schedule of the database's cannot be worked with."""
    for expression in (monitor.schedule, monitor.evaluation_cron):
        if expression is not None:
            _check_ticks(expression, monitor.timezone)


@lru_cache(maxsize=4096)
def _check_ticks(expression: str, timezone: str) -> None:
    """Many monitors share one."""
    next_tick(expression, timezone, 0)


def monitor_of(row: Sequence[Any], paused_by_hand: bool) -> Monitor:
    """From MONITOR_COLUMNS. Texts that many monitors share are kept once."""
    tag, name, group, schedule, timezone, degraded, down, max_runtime, cron, labels, paused = row
    return Monitor(
        tag=tag,
        name=name,
        group=intern(group),
        schedule=intern(schedule) if schedule is not None else None,
        timezone=intern(timezone),
        degraded_after=degraded,
        down_after=down,
        max_runtime=max_runtime,
        evaluation_cron=intern(cron) if cron is not None else None,
        labels=tuple((intern(key), intern(value)) for key, value in json.loads(labels)) if labels != "[]" else (),
        paused=bool(paused) or paused_by_hand,
    )


def state_of(row: Sequence[Any], runs: tuple[Run, ...]) -> HeartbeatState:
    """From STATE_COLUMNS."""
    received, failures, starts, at, success, failure, start, outcome, exit_code, duration = row
    return HeartbeatState(
        received,
        failures,
        starts,
        at,
        success,
        failure,
        start,
        Kind(outcome) if outcome is not None else None,
        exit_code,
        duration,
        runs,
    )


def standing_of(status: str, reason: str, since: int) -> Standing:
    """From STANDING_COLUMNS."""
    return Standing(Status(status), Reason(reason), since)
