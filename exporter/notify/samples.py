"""Messages to try notifiers and templates with: what `notify test` sends, and what is as nasty as it may get.

They are built at each call, from a moment that is passed in: nothing here reads a clock.
"""

from dataclasses import replace
from typing import Any

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.status import Reason, Status
from exporter.presentation.message import INGEST_SUSPECT, AlertSnapshot, Event, IngestFigures, Message, Site

SAMPLE_SITE = Site("https://heartbeats.example.org")
SAMPLE_AT = 1_795_489_920_000
"""2026-11-24 03:12 UTC."""
_OUTPUT = "copying /var/lib/postgresql\n98% of 412 GB\ntar: archive.tar: no space left on device\n"
NASTY_TEXTS = (
    "",
    "\"double\" 'single' `back` \\ / \\n \\u0041 \\",
    "first line\nsecond line\r\nthird\tcolumn\n\n\nlast\n",
    "<b>bold</b> <script>alert(1)</script> & &amp; <!channel> <@U123> @everyone @here",
    "*bold* _italic_ ~struck~ ||spoiler|| [link](https://evil.example) # head\n> quote\n```code``` ````",
    "{{ 7 * 7 }} {% raw %} {# note #} ${HOME} %s {0}",
    "🔥 naïve ünïcödé 漢字 עברית 👩‍👩‍👧‍👦 \u202egnirts\u202c \ufeff",
    "\x00\x01\x07\x1b[31mred\x1b[0m \x1b]0;title\x07 10%\r20%\r100% \x7f\x85\u2028\u2029",
    "half \ud83d of a pair \udc00",
    "]]> --> */ ' OR 1=1 -- \"; rm -rf / #",
    "word " * 4_000,
    "x" * 20_000,
    "🔥" * 10_000,
)


def sample(event: Event, site: Site = SAMPLE_SITE, at: int = SAMPLE_AT, count: int = 1, key: str = "sample") -> Message:
    """A message about `count` alerts at the moment `at`. An alarm and its recovery are about the same alerts."""
    moment = {Event.TRIGGERED: at, Event.REPEATED: at + 4 * HOUR, Event.RESOLVED: at + 47 * MINUTE}[event]
    facts = tuple(_facts(index, event, at, moment, key) for index in range(count))
    answers = () if event is Event.TRIGGERED else (f"{key}-{Event.TRIGGERED.lower()}",)
    return Message(f"{key}-{event.lower()}", event, facts, site, moment, answers=answers)


def _facts(index: int, event: Event, began: int, moment: int, key: str) -> AlertSnapshot:
    resolved = event is Event.RESOLVED
    kind = index % 4
    status, reason = (
        (Status.DOWN, Reason.MISSED),
        (Status.DOWN, Reason.FAILED),
        (Status.DEGRADED, Reason.LATE),
        (Status.NO_DATA, Reason.NEVER_RECEIVED),
    )[kind]
    never = reason is Reason.NEVER_RECEIVED
    due = began - 12 * MINUTE - index * SECOND
    return AlertSnapshot(
        alert_id=f"{key}-{index}",
        rule="backup-missed" if index == 0 else f"rule-{kind}",
        severity=(Severity.CRITICAL, Severity.CRITICAL, Severity.WARNING, Severity.INFO)[kind],
        description="Free some space on the archive disk, then start backup.sh by hand." if index == 0 else "",
        failure_threshold=3,
        success_threshold=2,
        tag="nightly-backup" if index == 0 else f"job-{index:03}",
        name="Nightly backup" if index == 0 else f"Job {index:03}",
        group="Storage",
        labels={"team": "storage", "host": "db1"} if index == 0 else {},
        schedule="0 3 * * *" if kind != 1 else None,
        timezone="Europe/Rome",
        status=status,
        reason=reason,
        at=moment,
        triggered_at=began,
        resolved_at=moment if resolved else None,
        ending=ResolveReason.RECOVERED if resolved else None,
        last_success_at=None if never else due - DAY,
        due_at=None if never else due,
        since=began - 2 * MINUTE,
        exit_code=3 if reason is Reason.FAILED else None,
        output="" if never else _OUTPUT,
        incident_id=1 if index == 0 else None,
    )


