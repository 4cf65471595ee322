"""Copies a PostgreSQL database with PostgreSQL's own programs."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import make_conninfo

from exporter.core.errors import StorageUnavailable

_SECRET = ("password", "sslpassword")
_MAX_TEXT = 300
"""Characters of what a program said that are shown."""


def dump_postgresql(parameters: Mapping[str, str], target: Path) -> None:
    """One state of the whole database, into `target`, in the format of `pg_restore`; and reads it back.

    `parameters` are libpq's. The password goes to pg_dump by its environment: a command line is everybody's to read.
    Raises StorageUnavailable, which says what is missing or what the program said.
    """
    dump, restore = _program("pg_dump"), _program("pg_restore")
    if "sslpassword" in parameters:
        raise StorageUnavailable("backup: pg_dump cannot be given sslpassword in secret; use a key without one")
    address = make_conninfo(**{name: value for name, value in parameters.items() if name not in _SECRET})
    environment = dict(os.environ)
    if "password" in parameters:
        environment["PGPASSWORD"] = parameters["password"]
    command = [dump, "--format=custom", "--no-password", f"--file={target}", f"--dbname={address}"]
    _run(command, environment, parameters.get("password"))
    _run([restore, f"--file={os.devnull}", str(target)], environment, parameters.get("password"))


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise StorageUnavailable(
            f"backup: {name} is not installed: it comes with PostgreSQL's client (Debian: postgresql-client), in the "
            "server's version or a newer one"
        )
    return program


def _run(command: list[str], environment: Mapping[str, str], password: str | None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        output = " ".join(done.stderr.split())
        if password:
            output = output.replace(password, "<secret>")
        raise StorageUnavailable(f"backup: {output[:_MAX_TEXT] or f'{Path(command[0]).name} failed'}")
