"""`heartbeat-exporter import …`: takes over the monitors of other systems."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.cli._console import Group, open_storage, report_errors, repositories, storage_options
from exporter.cli.credentials.secrets import key_of
from exporter.core.calendar.schedule import check_timezone
from exporter.core.clock import SystemClock
from exporter.core.errors import InvalidValue
from exporter.core.secret import make_secret
from exporter.importing import healthchecks as healthchecks_importer
from exporter.importing import kener as kener_importer
from exporter.importing import uptime_kuma as uptime_kuma_importer
from exporter.importing.applying import apply
from exporter.importing.crontab import RUNNER, CrontabOptions, from_crontab, machine_timezone
from exporter.importing.document import document_of
from exporter.importing.sources import fetch, read, read_key
from exporter.importing.tables import ForeignTables
from exporter.importing.takeover import ImportFailed, Takeover, one_line, variables
from exporter.notify.notifiers import OptionModels

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Source = click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
_API = "/api/v4/monitors"
_CHECKS = "/api/v3/checks/"


@click.group(name="import", cls=Group)
def import_() -> None:
    """Takes over the monitors of other systems.

    Each command reads the other system, changes nothing there, and prints YAML for the configuration file: save it and
    name it under `include`. With --apply, monitors and ping keys go into the database instead, and only the rest is
    printed. Secrets, tokens and UUIDs stay, so that senders need only another host name. What cannot be taken over is
    listed on standard error. An import can be repeated.
    """


def _apply_options(command: _Command) -> _Command:
    flag = click.option("--apply", "applies", is_flag=True, help="Write monitors and ping keys into the database.")
    return storage_options(flag(command))


@import_.command()
@_Source
@click.option("--url", metavar="URL", help="Read the API of this Kener instead of a file.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the API key, for --url.",
)
@_apply_options
def kener(source: Path | None, url: str | None, key_file: Path | None, **options: Any) -> None:
    """Takes over Kener 4's heartbeat monitors.

    SOURCE is Kener's SQLite database, or a plain dump of its PostgreSQL database. It has the monitors with their
    thresholds and secrets, the alert configurations, the triggers and the maintenances; the API has the monitors only.

    \b
    Examples:
      heartbeat-exporter import kener kener.sqlite.db > imported.yml
      heartbeat-exporter import kener --url https://kener.example.org --key-file key
    """
    with report_errors():
        content = _content(source, url, key_file, _API, ("Authorization", "Bearer "))
        takeover = Takeover(OptionModels())
        if _is_tables(content):
            kener_importer.from_database(content, takeover)
        else:
            kener_importer.from_api(content, takeover)
    _finish(takeover, "Kener", options)


@import_.command()
@_Source
@click.option("--url", metavar="URL", help="Read the API of this Healthchecks instead of a file.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the read-write API key of a project, for --url.",
)
@_apply_options
def healthchecks(source: Path | None, url: str | None, key_file: Path | None, **options: Any) -> None:
    """Takes over Healthchecks' checks.

    SOURCE is its SQLite database, a plain dump of its PostgreSQL database, what `manage.py dumpdata` printed, or what
    its API answered. The databases also have the ping keys and the integrations.

    \b
    Examples:
      heartbeat-exporter import healthchecks hc.sqlite > imported.yml
      heartbeat-exporter import healthchecks --url https://healthchecks.example.org --key-file key
    """
    with report_errors():
        content = _content(source, url, key_file, _CHECKS, ("X-Api-Key", ""))
        takeover = Takeover(OptionModels())
        if _is_tables(content):
            healthchecks_importer.from_database(content, takeover)
        else:
            healthchecks_importer.from_api(content, takeover)
    _finish(takeover, "Healthchecks", options)


@import_.command("uptime-kuma")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_apply_options
def uptime_kuma(source: Path, **options: Any) -> None:
    """Takes over Uptime Kuma's push monitors.

    SOURCE is kuma.db, the SQLite database of Uptime Kuma 2 in its data folder. It has the tokens, intervals, retries
    and notifications.

    \b
    Example:
      heartbeat-exporter import uptime-kuma kuma.db > imported.yml
    """
    with report_errors():
        content = read(source)
        if not _is_tables(content):
            raise ImportFailed(f"{source}: is no SQLite database")
        takeover = Takeover(OptionModels())
        uptime_kuma_importer.from_database(content, takeover)
    _finish(takeover, "Uptime Kuma", options)


@import_.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rewritten", metavar="FILE", type=click.Path(path_type=Path), help="Write the wrapped crontab here.")
@click.option(
    "--run-config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("/etc/heartbeat/run.env"),
    show_default=True,
    help="File with the URL and the ping key for heartbeat-run; made if it does not exist.",
)
@click.option("--url", metavar="URL", help="URL of the exporter, for a new --run-config file.")
@click.option("--runner", metavar="FILE", default=RUNNER, show_default=True, help="Path of heartbeat-run on the host.")
@click.option("--system", is_flag=True, help="Lines name a user, as in /etc/crontab and /etc/cron.d.")
@click.option("--timezone", metavar="NAME", help="Timezone of the schedules. Default: that of this machine.")
@click.option("--prefix", default="", metavar="PREFIX", help="Beginning of every tag, such as the host's name.")
@click.option("--key-name", metavar="NAME", help="Name of the ping key. Default: crontab and the host's name.")
@_apply_options
def crontab(
    source: Path,
    rewritten: Path | None,
    run_config: Path,
    url: str | None,
    runner: str,
    system: bool,
    timezone: str | None,
    prefix: str,
    key_name: str | None,
    **options: Any,
) -> None:
    """Makes a monitor of each line of a crontab.

    SOURCE is a crontab, such as `crontab -l` prints. The tag is the command's name. All lines share one ping key, in
    the file that heartbeat-run reads on the host. --rewritten has the same crontab with heartbeat-run before each
    command: look through it, then install it with `crontab FILE`.

    \b
    Example:
      crontab -l > crontab.txt
      heartbeat-exporter import crontab crontab.txt --url https://heartbeats.example.org \\
          --run-config run.env --rewritten crontab.new > imported.yml
    """
    with report_errors():
        try:
            text = source.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise ImportFailed(f"{source}: cannot be read ({error.strerror})") from None
        if "\0" in text:
            raise ImportFailed(f"{source}: is no crontab")
        takeover = Takeover(OptionModels())
        settings = CrontabOptions(
            key=_run_key(run_config, url),
            key_name=key_name or f"crontab {one_line(socket.gethostname())}",
            timezone=check_timezone(timezone) if timezone else machine_timezone(),
            config=str(run_config.absolute()),
            runner=runner,
            prefix=prefix,
            system=system,
        )
        wrapped = from_crontab(text, settings, takeover)
        if rewritten is not None:
            _write(rewritten, wrapped, 0o600)
            click.echo(f"Wrote {rewritten}: look through it, then install it with `crontab {rewritten}`.", err=True)
    _finish(takeover, "a crontab", options)


def _content(
    source: Path | None, url: str | None, key_file: Path | None, path: str, header: tuple[str, str]
) -> Any | ForeignTables:
    if (source is None) == (url is None):
        raise InvalidValue("give either a file or --url")
    if source is not None:
        return read(source)
    if key_file is None or not str(url).startswith(("http://", "https://")):
        raise InvalidValue("--url needs an http or https URL, and --key-file")
    name, before = header
    return fetch(str(url).rstrip("/") + path, name, before + read_key(key_file))


def _is_tables(content: object) -> bool:
    return hasattr(content, "rows") and hasattr(content, "has")


def _run_key(path: Path, url: str | None) -> str:
    """The ping key in heartbeat-run's file, which is made, for its owner alone, if it does not exist."""
    with suppress(FileNotFoundError):
        lines = dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines() if "=" in line)
        key = lines.get("HEARTBEAT_SECRET", "").strip().strip("\"'")
        if not key:
            raise ImportFailed(f"{path}: has no line HEARTBEAT_SECRET=…")
        return key
    if url is None:
        raise InvalidValue(f"{path} does not exist: give --url to make it, the URL that jobs use for this exporter")
    key = make_secret()
    _write(path, f"HEARTBEAT_URL={url.rstrip('/')}\nHEARTBEAT_SECRET={key}\n", 0o600)
    click.echo(
        f"Made {path}, with a new ping key. Only its owner can read it: the user of the jobs must be able to.", err=True
    )
    return key


