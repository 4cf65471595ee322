"""Checks of notifications: pending and dead messages, and whether rules have notifiers."""

from collections.abc import Iterator

from exporter.core.clock import DAY, MINUTE
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, listed, ok, warning
from exporter.fleet.loader import load
from exporter.presentation.moments import humanize_duration

OVERDUE = 5 * MINUTE
"""A message that could be sent is sent within `group_wait` and a few seconds."""


def outbox(context: DoctorContext) -> Iterator[Finding]:
    """No message has waited for long, and none was given up in the last day."""
    notifications, now = context.repositories.notifications, context.clock.now()
    waiting = [queue for queue in notifications.queues() if queue.oldest_pending_at is not None]
    late = [queue for queue in waiting if now - (queue.oldest_pending_at or now) > OVERDUE]
    for queue in late:
        yield warning(
            f"{counted(queue.pending, 'message')} to {queue.notifier} pending, the oldest for "
            f"{humanize_duration(now - (queue.oldest_pending_at or now))}",
            "`heartbeat-exporter notification list --state pending` shows the reason.",
        )
    holds = notifications.holds(now)
    for hold in holds.values():
        yield warning(
            f"{hold.notifier} is paused for another {humanize_duration(hold.left(now))} at the request of its receiver "
            f"({hold.error})",
            "Its messages wait until then. If it sends too many, increase group_wait, or repeat_every of its rules.",
        )
    dead = notifications.dead_since(now - DAY)
    for notifier, count in dead.items():
        yield warning(
            f"{counted(count, 'message')} to {notifier} given up in the last day",
            "`heartbeat-exporter notification list --state dead` shows the reason; `heartbeat-exporter notification "
            "retry --dead` retries them.",
        )
    names = [notifier.name for notifier in context.configured.notifiers]
    orphaned = notifications.owed_to(names) if context.config_file is not None else ()
    for notifier in orphaned:
        yield warning(
            f"messages to {notifier} are pending, but the configuration has no notifier of that name",
            "If it was renamed, the service gives these messages up; see `heartbeat-exporter notification list`.",
        )
    if not (late or holds or dead or orphaned):
        yield ok(f"{counted(sum(queue.pending for queue in waiting), 'message')} pending, none late, none given up")


def rules(context: DoctorContext) -> Iterator[Finding]:
    """Every rule notifies and matches a monitor, and every notifier is used."""
    settings = context.configured
    silent = [rule.name for rule in settings.alerts if not rule.notify and not rule.create_incident]
    used = {name for rule in settings.alerts for name in rule.notify}
    unused = [notifier.name for notifier in settings.notifiers if notifier.name not in used]
    monitors = [member.monitor for member in load(context.database)] if settings.alerts else []
    idle = [rule.name for rule in settings.alerts if not any(rule.selector.matches(monitor) for monitor in monitors)]
    if silent:
        yield warning(f"rules without notify and create_incident: {listed(silent)}", "Set one of them in each rule.")
    if unused:
        yield warning(f"notifiers that no rule uses: {listed(unused)}", "Name them under notify in a rule.")
    if idle:
        yield warning(f"rules that match no monitor: {listed(idle)}", "Check their monitors, groups and labels.")
    if not (silent or unused or idle):
        yield ok(f"{counted(len(settings.alerts), 'rule')}, {counted(len(settings.notifiers), 'notifier')}, all in use")
