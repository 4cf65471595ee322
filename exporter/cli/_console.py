"""What the commands share: options, the way to the database, and how an error is told to a person."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from exporter.app.repositories import Repositories
from exporter.cli._passwords import hide_password
from exporter.config.load import Loaded, load_config
from exporter.config.model import details, message_of
from exporter.config.models import WebSection
from exporter.config.settings import Settings
from exporter.config.storage_url import canonical
from exporter.core.clock import SystemClock
from exporter.core.errors import HeartbeatExporterError, InvalidValue, NotFound, StorageUnavailable
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.storage.database import Database
from exporter.storage.schema import pending

F = TypeVar("F", bound=Callable[..., Any])

_WEB = ("listen_address", "telemetry_path", "external_url")
CONFIG_HELP = "Configuration file (YAML). Without one, the defaults."
STORAGE_HELP = "Database: sqlite:///heartbeats.db, sqlite:////absolute/path.db or postgresql://user@host/database."
LARGEST_ID = 2**63 - 1
"""Of a row in any database."""


def storage_options(command: F) -> F:
    """What every command that opens the database takes."""
    command = click.option(
        "--storage.url", "storage_url", metavar="URL", help=STORAGE_HELP, callback=hide_password, is_eager=True
    )(command)
    return click.option(
        "--config.file", "config_file", type=click.Path(dir_okay=False, path_type=Path), help=CONFIG_HELP
    )(command)


def read_config(path: Path | None) -> Loaded:
    """As `load_config`, with the notifiers that there are. Only those that the file names are imported."""
    if path is None:
        return load_config(None, os.environ)
    from exporter.notify.notifiers import OptionModels

    return load_config(path, os.environ, OptionModels())


def with_cli_overrides(settings: Settings, **options: str | None) -> Settings:
    """`settings` with what the command line says instead; raises InvalidValue naming the option."""
    given = {name: value for name, value in options.items() if value is not None}
    web, log, storage = settings.web, settings.log, settings.storage
    try:
        checked = WebSection.model_validate({name: given[name] for name in _WEB if name in given})
    except ValidationError as error:
        detail = details(error)[0]
        option = str(detail["loc"][0]).replace("_", "-")
        raise InvalidValue(f"--web.{option}: {message_of(detail)}") from None
    try:
        storage_url = canonical(given["storage_url"]) if "storage_url" in given else storage.url
    except InvalidValue as error:
        raise InvalidValue(f"--storage.url: {error}") from None
    return replace(
        settings,
        web=replace(
            web,
            listen_address=checked.listen_address if "listen_address" in given else web.listen_address,
            telemetry_path=checked.telemetry_path if "telemetry_path" in given else web.telemetry_path,
            external_url=checked.external_url if "external_url" in given else web.external_url,
        ),
        log=replace(log, level=given.get("log_level", log.level), format=given.get("log_format", log.format)),
        storage=replace(storage, url=storage_url, spool=given.get("storage_spool") or storage.spool),
    )


def note_absence(since: int | None, now: int) -> None:
    """Tells a person, on standard error, that what is shown is not what is."""
    if since is None:
        return
    if since == 0:
        click.echo("No service has ever evaluated this database: statuses are those from the start.", err=True)
        return
    click.echo(
        f"Nothing has been evaluated for {humanize_duration(now - since)}, since {rfc3339(since)}: "
        "what is shown was true then. "
        "Is the service running? heartbeat-exporter doctor looks.",
        err=True,
    )


def absence(since: int | None) -> str | None:
    """The same for scripts: `not_evaluated_since`."""
    return None if since is None else rfc3339(since)


class Group(click.Group):
    """Keeps the commands in the order of use instead of the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def key_values(texts: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` of a --label that may be repeated."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--label")
        if key in pairs:
            raise click.BadParameter(f"{key!r} is given twice", param_hint="--label")
        pairs[key] = value
    return pairs


@contextmanager
def report_errors() -> Iterator[None]:
    """Turns our errors into one clear line and exit status 1."""
    try:
        yield
    except HeartbeatExporterError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


@contextmanager
def open_storage(
    config_file: Path | None, storage_url: str | None, *, writes: bool = False
) -> Iterator[tuple[Settings, Database]]:
    """The settings and their database; for commands that work on it directly. Tells errors plainly.

    The database has to be there, in this version's schema: only the service and `migrate` make one, or a command in
    the wrong folder would work on a new one that no service reads. A command that `writes` names the database at its
    end, on standard error.
    """
    with report_errors():
        settings = with_cli_overrides(read_config(config_file).settings, storage_url=storage_url)
        database = Database(settings.storage.url)
        try:
            check_there(database, config_file)
            _check_schema(database)
            yield settings, database
        finally:
            database.close()
        if writes:
            click.echo(f"Database: {database.engine.name}", err=True)


def repositories(database: Database) -> Repositories:
    """Those of a database that `open_storage` opened; in what they write, the process has a name of its own."""
    return Repositories(database, SystemClock(), uuid.uuid4().hex[:12])


def check_there(database: Database, config_file: Path | None = None) -> None:
    """Raises NotFound, with the path and what to do, when there is no file of that name."""
    file = database.engine.file
    if file is None:
        return
    try:
        file.stat()
    except FileNotFoundError:
        check_place(database, config_file)
        raise NotFound(
            f"there is no database {database.engine.name}: start the service first, which makes it "
            "(heartbeat-exporter serve), or name the service's database with its --config.file or --storage.url"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageUnavailable(f"{database.engine.name}: {reason}: run this as the service's user") from None


def check_place(database: Database, config_file: Path | None) -> None:
    """Before a database is made: raises NotFound when it is elsewhere.

    Earlier versions looked up the relative path of a configuration file in the working directory.
    """
    file = database.engine.file
    if file is None or config_file is None or not file.is_absolute() or file.exists():
        return
    folder = config_file.parent.absolute()
    other = (Path.cwd() / file.relative_to(folder)).absolute() if file.is_relative_to(folder) else file
    if other != file and other.is_file():
        raise NotFound(
            f"there is no database {file}, but {other} is there: a relative path in a configuration file belongs to "
            f"that file's folder. Write `url: sqlite:///{other}`, or move the database"
        )


def _check_schema(database: Database) -> None:
    engine = database.engine
    try:
        ours = engine.ours()
    except engine.errors as error:
        raise StorageUnavailable(f"{engine.name}: {engine.reason(error)}") from None
    missing = pending(database) if ours else ["0001_initial"]
    if "0001_initial" in missing:
        raise NotFound(
            f"{engine.name} is not a database of Heartbeat Exporter: start the service first, or run "
            "`heartbeat-exporter migrate`, or name the service's database"
        )
    if missing:
        raise StorageUnavailable(
            f"{engine.name} has an older version's schema ({', '.join(missing)} is to apply): restart the service "
            "with this version, or run `heartbeat-exporter migrate`"
        )
