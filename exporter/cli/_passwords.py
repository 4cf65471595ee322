"""Passwords on the command line, which every user of the machine can read (`ps`).

The program overwrites them. It also prints a warning: they can be read until then, and stay in the shell's history.
"""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path

import click

_USER_INFO = re.compile(r"://[^/:@?]*:(.+)@")
_PARAMETER = re.compile(r"[?&](?:ssl)?password=([^&#]+)")
_ARG_START, _ARG_END = 45, 46
"""Fields of /proc/self/stat, counted after the name: where the arguments begin and end in memory."""
_COVER = ord("x")


def hide_password(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Overwrites the password in an option's URL and prints a warning; a click callback."""
    passwords = passwords_in(value or "")
    if passwords:
        cover(passwords)
        click.echo(
            f"Warning: {parameter.opts[0]} contains a password, which other users of this machine could read in the "
            "list of processes (ps). Put the URL in the configuration file (storage.url as ${NAME}, or url_file), or "
            "set PGPASSFILE or PGPASSWORD.",
            err=True,
        )
    return value


def passwords_in(url: str) -> list[str]:
    """Returns the passwords in `url`, as they are written there."""
    return [match[1] for pattern in (_USER_INFO, _PARAMETER) for match in pattern.finditer(url)]


def cover(secrets: Sequence[str]) -> bool:
    """Overwrites `secrets` in this process's arguments, as `ps` shows them. Returns whether it could (Linux only)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        shown = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
    # Overwrite only memory that equals what the kernel shows: otherwise the fields have another meaning here.
    if not shown or start <= 0 or end - start != len(shown) or ctypes.string_at(start, len(shown)) != shown:
        return False
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogateescape")
        at = shown.find(raw)
        while at >= 0:
            ctypes.memset(start + at, _COVER, len(raw))
            at = shown.find(raw, at + len(raw))
    return True
