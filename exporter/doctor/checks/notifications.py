"""Notifications: what is owed, what was given up, and whether rules reach anybody."""

from collections.abc import Iterator

from exporter.core.clock import DAY, MINUTE
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, listed, ok, warning
from exporter.fleet.loader import load
from exporter.presentation.moments import humanize_duration

OVERDUE = 5 * MINUTE
"""A message that could be sent is sent within `group_wait` and a few seconds."""


def outbox(patient: DoctorContext) -> Iterator[Finding]:
    """Nothing waits for long, and nothing was given up in the last day."""
    known, now = patient.repositories.notifications, patient.clock.now()
    waiting = [one for one in known.queues() if one.oldest_pending_at is not None]
    late = [one for one in waiting if now - (one.oldest_pending_at or now) > OVERDUE]
    for one in late:
        yield warning(
            f"{counted(one.pending, 'message')} to {one.notifier}, the oldest for "
            f"{humanize_duration(now - (one.oldest_pending_at or now))}",
            "`heartbeat-exporter notification list --state pending` says why.",
        )
    holds = known.holds(now)
    for hold in holds.values():
        yield warning(
            f"{hold.notifier} is held for {humanize_duration(hold.left(now))}: "
            f"the receiver asked for it ({hold.error})",
            "Its messages wait until then. Are there too many of them? Raise group_wait, or repeat_every of its rules.",
        )
    dead = known.dead_since(now - DAY)
    for notifier, count in dead.items():
        yield warning(
            f"{counted(count, 'message')} to {notifier} given up in the last day",
            "`heartbeat-exporter notification list --state dead` says why; `notification retry --dead` tries again.",
        )
    names = [one.name for one in patient.configured.notifiers]
    strangers = known.owed_to(names) if patient.config_file is not None else ()
    for notifier in strangers:
        yield warning(
            f"messages are owed to {notifier}, and the configuration has no notifier of that name",
            "Was it renamed? They are given up; see `heartbeat-exporter notification list`.",
        )
    if not (late or holds or dead or strangers):
        yield ok(f"{counted(sum(one.pending for one in waiting), 'message')} on the way, none late, none given up")


def rules(patient: DoctorContext) -> Iterator[Finding]:
    """Every rule tells somebody and fits a monitor, and every notifier is used."""
    settings = patient.configured
    silent = [rule.name for rule in settings.alerts if not rule.notify and not rule.create_incident]
    used = {name for rule in settings.alerts for name in rule.notify}
    unused = [one.name for one in settings.notifiers if one.name not in used]
    known = [one.monitor for one in load(patient.database)] if settings.alerts else []
    idle = [rule.name for rule in settings.alerts if not any(rule.selector.matches(one) for one in known)]
    if silent:
        yield warning(f"rules that tell nobody: {listed(silent)}", "Give them notify, or create_incident.")
    if unused:
        yield warning(f"notifiers that no rule uses: {listed(unused)}", "Name them in a rule's notify.")
    if idle:
        yield warning(f"rules that fit no monitor: {listed(idle)}", "Look at their monitors, groups and labels.")
    if not (silent or unused or idle):
        yield ok(f"{counted(len(settings.alerts), 'rule')}, {counted(len(settings.notifiers), 'notifier')}, all of use")
