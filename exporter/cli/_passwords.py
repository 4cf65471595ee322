"""Passwords on the command line, which every user of the machine can read (`ps`): overwritten, and warned of.

They can be read until they are overwritten, and stay in the shell's history; so there is a warning too.
"""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path

import click

_USER_INFO = re.compile(r"://[^/:@?]*:(.+)@")
_PARAMETER = re.compile(r"[?&](?:ssl)?password=([^&#]+)")
_ARG_START, _ARG_END = 45, 46
"""Where a process' arguments begin and end in its memory: fields of /proc/self/stat behind the name."""
_COVER = ord("x")


def hide_password(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback for an option whose URL may hold a password."""
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
    """As they are written in `url`."""
    return [match[1] for pattern in (_USER_INFO, _PARAMETER) for match in pattern.finditer(url)]


def cover(secrets: Sequence[str]) -> bool:
    """Overwrites `secrets` in this process' arguments, as `ps` shows them; whether that could be done (Linux)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        shown = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
    # Only memory that is what the kernel shows: else the fields mean something else here.
    if not shown or start <= 0 or end - start != len(shown) or ctypes.string_at(start, len(shown)) != shown:
        return False
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogateescape")
        at = shown.find(raw)
        while at >= 0:
            ctypes.memset(start + at, _COVER, len(raw))
            at = shown.find(raw, at + len(raw))
    return True
