"""`heartbeat-exporter status`: one word for scripts, in the manner of Nagios' plugins."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

import click

from exporter.cli._console import key_values, open_storage, storage_options
from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import SystemClock
from exporter.core.fleet import FleetMonitor
from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES
from exporter.fleet.loader import load
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.storage.attendance import Attendance

MOST_LISTED = 50
"""Monitors in trouble that get a line each."""


class PluginState(IntEnum):
    """Exit codes of Nagios' plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class PluginCommand(click.Command):
    """A command whose every failure is UNKNOWN: 1 and 2, which other commands exit with, are states."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        context: click.Context = _unknown(lambda: super(PluginCommand, self).make_context(*arguments, **options))
        return context

    def invoke(self, ctx: click.Context) -> Any:
        return _unknown(lambda: super(PluginCommand, self).invoke(ctx))


@click.command(cls=PluginCommand)
@click.argument("tags", metavar="[TAGS]", nargs=-1)
@click.option("--group", "groups", multiple=True, metavar="GLOB", help="Only monitors of this group. Repeatable.")
@click.option("--label", "labels", multiple=True, metavar="KEY=GLOB", help="Only monitors with this label. Repeatable.")
@storage_options
def status(
    tags: tuple[str, ...],
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    config_file: Path | None,
    storage_url: str | None,
) -> None:
    """Prints the worst status, for scripts and Nagios.

    TAGS are tags of monitors, or globs such as "backup-*"; default: all monitors. The first line has the state and
    the counts; each monitor in trouble has a line below, the worst first.

    Exit codes: 0 all is well, 1 a monitor is DEGRADED, 2 a monitor is DOWN, 3 unknown: there is no such monitor, the
    database cannot be read, or no service evaluates it.

    \b
    Examples:
      heartbeat-exporter status
      heartbeat-exporter status "backup-*" --group ops
    """
    selector = Selector(tags=tags, groups=groups, labels=tuple(sorted(key_values(labels).items())))
    with open_storage(config_file, storage_url) as (_, database):
        members = [member for member in load(database, histories=False) if selector.matches(member.monitor)]
        since = Attendance(database, SystemClock()).absent_since()
    now = SystemClock().now()
    if not members:
        _say(PluginState.UNKNOWN, "there is no such monitor")
    if since is not None:
        gone = (
            f"evaluated this database for {humanize_duration(now - since)}" if since else "ever evaluated this database"
        )
        _say(PluginState.UNKNOWN, f"no service has {gone}")
    counts = Counter(member.current.status for member in members)
    state = (
        PluginState.CRITICAL
        if counts[Status.DOWN]
        else PluginState.WARNING
        if counts[Status.DEGRADED]
        else PluginState.OK
    )
    order = list(STATUS_ATTRIBUTES)
    trouble = sorted(
        (member for member in members if STATUS_ATTRIBUTES[member.current.status].is_trouble),
        key=lambda member: (order.index(member.current.status), member.current.since, member.monitor.tag),
    )
    bad = ", ".join(
        f"{counts[status]} {status}" for status in order if counts[status] and STATUS_ATTRIBUTES[status].is_trouble
    )
    noun = "monitor" if len(members) == 1 else "monitors"
    data = " ".join(f"{status.lower()}={counts[status]}" for status in order)
    _say(state, f"{f'{bad} of' if bad else 'none in trouble of'} {len(members)} {noun} | {data}", trouble)


def _say(state: PluginState, text: str, trouble: Sequence[FleetMonitor] = ()) -> NoReturn:
    click.echo(f"HEARTBEATS {state.name}: {text}")
    for member in trouble[:MOST_LISTED]:
        current = member.current
        reason = current.reason.value.replace("_", " ")
        click.echo(f"{current.status} {member.monitor.tag}: {reason} since {rfc3339(current.since)}")
    if len(trouble) > MOST_LISTED:
        click.echo(f"and {len(trouble) - MOST_LISTED} more")
    raise SystemExit(state)


def _unknown(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except click.ClickException as error:
        _say(PluginState.UNKNOWN, error.format_message())
    except SystemExit as end:
        if isinstance(end.code, PluginState) or not end.code:
            raise
        _say(PluginState.UNKNOWN, "the database cannot be read; the reason is on standard error")
