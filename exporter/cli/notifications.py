"""`heartbeat-exporter notification …`: what notifiers are owed, and another try for what was given up."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from exporter.cli._console import LARGEST_ID, Group, note_absence, open_storage, repositories, storage_options
from exporter.config.settings import Settings
from exporter.core.clock import DAY, SystemClock
from exporter.core.errors import Conflict
from exporter.core.notification import Hold, NotificationState, next_try
from exporter.presentation.moments import humanize_ago, humanize_duration, rfc3339
from exporter.storage.attendance import Attendance
from exporter.storage.repositories.notifications import Notification, Notifications
from exporter.storage.repositories.outbox import Outbox

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
    now = SystemClock().now()
    with open_storage(config_file, storage_url) as (_, database):
        known = repositories(database).notifications
        found, holds = known.recent(state=wanted, limit=limit), known.holds(now)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        click.echo(json.dumps([_facts(one, holds) for one in found], indent=2))
        return
    for hold in holds.values():
        click.echo(
            f"{hold.notifier} is held for {humanize_duration(hold.left(now))}: the receiver asked for it: {hold.error}"
        )
    if not found:
        click.echo("No notifications." if wanted is None else f"No {wanted} notifications.")
        return
    if any(one.state is NotificationState.PENDING for one in found):
        note_absence(since, now)
    width, name = max(len(str(one.id)) for one in found), max(len(one.notifier) for one in found)
    for one in found:
        click.echo(
            f"{one.id:>{width}}  {one.state:<9}  {one.notifier:<{name}}  {one.event:<9}  {_told(one, holds, now)}"
        )


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
        outbox, known = repositories(database).outbox, repositories(database).notifications
        now, terms = SystemClock().now(), _terms(settings)
        if id is not None:
            _retry_one(outbox, known.find(id), now, terms, config_file, known.holds(now))
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


def _retry_one(
    outbox: Outbox,
    one: Notification,
    now: int,
    terms: Mapping[str, int],
    config_file: Path | None,
    holds: Mapping[str, Hold],
) -> None:
    if config_file is not None and one.notifier not in terms:
        raise Conflict(
            f"notification {one.id} is for {one.notifier!r}, and the configuration has no notifier of that name"
        )
    if outbox.retry(one.id, now, terms.get(one.notifier, DAY)):
        hold = holds.get(one.notifier)
        when = (
            f" in {humanize_duration(hold.left(now))}: until then its receiver asked it to wait"
            if hold is not None
            else ""
        )
        click.echo(f"Notification {one.id} to {one.notifier} is tried again{when}.")
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


def _told(one: Notification, holds: Mapping[str, Hold], now: int) -> str:
    next_at = _next_try(one, holds)
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    when = humanize_ago(one.created_at, now)
    why = f": {one.error}" if one.error and one.state is not NotificationState.DELIVERED else ""
    soon = "" if next_at is None or next_at <= now else f", next {humanize_ago(next_at, now)}"
    return f"{when}, {tries}{soon}{why}"


def _next_try(one: Notification, holds: Mapping[str, Hold]) -> int | None:
    if one.state is not NotificationState.PENDING:
        return None
    hold = holds.get(one.notifier)
    return next_try(one.next_attempt_at, one.expires_at, None if hold is None else hold.until)


def _facts(one: Notification, holds: Mapping[str, Hold]) -> dict[str, Any]:
    next_at = _next_try(one, holds)
    hold = holds.get(one.notifier) if next_at is not None else None
    return {
        "id": one.id,
        "idempotency_key": one.key,
        "notifier": one.notifier,
        "event": one.event,
        "state": one.state.value,
        "created_at": rfc3339(one.created_at),
        "attempts": one.attempts,
        "next_attempt_at": None if next_at is None else rfc3339(next_at),
        "held_until": None if hold is None else rfc3339(hold.until),
        "failure": one.failure,
        "error": one.error,
        "ended_at": None if one.ended_at is None else rfc3339(one.ended_at),
    }
