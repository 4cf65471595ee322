"""`heartbeat-exporter notification …`: what notifiers are owed, and another try for what was given up."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from exporter.config.settings import Settings
from exporter.console import LARGEST_ID, Group, note_absence, open_storage, storage_options
from exporter.core.clock import DAY, SystemClock
from exporter.core.errors import Conflict
from exporter.core.moments import ago, rfc3339
from exporter.core.notification import NotificationState
from exporter.storage.attendance import Attendance
from exporter.storage.notifications import Notification, Notifications
from exporter.storage.outbox import Outbox

_BATCH = 500


@click.group(cls=Group)
def notification() -> None:
    """Lists notifications, and tries dead ones again.

    Works on the database directly; a running service sends within two seconds. Give the --config.file or --storage.url
    that the service has.
    """


@notification.command("list")
@click.option(
    "--state",
    type=click.Choice([state.value for state in NotificationState], case_sensitive=False),
    help="Only those in it; dead ones were given up.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="How many at most. Default 50.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@storage_options
def list_notifications(
    state: str | None, limit: int, as_json: bool, config_file: Path | None, storage_url: str | None
) -> None:
    """Lists notifications, the newest first, and why those failed that did.

    \b
    Examples:
      heartbeat-exporter notification list
      heartbeat-exporter notification list --state dead
    """
    wanted = NotificationState(state) if state is not None else None
    with open_storage(config_file, storage_url) as (_, database):
        found = Notifications(database).recent(state=wanted, limit=limit)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        click.echo(json.dumps([_facts(one) for one in found], indent=2))
        return
    if not found:
        click.echo("No notifications." if wanted is None else f"No {wanted} notifications.")
        return
    now = SystemClock().now()
    if any(one.state is NotificationState.PENDING for one in found):
        note_absence(since, now)
    width, name = max(len(str(one.id)) for one in found), max(len(one.notifier) for one in found)
    for one in found:
        click.echo(f"{one.id:>{width}}  {one.state:<9}  {one.notifier:<{name}}  {one.event:<9}  {_told(one, now)}")


@notification.command()
@click.argument("id", type=click.IntRange(1, LARGEST_ID), metavar="[ID]", required=False)
@click.option("--dead", is_flag=True, help="Try all that were given up.")
@storage_options
def retry(id: int | None, dead: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Tries to deliver the notification ID again, or all --dead ones.

    Alarms that are over by now are left out: nobody would ever tell their end.

    \b
    Examples:
      heartbeat-exporter notification retry 17
      heartbeat-exporter notification retry --dead --config.file heartbeats.yml
    """
    if (id is None) is not dead:
        raise click.UsageError("name the ID of one notification, or ask for all --dead ones")
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        outbox, known = Outbox(database), Notifications(database)
        now, terms = SystemClock().now(), _terms(settings)
        if id is not None:
            _retry_one(outbox, known.find(id), now, terms, config_file)
            return
        outcomes: Counter[str] = Counter()
        strangers: Counter[str] = Counter()
        for one in list(_all_dead(known)):
            if config_file is not None and one.notifier not in terms:
                strangers[one.notifier] += 1
                continue
            try:
                sent = outbox.retry(one.id, now, terms.get(one.notifier, DAY))
            except Conflict:
                continue  # somebody else was faster
            outcomes["sent" if sent else "over"] += 1
    click.echo(f"{outcomes['sent']} tried again.")
    if outcomes["over"]:
        click.echo(f"{outcomes['over']} not sent: all their alerts are over, and nobody would tell that.")
    for name, count in sorted(strangers.items()):
        click.echo(f"{count} left as they are: there is no notifier {name!r} in the configuration.")


def _retry_one(outbox: Outbox, one: Notification, now: int, terms: Mapping[str, int], config_file: Path | None) -> None:
    if config_file is not None and one.notifier not in terms:
        raise Conflict(
            f"notification {one.id} is for {one.notifier!r}, and the configuration has no notifier of that name"
        )
    if outbox.retry(one.id, now, terms.get(one.notifier, DAY)):
        click.echo(f"Notification {one.id} to {one.notifier} is tried again.")
    else:
        click.echo(f"Notification {one.id} is not sent: all its alerts are over, and nobody would tell that.")


def _all_dead(notifications: Notifications) -> Iterator[Notification]:
    before: int | None = None
    while True:
        found = notifications.recent(state=NotificationState.DEAD, limit=_BATCH, before_id=before)
        yield from found
        if len(found) < _BATCH:
            return
        before = found[-1].id


def _terms(settings: Settings) -> Mapping[str, int]:
    """How long each notifier's messages are tried."""
    return {one.name: one.give_up_after for one in settings.notifiers}


def _told(one: Notification, now: int) -> str:
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    when = ago(one.created_at, now)
    why = f": {one.error}" if one.error and one.state is not NotificationState.DELIVERED else ""
    waits = one.state is NotificationState.PENDING and one.next_attempt_at > now
    return f"{when}, {tries}{f', next {ago(one.next_attempt_at, now)}' if waits else ''}{why}"


def _facts(one: Notification) -> dict[str, Any]:
    pending = one.state is NotificationState.PENDING
    return {
        "id": one.id,
        "idempotency_key": one.key,
        "notifier": one.notifier,
        "event": one.event,
        "state": one.state.value,
        "created_at": rfc3339(one.created_at),
        "attempts": one.attempts,
        "next_attempt_at": rfc3339(one.next_attempt_at) if pending else None,
        "failure": one.failure,
        "error": one.error,
        "ended_at": None if one.ended_at is None else rfc3339(one.ended_at),
    }