def _write(path: Path, text: str, mode: int) -> None:
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(text)
    except OSError as error:
        raise ImportFailed(f"{path}: cannot be written ({error.strerror})") from None


def _finish(takeover: Takeover, product: str, options: dict[str, Any]) -> None:
    """Prints or applies what was taken over, and what was not."""
    for remark in takeover.remarks:
        click.echo(remark, err=True)
    needed = sorted(variables(takeover.notifiers))
    if needed:
        click.echo(f"Set these in the exporter's environment: {', '.join(needed)}", err=True)
    applies = options.pop("applies")
    if not applies:
        click.echo(document_of(takeover, product), nl=False)
        click.echo(f"{_counts(takeover)}. Nothing was changed.", err=True)
        if takeover.ping_keys:
            click.echo("Put ping_keys into the main configuration file: an included file must not have them.", err=True)
        return
    with open_storage(**options, writes=True) as (settings, database):
        monitors, clock = repositories(database).monitors, SystemClock()
        applied = apply(takeover, database, monitors, clock, key_of(settings, database))
    if takeover.alerts or takeover.notifiers or takeover.maintenances:
        rest = Takeover(alerts=takeover.alerts, notifiers=takeover.notifiers, maintenances=takeover.maintenances)
        click.echo(document_of(rest, product), nl=False)
    click.echo(
        f"Monitors: {applied.added} added, {applied.changed} changed, {applied.unchanged} as they were. "
        f"Ping keys: {applied.keys} added or changed.",
        err=True,
    )


def _counts(takeover: Takeover) -> str:
    counts = (
        (len(takeover.monitors), "monitors"),
        (len(takeover.ping_keys), "ping keys"),
        (len(takeover.alerts), "alert rules"),
        (len(takeover.notifiers), "notifiers"),
        (len(takeover.maintenances), "maintenances"),
    )
    return ", ".join(f"{count} {name}" for count, name in counts)
