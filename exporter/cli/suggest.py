"""`heartbeat-exporter suggest`: proposes schedules and thresholds from the heartbeats that are kept."""

from pathlib import Path

import click

from exporter.cli._console import open_storage, report_errors, repositories, storage_options
from exporter.core.exclusions import Calendar
from exporter.core.monitor import check_tag
from exporter.core.suggestion.suggestion import MAX_HEARTBEATS
from exporter.core.suggestion.suggestion import suggest as suggest_settings
from exporter.fleet.loader import load
from exporter.presentation.suggestion import suggestion_yaml


@click.command()
@click.argument("tag", required=False)
@storage_options
def suggest(tag: str | None, config_file: Path | None, storage_url: str | None) -> None:
    """Proposes a schedule and thresholds for TAG or all monitors.

    Reads the kept heartbeats, of which at least ten with a result are needed, and prints YAML for the configuration
    file, with the evidence as comments. If runs report their starts, it also proposes a max_runtime. Nothing is
    applied.

    \b
    Examples:
      heartbeat-exporter suggest nightly-backup
      heartbeat-exporter suggest > suggestions.yml
    """
    if tag is not None:
        with report_errors():
            check_tag(tag)
    with open_storage(config_file, storage_url) as (settings, database):
        parts = repositories(database)
        ids = None if tag is None else [parts.monitors.find(tag)]
        members = sorted(load(database, ids, histories=False), key=lambda member: member.monitor.tag)
        windows = tuple(kept.window for kept in parts.maintenances.all())
        calendar = Calendar(
            parts.blackouts.all(),
            windows,
            settings.after_outage == "forgive",
            parts.blackouts.skipped(),
            parts.blackouts.unreachable(),
        )
        zones = tuple(dict.fromkeys(member.monitor.timezone for member in members))
        proposed = 0
        for member in members:
            beats = parts.history.results(member.id, 2 * MAX_HEARTBEATS)
            suggestion = suggest_settings(member.monitor, beats, zones, calendar.of(member.monitor))
            if suggestion.proposes and not proposed:
                click.echo("monitors:")
            proposed += suggestion.proposes
            click.echo(suggestion_yaml(suggestion), nl=False)
    click.echo(f"{proposed} of {len(members)} monitors have a suggestion. Nothing was changed.", err=True)
