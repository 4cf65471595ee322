"""Shared parts of the commands: options, the database, and error messages."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from pydantic import ValidationError

from exporter.app.repositories import Repositories
from exporter.cli._options import CONFIG_HELP, STORAGE_HELP, Group, report_errors, storage_options
from exporter.config.load import Loaded, load_config
from exporter.config.model import details, message_of
from exporter.config.models import WebSection
from exporter.config.settings import Settings
from exporter.config.storage_url import canonical
from exporter.core.clock import SystemClock
from exporter.core.errors import InvalidValue, NotFound, StorageUnavailable
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.storage.database import Database
from exporter.storage.schema import pending

__all__ = [
    "CONFIG_HELP",
    "STORAGE_HELP",
    "Group",
    "report_errors",
    "storage_options",
]
_WEB = ("listen_address", "telemetry_path", "external_url")
MAX_ID = 2**63 - 1
"""Largest id of a row in any database."""


def read_config(path: Path | None) -> Loaded:
    """Loads the configuration with the installed notifiers, of which only those in the file are imported.

    Raises ConfigError.
    """
    if path is None:
        return load_config(None, os.environ)
    from exporter.notify.notifiers import OptionModels

    return load_config(path, os.environ, OptionModels(), dialect_names)


def dialect_names() -> list[str]:
    from exporter.ingest.dialects import all_dialects

    return [dialect.name for dialect in all_dialects()]


def with_cli_overrides(settings: Settings, **options: str | None) -> Settings:
    """Returns `settings` with the options of the command line. Raises InvalidValue, which names the option."""
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
    """Prints on standard error that no service evaluates, so the statuses shown are out of date."""
    if since is None:
        return
    if since == 0:
        click.echo("No service has ever evaluated this database: each status is the initial one.", err=True)
        return
    click.echo(
        f"No service has evaluated this database for {humanize_duration(now - since)}: "
        f"the statuses shown are those of {rfc3339(since)}. "
        "Is the service running? Run `heartbeat-exporter doctor` to check.",
        err=True,
    )


def absence(since: int | None) -> str | None:
    """Returns `not_evaluated_since` of JSON output."""
    return None if since is None else rfc3339(since)


def key_values(texts: tuple[str, ...]) -> dict[str, str]:
    """Parses the `KEY=VALUE` of a repeatable --label. Raises BadParameter."""
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
def open_storage(
    config_file: Path | None, storage_url: str | None, *, writes: bool = False
) -> Iterator[tuple[Settings, Database]]:
    """Yields the settings and their database, for commands that work on it directly. Reports errors.

    The database must exist and have this version's schema. Only the service and `migrate` create one: otherwise a
    command in the wrong folder would work on a new database that no service reads. A command that `writes` prints the
    name of the database at its end, on standard error.
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
    """Raises NotFound, with the path and what to do, when the database's file does not exist."""
    file = database.engine.file
    if file is None:
        return
    try:
        file.stat()
    except FileNotFoundError:
        check_place(database, config_file)
        raise NotFound(
            f"there is no database {database.engine.name}: start the service, which creates it "
            "(heartbeat-exporter serve), or give the --config.file or --storage.url of the service"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageUnavailable(f"{database.engine.name}: {reason}: run this command as the service's user") from None


def check_place(database: Database, config_file: Path | None) -> None:
    """Raises NotFound when a database to be created already exists in the working directory.

    Earlier versions resolved a relative path in a configuration file against the working directory.
    """
    file = database.engine.file
    if file is None or config_file is None or not file.is_absolute() or file.exists():
        return
    folder = config_file.parent.absolute()
    other = (Path.cwd() / file.relative_to(folder)).absolute() if file.is_relative_to(folder) else file
    if other != file and other.is_file():
        raise NotFound(
            f"there is no database {file}, but there is {other}: a relative path in a configuration file is relative "
            f"to the folder of that file. Write `url: sqlite:///{other}`, or move the database"
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
            f"{engine.name} is not a database of Heartbeat Exporter: start the service, which creates its tables, or "
            "run `heartbeat-exporter migrate`, or give the --config.file or --storage.url of the service"
        )
    if missing:
        raise StorageUnavailable(
            f"{engine.name} has the schema of an older version (pending migrations: {', '.join(missing)}): restart the "
            "service with this version, or run `heartbeat-exporter migrate`"
        )
