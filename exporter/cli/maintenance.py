"""`heartbeat-exporter maintenance …`: works on the database directly; a running service sees it within a second."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from exporter.cli._console import Group, key_values, open_storage, report_errors, repositories, storage_options
from exporter.config.maintenance_models import MaintenanceEntry
from exporter.core.calendar.schedule import check_timezone
from exporter.core.clock import SECOND, SystemClock
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.maintenance import Window
from exporter.core.spans import covering
from exporter.presentation.moments import exact, humanize_duration, rfc3339
from exporter.storage.repositories.maintenances import Kept


@click.group(cls=Group)
def maintenance() -> None:
    """Adds, lists and ends maintenance windows.

    In one the monitors that it is for neither alarm nor count.

    Works on the database directly; a running service sees it within a second. Give the --config.file or --storage.url
    that the service has.
    """


@maintenance.command()
@click.argument("name")
@click.option("--for", "duration", metavar="DURATION", help="How long it lasts.")
@click.option("--from", "starts_at", metavar="MOMENT", help='When it begins, as "2026-12-06 02:00". Default now.')
@click.option("--until", "ends_at", metavar="MOMENT", help="When it ends, instead of --for.")
@click.option("--rrule", metavar="RULE", help="How it recurs (RFC 5545), as FREQ=WEEKLY;BYDAY=SU.")
@click.option("--timezone", metavar="NAME", default="UTC", help="Of the moments and the rule. Default UTC.")
@click.option("--monitor", "monitors", multiple=True, metavar="GLOB", help="Repeatable; for tags that fit.")
@click.option("--group", "groups", multiple=True, metavar="GLOB", help="Repeatable; for groups that fit.")
@click.option("--label", "labels", multiple=True, metavar="KEY=GLOB", help="Repeatable; all have to fit.")
@click.option("--all", "everything", is_flag=True, help="For every monitor.")
@click.option("--description", metavar="WHY", help="Why, for whoever looks.")
@storage_options
def add(
    name: str,
    config_file: Path | None,
    storage_url: str | None,
    monitors: tuple[str, ...],
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    everything: bool,
    **options: Any,
) -> None:
    """Adds the window NAME: once, or recurring.

    \b
    Examples:
      heartbeat-exporter maintenance add upgrade --for 2h --all
      heartbeat-exporter maintenance add move --from "2026-12-06 22:00" --until "2026-12-07 04:00" \\
          --timezone Europe/Rome --group storage
      heartbeat-exporter maintenance add sundays --from "2026-12-06 02:00" --for 3h \\
          --rrule "FREQ=WEEKLY;BYDAY=SU" --timezone Europe/Rome --monitor "report-*"
    """
    with report_errors():
        if everything == bool(monitors or groups or labels):
            raise InvalidValue("say for which monitors: --monitor, --group, --label, or --all")
        if (options["duration"] is None) == (options["ends_at"] is None):
            raise InvalidValue("say how long it lasts: --for or --until, one of them")
        values = {key: value for key, value in options.items() if value is not None}
        values.setdefault("starts_at", _now(values["timezone"]))
        window = MaintenanceEntry.read(
            {"name": name, "monitors": list(monitors), "groups": list(groups), "labels": key_values(labels), **values}
        )
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        repositories(database).maintenances.add(window)
    click.echo(f"Added {name}: {_when(window, SystemClock().now())}.")


@maintenance.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@storage_options
def list_maintenances(config_file: Path | None, storage_url: str | None, everything: bool, as_json: bool) -> None:
    """Lists the windows that run or will."""
    with open_storage(config_file, storage_url) as (_, database):
        found = repositories(database).maintenances.all()
    now = SystemClock().now()
    shown = [one for one in found if everything or not one.over(now)]
    if as_json:
        click.echo(json.dumps([_facts(one, now) for one in shown], indent=2))
        return
    if not shown:
        click.echo("No maintenance. Add some: heartbeat-exporter maintenance add upgrade --for 2h --all")
        return
    width = max(len(one.window.name) for one in shown)
    for one in shown:
        whose = " (configuration file)" if one.provisioned else ""
        click.echo(f"{one.window.name:<{width}}  {_when(one.window, now)}; {_whom(one.window)}{whose}")


@maintenance.command()
@click.argument("name")
@storage_options
def end(name: str, config_file: Path | None, storage_url: str | None) -> None:
    """Ends the window NAME now, and for good: one that recurs does not begin again."""
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        repositories(database).maintenances.end(name)
    click.echo(f"Ended {name}.")


def _now(timezone: str) -> str:
    check_timezone(timezone)
    return datetime.fromtimestamp(SystemClock().now() / SECOND, ZoneInfo(timezone)).isoformat(timespec="milliseconds")


def _when(window: Window, now: int) -> str:
    over = window.over_at()
    if window.trouble is not None:
        return f"never begins, its rule cannot be used: {window.trouble}"
    if over is not None and over <= now:
        return f"over since {exact(over, window.timezone)}"
    running = covering(window.spans(now, now + 1), now)
    if running is not None:
        return f"runs, for {humanize_duration(running.end - now)} more, until {exact(running.end, window.timezone)}"
    begins = window.next_start(now)
    if begins is None:
        return "never begins again"
    lasts = format_duration(window.duration)
    return f"begins in {humanize_duration(begins - now)}, {exact(begins, window.timezone)}, for {lasts}"


def _whom(window: Window) -> str:
    selector = window.selector
    parts = [f"tags {', '.join(selector.tags)}"] if selector.tags else []
    parts += [f"groups {', '.join(selector.groups)}"] if selector.groups else []
    parts += [f"{key}={glob}" for key, glob in selector.labels]
    return " and ".join(parts) or "every monitor"


def _facts(one: Kept, now: int) -> dict[str, Any]:
    window, running = one.window, covering(one.window.spans(now, now + 1), now)
    begins, over = window.next_start(now), window.over_at()
    return {
        "name": window.name,
        "monitors": list(window.selector.tags),
        "groups": list(window.selector.groups),
        "labels": dict(window.selector.labels),
        "starts_at": rfc3339(window.starts_at),
        "duration_seconds": window.duration / SECOND,
        "rrule": window.rule,
        "timezone": window.timezone,
        "description": window.description,
        "provisioned": one.provisioned,
        "running_until": rfc3339(running.end) if running is not None else None,
        "next_start_at": rfc3339(begins) if begins is not None else None,
        "over_at": rfc3339(over) if over is not None else None,
    }
