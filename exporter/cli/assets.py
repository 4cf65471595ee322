"""`heartbeat-exporter assets …`: writes the rules, dashboards and documents of the package to files."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

import click
from pydantic import TypeAdapter, ValidationError

from exporter.cli._console import CONFIG_HELP, Group, read_config, report_errors, with_cli_overrides
from exporter.config.fields import Url
from exporter.config.model import details, message_of
from exporter.core.errors import InvalidValue

PACKAGES = ("dashboards", "alertmanager", "docs")
"""Packages below `exporter`; each becomes a folder of the same name."""
_CODE = (".py", ".pyc")
_RULES = (".yml", ".yaml")
_RUNBOOK = re.compile(rb"# runbook_url: /docs/runbooks/(\w+)$", re.MULTILINE)
"""The comment in a rule that the address of its runbook replaces: the package does not know any address."""


@dataclass(frozen=True, slots=True)
class Runbooks:
    """The addresses of runbooks: `prefix`, the name of the alert, `suffix`."""

    prefix: str
    suffix: str = ""

    @classmethod
    def of_service(cls, external_url: str) -> "Runbooks":
        return cls(f"{external_url}/docs/runbooks/")

    @classmethod
    def of_copy(cls, url: str) -> "Runbooks":
        """Returns the addresses of a copy of the exported files. Raises InvalidValue."""
        try:
            return cls(f"{TypeAdapter(Url).validate_python(url)}/", ".md")
        except ValidationError as error:
            raise InvalidValue(f"--runbooks.url: {message_of(details(error)[0])}") from None

    def written(self, rules: bytes) -> bytes:
        """Returns `rules` with the address of each runbook in place of its comment."""
        return _RUNBOOK.sub(lambda match: f"runbook_url: {self.prefix}{match[1].decode()}{self.suffix}".encode(), rules)


@click.group(cls=Group)
def assets() -> None:
    """Writes the rules, dashboards and documents of this version.

    The rules and dashboards are for Prometheus, Alertmanager and Grafana.
    """


@assets.command()
@click.argument("dir", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--web.external-url",
    "external_url",
    metavar="URL",
    help="URL at which users reach the service: alerts link to its runbooks. Default: web.external_url.",
)
@click.option(
    "--runbooks.url", "copy", metavar="URL", help="URL of a copy of docs/runbooks: alerts link to that copy instead."
)
@click.option("--config.file", "config_file", type=click.Path(dir_okay=False, path_type=Path), help=CONFIG_HELP)
@click.option("--force", is_flag=True, help="Overwrite existing files that differ.")
def export(dir: Path, external_url: str | None, copy: str | None, config_file: Path | None, force: bool) -> None:
    """Writes the rules, dashboards and documents to the folder DIR.

    If one of the files exists and differs, nothing is written, unless --force is given. Without a URL, alerts have no
    links to their runbooks.

    \b
    Examples:
      heartbeat-exporter assets export assets --web.external-url https://heartbeats.example.org
      heartbeat-exporter assets export assets --force
      heartbeat-exporter assets export copy --runbooks.url https://wiki.example.org/runbooks
    """
    if copy is not None and external_url is not None:
        raise click.UsageError(
            "give --web.external-url or --runbooks.url, not both: an alert has one link to a runbook"
        )
    with report_errors():
        runbooks = _runbooks(external_url, copy, config_file)
    try:
        _export(dir, runbooks, force)
    except OSError as error:
        click.echo(f"Error: {error.filename}: {(error.strerror or str(error)).lower()}", err=True)
        sys.exit(1)
    if runbooks is None:
        click.echo("The alerts have no links to their runbooks: give --web.external-url URL to add them.", err=True)


def _runbooks(external_url: str | None, copy: str | None, config_file: Path | None) -> Runbooks | None:
    """Raises InvalidValue and ConfigError."""
    settings = with_cli_overrides(read_config(config_file).settings, external_url=external_url)
    if copy is not None:
        return Runbooks.of_copy(copy)
    url = settings.web.external_url
    return Runbooks.of_service(url) if url is not None else None


def _export(folder: Path, runbooks: Runbooks | None, force: bool) -> None:
    contents = {folder / path: content for path, content in shipped(runbooks).items()}
    new = {path: content for path, content in contents.items() if not path.exists() or path.read_bytes() != content}
    in_the_way = [path for path in new if path.exists()]
    if in_the_way and not force:
        for path in in_the_way:
            click.echo(f"{click.format_filename(path)} exists and differs", err=True)
        click.echo("Error: nothing was written: use --force to overwrite, or choose another folder", err=True)
        sys.exit(1)
    for path, content in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        click.echo(click.format_filename(path))
    same = len(contents) - len(new)
    click.echo(f"{len(new)} written{f', {same} unchanged' if same else ''}.")


def shipped(runbooks: Runbooks | None = None) -> Mapping[PurePosixPath, bytes]:
    """Returns every file of the package by its path in the export; rules link to `runbooks` if it is given."""
    contents: dict[PurePosixPath, bytes] = {}
    for package in PACKAGES:
        try:
            root = files(f"exporter.{package}")
        except ModuleNotFoundError:
            continue
        for path, file in _files(root, PurePosixPath(package)):
            content = file.read_bytes()
            contents[path] = runbooks.written(content) if runbooks is not None and path.suffix in _RULES else content
    return contents


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, at / entry.name)
        elif not entry.name.endswith(_CODE):
            yield at / entry.name, entry
