"""Monitors as the pages show them: every text worked out, so that a template only has to place it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.fleet import FleetMonitor
from exporter.core.spans import Span
from exporter.core.status import Status
from exporter.core.uptime import WINDOWS, percent, uptime
from exporter.presentation.moments import Moment, exact, humanize_duration, humanize_duration_exact, moment, rfc3339
from exporter.presentation.statuses import IMPACTS, LABELS, TROUBLE, explain
from exporter.web.pages.bar import Bar, bar

if TYPE_CHECKING:
    from exporter.storage.repositories.alerts import Alert
    from exporter.storage.repositories.history import Transition


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
    """`Due` with a schedule or an interval. Without one `Expected`, and `Late` from when it is."""
    due: Moment | None
    """None when there is no such moment."""
    duration: str
    uptimes: tuple[tuple[str, str], ...]
    """(window, share of it), the shortest first."""
    bar: Bar
    alerts: tuple[str, ...]
    """The rules whose alerts are on, the most severe first; `(held)` where messages wait."""
    section: str
    """The heading under which it stands; empty for a quiet monitor without a group."""


def row(
    watched: FleetMonitor,
    transitions: Sequence["Transition"],
    now: int,
    firing: Sequence["Alert"] = (),
    blackouts: Sequence[Span] = (),
) -> Row:
    monitor, state, current = watched.monitor, watched.state, watched.shown
    zone, due = monitor.timezone, watched.due_at
    label, expected = _expected(watched, None if current.status is Status.PAUSED else due, now)
    return Row(
        tag=monitor.tag,
        name=monitor.name or monitor.tag,
        group=monitor.group,
        status=current.status,
        label=LABELS[current.status],
        reason=explain(monitor, state, current, due, now),
        since=Moment(
            rfc3339(current.since), exact(current.since, zone), f"for {humanize_duration(now - current.since)}"
        ),
        last_success=None if state.last_success_at is None else moment(state.last_success_at, now, zone),
        due_label=label,
        due=expected,
        duration="" if state.last_duration is None else humanize_duration_exact(state.last_duration),
        uptimes=tuple(zip(WINDOWS, map(percent, uptime(watched.past, watched.counted, now, blackouts)), strict=True)),
        bar=bar(transitions, now, zone, blackouts),
        alerts=tuple(f"{alert.rule} (held)" if alert.holds else alert.rule for alert in sorted(firing, key=_severity)),
        section=_section(watched),
    )


def _severity(alert: "Alert") -> tuple[int, str]:
    return _SEVERITIES.index(alert.severity), alert.rule


def _expected(watched: FleetMonitor, due: int | None, now: int) -> tuple[str, Moment | None]:
    """A label, and the moment that it is for. With a schedule or an interval, when the next success is due. With
    neither `due` is the last success itself, which would read as if it were late: there people want to know by when the
    next one has to come.
    """
    monitor = watched.monitor
    if monitor.schedule is not None or monitor.every is not None:
        return "Due", None if due is None else moment(due, now, monitor.timezone)
    if due is None:
        return "Expected", None
    at = watched.exclusions.deadline(due, monitor.degraded_after, now)
    iso, precise = rfc3339(at), exact(at, monitor.timezone)
    if at > now:
        return "Expected", Moment(iso, precise, f"within {humanize_duration(at - now)}")
    return "Late", Moment(iso, precise, f"for {humanize_duration(now - at)}")


def _section(watched: FleetMonitor) -> str:
    status = watched.shown.status
    if status in TROUBLE:
        return "Needs attention"
    if status is Status.NO_DATA:
        return "Waiting for the first heartbeat"
    return watched.monitor.group
