"""What a message says to a person woken at night: what, since when, how late, last output, link.

Texts of users and jobs become readable (see `text`) and short; they are not escaped here.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from exporter.core.alerts.alert import ResolveReason
from exporter.core.clock import MINUTE
from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES
from exporter.presentation.message import AlertSnapshot, Event, IngestFigures, Message, Site
from exporter.presentation.moments import exact, humanize_duration
from exporter.presentation.reasons import RESOLVE_REASONS, explain_reason
from exporter.presentation.text import Measure, one_line, readable, shorten, tail

NAMED = 3
"""Monitors named in a headline."""
DETAILED = 3
"""Most alerts that a message shows in full; of more, each gets a line."""
LISTED = 20
"""Alerts that get a line; of the others only the number is shown."""
MAX_NAME = 200
MAX_ABOUT = 300
MAX_DESCRIPTION = 2_000
MAX_OUTPUT, MAX_OUTPUT_LINES = 1_500, 15
"""Characters and lines of a job's output."""
UNANNOUNCED = "the alert resolved before its first notification could be delivered"


class Line(NamedTuple):
    """One fact, as a person reads it."""

    label: str
    value: str


TEST_MARK = "[TEST]"


def marked(text: str, message: Message) -> str:
    """`text`, with the mark of a test if the message is one and it has none yet."""
    return f"{TEST_MARK} {text}" if message.is_test and TEST_MARK not in text else text


def headline(message: Message) -> str:
    """The whole message in one line, without an icon: `DOWN: Nightly backup, missed, 12 min late`."""
    return marked(_headline(message), message)


def _headline(message: Message) -> str:
    names = list({facts.tag: name_of(facts) for facts in message.alerts}.values())
    if len(names) == 1:
        return _headline_of_one(message.first, message)
    shown = ", ".join(names[:NAMED])
    if len(names) > NAMED:
        shown += f" and {len(names) - NAMED:,} more"
    if message.is_resolved:
        return f"{_resolution(message)}: {len(names):,} monitors: {shown}"
    again = "still " if message.event is Event.REPEATED else ""
    statuses = Counter(facts.status for facts in message.alerts)
    affected = {facts.tag: facts.dependents for facts in message.alerts}  # two rules may alert on the same monitor
    beside = _dependents(sum(affected.values()), "them")
    if len(statuses) == 1:
        return f"{len(names):,} monitors {again}{_say(message.first.status)}: {shown}{beside}"
    # Alerts are counted, not monitors: two rules may alert on the same monitor.
    counts = ", ".join(f"{count:,} {_say(status)}" for status, count in statuses.most_common())
    return f"{len(names):,} monitors {again}in trouble ({counts}): {shown}{beside}"


def _headline_of_one(facts: AlertSnapshot, message: Message) -> str:
    if facts.ingest is not None:
        return _headline_of_ingest(facts, facts.ingest, message)
    name = name_of(facts)
    if message.is_resolved:
        lasted = _lasted(facts, " for ")
        if _recovered(facts):
            return f"Recovered: {name} was {_say(facts.status)}{lasted}"
        return f"Ended: {name}, {ending_text(facts)}; it was {_say(facts.status)}{lasted}"
    again = "Still " if message.event is Event.REPEATED else ""
    beside = _dependents(max(each.dependents for each in message.alerts), "it")
    return f"{again}{_say(facts.status)}: {name}, {why(facts)}{beside}"


def _dependents(count: int, what: str) -> str:
    """`, and 30 monitors that depend on it`; empty when there are none."""
    return f", and {count:,} monitor{'s that depend' if count > 1 else ' that depends'} on {what}" if count else ""


def _headline_of_ingest(facts: AlertSnapshot, figures: IngestFigures, message: Message) -> str:
    if not message.is_resolved:
        return f"Heartbeats may not reach the exporter: {_late(figures)}"
    lasted = _lasted(facts, " after ")
    if _recovered(facts):
        return f"Heartbeats reach the exporter again{lasted}"
    return f"Alerts are no longer held{lasted}: {_late(figures)}"


def _late(figures: IngestFigures) -> str:
    """`40 of 50 monitors are late`."""
    return f"{figures.late:,} of {figures.sample:,} monitors {'is' if figures.late == 1 else 'are'} late"


def _held_text(facts: AlertSnapshot) -> str:
    """What becomes of the alerts of monitors that depend on this one."""
    whose = f"{facts.depending:,} monitors depend" if facts.depending > 1 else "1 monitor depends"
    if not facts.dependents:
        return f"{whose} on it; alerts of their silence are held meanwhile"
    names = [shorten(one_line(each), MAX_NAME) for each in facts.dependent_names]
    beyond = facts.dependents - len(names)
    listed = f"{', '.join(names)} and {beyond:,} more" if beyond > 0 else ", ".join(names)
    late = f"{facts.dependents:,} of {facts.depending:,}" if facts.dependents < facts.depending else "all"
    return f"{late} {'are' if facts.dependents > 1 else 'is'} late too, and their alerts are held: {listed}"


