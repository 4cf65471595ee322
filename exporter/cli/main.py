"""The command line, in the conventions of Prometheus' exporters."""

import logging
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter import __version__
from exporter.app.loader import Loader
from exporter.cli._options import Group, report_errors, storage_options
from exporter.core.errors import ConfigError, InvalidValue, Problem

if TYPE_CHECKING:
    from exporter.config.settings import Settings

log = logging.getLogger(__name__)
GROUPS = {
    "monitor": "exporter.cli.monitors",
    "status": "exporter.cli.status",
    "ping-key": "exporter.cli.credentials.ping_keys",
    "suggest": "exporter.cli.suggest",
    "import": "exporter.cli.importing",
    "run": "exporter.cli.run",
    "maintenance": "exporter.cli.maintenance",
    "incident": "exporter.cli.alerts.incidents",
    "notify": "exporter.cli.alerts.notifiers",
    "notification": "exporter.cli.alerts.notifications",
    "assets": "exporter.cli.assets",
    "backup": "exporter.cli.database",
    "migrate": "exporter.cli.database",
    "doctor": "exporter.cli.doctor",
}
"""Modules that are imported when their command runs: the service needs none of them, which saves memory."""


class Main(Group):
    """Also has the commands of GROUPS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(GROUPS[cmd_name]), f"{name}_" if iskeyword(name) else name)
        return command


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="heartbeat-exporter")
def main() -> None:
    """Heartbeat monitor for Prometheus: jobs call a URL, Prometheus learns whether they ran.

    \b
    Start here:
      heartbeat-exporter serve                          create the database, accept heartbeats, serve metrics
      heartbeat-exporter monitor add nightly-backup     in another terminal: add a monitor, print its curl command
      curl -fsS -m 10 --retry 5 --retry-connrefused http://127.0.0.1:10105/ext/heartbeat/TAG:SECRET

    The service serves its documentation at /docs/; `heartbeat-exporter assets export DIR` writes it to files.
    """


@main.command()
@storage_options
@click.option(
    "--storage.spool",
    "storage_spool",
    metavar="DIRECTORY",
    help="Directory that stores heartbeats while the database is unavailable. Default: none.",
)
@click.option(
    "--web.listen-address",
    "listen_address",
    metavar="HOST:PORT",
    help="Address to listen on; :PORT is every address. Default: 127.0.0.1:10105.",
)
@click.option("--web.telemetry-path", "telemetry_path", metavar="PATH", help="Path of the metrics. Default: /metrics.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    metavar="N",
    help="Number of worker processes; more than 1 requires PostgreSQL. Default: 1.",
)
@click.option("--web.external-url", "external_url", metavar="URL", help="URL at which users reach the service.")
@click.option(
    "--log.level",
    "log_level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    metavar="LEVEL",
    help="Lowest level to log: debug, info, warning or error. Default: info.",
)
@click.option(
    "--log.format",
    "log_format",
    type=click.Choice(["text", "json"]),
    metavar="FORMAT",
    help="Format of the log on standard error: text or json. Default: text.",
)
def serve(config_file: Path | None, workers: int, **options: str | None) -> None:
    """Runs the service.

    The service accepts heartbeats, evaluates monitors, and serves metrics and pages. Options override the configuration
    file. SIGHUP or POST /-/reload reloads the file. SIGTERM or Ctrl-C stops the service after it has answered the
    requests in flight.

    \b
    Examples:
      heartbeat-exporter serve
      heartbeat-exporter serve --config.file heartbeats.yml
      heartbeat-exporter serve --web.listen-address :8080    # listen on every address
    """

    loader = Loader(config_file, options, workers)
    with report_errors():
        prepared = loader.prepare(
            lambda text: click.echo(text, err=True), meanwhile=lambda: import_module("exporter.server.gunicorn")
        )

    # What only the workers use is imported in the workers: the supervisor stays small.
    from exporter.app.log_setup import set_up_logging
    from exporter.server.gunicorn import Server

    set_up_logging(prepared.log_level, prepared.log_format)
    if prepared.migrated:
        log.info("database migrated: %s", ", ".join(prepared.migrated))

    def make_app(life: Any) -> Any:
        from exporter.app.worker import make_service

        service = make_service(prepared, loader, workers, life)
        return service.app(), service.telemetry

    with report_errors():
        Server(prepared.listen_address, prepared.trusted_proxies, prepared.keepalive, make_app, workers).run()


@main.command("check-config")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--schema", is_flag=True, help="Print the JSON Schema of configuration files instead, for editors.")
def check_config(file: Path | None, schema: bool) -> None:
    """Checks a configuration file and prints every problem in it.

    The exit status is 1 if there is a problem.

    \b
    Examples:
      heartbeat-exporter check-config heartbeats.yml
      heartbeat-exporter check-config --schema > heartbeats.schema.json
    """
    if schema:
        import json

        from exporter.config.schema import json_schema
        from exporter.notify.notifiers import OptionModels

        click.echo(json.dumps(json_schema(OptionModels()), indent=2))
        return
    if file is None:
        raise click.UsageError("give the FILE to check, or --schema")
    from exporter.cli._console import read_config

    shown = click.format_filename(file)
    try:
        loaded = read_config(file)
        _check_engine(file, loaded.settings)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        click.echo(f"{shown}: {_counted(len(error.problems), 'problem')}", err=True)
        sys.exit(1)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    settings = loaded.settings
    counts = [_counted(len(settings.monitors), "monitor")]
    counts += [
        _counted(len(some), what)
        for some, what in ((settings.alerts, "alert rule"), (settings.notifiers, "notifier"))
        if some
    ]
    click.echo(f"{shown}: valid, {', '.join(counts)}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _check_engine(file: Path, settings: "Settings") -> None:
    """Raises ConfigError when the storage knows no engine for the database's URL."""
    from exporter.storage.engines import open_engine

    try:
        open_engine(settings.storage.url)
    except InvalidValue as error:
        raise ConfigError([Problem(str(error), file=str(file))]) from None
