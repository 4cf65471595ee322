"""`heartbeat-exporter incident …`: works on the database directly; a running service shows it at once."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.cli._console import (
    LARGEST_ID,
    Group,
    absence,
    note_absence,
    open_storage,
    report_errors,
    repositories,
    storage_options,
)
from exporter.cli._person import person
from exporter.core.alert import AlertState
from exporter.core.clock import SystemClock
from exporter.core.incident import IncidentState, clean_author, clean_text
from exporter.presentation.moments import humanize_ago, humanize_duration, rfc3339
from exporter.storage.attendance import Attendance
from exporter.storage.database import Database
from exporter.storage.repositories.alerts import Alert
from exporter.storage.repositories.incidents import Incident, Incidents, Update

F = TypeVar("F", bound=Callable[..., Any])
BY_HAND = "Resolved by hand."
GOES_ON = "An alert still goes on: it stays on, and quiet. The next new alert opens another incident."
_id = click.argument("id", type=click.IntRange(1, LARGEST_ID), metavar="ID")
_author = click.option("--author", metavar="NAME", help="Who says so. Default: your login name, behind sudo too.")


@click.group(cls=Group)
def incident() -> None:
    """Shows, updates, acknowledges and resolves incidents.

    \b
    The usual course:
      heartbeat-exporter incident list          # what is open
      heartbeat-exporter incident ack 12        # I look after it: no more reminders
      heartbeat-exporter incident update 12 --state IDENTIFIED --text "The disk is full"
      heartbeat-exporter incident resolve 12    # over, though its alert may not be

    Works on the database directly; a running service shows it at once. Give the --config.file or --storage.url that
    the service has. An incident resolves by itself with its last alert.
    """


@incident.command("list")
@click.option("--all", "everything", is_flag=True, help="Past ones too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="How many at most. Default 50.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@storage_options
def list_incidents(
    everything: bool, limit: int, as_json: bool, config_file: Path | None, storage_url: str | None
) -> None:
    """Lists open incidents, the newest first.

    \b
    Examples:
      heartbeat-exporter incident list
      heartbeat-exporter incident list --all --json
    """
    with open_storage(config_file, storage_url) as (_, database):
        found = _incidents(database).recent(open=None if everything else True, limit=limit)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        click.echo(json.dumps([{**_facts(one), "not_evaluated_since": absence(since)} for one in found], indent=2))
        return
    now = SystemClock().now()
    note_absence(since, now)
    if not found:
        click.echo("No incidents so far." if everything else "No open incident. For past ones: incident list --all")
        return
    width = max(len(str(one.id)) for one in found)
    for one in found:
        click.echo(f"{one.id:>{width}}  {one.impact:<8}  {one.state:<13}  {one.title}  {_aside(one, now)}")


@incident.command()
@_id
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@storage_options
def show(id: int, as_json: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Shows the incident ID, its timeline and its alerts.

    \b
    Examples:
      heartbeat-exporter incident show 12
    """
    with open_storage(config_file, storage_url) as (_, database):
        incidents = _incidents(database)
        one, updates = incidents.find(id), incidents.updates([id])[id]
        alerts = repositories(database).alerts.recent(incident_id=id)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        more: dict[str, Any] = {
            "updates": [_update(each) for each in updates],
            "alerts": [_alert(each) for each in alerts],
        }
        more["not_evaluated_since"] = absence(since)
        click.echo(json.dumps({**_facts(one), **more}, indent=2))
        return
    now = SystemClock().now()
    click.echo(f"Incident {one.id}: {one.title}")
    click.echo(f"{one.state}, {one.impact}, monitor {one.tag}, {_aside(one, now)}\n")
    for each in updates:
        click.echo(f"{rfc3339(each.at)[:19]}Z  {each.state:<13}  {each.author}")
        for line in each.text.split("\n"):
            click.echo(f"    {line}")
    for alert in alerts:
        end = (
            "on"
            if alert.resolved_at is None
            else f"over after {humanize_duration(alert.resolved_at - alert.triggered_at)}"
        )
        click.echo(
            f"\nAlert {alert.rule} ({alert.severity}), {alert.status} {humanize_ago(alert.triggered_at, now)}: {end}"
        )
    if one.resolved_at is not None and _goes_on(alerts):
        click.echo(f"\n{GOES_ON}")
    note_absence(since, now)


