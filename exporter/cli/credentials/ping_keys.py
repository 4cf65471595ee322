"""`heartbeat-exporter ping-key …`: keys that open many monitors. A running service sees a change within a second."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from exporter.cli._console import Group, key_values, open_storage, report_errors, storage_options
from exporter.cli.credentials.secrets import key_of, secret_from
from exporter.config.credential_models import PingKeyEntry
from exporter.config.model import details, message_of, path_of
from exporter.config.settings import ProvisionedKey
from exporter.core.clock import SystemClock
from exporter.core.credentials import MAX_MONITORS, PingKey, check_key
from exporter.core.errors import InvalidValue
from exporter.core.secret import digest, make_secret
from exporter.storage.repositories.credentials import PingKeys

_KEY_FILE = click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Use the key in this file instead of a new one.",
)


@click.group(cls=Group)
def ping_key() -> None:
    """Adds, lists, rotates and removes ping keys.

    A ping key is accepted instead of the secret of every monitor that it matches. With --create, the first heartbeat
    for an unknown monitor creates that monitor.
    """


@ping_key.command()
@click.argument("name")
@click.option("--monitors", multiple=True, metavar="GLOB", help="Globs of tags, repeatable. Default: all monitors.")
@click.option("--groups", multiple=True, metavar="GLOB", help="Globs of groups, repeatable. Default: all groups.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=GLOB",
    help="Label and glob of its value, repeatable; all of them must match.",
)
@click.option("--create", is_flag=True, help="Allow senders to create monitors.")
@click.option("--group", metavar="GROUP", help="Group of created monitors. Default: NAME.")
@click.option("--degraded-after", metavar="DURATION", help="Degraded threshold of created monitors. Default: 5m.")
@click.option("--down-after", metavar="DURATION", help="Down threshold of created monitors. Default: 10m.")
@click.option(
    "--max-monitors",
    type=click.IntRange(1, 100_000),
    default=MAX_MONITORS,
    metavar="N",
    help="Maximum number of monitors created with the key. Default: 1000.",
)
@_KEY_FILE
@storage_options
def add(
    name: str,
    monitors: tuple[str, ...],
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    create: bool,
    max_monitors: int,
    key_file: Path | None,
    config_file: Path | None,
    storage_url: str | None,
    **defaults: Any,
) -> None:
    """Adds the ping key NAME and prints it once. Only a digest is stored.

    \b
    Examples:
      heartbeat-exporter ping-key add backups --monitors "backup-*"
      heartbeat-exporter ping-key add ci --monitors "ci-*" --create --down-after 1d
    """
    given = {option: value for option, value in defaults.items() if value is not None}
    with report_errors():
        if given and not create:
            option = next(iter(given)).replace("_", "-")
            raise InvalidValue(f"--{option} is for monitors that are created: add --create")
        key = check_key(secret_from(key_file, "--key-file")) if key_file is not None else make_secret()
        selection = {"monitors": list(monitors), "groups": list(groups), "labels": key_values(labels)}
        values = {"name": name, "key": key, "monitors": selection, "max_monitors": max_monitors}
        entry = _read({**values, **({"create": given} if create else {})})
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        PingKeys(database, SystemClock()).add(
            PingKey(
                name=entry.name,
                digest=digest(key, key_of(settings, database)),
                selector=entry.selector,
                defaults=entry.defaults,
                max_monitors=entry.max_monitors,
            )
        )
    click.echo(f"Added the ping key {entry.name}, shown this once:\n\n  {key}\n")
    click.echo(f"  curl -fsS -m 10 --retry 5 --retry-connrefused {settings.web.url}/ext/heartbeat/TAG:{key}")


@ping_key.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def list_keys(config_file: Path | None, storage_url: str | None, as_json: bool) -> None:
    """Lists all ping keys, and how many monitors each has created. The keys are not shown: only digests are stored."""
    with open_storage(config_file, storage_url) as (_, database):
        keys = PingKeys(database, SystemClock())
        ping_keys, created = keys.all(), keys.created()
    if as_json:
        click.echo(json.dumps([_facts(key, created[key.name]) for key in ping_keys], indent=2))
        return
    if not ping_keys:
        click.echo("No ping keys yet. Add one: heartbeat-exporter ping-key add NAME")
        return
    width = max(len(key.name) for key in ping_keys)
    for key in ping_keys:
        origin = "file" if key.provisioned else "added"
        creates = f"created {created[key.name]} of {key.max_monitors}" if key.defaults is not None else "creates none"
        click.echo(f"{key.name:<{width}}  {origin:<5}  {creates:<20}  {_selection(key)}")


@ping_key.command()
@click.argument("name")
@_KEY_FILE
@storage_options
def rotate(name: str, key_file: Path | None, config_file: Path | None, storage_url: str | None) -> None:
    """Replaces the ping key NAME and prints the new key once. The old key is refused immediately."""
    with report_errors():
        key = check_key(secret_from(key_file, "--key-file")) if key_file is not None else make_secret()
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        PingKeys(database, SystemClock()).rotate(name, digest(key, key_of(settings, database)))
    click.echo(f"The new ping key {name}, shown this once:\n\n  {key}")


@ping_key.command()
@click.argument("name")
@storage_options
def remove(name: str, config_file: Path | None, storage_url: str | None) -> None:
    """Removes the ping key NAME. The monitors created with it stay."""
    with open_storage(config_file, storage_url, writes=True) as (_, database):
        PingKeys(database, SystemClock()).remove(name)
    click.echo(f"Removed the ping key {name}.")


def _read(values: dict[str, Any]) -> ProvisionedKey:
    """Raises InvalidValue with every problem, and without the key."""
    try:
        return PingKeyEntry.model_validate(values).settings()
    except ValidationError as error:
        raise InvalidValue("; ".join(f"{path_of(detail)}: {message_of(detail)}" for detail in details(error))) from None


def _facts(key: PingKey, created: int) -> dict[str, Any]:
    return {
        "name": key.name,
        "monitors": list(key.selector.tags),
        "groups": list(key.selector.groups),
        "labels": dict(key.selector.labels),
        "create": key.defaults,
        "max_monitors": key.max_monitors,
        "created": created,
        "provisioned": key.provisioned,
    }


def _selection(key: PingKey) -> str:
    selector = key.selector
    parts = [*selector.tags, *(f"group={glob}" for glob in selector.groups)]
    parts += [f"{name}={glob}" for name, glob in selector.labels]
    return " ".join(parts) or "all monitors"