def _resolution(message: Message) -> str:
    return "Recovered" if all(map(_recovered, message.alerts)) else "Ended"


def _recovered(facts: AlertSnapshot) -> bool:
    """Whether the alert ended by a recovery: it also ends when its rule or monitor is removed."""
    return facts.ending in (None, ResolveReason.RECOVERED)


def name_of(facts: AlertSnapshot) -> str:
    """The monitor's, for people."""
    return shorten(one_line(facts.name), MAX_NAME) or facts.tag


def why(facts: AlertSnapshot) -> str:
    """`missed, 12 min late`; `failed, exit code 3`; `no heartbeat received yet`."""
    if facts.ingest is not None:
        return _late(facts.ingest)
    return explain_reason(
        facts.reason,
        late_by=facts.late_by,
        scheduled=facts.is_scheduled,
        exit_code=facts.exit_code,
        failures=facts.failures,
        tolerance=facts.failure_tolerance,
        took=facts.took,
        min_runtime=facts.min_runtime,
    )


def ending_text(facts: AlertSnapshot) -> str:
    """Why the alert is over: `recovered`, `the rule was removed`; empty while it goes on."""
    return RESOLVE_REASONS[facts.ending] if facts.ending is not None else ""


def brief(facts: AlertSnapshot, message: Message) -> str:
    """One alert of many, in a line: `Nightly backup: DOWN, missed, 12 min late`."""
    return f"{name_of(facts)}: {outcome(facts, message)}"


def outcome(facts: AlertSnapshot, message: Message) -> str:
    """`DOWN, missed, 12 min late`; `was DOWN for 47 min`."""
    if facts.ingest is not None:
        return _headline_of_ingest(facts, facts.ingest, message)
    if not message.is_resolved:
        beside = f", {facts.dependents:,} dependent{'s' if facts.dependents > 1 else ''}" if facts.dependents else ""
        return f"{_say(facts.status)}, {why(facts)}{beside}"
    lasted = _lasted(facts, " for ")
    ended = "" if _recovered(facts) else f"; {ending_text(facts)}"
    return f"was {_say(facts.status)}{lasted}{ended}"


def _since(facts: AlertSnapshot) -> int:
    """When the trouble began, which is before the alert did if its rule waits."""
    return facts.triggered_at if facts.since is None else min(facts.since, facts.triggered_at)


def _lasted(facts: AlertSnapshot, word: str) -> str:
    return f"{word}{humanize_duration(facts.resolved_at - _since(facts))}" if facts.resolved_at is not None else ""


def lines(facts: AlertSnapshot, message: Message) -> list[Line]:
    """The facts about one alert, without its description, output and links."""
    if facts.ingest is not None:
        return _ingest_lines(facts, facts.ingest, message)
    zone = facts.timezone
    rows = [Line("Was" if message.is_resolved else "Status", f"{_say(facts.status)}, {why(facts)}")]
    if message.is_resolved and facts.alert_id in message.unannounced:
        rows.append(Line("Note", UNANNOUNCED))
    span = facts.at - _since(facts)
    going_on = f" ({humanize_duration(span)})" if span >= MINUTE and not message.is_resolved else ""
    rows.append(Line("Since", f"{exact(_since(facts), zone)}{going_on}"))
    if facts.resolved_at is not None:
        ended, because = ("Recovered", "") if _recovered(facts) else ("Ended", f", {ending_text(facts)}")
        rows.append(Line(ended, f"{exact(facts.resolved_at, zone)}{_lasted(facts, ', after ')}{because}"))
    if not message.is_resolved and facts.due_at is not None and facts.is_scheduled:
        rows.append(Line("Due", exact(facts.due_at, zone)))
    if not message.is_resolved:
        last = exact(facts.last_success_at, zone) if facts.last_success_at is not None else "never"
        rows.append(Line("Last success", last))
    if facts.depending and not message.is_resolved:
        rows.append(Line("Dependents", _held_text(facts)))
    name, group = name_of(facts), shorten(one_line(facts.group), MAX_NAME)
    rows.append(Line("Monitor", facts.tag if name == facts.tag else f"{name} ({facts.tag})"))
    if group and not message.is_resolved:
        rows.append(Line("Group", group))
    if facts.labels and not message.is_resolved:
        labels = ", ".join(f"{key}={one_line(value)}" for key, value in facts.labels.items())
        rows.append(Line("Labels", shorten(labels, MAX_NAME)))
    if facts.about and not message.is_resolved:
        rows.append(Line("About", shorten(one_line(facts.about), MAX_ABOUT)))
    if facts.runbook_url and not message.is_resolved:
        rows.append(Line("Runbook", facts.runbook_url))
    rows.append(Line("Alert", f"{shorten(one_line(facts.rule), MAX_NAME)} ({facts.severity.value})"))
    return rows


