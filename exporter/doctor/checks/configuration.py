"""Checks of the configuration: its validity, and access to what it protects."""

import os
import stat
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from exporter.config.include import Includes
from exporter.config.settings import Secret, Settings
from exporter.config.sources import Sources
from exporter.config.substitution import substitute_environment
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, ok, problem, warning

_MIN_LENGTH = 4
"""Characters. A shorter text occurs in any file by chance."""


def configuration(context: DoctorContext) -> Iterator[Finding]:
    """The configuration file can be read and has no problem."""
    if context.settings is None:
        for text in context.problems:
            yield problem(text, "Correct it, and check it with `heartbeat-exporter check-config FILE`.")
        return
    for text in context.warnings:
        yield warning(text, "Ignore this if it is intended.")
    if context.config_file is None:
        yield ok("no configuration file: the defaults apply")
        return
    monitors, notifiers = len(context.settings.monitors), len(context.settings.notifiers)
    yield ok(f"{context.config_file}: {counted(monitors, 'monitor')}, {counted(notifiers, 'notifier')}")


def permissions(context: DoctorContext) -> Iterator[Finding]:
    """No other user of this machine can read a secret."""
    files = [*_secret_files(context), *_database_files(context)]
    exposed = [file for file in files if _readable_by_all(file)]
    for file in exposed:
        yield warning(f"{file} contains secrets or their digests, and every user of this machine can read it", _CHMOD)
    spool = context.configured.storage.spool
    if spool is not None and _writable_by_all(Path(spool)):
        exposed.append(Path(spool))
        yield warning(
            f"every user of this machine can write to the spool {spool}, so the service does not use it",
            "Make the service's user its owner, with mode 0700 (chmod 700).",
        )
    if not exposed:
        yield ok(f"{counted(len(files), 'file')} with secrets, none readable by every user")


_CHMOD = "Run chmod o= FILE, and set UMask=0077 in the service's unit."


def access(context: DoctorContext) -> Iterator[Finding]:
    """Clients on other machines need a token for pages and API."""
    web = context.configured.web
    host = web.listen_address.rpartition(":")[0].strip("[]")
    if host == "localhost" or (host and _is_loopback(host)):
        yield ok(f"listens on {web.listen_address}: only this machine can connect")
    elif web.auth.token is None:
        yield warning(
            f"listens on {web.listen_address} without a token: every client that can connect can read the pages, "
            "jobs' output and the API",
            "Set web.auth.token, or listen on 127.0.0.1 behind a proxy that requires a password.",
        )
    else:
        yield ok(f"listens on {web.listen_address}, with a token")


def secrets_of(settings: Settings) -> frozenset[str]:
    """Returns every secret in the settings that has at least `_MIN_LENGTH` characters."""
    password = urlsplit(settings.storage.url).password
    secrets = {secret.reveal() for secret in _secrets_in(settings)} | (
        {password, unquote(password)} if password else set()
    )
    return frozenset(secret for secret in secrets if len(secret) >= _MIN_LENGTH)


def _secrets_in(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for inner in value.__dict__.values():
            yield from _secrets_in(inner)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _secrets_in(getattr(value, field.name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner)


def _secret_files(context: DoctorContext) -> Iterator[Path]:
    """Yields the configuration's files and the files that they name, if they contain a secret of the settings."""
    file = context.config_file
    if file is None:
        return
    secrets = secrets_of(context.configured)
    includes = Includes(Sources(), lambda document: substitute_environment(document, os.environ), excerpt=False)
    includes.read(file)
    ours = [Path(document.file) for document in includes.documents]
    named = [
        Path(document.file).parent / name for document in includes.documents for name in _named_files(document.values)
    ]
    for path in dict.fromkeys((*ours, *named)):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if any(secret in text for secret in secrets):
            yield path


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).endswith("_file") and isinstance(inner, str):
                yield inner
            else:
                yield from _named_files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named_files(inner)


def _database_files(context: DoctorContext) -> Iterator[Path]:
    file = context.database.engine.file
    if file is not None:
        yield from (path for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")) if path.exists())


def _writable_by_all(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _readable_by_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
