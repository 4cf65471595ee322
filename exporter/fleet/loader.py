"""Reads whole monitors out of the database: definition, state, open runs and status, as the fleet holds them."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

from peewee import fn

from exporter.core.calendar.schedule import next_tick
from exporter.core.errors import HeartbeatExporterError
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import NO_HEARTBEATS, Run
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import NOTHING_HAPPENED
from exporter.fleet.status_history import load_histories
from exporter.storage.database import Database
from exporter.storage.repositories.digests import gathered_digests
from exporter.storage.rows import chunks, current_status_of, monitor_of, state_of
from exporter.storage.runtimes import load_runtimes
from exporter.storage.tables import MONITOR_COLUMNS, STATE_COLUMNS, STATUS_COLUMNS

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError, HeartbeatExporterError)
"""What reading a row raises whose values no version of the exporter wrote."""
PART = 20_000
"""Monitors read by one query when all are."""


def load(
    database: Database,
    ids: Sequence[int] | None = None,
    *,
    histories: bool = True,
    progress: Callable[[int], None] = lambda count: None,
) -> list[FleetMonitor]:
    """The monitors with these ids, or all of them; removed ones are left out. Raises StorageUnavailable.

    `progress` is called with how many have been read, now and then. Without their `histories` they are for looking at,
    not for the fleet.
    """
    monitors, states = database.tables.monitors, database.tables.states
    loaded: list[FleetMonitor] = []
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
            if histories:
                past = load_histories(database, _among(states.monitor_id, some))
                runtimes = load_runtimes(database, _among(database.tables.runtimes.monitor_id, some))
                for watched in part:
                    watched.past = past.get(watched.id, NOTHING_HAPPENED)
                    watched.runtimes = runtimes.get(watched.id)
            loaded += part
            progress(len(loaded))
    return loaded


def load_statuses(database: Database, ids: Sequence[int]) -> dict[int, CurrentStatus]:
    """The statuses of these monitors as they are in the database now. Raises StorageUnavailable."""
    states = database.tables.states
    query = states.select(states.monitor_id, *(getattr(states, column) for column in STATUS_COLUMNS))
    with database.read("read statuses"):
        return {
            int(id): current_status_of(*row)
            for some in chunks(ids)
            for id, *row in query.where(states.monitor_id.in_(some)).tuples()
        }


def load_present(database: Database, fleet: Fleet, ids: Sequence[int]) -> dict[int, FleetMonitor]:
    """These monitors as they are in the database now, with the fleet's calendar; removed ones are left out. The fleet
    itself may be behind what other processes wrote. Raises StorageUnavailable.
    """
    present = {watched.id: watched for watched in load(database, sorted(set(ids)), histories=False)}
    for watched in present.values():
        watched.exclusions = fleet.calendar.of(watched.monitor)
    return present


def load_ids_with(database: Database, statuses: Sequence[Status]) -> list[int]:
    """The ids of the monitors that have one of these statuses in the database now. Raises StorageUnavailable."""
    states = database.tables.states
    query = states.select(states.monitor_id).where(states.status.in_([status.value for status in statuses]))
    with database.read("read statuses"):
        return [int(row[0]) for row in query.order_by(states.monitor_id).tuples()]


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
    by_monitor: dict[int, tuple[Run, ...]] = {}
    for monitor_id, rid, started_at in (query if ids is None else query.where(runs.monitor_id.in_(ids))).tuples():
        by_monitor[monitor_id] = (*by_monitor.get(monitor_id, ()), Run(rid, started_at))
    return by_monitor


def _load(database: Database, which: Any, runs: Mapping[int, tuple[Run, ...]]) -> Iterator[FleetMonitor]:
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
            *(getattr(states, column) for column in STATUS_COLUMNS),
            states.evaluated_at,
            states.next_evaluation_at,
        )
        .join(states, on=(states.monitor_id == monitors.id))
        .where(monitors.removed_at.is_null() & which)
    )
    first_state = 6 + len(MONITOR_COLUMNS)
    first_status = first_state + len(STATE_COLUMNS)
    first_plan = first_status + len(STATUS_COLUMNS)
    for row in query.tuples():
        id, digest, provisioned, by_hand, generation, made_by = row[:6]
        definition, state = row[6:first_state], row[first_state:first_status]
        unreadable = False
        try:
            monitor = monitor_of(definition, bool(by_hand))
            check_ticks(monitor)
            current, heartbeats = current_status_of(*row[first_status:first_plan]), state_of(state, runs.get(id, ()))
        except UNREADABLE as error:
            # The other monitors must work, and its sender must be answered: it is kept, and never evaluated.
            log.error("the monitor %s cannot be read from the database and is set aside: %s", definition[0], error)
            monitor = Monitor(tag=str(definition[0]), paused=True)
            current, heartbeats = CurrentStatus(Status.PAUSED, Reason.PAUSED, 0), NO_HEARTBEATS
            unreadable = True
        watched = FleetMonitor(
            id=id,
            monitor=monitor,
            digest=bytes(digest),
            current=current,
            state=heartbeats,
            provisioned=bool(provisioned),
            unreadable=unreadable,
            due_since=_due_since(monitor, current, heartbeats.last_received_at, *row[first_plan:]),
        )
        watched.generation, watched.made_by = generation, intern(made_by)
        yield watched


def _due_since(
    monitor: Monitor,
    current: CurrentStatus,
    received_at: int | None,
    evaluated_at: int,
    next_evaluation_at: int | None,
) -> int | None:
    """From when on the status may differ from the one that is written; None when it was evaluated since the monitor was
    paused or resumed, or received its last heartbeat.
    """
    if next_evaluation_at is None:
        return None
    evaluated = next_evaluation_at > max(evaluated_at, received_at or 0)
    if evaluated and monitor.paused is (current.status is Status.PAUSED):
        return None
    return max(next_evaluation_at, evaluated_at)


def check_ticks(monitor: Monitor) -> None:
    """Raises one of UNREADABLE when a schedule of the database's cannot be worked with."""
    for expression in (monitor.schedule, monitor.evaluation_cron):
        if expression is not None:
            _check_ticks(expression, monitor.timezone)


@lru_cache(maxsize=4096)
def _check_ticks(expression: str, timezone: str) -> None:
    """Many monitors share one."""
    next_tick(expression, timezone, 0)
