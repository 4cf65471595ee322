"""`heartbeat-exporter monitor rotate-secret` and `monitor token`: what opens one monitor."""

import uuid
from pathlib import Path
from urllib.parse import quote

import click

from exporter.cli._console import open_storage, report_errors, storage_options
from exporter.config.files import PIPE_PATIENCE
from exporter.config.settings import Settings
from exporter.config.strength import MIN_LENGTH
from exporter.config.substitution import secret_in
from exporter.core.clock import SystemClock
from exporter.core.credentials import BuiltInTokens
from exporter.core.errors import InvalidValue, NotFound
from exporter.core.monitor import check_tag
from exporter.core.secret import check_secret, digest, make_secret
from exporter.fleet.loader import load
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import MonitorCredentials
from exporter.storage.repositories.keys import secret_key
from exporter.storage.repositories.monitors import Monitors


@click.command("rotate-secret")
@click.argument("tag")
@click.option("--keep-old", is_flag=True, help="Accept the old secret too, until the next rotation.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Use the secret in this file instead of a new one.",
)
@storage_options
def rotate_secret(
    tag: str, keep_old: bool, secret_file: Path | None, config_file: Path | None, storage_url: str | None
) -> None:
    """Gives the monitor TAG a new secret and a new built-in token.

    The old ones are refused from now on; with --keep-old the old secret is accepted until the next rotation. The secret
    of a monitor in the configuration file is changed there, so only its built-in token is replaced.

    \b
    Examples:
      heartbeat-exporter monitor rotate-secret nightly-backup
      heartbeat-exporter monitor rotate-secret nightly-backup --keep-old
    """
    with report_errors():
        check_tag(tag)
        secret = secret_from(secret_file) if secret_file is not None else make_secret()
    with open_storage(config_file, storage_url, writes=True) as (settings, database):
        credentials = MonitorCredentials(database, SystemClock())
        provisioned = credentials.is_provisioned(tag)
        if provisioned and (secret_file is not None or keep_old):
            raise InvalidValue(f"the secret of {tag!r} is in the configuration file: change it there and reload")
        credentials.rotate(tag, None if provisioned else digest(secret, key_of(settings, database)), keep_old)
    if provisioned:
        click.echo(f"{tag} has a new built-in token. Its secret is in the configuration file: change it there.")
        return
    url = f"{settings.web.url}/ext/heartbeat/{tag}:{quote(secret, safe='')}"
    click.echo(f"{tag} has a new secret and a new built-in token. Its heartbeat, shown this once:\n")
    click.echo(f"  curl -fsS -m 10 --retry 5 --retry-connrefused {url}")


@click.command()
@click.argument("tag")
@storage_options
def token(tag: str, config_file: Path | None, storage_url: str | None) -> None:
    """Prints the built-in token of the monitor TAG.

    The token identifies the monitor without its tag, for ping protocols whose URLs contain one opaque text. It is not
    stored: it is derived from the secret key, the monitor and its number of rotations.
    """
    with report_errors():
        check_tag(tag)
    with open_storage(config_file, storage_url) as (settings, database):
        if not settings.built_in_tokens:
            raise InvalidValue("built_in_tokens is off in the configuration")
        number = Monitors(database, SystemClock(), uuid.uuid4().hex[:12]).find(tag)
        members = load(database, [number], histories=False)
        if not members:
            raise NotFound(f"there is no monitor {tag!r}")
        click.echo(BuiltInTokens(key_of(settings, database)).of(number, members[0].generation))


def key_of(settings: Settings, database: Database) -> bytes:
    """The key that secrets are digested with."""
    return secret_key(database, settings.secret_key.reveal() if settings.secret_key is not None else None)


def secret_from(file: Path, option: str = "--secret-file") -> str:
    """The secret in a file; warns of one that is short, and raises InvalidValue for one that cannot be."""
    secret, trouble = secret_in(file, pipe_patience=PIPE_PATIENCE)
    if trouble is not None:
        raise InvalidValue(f"{option}: {click.format_filename(file)}: {trouble}")
    if len(secret) < MIN_LENGTH:
        click.echo(
            f"Warning: the secret has fewer than {MIN_LENGTH} characters and can be guessed; generate one with "
            "`openssl rand -hex 24`",
            err=True,
        )
    return check_secret(secret)