def _ingest_lines(facts: AlertSnapshot, figures: IngestFigures, message: Message) -> list[Line]:
    zone = facts.timezone
    rows = [
        Line("Late" if not message.is_resolved else "Were late", f"{figures.late:,} of {figures.sample:,} monitors")
    ]
    if message.is_resolved and facts.alert_id in message.unannounced:
        rows.append(Line("Note", UNANNOUNCED))
    rows.append(Line("Since", exact(_since(facts), zone)))
    last = exact(figures.last_received_at, zone) if figures.last_received_at is not None else "never"
    rows.append(Line("Last heartbeat" if not message.is_resolved else "Last heartbeat before", last))
    if not message.is_resolved:
        rows.append(Line("Held", f"alerts for silence, until {exact(figures.until, zone)} at most; failures are sent"))
        rows.append(Line("Check", "the network, DNS, proxy or load balancer between the jobs and the exporter"))
    elif facts.resolved_at is not None and _recovered(facts):
        rows.append(Line("Arriving since", f"{exact(facts.resolved_at, zone)}{_lasted(facts, ', after ')}"))
        rows.append(Line("Held", "alerts of monitors that are well again are dropped; the others are sent"))
    elif facts.resolved_at is not None:
        rows.append(Line("Hold ended", exact(facts.resolved_at, zone)))
        rows.append(Line("Held", "all alerts that were held are sent"))
    rows.append(Line("Alert", f"{facts.rule} ({facts.severity.value})"))
    return rows


def description_of(facts: AlertSnapshot, message: Message) -> str:
    """The rule's description, for the reader of an alarm; may have several lines. Empty for a recovery."""
    return shorten(readable(facts.description).strip(), MAX_DESCRIPTION) if _tells_of_trouble(facts, message) else ""


def output_of(facts: AlertSnapshot, message: Message, longest: int = MAX_OUTPUT) -> str:
    """The end of the job's last output. A recovery has none."""
    return tail(readable(facts.output), longest, lines=MAX_OUTPUT_LINES) if _tells_of_trouble(facts, message) else ""


def _tells_of_trouble(facts: AlertSnapshot, message: Message) -> bool:
    return not message.is_resolved or facts.alert_id in message.unannounced


def particulars(facts: AlertSnapshot, message: Message) -> list[Line]:
    """`lines` without what a headline about this one alert says already."""
    return [line for line in lines(facts, message) if line.label not in ("Status", "Was")]


def links(facts: AlertSnapshot, site: Site) -> list[Line]:
    if facts.ingest is not None:
        return [Line("Status", f"{site.url}/")]
    pages = [Line("Monitor", site.monitor_url(facts.tag))]
    if facts.incident_id is not None:
        pages.append(Line("Incident", site.incident_url(facts.incident_id)))
    return pages


def is_detailed(message: Message) -> bool:
    """Whether each alert is shown in full."""
    return len(message.alerts) <= DETAILED


def listing(
    message: Message, write: Callable[[AlertSnapshot], str], room: int, measure: Measure = len, most: int = LISTED
) -> list[str]:
    """A line for each alert, as `write` puts it, as far as there is room; the last says how many more there are."""
    rows: list[str] = []
    for facts in message.alerts[:most]:
        line = write(facts)
        room -= measure(line) + 1
        if room < 0:
            break
        rows.append(line)
    beyond = more(message, len(rows))
    return [*rows, beyond] if beyond else rows


def more(message: Message, listed: int = LISTED) -> str:
    """What is said of those beyond the first `listed` alerts; empty when there are none."""
    beyond = len(message.alerts) - listed
    return f"… and {beyond:,} more" if beyond > 0 else ""


def icon(message: Message, facts: AlertSnapshot | None = None) -> str:
    """Of one alert, or of the message as a whole."""
    return STATUS_ATTRIBUTES[_shown_status(message, facts)].icon


def color(message: Message, facts: AlertSnapshot | None = None) -> str:
    """`#rrggbb`, as `icon`."""
    return STATUS_ATTRIBUTES[_shown_status(message, facts)].color


def _shown_status(message: Message, facts: AlertSnapshot | None) -> Status:
    """Returns the status whose icon and colour the message, or one alert of it, has."""
    if not message.is_resolved:
        return (facts or message.first).status
    return Status.UP if all(map(_recovered, [facts] if facts else message.alerts)) else Status.NO_DATA


def plain_text(message: Message) -> str:
    """The whole message but for its headline, for a place that shows text and nothing else."""
    if is_detailed(message):
        return "\n\n".join(_in_full(facts, message) for facts in message.alerts)
    rows = listing(message, lambda facts: f"{icon(message, facts)} {brief(facts, message)}", room=LISTED * 500)
    return "\n".join([*rows, "", f"All monitors: {message.site.url}/"])


def _in_full(facts: AlertSnapshot, message: Message) -> str:
    rows = [f"{line.label}: {line.value}" for line in lines(facts, message)]
    if len(message.alerts) > 1:
        rows.insert(0, f"— {name_of(facts)}")
    description, output = description_of(facts, message), output_of(facts, message)
    if description:
        rows.insert(1 if len(message.alerts) > 1 else 0, description)
    rows += [f"{link.label} page: {link.value}" for link in links(facts, message.site)]
    if output:
        rows += ["Last output:", output]
    return "\n".join(rows)


def _say(status: Status) -> str:
    return status.value.replace("_", " ")