def samples(site: Site = SAMPLE_SITE, at: int = SAMPLE_AT, most: int = 500) -> list[Message]:
    """What happens: alone and in groups of up to `most`, at its beginning, in its course, at its end, and late."""
    messages = [sample(event, site, at, count) for event in Event for count in (1, 3, most)]
    told_late = sample(Event.RESOLVED, site, at, key="late")
    unannounced = frozenset(facts.alert_id for facts in told_late.alerts)
    messages.append(Message("late", Event.RESOLVED, told_late.alerts, site, told_late.enqueued_at, unannounced))
    for ending in ResolveReason:
        facts = replace(sample(Event.RESOLVED, site, at).first, ending=ending)
        messages.append(Message(f"ended-{ending}", Event.RESOLVED, (facts,), site, facts.at))
    names = ("Archive", "Copy to Oslo", "restore-test")
    family = replace(sample(Event.TRIGGERED, site, at).first, depending=41, dependents=30, dependent_names=names)
    messages.append(Message("family", Event.TRIGGERED, (family,), site, family.at))
    bare = AlertSnapshot(
        alert_id="bare",
        rule="r",
        severity=Severity.CRITICAL,
        tag="t",
        name="t",
        status=Status.DOWN,
        reason=Reason.OVERRUN,
        at=at,
        triggered_at=at,
    )
    messages.append(Message("bare", Event.TRIGGERED, (bare,), site, at))
    return [*messages, *ingest_samples(site, at)]


def ingest_samples(site: Site = SAMPLE_SITE, at: int = SAMPLE_AT) -> list[Message]:
    """Heartbeats may not arrive; they do again; they do not, and all is sent."""
    began = AlertSnapshot(
        alert_id="ingest",
        rule=INGEST_SUSPECT,
        severity=Severity.CRITICAL,
        tag="",
        name="Heartbeat Exporter",
        status=Status.DOWN,
        reason=Reason.MISSED,
        at=at,
        triggered_at=at,
        since=at - MINUTE,
        last_success_at=at - 2 * MINUTE,
        ingest=IngestFigures(40, 50, at - 2 * MINUTE, at + 5 * MINUTE),
    )
    messages = [Message("ingest-began", Event.TRIGGERED, (began,), site, at)]
    for ending in (ResolveReason.RECOVERED, ResolveReason.HOLD_ENDED):
        over = replace(began, at=at + 5 * MINUTE, resolved_at=at + 5 * MINUTE, ending=ending)
        messages.append(Message(f"ingest-{ending}", Event.RESOLVED, (over,), site, over.at, answers=("ingest-began",)))
    nothing = replace(began, ingest=IngestFigures(1, 1, None, at), last_success_at=None)
    return [*messages, Message("ingest-bare", Event.TRIGGERED, (nothing,), site, at)]


def nasty_samples(site: Site = SAMPLE_SITE, at: int = SAMPLE_AT) -> list[Message]:
    """Each nasty text in every place that takes one, alone; then all of them in one message."""
    messages = []
    everything = []
    for index, text in enumerate(NASTY_TEXTS):
        for event in Event:
            facts = replace(sample(event, site, at, key=f"nasty-{index}").first, **_spoiled(text))
            messages.append(Message(f"nasty-{index}-{event.lower()}", event, (facts,), site, facts.at))
            if event is Event.TRIGGERED:
                everything.append(facts)
    messages.append(Message("nasty", Event.TRIGGERED, tuple(everything), site, at))
    ordinary = sample(Event.TRIGGERED, site, at).first
    facts = replace(ordinary, at=2**62, triggered_at=0, due_at=0, exit_code=-(2**31), since=2**62)
    messages.append(Message("extreme", Event.TRIGGERED, (facts,), site, at))
    return messages


def _spoiled(text: str) -> dict[str, Any]:
    """As long as the configuration allows, and a bit."""
    line = text[:250]
    return {
        "rule": line,
        "about": text,
        "name": line,
        "description": text[:2_500],
        "group": line,
        "output": text,
        "labels": {"label": line, "other": line},
        "depending": 3,
        "dependents": 2,
        "dependent_names": (line, line),
    }
