"""`heartbeat-exporter incident …`: shows and changes incidents in the database."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.cli._console import (
    MAX_ID,
    Group,
    absence,
    note_absence,
    open_storage,
    report_errors,
    repositories,
    storage_options,
)
from exporter.cli.alerts._person import person
from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.incident import IncidentState, clean_author, clean_text
from exporter.core.clock import SystemClock
from exporter.presentation.held_alerts import describe_holds
from exporter.presentation.moments import humanize_ago, humanize_duration, rfc3339
from exporter.resources.incidents import IncidentAnswer, WholeIncidentAnswer
from exporter.resources.model import to_python
from exporter.storage.attendance import Attendance
from exporter.storage.database import Database
from exporter.storage.repositories.alerts import Alert
from exporter.storage.repositories.incidents import Incident, Incidents

F = TypeVar("F", bound=Callable[..., Any])
BY_HAND = "Resolved by hand."
GOES_ON = "An alert is still firing. It stays open but sends no reminders. The next new alert opens another incident."
_id = click.argument("id", type=click.IntRange(1, MAX_ID), metavar="ID")
_author = click.option(
    "--author", metavar="NAME", help="Author of the entry. Default: your login name, also under sudo."
)


@click.group(cls=Group)
def incident() -> None:
    """Shows, updates, acknowledges and resolves incidents.

    \b
    Typical use:
      heartbeat-exporter incident list          # list the open incidents
      heartbeat-exporter incident ack 12        # you handle it: no more reminders
      heartbeat-exporter incident update 12 --state IDENTIFIED --text "The disk is full"
      heartbeat-exporter incident resolve 12    # close it, even if its alert is still firing

    These commands work on the database directly; a running service shows changes at once. Give the --config.file or
    --storage.url that the service uses. An incident resolves automatically when its last alert does.
    """


@incident.command("list")
@click.option("--all", "everything", is_flag=True, help="Include resolved incidents.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="Maximum number of incidents. Default: 50.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def list_incidents(
    everything: bool, limit: int, as_json: bool, config_file: Path | None, storage_url: str | None
) -> None:
    """Lists open incidents, newest first.

    \b
    Examples:
      heartbeat-exporter incident list
      heartbeat-exporter incident list --all --json
    """
    with open_storage(config_file, storage_url) as (_, database):
        incidents = _incidents(database).recent(open=None if everything else True, limit=limit)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        answers = [to_python(IncidentAnswer.of(incident)) for incident in incidents]
        click.echo(json.dumps([{**answer, "not_evaluated_since": absence(since)} for answer in answers], indent=2))
        return
    now = SystemClock().now()
    note_absence(since, now)
    if not incidents:
        click.echo(
            "No incidents." if everything else "No open incidents. To include resolved ones: incident list --all"
        )
        return
    width = max(len(str(incident.id)) for incident in incidents)
    for incident in incidents:
        columns = f"{incident.id:>{width}}  {incident.impact:<8}  {incident.state:<13}  {incident.title}"
        click.echo(f"{columns}  {_aside(incident, now)}")


@incident.command()
@_id
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def show(id: int, as_json: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Shows the incident ID, its timeline and its alerts.

    \b
    Examples:
      heartbeat-exporter incident show 12
    """
    with open_storage(config_file, storage_url) as (_, database):
        incidents = _incidents(database)
        incident, updates = incidents.find(id), incidents.updates([id])[id]
        alerts = repositories(database).alerts.recent(incident_id=id)
        since = Attendance(database, SystemClock()).absent_since()
    if as_json:
        whole = to_python(WholeIncidentAnswer.whole(incident, updates, alerts))
        click.echo(json.dumps({**whole, "not_evaluated_since": absence(since)}, indent=2))
        return
    now = SystemClock().now()
    click.echo(f"Incident {incident.id}: {incident.title}")
    click.echo(f"{incident.state}, {incident.impact}, monitor {incident.tag} {_aside(incident, now)}\n")
    for update in updates:
        click.echo(f"{rfc3339(update.at)[:19]}Z  {update.state:<13}  {update.author}")
        for line in update.text.split("\n"):
            click.echo(f"    {line}")
    for alert in alerts:
        held = describe_holds(alert.holds, now)
        end = (
            (f"firing, {held}" if held else "firing")
            if alert.resolved_at is None
            else f"resolved after {humanize_duration(alert.resolved_at - alert.triggered_at)}"
        )
        click.echo(
            f"\nAlert {alert.rule} ({alert.severity}), {alert.status} {humanize_ago(alert.triggered_at, now)}: {end}"
        )
    if incident.resolved_at is not None and _goes_on(alerts):
        click.echo(f"\n{GOES_ON}")
    note_absence(since, now)


@incident.command()
@_id
@click.option("--text", metavar="MESSAGE", required=True, help="Text of the entry; up to 2000 characters.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in IncidentState], case_sensitive=False),
    help="New state of the incident. Default: unchanged.",
)
@_author
@storage_options
def update(
    id: int, text: str, state: str | None, author: str | None, config_file: Path | None, storage_url: str | None
) -> None:
    """Adds an entry to the timeline of the incident ID.

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
    """Acknowledges the incident ID: its alerts send no more reminders.

    \b
    Examples:
      heartbeat-exporter incident ack 12
      heartbeat-exporter incident ack 12 --author anna
    """
    with report_errors():
        name = _author_name(author)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        _incidents(database).acknowledge(id, name)
    click.echo(f"Acknowledged incident {id} as {name}: its alerts send no more reminders.")


@incident.command()
@_id
@click.option("--text", metavar="MESSAGE", default=BY_HAND, help=f"Text of the entry. Default: {BY_HAND}")
@_author
@storage_options
def resolve(id: int, text: str, author: str | None, config_file: Path | None, storage_url: str | None) -> None:
    """Resolves the incident ID by hand.

    An alert that is still firing stays open but sends no reminders. The next new alert opens another incident.

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
        entry, name = clean_text(text), _author_name(author)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        incidents = _incidents(database)
        incidents.update(id, state, entry, name)
        now = incidents.find(id).state
        alerts = repositories(database).alerts.recent(incident_id=id)
        goes_on = now is IncidentState.RESOLVED and _goes_on(alerts)
    click.echo(
        f"{'Resolved' if now is IncidentState.RESOLVED else 'Updated'} incident {id} as {name}: its state is {now}."
    )
    if goes_on:
        click.echo(GOES_ON)


def _author_name(author: str | None) -> str:
    if author is not None:
        return clean_author(author)
    return clean_author(person())


def _incidents(database: Database) -> Incidents:
    return repositories(database).incidents


def _goes_on(alerts: Sequence[Alert]) -> bool:
    return any(alert.step is AlertState.TRIGGERED for alert in alerts)


def _aside(incident: Incident, now: int) -> str:
    if incident.resolved_at is not None:
        lasted = humanize_duration(incident.resolved_at - incident.started_at)
        return f"({humanize_ago(incident.started_at, now)}, lasted {lasted})"
    taken = f", acknowledged by {incident.acknowledged_by}" if incident.acknowledged_by is not None else ""
    return f"(open for {humanize_duration(now - incident.started_at)}{taken})"