@incident.command()
@_id
@click.option("--text", metavar="WORDS", required=True, help="What you know; up to 2000 characters.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in IncidentState], case_sensitive=False),
    help="The state it has now; it stays as it is when left out.",
)
@_author
@storage_options
def update(
    id: int, text: str, state: str | None, author: str | None, config_file: Path | None, storage_url: str | None
) -> None:
    """Adds to the timeline of the incident ID.

    \b
    Examples:
      heartbeat-exporter incident update 12 --text "Anna looks at the disk"
      heartbeat-exporter incident update 12 --state MONITORING --text "There is room again"
    """
    _add(id, IncidentState(state) if state is not None else None, text, author, config_file, storage_url)


@incident.command()
@_id
@_author
@storage_options
def ack(id: int, author: str | None, config_file: Path | None, storage_url: str | None) -> None:
    """Acknowledges the incident ID: its alerts are not told again, since somebody looks after it.

    \b
    Examples:
      heartbeat-exporter incident ack 12
      heartbeat-exporter incident ack 12 --author anna
    """
    with report_errors():
        who = _who(author)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        _incidents(database).acknowledge(id, who)
    click.echo(f"Acknowledged incident {id}, as {who}: its alerts are not told again.")


@incident.command()
@_id
@click.option("--text", metavar="WORDS", default=BY_HAND, help=f"What it was. Default: {BY_HAND}")
@_author
@storage_options
def resolve(id: int, text: str, author: str | None, config_file: Path | None, storage_url: str | None) -> None:
    """Resolves the incident ID by hand.

    If its alert still goes on, that stays on, and quiet; the next new alert opens another incident.

    \b
    Examples:
      heartbeat-exporter incident resolve 12
      heartbeat-exporter incident resolve 12 --text "A planned move; nothing to do"
    """
    _add(id, IncidentState.RESOLVED, text, author, config_file, storage_url)


def _add(
    id: int,
    state: IncidentState | None,
    text: str,
    author: str | None,
    config_file: Path | None,
    storage_url: str | None,
) -> None:
    with report_errors():
        said, who = clean_text(text), _who(author)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        incidents = _incidents(database)
        incidents.update(id, state, said, who)
        now = incidents.find(id).state
        alerts = repositories(database).alerts.recent(incident_id=id)
        goes_on = now is IncidentState.RESOLVED and _goes_on(alerts)
    click.echo(f"{'Resolved' if now is IncidentState.RESOLVED else 'Updated'} incident {id}, as {who}: it is {now}.")
    if goes_on:
        click.echo(GOES_ON)


def _who(author: str | None) -> str:
    if author is not None:
        return clean_author(author)
    return clean_author(person())


def _incidents(database: Database) -> Incidents:
    return repositories(database).incidents


def _goes_on(alerts: Sequence[Alert]) -> bool:
    return any(alert.step is AlertState.TRIGGERED for alert in alerts)


def _aside(one: Incident, now: int) -> str:
    if one.resolved_at is not None:
        return f"({humanize_ago(one.started_at, now)}, lasted {humanize_duration(one.resolved_at - one.started_at)})"
    taken = f", acknowledged by {one.acknowledged_by}" if one.acknowledged_by is not None else ""
    return f"(for {humanize_duration(now - one.started_at)}{taken})"


def _facts(one: Incident) -> dict[str, Any]:
    ended = one.resolved_at
    return {
        "id": one.id,
        "tag": one.tag,
        "title": one.title,
        "impact": one.impact.value,
        "state": one.state.value,
        "started_at": rfc3339(one.started_at),
        "resolved_at": _moment(ended),
        "duration_seconds": None if ended is None else max(0, ended - one.started_at) / 1000,
        "acknowledged_at": _moment(one.acknowledged_at),
        "acknowledged_by": one.acknowledged_by,
        "updated_at": rfc3339(one.updated_at),
    }


def _update(one: Update) -> dict[str, Any]:
    return {"at": rfc3339(one.at), "state": one.state.value, "text": one.text, "author": one.author}


def _alert(one: Alert) -> dict[str, Any]:
    return {
        "id": one.uid,
        "rule": one.rule,
        "severity": one.severity.value,
        "step": one.step.value,
        "status": one.status.value,
        "reason": one.reason.value,
        "triggered_at": rfc3339(one.triggered_at),
        "resolved_at": _moment(one.resolved_at),
        "ending": one.ending.value if one.ending is not None else None,
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
