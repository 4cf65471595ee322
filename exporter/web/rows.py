"""Monitors as the pages show them: every text worked out, so that a template only has to place it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.errors import InvalidValue
from exporter.core.moments import Moment, exact, moment, precisely, rfc3339, roughly
from exporter.core.spans import Span
from exporter.core.status import Status, due_at
from exporter.core.uptime import WINDOWS, percent, uptime
from exporter.storage.fleet import Watched
from exporter.web.bar import Bar, bar
from exporter.web.words import IMPACTS, LABELS, TROUBLE, explain

if TYPE_CHECKING:
    from exporter.storage.alerts import Alert
    from exporter.storage.history import Transition


_SEVERITIES = tuple(IMPACTS)


@dataclass(frozen=True, slots=True)
class Row:
    """One monitor in the list."""

    tag: str
    name: str
    group: str
    status: Status
    label: str
    reason: str
    since: Moment
    """Its text is how long that is: `for 12 min`."""
    last_success: Moment | None
    due_label: str
    """`Due` with a schedule, `Late` without one."""
    due: Moment | None
    """None when there is no such moment."""
    duration: str
    uptimes: tuple[tuple[str, str], ...]
    """(window, share of it), the shortest first."""
    bar: Bar
    alerts: tuple[str, ...]
    """The rules whose alerts are on, the most severe first."""
    section: str
    """The heading under which it stands; empty for a quiet monitor without a group."""


def row(
    watched: Watched,
    transitions: Sequence["Transition"],
    now: int,
    firing: Sequence["Alert"] = (),
    blackouts: Sequence[Span] = (),
) -> Row:
    monitor, state, standing = watched.monitor, watched.state, watched.standing
    zone, due = monitor.timezone, due_of(watched)
    return Row(
        tag=monitor.tag,
        name=monitor.name or monitor.tag,
        group=monitor.group,
        status=standing.status,
        label=LABELS[standing.status],
        reason=explain(monitor, state, standing, due, now),
        since=Moment(rfc3339(standing.since), exact(standing.since, zone), f"for {roughly(now - standing.since)}"),
        last_success=None if state.last_success_at is None else moment(state.last_success_at, now, zone),
        due_label="Due" if monitor.schedule is not None else "Late",
        due=None if due is None or standing.status is Status.PAUSED else _due(watched, due, now),
        duration="" if state.last_duration is None else precisely(state.last_duration),
        uptimes=tuple(zip(WINDOWS, map(percent, uptime(watched.past, standing.status, now, blackouts)), strict=True)),
        bar=bar(transitions, now, zone, blackouts),
        alerts=tuple(alert.rule for alert in sorted(firing, key=_severity)),
        section=_section(watched),
    )


def _severity(alert: "Alert") -> tuple[int, str]:
    return _SEVERITIES.index(alert.severity), alert.rule


def due_of(watched: Watched) -> int | None:
    """The moment from which lateness counts; None too for a schedule that came from elsewhere and never fires."""
    try:
        return due_at(watched.monitor, watched.state, watched.uncounted)
    except InvalidValue:
        return None


def _due(watched: Watched, due: int, now: int) -> Moment:
    """With a schedule, the tick. Without one `due` is the last success itself, which would read as if it were late:
    there people want to know from when it will be."""
    monitor = watched.monitor
    late_at = due if monitor.schedule is not None else watched.uncounted.deadline(due, monitor.degraded_after, now)
    return moment(late_at, now, monitor.timezone)


def _section(watched: Watched) -> str:
    status = watched.standing.status
    if status in TROUBLE:
        return "Needs attention"
    if status is Status.NO_DATA:
        return "Waiting for a first heartbeat"
    return watched.monitor.group
