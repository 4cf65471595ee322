"""What a message says to a person woken at night: what, since when, how late, last output, link."""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.alerting.message import Event, Facts, Message, Site
from exporter.core.alert import Ending
from exporter.core.moments import exact, roughly
from exporter.core.status import Reason, Status

NAMED = 3
"""Monitors named in a headline."""
LISTED = 20
"""Alerts described in a message; of more than these the names are left out and the number is told."""
ICONS = {Status.DOWN: "🔴", Status.DEGRADED: "🟠", Status.NO_DATA: "⚪"}
RESOLVED_ICON = "🟢"
COLORS = {
    Status.UP: "#2da44e",
    Status.DEGRADED: "#d4820a",
    Status.DOWN: "#d1242f",
    Status.NO_DATA: "#6e7781",
    Status.MAINTENANCE: "#8250df",
}
"""Of each status, as `#rrggbb`."""
_ENDINGS = {
    Ending.RECOVERED: "recovered",
    Ending.RULE_CHANGED: "the rule was changed",
    Ending.RULE_REMOVED: "the rule was removed",
    Ending.DESELECTED: "the rule no longer watches it",
    Ending.MONITOR_REMOVED: "the monitor was removed",
}


class Line(NamedTuple):
    """One fact, as a person reads it."""

    label: str
    value: str


def headline(message: Message) -> str:
    """The whole message in one line, without an icon: `DOWN: Nightly backup, missed, 12 min late`."""
    if len(message.alerts) == 1:
        return _headline_of_one(message.first, message)
    names = [facts.name for facts in message.alerts]
    shown = ", ".join(names[:NAMED])
    if len(names) > NAMED:
        shown += f" and {len(names) - NAMED:,} more"
    if message.event is Event.RESOLVED:
        return f"{_resolution(message.alerts)}: {len(names):,} monitors: {shown}"
    statuses = {facts.status for facts in message.alerts}
    what = _say(message.first.status) if len(statuses) == 1 else "in trouble"
    return f"{len(names):,} monitors {'still ' if message.event is Event.REPEATED else ''}{what}: {shown}"


def _headline_of_one(facts: Facts, message: Message) -> str:
    if message.event is Event.RESOLVED:
        lasted = f" for {roughly(facts.lasted)}" if facts.lasted is not None else ""
        if facts.ending in (None, Ending.RECOVERED):
            return f"Recovered: {facts.name} was {_say(facts.status)}{lasted}"
        assert facts.ending is not None
        return f"Ended: {facts.name}, {_ENDINGS[facts.ending]}; it was {_say(facts.status)}{lasted}"
    again = "still " if message.event is Event.REPEATED else ""
    return f"{again}{_say(facts.status)}: {facts.name}, {why(facts)}"


def _resolution(alerts: Sequence[Facts]) -> str:
    return "Recovered" if all(facts.ending in (None, Ending.RECOVERED) for facts in alerts) else "Ended"


def why(facts: Facts) -> str:
    """`missed, 12 min late`; `failed, exit code 3`; `no heartbeat was ever received`."""
    match facts.reason:
        case Reason.MISSED | Reason.LATE:
            if facts.late_by is None:
                return facts.reason.value
            return f"{facts.reason.value}, {roughly(facts.late_by)} {'late' if facts.schedule else 'without a success'}"
        case Reason.FAILED if facts.exit_code is not None:
            return f"failed, exit code {facts.exit_code}"
        case Reason.OVERRUN:
            return "overrun: a run takes longer than it may"
        case Reason.NEVER_RECEIVED:
            return "no heartbeat was ever received"
    return facts.reason.value.replace("_", " ")


def lines(facts: Facts, message: Message) -> list[Line]:
    """All that is worth telling of one alert, but for its output and links."""
    zone = facts.timezone
    found = [Line("Status", f"{_say(facts.status)}, {why(facts)}")]
    if message.event is Event.RESOLVED:
        found[0] = Line("Was", f"{_say(facts.status)}, {why(facts)}")
        if facts.alert_id in message.unannounced:
            found.append(Line("Note", "the alarm itself could not be delivered before it was over"))
    found.append(Line("Since", exact(facts.since if facts.since is not None else facts.triggered_at, zone)))
    if facts.resolved_at is not None:
        ended = "Recovered" if facts.ending in (None, Ending.RECOVERED) else "Ended"
        because = f", {_ENDINGS[facts.ending]}" if facts.ending and facts.ending is not Ending.RECOVERED else ""
        lasted = f", after {roughly(facts.lasted)}" if facts.lasted is not None else ""
        found.append(Line(ended, f"{exact(facts.resolved_at, zone)}{lasted}{because}"))
    if facts.due_at is not None and facts.schedule is not None:
        found.append(Line("Due", exact(facts.due_at, zone)))
    if message.event is not Event.RESOLVED:
        last = exact(facts.last_success_at, zone) if facts.last_success_at is not None else "never"
        found.append(Line("Last success", last))
    found.append(Line("Monitor", facts.tag if facts.name == facts.tag else f"{facts.name} ({facts.tag})"))
    if facts.group:
        found.append(Line("Group", facts.group))
    if facts.labels:
        found.append(Line("Labels", ", ".join(f"{key}={value}" for key, value in facts.labels.items())))
    found.append(Line("Alert", f"{facts.rule} ({facts.severity.value})"))
    if facts.description:
        found.append(Line("Note" if message.event is Event.RESOLVED else "What to do", facts.description))
    return found


def links(facts: Facts, site: Site) -> list[Line]:
    found = [Line("Monitor", site.monitor_url(facts.tag))]
    if facts.incident_id is not None:
        found.append(Line("Incident", site.incident_url(facts.incident_id)))
    return found


def icon(message: Message, facts: Facts | None = None) -> str:
    return RESOLVED_ICON if message.is_resolved else ICONS.get((facts or message.first).status, "⚪")


def color(message: Message, facts: Facts | None = None) -> str:
    """`#rrggbb`."""
    return COLORS[Status.UP] if message.is_resolved else COLORS.get((facts or message.first).status, "#6e7781")


def plain_text(message: Message) -> str:
    """The whole message for a place that shows text and nothing else."""
    parts = []
    for facts in message.alerts[:LISTED]:
        told = [f"{line.label}: {line.value}" for line in lines(facts, message)]
        if len(message.alerts) > 1:
            told.insert(0, f"— {facts.name}")
        told += [f"{link.label}: {link.value}" for link in links(facts, message.site)]
        if facts.output:
            told += ["Last output:", facts.output]
        parts.append("\n".join(told))
    if len(message.alerts) > LISTED:
        parts.append(f"… and {len(message.alerts) - LISTED:,} more: {message.site.url}/")
    return "\n\n".join(parts)


def _say(status: Status) -> str:
    return status.value.replace("_", " ")
