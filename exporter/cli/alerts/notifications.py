"""`heartbeat-exporter notification …`: lists notifications and retries dead ones."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from exporter.cli._console import MAX_ID, Group, note_absence, open_storage, repositories, storage_options
from exporter.config.settings import Settings
from exporter.core.alerts.notification import Hold, NotificationState, next_try
from exporter.core.clock import DAY, SystemClock
from exporter.core.errors import Conflict
from exporter.presentation.moments import humanize_ago, humanize_duration
from exporter.resources.model import to_python
from exporter.resources.notifications import NotificationAnswer
from exporter.storage.attendance import Attendance
from exporter.storage.delivery.notifications import Notification, Notifications
from exporter.storage.delivery.outbox import Outbox

_BATCH = 500


@click.group(cls=Group)
def notification() -> None:
    """Lists notifications, and retries dead ones.

    These commands work on the database directly; a running service sends retried notifications within two seconds.
    Give the --config.file or --storage.url that the service uses.
    """


@notification.command("list")
@click.option(
    "--state",
    type=click.Choice([state.value for state in NotificationState], case_sensitive=False),
    help="List only notifications in this state. Dead ones were given up.",
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, help="Maximum number of notifications. Default: 50."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def list_notifications(
    state: str | None, limit: int, as_json: bool, config_file: Path | None, storage_url: str | None
) -> None:
    """Lists notifications, newest first, and the reason of each failure.

    \b
    Examples:
      heartbeat-exporter notification list
      heartbeat-exporter notification list --state dead
    """
    only = NotificationState(state) if state is not None else None
    now = SystemClock().now()
    with open_storage(config_file, storage_url) as (_, database):
        stored = repositories(database).notifications
        notifications, holds = stored.recent(state=only, limit=limit), stored.holds(now)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        click.echo(json.dumps([to_python(NotificationAnswer.of(row, holds)) for row in notifications], indent=2))
        return
    for hold in holds.values():
        click.echo(
            f"{hold.notifier} is paused for another {humanize_duration(hold.left(now))} "
            f"at the request of its receiver: {hold.error}"
        )
    if not notifications:
        click.echo("No notifications." if only is None else f"No {only} notifications.")
        return
    if any(notification.state is NotificationState.PENDING for notification in notifications):
        note_absence(since, now)
    width, name = (
        max(len(str(notification.id)) for notification in notifications),
        max(len(notification.notifier) for notification in notifications),
    )
    for notification in notifications:
        columns = f"{notification.id:>{width}}  {notification.state:<9}  {notification.notifier:<{name}}"
        click.echo(f"{columns}  {notification.event:<9}  {_describe(notification, holds, now)}")


@notification.command()
@click.argument("id", type=click.IntRange(1, MAX_ID), metavar="[ID]", required=False)
@click.option("--dead", is_flag=True, help="Retry all dead notifications.")
@storage_options
def retry(id: int | None, dead: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Retries the dead notification ID, or all of them with --dead.

    Notifications whose alerts have all resolved are skipped.

    \b
    Examples:
      heartbeat-exporter notification retry 17
      heartbeat-exporter notification retry --dead --config.file heartbeats.yml
    """
    if (id is None) is not dead:
        raise click.UsageError("give either the ID of a notification or --dead")
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        outbox, notifications = repositories(database).outbox, repositories(database).notifications
        now, retry_times = SystemClock().now(), _retry_times(settings)
        if id is not None:
            _retry_one(outbox, notifications.find(id), now, retry_times, config_file, notifications.holds(now))
            return
        outcomes: Counter[str] = Counter()
        orphaned: Counter[str] = Counter()
        for notification in list(_all_dead(notifications)):
            if config_file is not None and notification.notifier not in retry_times:
                orphaned[notification.notifier] += 1
                continue
            try:
                sent = outbox.retry(notification.id, now, retry_times.get(notification.notifier, DAY))
            except Conflict:
                continue  # another command retried it meanwhile
            outcomes["sent" if sent else "over"] += 1
    click.echo(f"{outcomes['sent']} queued for another attempt.")
    if outcomes["over"]:
        click.echo(f"{outcomes['over']} skipped: all their alerts have already resolved.")
    for name, count in sorted(orphaned.items()):
        click.echo(f"{count} left unchanged: the configuration has no notifier {name!r}.")


def _retry_one(
    outbox: Outbox,
    notification: Notification,
    now: int,
    retry_times: Mapping[str, int],
    config_file: Path | None,
    holds: Mapping[str, Hold],
) -> None:
    if config_file is not None and notification.notifier not in retry_times:
        raise Conflict(
            f"notification {notification.id} is for {notification.notifier!r}, but the configuration has no notifier "
            "of that name"
        )
    if outbox.retry(notification.id, now, retry_times.get(notification.notifier, DAY)):
        hold = holds.get(notification.notifier)
        when = (
            f", to be sent in {humanize_duration(hold.left(now))} at the request of the receiver"
            if hold is not None
            else ""
        )
        click.echo(f"Notification {notification.id} to {notification.notifier} is queued for another attempt{when}.")
    else:
        click.echo(f"Notification {notification.id} is skipped: all its alerts have already resolved.")


def _all_dead(notifications: Notifications) -> Iterator[Notification]:
    before: int | None = None
    while True:
        page = notifications.recent(state=NotificationState.DEAD, limit=_BATCH, before_id=before)
        yield from page
        if len(page) < _BATCH:
            return
        before = page[-1].id


def _retry_times(settings: Settings) -> Mapping[str, int]:
    """Returns how long the messages of each notifier are retried, in milliseconds."""
    return {notifier.name: notifier.give_up_after for notifier in settings.notifiers}


def _describe(notification: Notification, holds: Mapping[str, Hold], now: int) -> str:
    next_at = _next_try(notification, holds)
    tries = f"{notification.attempts} attempt{'' if notification.attempts == 1 else 's'}"
    when = humanize_ago(notification.created_at, now)
    why = (
        f": {notification.error}"
        if notification.error and notification.state is not NotificationState.DELIVERED
        else ""
    )
    soon = "" if next_at is None or next_at <= now else f", next {humanize_ago(next_at, now)}"
    return f"{when}, {tries}{soon}{why}"


def _next_try(notification: Notification, holds: Mapping[str, Hold]) -> int | None:
    if notification.state is not NotificationState.PENDING:
        return None
    hold = holds.get(notification.notifier)
    return next_try(notification.next_attempt_at, notification.expires_at, None if hold is None else hold.until)
