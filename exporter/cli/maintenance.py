"""`heartbeat-exporter maintenance …`: adds, lists and ends maintenance windows in the database."""

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
from exporter.presentation.moments import exact, humanize_duration, rfc3339
from exporter.resources.maintenances import MaintenanceAnswer
from exporter.resources.model import to_python
from exporter.storage.repositories.maintenances import StoredWindow


@click.group(cls=Group)
def maintenance() -> None:
    """Adds, lists and ends maintenance windows.

    During a window, its monitors send no alerts, and the time does not count against them.

    These commands work on the database directly; a running service applies changes within a second. Give the
    --config.file or --storage.url that the service uses.
    """


@maintenance.command()
@click.argument("name")
@click.option("--for", "duration", metavar="DURATION", help="Duration of the window.")
@click.option("--from", "starts_at", metavar="TIME", help='Start, such as "2026-12-06 02:00". Default: now.')
@click.option("--until", "ends_at", metavar="TIME", help="End, instead of --for.")
@click.option("--rrule", metavar="RULE", help="Recurrence rule (RFC 5545), such as FREQ=WEEKLY;BYDAY=SU.")
@click.option(
    "--timezone", metavar="NAME", default="UTC", help="Timezone of --from, --until and --rrule. Default: UTC."
)
@click.option("--monitor", "monitors", multiple=True, metavar="GLOB", help="Select monitors by tag. Repeatable.")
@click.option("--group", "groups", multiple=True, metavar="GLOB", help="Select monitors by group. Repeatable.")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=GLOB", help="Select monitors by label. Repeatable; all must match."
)
@click.option("--all", "everything", is_flag=True, help="Select every monitor.")
@click.option("--description", metavar="REASON", help="Reason, shown with the window.")
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
    """Adds the maintenance window NAME, once or recurring.

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
            raise InvalidValue("select monitors with --monitor, --group and --label, or give --all")
        if (options["duration"] is None) == (options["ends_at"] is None):
            raise InvalidValue("give either --for or --until")
        values = {key: value for key, value in options.items() if value is not None}
        values.setdefault("starts_at", _now(values["timezone"]))
        window = MaintenanceEntry.read(
            {"name": name, "monitors": list(monitors), "groups": list(groups), "labels": key_values(labels), **values}
        )
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        repositories(database).maintenances.add(window)
    click.echo(f"Added {name}: {_when(window, SystemClock().now())}.")


@maintenance.command("list")
@click.option("--all", "everything", is_flag=True, help="Include windows that have ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def list_maintenances(config_file: Path | None, storage_url: str | None, everything: bool, as_json: bool) -> None:
    """Lists current and future maintenance windows."""
    with open_storage(config_file, storage_url) as (_, database):
        windows = repositories(database).maintenances.all()
    now = SystemClock().now()
    shown = [kept for kept in windows if everything or not kept.over(now)]
    if as_json:
        click.echo(json.dumps([_as_json(kept, now) for kept in shown], indent=2))
        return
    if not shown:
        click.echo("No maintenance windows. To add one: heartbeat-exporter maintenance add upgrade --for 2h --all")
        return
    width = max(len(kept.window.name) for kept in shown)
    for kept in shown:
        origin = " (configuration file)" if kept.provisioned else ""
        click.echo(f"{kept.window.name:<{width}}  {_when(kept.window, now)}; {_selected(kept.window)}{origin}")


@maintenance.command()
@click.argument("name")
@storage_options
def end(name: str, config_file: Path | None, storage_url: str | None) -> None:
    """Ends the maintenance window NAME.

    The window ends at once. A recurring window does not start again.
    """
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        repositories(database).maintenances.end(name)
    click.echo(f"Ended {name}.")


def _now(timezone: str) -> str:
    check_timezone(timezone)
    return datetime.fromtimestamp(SystemClock().now() / SECOND, ZoneInfo(timezone)).isoformat(timespec="milliseconds")


def _when(window: Window, now: int) -> str:
    over = window.over_at()
    if window.trouble is not None:
        return f"never starts, because its rule is invalid: {window.trouble}"
    if over is not None and over <= now:
        return f"ended {exact(over, window.timezone)}"
    running = window.running(now)
    if running is not None:
        return f"active for another {humanize_duration(running.end - now)}, until {exact(running.end, window.timezone)}"
    begins = window.next_start(now)
    if begins is None:
        return "never starts again"
    lasts = format_duration(window.duration)
    return f"starts in {humanize_duration(begins - now)}, {exact(begins, window.timezone)}, for {lasts}"


def _selected(window: Window) -> str:
    selector = window.selector
    parts = [f"tags {', '.join(selector.tags)}"] if selector.tags else []
    parts += [f"groups {', '.join(selector.groups)}"] if selector.groups else []
    parts += [f"{key}={glob}" for key, glob in selector.labels]
    return " and ".join(parts) or "every monitor"


def _as_json(kept: StoredWindow, now: int) -> dict[str, object]:
    over = kept.window.over_at()
    return {
        **to_python(MaintenanceAnswer.of(kept.window, now)),
        "provisioned": kept.provisioned,
        "over_at": rfc3339(over) if over is not None else None,
    }
