"""Options, groups and the printing of errors, which all commands share; importing it costs no memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.cli._passwords import hide_password
from exporter.core.errors import HeartbeatExporterError

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_HELP = "Configuration file (YAML). Without one, the defaults apply."
STORAGE_HELP = "Database URL: sqlite:///heartbeats.db, sqlite:////absolute/path.db or postgresql://user@host/database."


def storage_options(command: F) -> F:
    """Adds the options of every command that opens the database."""
    command = click.option(
        "--storage.url", "storage_url", metavar="URL", help=STORAGE_HELP, callback=hide_password, is_eager=True
    )(command)
    return click.option(
        "--config.file", "config_file", type=click.Path(dir_okay=False, path_type=Path), help=CONFIG_HELP
    )(command)


class Group(click.Group):
    """Lists the commands in the order of use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@contextmanager
def report_errors() -> Iterator[None]:
    """Prints an error as one line and exits with status 1."""
    try:
        yield
    except HeartbeatExporterError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
