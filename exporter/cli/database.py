"""`heartbeat-exporter backup` and `heartbeat-exporter migrate`."""

import signal
import sys
from pathlib import Path

import click

from exporter.cli._console import (
    check_place,
    check_there,
    read_config,
    report_errors,
    storage_options,
    with_cli_overrides,
)
from exporter.config.settings import Settings
from exporter.core.errors import HeartbeatExporterError
from exporter.storage import schema
from exporter.storage.backups import back_up
from exporter.storage.database import Database

_PENDING, _FAILED = 1, 2


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists, once the new copy is complete.")
@storage_options
def backup(file: Path, force: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Copies the database to FILE while the service runs.

    The copy contains every heartbeat that was acknowledged before the backup began. FILE appears only when the copy is
    complete and has been verified. Only its owner can read it: keep it as private as the database. For SQLite, FILE is
    a database; for PostgreSQL, it is an archive for pg_restore.

    \b
    Examples:
      heartbeat-exporter backup /backup/heartbeats.db --config.file heartbeats.yml
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped backup must leave no file behind
    with report_errors():
        database = Database(_settings(config_file, storage_url).storage.url)
        check_there(database, config_file)
        size = back_up(database.engine, file, replace=force)
    click.echo(f"{click.format_filename(file)}: {size / 1e6:.1f} MB, verified")


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with status 1 if a migration is pending.")
@storage_options
def migrate(check: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Migrates the database to the schema of this version.

    The service does this itself when it starts. With --check, the command prints the pending migrations. The exit
    status is then 0 if there are none, 1 if there are some, and 2 if the command cannot determine that.

    \b
    Examples:
      heartbeat-exporter migrate --config.file heartbeats.yml
    """
    if check:
        _check(config_file, storage_url)
    with report_errors():
        database = Database(_settings(config_file, storage_url).storage.url)
        check_place(database, config_file)
        try:
            done = schema.migrate(database)
        finally:
            database.close()
        click.echo(f"Database: {database.engine.name}", err=True)
    for name in done:
        click.echo(f"applied {name}")
    if not done:
        click.echo("The schema is up to date.")


def _check(config_file: Path | None, storage_url: str | None) -> None:
    try:
        database = Database(_settings(config_file, storage_url).storage.url)
        try:
            missing = schema.pending(database)
        finally:
            database.close()
    except HeartbeatExporterError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(_FAILED)
    for name in missing:
        click.echo(f"pending: {name}")
    if not missing:
        click.echo("The schema is up to date.")
    sys.exit(_PENDING if missing else 0)


def _settings(config_file: Path | None, storage_url: str | None) -> Settings:
    return with_cli_overrides(read_config(config_file).settings, storage_url=storage_url)
