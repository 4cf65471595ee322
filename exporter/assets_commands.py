"""`heartbeat-exporter assets …`: the rules, dashboards and examples that the package brings along, as files."""

import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

import click

from exporter.console import Group

PACKAGES = ("dashboards", "alertmanager")
"""Below `exporter`; each becomes a folder of this name."""
RUNBOOKS = "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/runbooks"
"""What every runbook_url begins with."""
_CODE = (".py", ".pyc")


@click.group(cls=Group)
def assets() -> None:
    """Writes the rules and dashboards of this version.

    They are for Prometheus, Alertmanager and Grafana.
    """


@assets.command()
@click.argument("dir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--runbooks.url", "runbooks", metavar="URL", help="Where alerts link to, in place of our repository.")
@click.option("--force", is_flag=True, help="Overwrite files that differ.")
def export(dir: Path, runbooks: str | None, force: bool) -> None:
    """Writes all of them into the folder DIR.

    Files of yours stay: if one of those to be written is there and differs, nothing is written, unless with --force.

    \b
    Examples:
      heartbeat-exporter assets export assets
      heartbeat-exporter assets export assets --force
      heartbeat-exporter assets export ours --runbooks.url https://wiki.example.org/runbooks
    """
    try:
        _export(dir, runbooks, force)
    except OSError as error:
        click.echo(f"Error: {error.filename}: {(error.strerror or str(error)).lower()}", err=True)
        sys.exit(1)


def _export(folder: Path, runbooks: str | None, force: bool) -> None:
    wanted = {folder / path: content for path, content in shipped(runbooks).items()}
    new = {path: content for path, content in wanted.items() if not path.exists() or path.read_bytes() != content}
    in_the_way = [path for path in new if path.exists()]
    if in_the_way and not force:
        for path in in_the_way:
            click.echo(f"{click.format_filename(path)} is there and differs", err=True)
        click.echo("Error: nothing was written; --force overwrites, or choose another folder", err=True)
        sys.exit(1)
    for path, content in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        click.echo(click.format_filename(path))
    same = len(wanted) - len(new)
    click.echo(f"{len(new)} written{f', {same} as they were' if same else ''}.")


def shipped(runbooks: str | None = None) -> Mapping[PurePosixPath, bytes]:
    """Every file there is, by its path in the export; links to runbooks begin with `runbooks` if it is given."""
    found: dict[PurePosixPath, bytes] = {}
    for package in PACKAGES:
        try:
            root = files(f"exporter.{package}")
        except ModuleNotFoundError:
            continue
        for path, file in _files(root, PurePosixPath(package)):
            content = file.read_bytes()
            if runbooks is not None:
                content = content.replace(RUNBOOKS.encode(), runbooks.rstrip("/").encode())
            found[path] = content
    return found


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, at / entry.name)
        elif not entry.name.endswith(_CODE):
            yield at / entry.name, entry
