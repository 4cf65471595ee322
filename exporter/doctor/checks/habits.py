"""Checks of monitors whose settings do not match what their jobs do, and of those that were forgotten."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from exporter.core.calendar.schedule import next_tick
from exporter.core.clock import DAY, MINUTE
from exporter.core.durations import describe_duration
from exporter.core.heartbeat import Kind
from exporter.core.status import Status
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, listed, ok, warning
from exporter.fleet.loader import UNREADABLE

MAX_PAUSED = 7 * DAY
MAX_DOWN = 14 * DAY
MIN_SUCCESSES = 10
"""Kept successes from which on a monitor has habits."""
MAX_MISSES = 12
"""How often a job may be missing before its monitor is DOWN, by its usual interval."""
MAX_EARLY = MINUTE
"""How long before its tick a success counts as early."""
MAX_LOGS = 2000
"""Monitors whose logs one check reads at most."""
_NEWEST = 100
"""Heartbeats of one log that are read."""
_LOOKED_AT = 20
"""Successes of one monitor that must all be early."""


def allowances(context: DoctorContext) -> Iterator[Finding]:
    """No monitor is allowed to be silent for many times its usual interval."""
    tables = context.database.tables
    monitors, states = tables.monitors, tables.states
    query = (
        monitors.select(
            monitors.id, monitors.tag, monitors.schedule, monitors.timezone, monitors.every, monitors.down_after,
            states.received, states.last_success_at,
        )
        .join(states, on=(states.monitor_id == monitors.id))
        .where(_active(monitors) & (states.received >= MIN_SUCCESSES) & states.last_success_at.is_null(False))
    )  # fmt: skip
    with context.database.read("read monitors"):
        rows = list(query.tuples())
    # Those that beat most and may be silent for longest come first: only so many logs are read.
    rows.sort(key=lambda row: row[6] * (row[5] + (row[4] or 0)), reverse=True)
    looked_at = rows[:MAX_LOGS]
    lax: dict[str, tuple[int, int]] = {}
    for id, tag, schedule, timezone, every, down_after, _, last in looked_at:
        moments = _successes(context, id)
        if len(moments) < MIN_SUCCESSES:
            continue
        interval = (max(moments) - min(moments)) // (len(moments) - 1)
        allowed = down_after + (every or 0) + (0 if schedule is None else _step(schedule, timezone, int(last)))
        if interval > 0 and allowed > MAX_MISSES * interval:
            lax[tag] = interval, allowed
    if lax:
        tag = min(lax)
        interval, allowed = lax[tag]
        yield warning(
            f"{counted(len(lax), 'monitor')} may be silent for over {MAX_MISSES} times the usual interval: "
            f"{listed(lax)} ({tag}: every {describe_duration(interval)}, DOWN after {describe_duration(allowed)})",
            "Give it the schedule of its job, or a shorter down_after: `heartbeat-exporter suggest TAG` proposes them.",
        )
    else:
        yield ok(f"{_extent(looked_at, rows)} with {MIN_SUCCESSES} heartbeats or more, none allowed too much")


def early_heartbeats(context: DoctorContext) -> Iterator[Finding]:
    """No job always reports shortly before its scheduled time."""
    monitors, states = context.database.tables.monitors, context.database.tables.states
    query = (
        monitors.select(monitors.id, monitors.tag, monitors.schedule, monitors.timezone, states.last_success_at)
        .join(states, on=(states.monitor_id == monitors.id))
        .where(_active(monitors) & monitors.schedule.is_null(False) & states.last_success_at.is_null(False))
    )
    with context.database.read("read monitors"):
        rows = list(query.tuples())
    # Most are done with here, without a query of their own.
    candidates = [row for row in rows if _is_early(row[2], row[3], row[4])]
    early: list[str] = []
    for id, tag, schedule, timezone, _ in candidates[:MAX_LOGS]:
        moments = _successes(context, id)[:_LOOKED_AT]
        if len(moments) >= MIN_SUCCESSES and all(_is_early(schedule, timezone, at) for at in moments):
            early.append(tag)
    if early:
        yield warning(
            f"{counted(len(early), 'monitor')} always early, by less than a minute: {listed(early)}",
            "Synchronise the clock of the job's machine, or give the monitor the time at which the job runs "
            "(`heartbeat-exporter suggest TAG`).",
        )
    else:
        yield ok(f"{counted(len(rows), 'monitor')} with a schedule, none always early")


def long_paused(context: DoctorContext) -> Iterator[Finding]:
    """No monitor has been paused for over a week."""
    yield _lasting(context, Status.PAUSED, MAX_PAUSED, "Resume (`heartbeat-exporter monitor resume TAG`) or remove it.")


def long_down(context: DoctorContext) -> Iterator[Finding]:
    """No monitor has been DOWN for over two weeks."""
    yield _lasting(context, Status.DOWN, MAX_DOWN, "Repair its job, or remove the monitor if the job no longer exists.")


def starts(context: DoctorContext) -> Iterator[Finding]:
    """Each monitor with heartbeats reports starts, if most of the others of its group do."""
    monitors, states = context.database.tables.monitors, context.database.tables.states
    query = (
        monitors.select(monitors.group_name, monitors.tag, states.starts)
        .join(states, on=(states.monitor_id == monitors.id))
        .where(_active(monitors) & (monitors.group_name != "") & (states.received > 0))
    )
    groups: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    with context.database.read("read monitors"):
        for group, tag, count in query.tuples():
            groups[group].append((tag, count))
    without: list[str] = []
    for members in groups.values():
        silent = [tag for tag, count in members if not count]
        if len(members) - len(silent) > len(silent):
            without += silent
    if without:
        yield warning(
            f"{counted(len(without), 'monitor')} without starts in groups that mostly report them: {listed(without)}",
            "Have the job call its URL with /start when it begins: without that, max_runtime and durations do nothing.",
        )
    else:
        yield ok("no monitor lacks the starts that most of its group report")


def _lasting(context: DoctorContext, status: Status, longest: int, advice: str) -> Finding:
    """Finds those that have had this status for longer."""
    monitors, states, now = context.database.tables.monitors, context.database.tables.states, context.clock.now()
    query = (
        monitors.select(monitors.tag, states.status_since)
        .join(states, on=(states.monitor_id == monitors.id))
        .where(monitors.removed_at.is_null() & (states.status == status.value))
    )
    with context.database.read("read monitors"):
        rows = list(query.tuples())
    lasting = {tag: now - since for tag, since in rows if now - since > longest}
    if not lasting:
        return ok(f"{counted(len(rows), 'monitor')} {status.value}, none for over {longest // DAY} days")
    return warning(
        f"{counted(len(lasting), 'monitor')} {status.value} for over {longest // DAY} days, the longest for "
        f"{describe_duration(max(lasting.values()))}: {listed(lasting)}",
        advice,
    )


def _successes(context: DoctorContext, id: int) -> list[int]:
    """The moments of the successes among a monitor's newest heartbeats, the last one received first."""
    beats = context.database.tables.heartbeats
    newest = beats.select(beats.kind, beats.received_at).where(beats.monitor_id == id)
    with context.database.read("read heartbeats"):
        rows = list(newest.order_by(beats.id.desc()).limit(_NEWEST).tuples())
    return [int(at) for kind, at in rows if kind == Kind.SUCCESS.value]


def _extent(looked_at: Sequence[object], rows: Sequence[object]) -> str:
    if len(looked_at) == len(rows):
        return counted(len(rows), "monitor")
    return f"the {len(looked_at):,} most frequent and least strict of {counted(len(rows), 'monitor')}"


def _active(monitors: Any) -> Any:
    return monitors.removed_at.is_null() & (monitors.paused == False) & (monitors.paused_by_hand == False)  # noqa: E712


def _is_early(schedule: str, timezone: str, at: int) -> bool:
    """Whether the next tick comes shortly after a moment."""
    try:
        return next_tick(schedule, timezone, at) - at <= MAX_EARLY and not _is_often(schedule, timezone, at)
    except UNREADABLE:
        return False  # the service says which schedule it cannot read


def _is_often(schedule: str, timezone: str, at: int) -> bool:
    """Whether ticks are so close that every moment is shortly before one."""
    return _step(schedule, timezone, at) <= 2 * MAX_EARLY


def _step(schedule: str, timezone: str, at: int) -> int:
    """Milliseconds between the next two ticks."""
    try:
        tick = next_tick(schedule, timezone, at)
        return next_tick(schedule, timezone, tick) - tick
    except UNREADABLE:
        return 0
