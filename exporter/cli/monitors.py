"""`heartbeat-exporter monitor …`: adds, shows, pauses and removes monitors in the database."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from exporter.cli._console import (
    Group,
    absence,
    key_values,
    note_absence,
    open_storage,
    report_errors,
    repositories,
    storage_options,
)
from exporter.cli.credentials.secrets import rotate_secret, secret_from, token
from exporter.config.models import MonitorOptions
from exporter.config.settings import Settings
from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import SystemClock
from exporter.core.durations import describe_duration, format_duration, parse_duration
from exporter.core.errors import InvalidValue, NotFound
from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat
from exporter.core.maintenance import Window
from exporter.core.monitor import check_tag
from exporter.core.secret import digest, make_secret
from exporter.core.status import Status
from exporter.fleet.loader import load
from exporter.presentation.moments import humanize_duration
from exporter.resources.model import to_python
from exporter.resources.monitors import MonitorAnswer
from exporter.storage.attendance import Attendance
from exporter.storage.database import Database
from exporter.storage.repositories.keys import secret_key
from exporter.storage.repositories.monitors import Monitors

_COLOURS = {Status.UP: "green", Status.DEGRADED: "yellow", Status.DOWN: "red"}
"""Colours in a terminal; a pipe gets none."""


@click.group(cls=Group)
def monitor() -> None:
    """Adds, shows, pauses and removes monitors.

    These commands work on the service's database directly, which must exist; a running service applies changes within
    a second. Give the --config.file or --storage.url that the service uses.
    """


@monitor.command()
@click.argument("tag")
@click.option("--name", metavar="NAME", help="Name to display. Default: the tag.")
@click.option("--group", metavar="GROUP", help="Group on the status page and in heartbeat_info.")
@click.option("--schedule", metavar="CRON", help='When heartbeats are expected, such as "0 3 * * *".')
@click.option("--timezone", metavar="NAME", help="IANA name of the schedule's timezone. Default: UTC.")
@click.option("--degraded-after", metavar="DURATION", help="Lateness that makes it DEGRADED. Default: 5m.")
@click.option("--down-after", metavar="DURATION", help="Lateness that makes it DOWN. Default: 10m.")
@click.option("--max-runtime", metavar="DURATION", help="Maximum duration of a run; a longer run makes it DOWN.")
@click.option("--min-runtime", metavar="DURATION", help="A success after a shorter run makes it DEGRADED.")
@click.option("--every", metavar="DURATION", help="Time between two successes, instead of a schedule.")
@click.option("--early", metavar="DURATION", help="How early a success may serve a scheduled tick. Default: 1m.")
@click.option(
    "--failure-tolerance", type=int, metavar="N", help="Consecutive failures before it is DOWN, 0 to 50. Default: 0."
)
@click.option("--evaluation-cron", metavar="CRON", help="Change the status only at these times.")
@click.option("--description", metavar="DESCRIPTION", help="Purpose of the job, shown on its page.")
@click.option("--runbook-url", metavar="URL", help="URL of the instructions for the case that the job fails.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label, exposed as label_KEY. Repeatable.")
@click.option(
    "--depends-on", multiple=True, metavar="TAG", help="Monitor, or glob of tags, that the job needs. Repeatable."
)
@click.option("--release-after", metavar="DURATION", help="How long a held alert waits at the end. Default: 5m.")
@click.option("--keep-job-metrics", is_flag=True, help="Expose metrics that the job pushed even while it is missed.")
@click.option("--paused", is_flag=True, help="Add the monitor in the paused state.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Use the secret in this file instead of generating one.",
)
@storage_options
def add(
    config_file: Path | None,
    storage_url: str | None,
    labels: tuple[str, ...],
    secret_file: Path | None,
    **options: Any,
) -> None:
    """Adds the monitor TAG and prints its curl command, once.

    Only a digest of the secret is stored, so the command cannot be shown again. Write -- before a TAG that begins with
    a hyphen.

    \b
    Examples:
      heartbeat-exporter monitor add queue-worker --degraded-after 2m --down-after 10m
      heartbeat-exporter monitor add nightly-backup \\
          --schedule "0 3 * * *" --timezone Europe/Rome --down-after 1h
    """
    if options.pop("keep_job_metrics"):
        options["job_metrics"] = {"keep_when_down": True}
    values = {name: value for name, value in options.items() if value not in (None, False, ())}
    if "depends_on" in values:
        values["depends_on"] = list(values["depends_on"])
    with report_errors():
        pairs = key_values(labels)
        new = MonitorOptions.read({**values, **({"labels": pairs} if pairs else {})})
        secret = secret_from(secret_file) if secret_file is not None else make_secret()
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        configured = settings.secret_key.reveal() if settings.secret_key is not None else None
        key = secret_key(database, configured)
        _monitors(database).add(new, digest(secret, key))
    url = f"{settings.web.url}/ext/heartbeat/{new.tag}:{quote(secret, safe='')}"
    click.echo(f"Added {new.tag}. Its heartbeat command, which is shown only once:\n")
    click.echo(f"  curl -fsS -m 10 --retry 5 --retry-connrefused {url}\n")
    click.echo(f"Append /start, /fail, /log or /$? to report more: {settings.web.url}/docs/heartbeats")


@monitor.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def list_monitors(config_file: Path | None, storage_url: str | None, as_json: bool) -> None:
    """Lists all monitors with their status."""
    with open_storage(config_file, storage_url) as (settings, database):
        loaded, calendar = _load(settings, database)
        since = Attendance(database, SystemClock()).absent_since()
        family = _family(database, loaded, calendar)
    members, now = sorted(loaded, key=lambda member: member.monitor.tag), SystemClock().now()
    if as_json:
        click.echo(json.dumps([_as_json(member, calendar, now, since, family) for member in members], indent=2))
        return
    if not members:
        click.echo(f"No monitors in {database.engine.name}. To add one: heartbeat-exporter monitor add nightly-backup")
        return
    width = max(len(member.monitor.tag) for member in members)
    for member in members:
        last = member.state.last_success_at
        age = f"{describe_duration(now - last)} ago" if last is not None else "never"
        colour = _COLOURS.get(member.current.status) if since is None else None
        status = click.style(f"{member.current.status:<11}", fg=colour)
        stale = f", not evaluated for {humanize_duration(now - since)}" if since else ""
        click.echo(f"{member.monitor.tag:<{width}}  {status}  last success {age}{stale}")
    note_absence(since, now)


@monitor.command()
@click.argument("tag")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def show(tag: str, config_file: Path | None, storage_url: str | None, as_json: bool) -> None:
    """Shows the monitor TAG and its last heartbeats."""
    _check(tag)
    with open_storage(config_file, storage_url) as (settings, database):
        members, calendar = _load(settings, database, [_monitors(database).find(tag)])
        if not members:
            raise NotFound(f"there is no monitor {tag!r}")
        recent = repositories(database).history.heartbeats(members[0].id, 5)
        since = Attendance(database, SystemClock()).absent_since()
        family = _family(database, members if not members[0].monitor.depends_on else load(database), calendar)
    now = SystemClock().now()
    if as_json:
        click.echo(json.dumps(_as_json(members[0], calendar, now, since, family), indent=2))
        return
    for label, text in _rows(members[0], now, since, family):
        if text:
            click.echo(f"{label:<22}{text}")
    for beat in recent:
        click.echo(f"{'heartbeat':<22}{_moment(beat.received_at)}  {_describe(beat)}")
    note_absence(since, now)


@monitor.command()
@click.argument("tag")
@click.option("--for", "duration", metavar="DURATION", help="Resume automatically after this time.")
@storage_options
def pause(tag: str, config_file: Path | None, storage_url: str | None, duration: str | None) -> None:
    """Pauses the monitor TAG.

    The service accepts its heartbeats but never marks it late. With --for, the pause is a maintenance window.

    \b
    Examples:
      heartbeat-exporter monitor pause nightly-backup
      heartbeat-exporter monitor pause nightly-backup --for 2h
    """
    if duration is None:
        _set_paused(tag, True, config_file, storage_url)
        return
    _check(tag)
    with report_errors():
        length, now = parse_duration(duration), SystemClock().now()
        if length <= 0:
            raise InvalidValue("--for must be longer than 0s")
    window = Window(name=_pause_of(tag), selector=Selector(tags=(tag,)), starts_at=now, duration=length)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        _monitors(database).find(tag)
        repositories(database).maintenances.add(window)
    click.echo(f"{tag} is in maintenance for {describe_duration(length)}, until {_moment(now + length)}.")


@monitor.command()
@click.argument("tag")
@storage_options
def resume(tag: str, config_file: Path | None, storage_url: str | None) -> None:
    """Resumes the monitor TAG after a pause."""
    _check(tag)
    with open_storage(config_file, storage_url) as (_, database), suppress(NotFound):
        repositories(database).maintenances.end(_pause_of(tag))
    _set_paused(tag, False, config_file, storage_url)


@monitor.command()
@click.argument("tag")
@storage_options
def remove(tag: str, config_file: Path | None, storage_url: str | None) -> None:
    """Removes the monitor TAG.

    If the monitor is added again within storage.history_retention, its history returns.
    """
    _check(tag)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        _monitors(database).remove(tag)
    click.echo(f"Removed {tag}.")


monitor.add_command(rotate_secret)
monitor.add_command(token)


def _pause_of(tag: str) -> str:
    """Returns the name of the maintenance window that is a pause with an end."""
    return f"pause {tag}"[:100]


def _set_paused(tag: str, paused: bool, config_file: Path | None, storage_url: str | None) -> None:
    _check(tag)
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        _monitors(database).set_paused(tag, paused)
    click.echo(f"{'Paused' if paused else 'Resumed'} {tag}.")


def _monitors(database: Database) -> Monitors:
    return repositories(database).monitors


def _check(tag: str) -> None:
    with report_errors():
        check_tag(tag)


def _load(
    settings: Settings, database: Database, ids: Sequence[int] | None = None
) -> tuple[list[FleetMonitor], Calendar]:
    """Loads these monitors or all, with the same exclusions as the service, and the calendar of those."""
    forgives = settings.after_outage == "forgive"
    windows = tuple(kept.window for kept in repositories(database).maintenances.all())
    blackouts = repositories(database).blackouts
    calendar = Calendar(blackouts.all(), windows, forgives, blackouts.skipped(), blackouts.unreachable())
    members = load(database, ids)
    for member in members:
        member.exclusions = calendar.of(member.monitor)
    return members, calendar


def _family(database: Database, members: Sequence[FleetMonitor], calendar: Calendar) -> Fleet:
    """Returns these monitors with what is suppressed among them."""
    fleet = Fleet()
    fleet.use(calendar)
    fleet.update(members)
    suppressions = repositories(database).suppressions.read()
    if suppressions is not None:
        fleet.show_suppressions(suppressions)
    return fleet


def _as_json(
    member: FleetMonitor, calendar: Calendar, now: int, absent_since: int | None, family: Fleet
) -> dict[str, object]:
    answer = MonitorAnswer.of(member, now, calendar.away, family)
    return {**to_python(answer), "not_evaluated_since": absence(absent_since)}


def _rows(member: FleetMonitor, now: int, absent_since: int | None, family: Fleet) -> list[tuple[str, str | None]]:
    """Returns the label and the text of each line of `monitor show`; an empty text has no line."""
    monitor, state, current = member.monitor, member.state, member.current
    return [
        ("tag", monitor.tag),
        ("name", monitor.name),
        ("group", monitor.group),
        ("description", monitor.description),
        ("runbook", monitor.runbook_url),
        ("status", current.status),
        ("reason", current.reason),
        ("since", _moment(current.since)),
        ("not evaluated since", absence(absent_since)),
        ("last success", _moment(state.last_success_at)),
        ("last failure", _moment(state.last_failure_at)),
        _expected(member, now)
        if monitor.schedule is None and monitor.every is None
        else ("due", _moment(member.due_at)),
        ("last duration", None if state.last_duration is None else format_duration(state.last_duration)),
        ("last exit code", None if state.last_exit_code is None else str(state.last_exit_code)),
        ("received", str(state.received)),
        ("failures", str(state.failures)),
        ("consecutive failures", str(state.consecutive_failures)),
        ("schedule", monitor.schedule),
        ("every", None if monitor.every is None else format_duration(monitor.every)),
        ("early", None if monitor.schedule is None else format_duration(monitor.early)),
        ("timezone", monitor.timezone),
        ("degraded after", format_duration(monitor.degraded_after)),
        ("down after", format_duration(monitor.down_after)),
        ("max runtime", None if monitor.max_runtime is None else format_duration(monitor.max_runtime)),
        ("min runtime", None if monitor.min_runtime is None else format_duration(monitor.min_runtime)),
        ("failure tolerance", str(monitor.failure_tolerance) if monitor.failure_tolerance else None),
        ("evaluation cron", monitor.evaluation_cron),
        ("job metrics", "kept when DOWN" if monitor.keep_job_metrics else None),
        ("labels", ", ".join(f"{key}={value}" for key, value in monitor.labels)),
        ("depends on", ", ".join(monitor.depends_on)),
        ("alerts held by", ", ".join(family.suppressed_by(monitor.tag))),
        ("release after", format_duration(monitor.release_after) if monitor.depends_on else None),
        ("provisioned", "yes" if member.provisioned else "no"),
    ]


def _expected(member: FleetMonitor, now: int) -> tuple[str, str | None]:
    """Returns a label and the time by which the next success must arrive, for a monitor that has only thresholds."""
    due = member.due_at
    if due is None:
        return "expected by", None
    at = member.exclusions.deadline(due, member.monitor.degraded_after, now)
    return ("expected by" if at > now else "late since"), _moment(at)


def _describe(beat: Heartbeat) -> str:
    code = "" if beat.exit_code is None else f", exit code {beat.exit_code}"
    return f"{beat.kind}{code}"


def _moment(at: int | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
