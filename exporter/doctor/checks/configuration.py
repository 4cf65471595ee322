"""The configuration: whether it can be used, and who else may read or reach what it protects."""

import os
import stat
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from exporter.config.document import read_document
from exporter.config.settings import Secret, Settings
from exporter.config.substitution import substitute_environment
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, ok, problem, warning

_SHORTEST = 4
"""Characters: what is shorter is found in any text."""


def configuration(patient: DoctorContext) -> Iterator[Finding]:
    """It can be read and has no problem."""
    if patient.settings is None:
        for found in patient.problems:
            yield problem(found, "Correct it, and check it with `heartbeat-exporter check-config FILE`.")
        return
    for found in patient.warnings:
        yield warning(found, "Ignore this if it is intended.")
    if patient.config_file is None:
        yield ok("no configuration file: the defaults apply")
        return
    monitors, notifiers = len(patient.settings.monitors), len(patient.settings.notifiers)
    yield ok(f"{patient.config_file}: {counted(monitors, 'monitor')}, {counted(notifiers, 'notifier')}")


def permissions(patient: DoctorContext) -> Iterator[Finding]:
    """Nobody else on this machine can read a secret."""
    looked = [*_secret_files(patient), *_database_files(patient)]
    exposed = [file for file in looked if _readable_by_all(file)]
    for file in exposed:
        yield warning(f"{file} contains secrets or their digests, and every user of this machine can read it", _CHMOD)
    spool = patient.configured.storage.spool
    if spool is not None and _writable_by_all(Path(spool)):
        exposed.append(Path(spool))
        yield warning(
            f"every user of this machine can write to the spool {spool}, so the service does not use it",
            "Make the service's user its owner, with mode 0700 (chmod 700).",
        )
    if not exposed:
        yield ok(f"{counted(len(looked), 'file')} with secrets, none readable by every user")


_CHMOD = "Run chmod o= FILE, and set UMask=0077 in the service's unit."


def access(patient: DoctorContext) -> Iterator[Finding]:
    """Who can reach pages and API needs a token."""
    web = patient.configured.web
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
    """Every secret that the settings hold."""
    password = urlsplit(settings.storage.url).password
    found = {secret.reveal() for secret in _secrets_in(settings)} | (
        {password, unquote(password)} if password else set()
    )
    return frozenset(secret for secret in found if len(secret) >= _SHORTEST)


def _secrets_in(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for inner in value.__dict__.values():
            yield from _secrets_in(inner)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _secrets_in(getattr(value, one.name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner)


def _secret_files(patient: DoctorContext) -> Iterator[Path]:
    """The configuration file and those that it names, as far as a secret of the settings stands in them."""
    file = patient.config_file
    if file is None:
        return
    secrets = secrets_of(patient.configured)
    document = read_document(file)
    substitute_environment(document, os.environ)
    named = (file.parent / name for name in _named_files(document.values))
    for one in dict.fromkeys((file, *named)):
        try:
            text = one.read_text(errors="replace")
        except OSError:
            continue
        if any(secret in text for secret in secrets):
            yield one


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


def _database_files(patient: DoctorContext) -> Iterator[Path]:
    file = patient.database.engine.file
    if file is not None:
        yield from (one for one in (file, Path(f"{file}-wal"), Path(f"{file}-shm")) if one.exists())


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
