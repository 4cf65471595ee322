"""Who is at the command line: the person, and not the account that sudo has changed to."""

import getpass
import os
import pwd
from collections.abc import Callable, Iterator, Mapping

NAMELESS = "the command line"
"""A user without a name, as in many containers."""


def person(
    environ: Mapping[str, str] = os.environ,
    login: Callable[[], str] = os.getlogin,
    user: Callable[[], str] = getpass.getuser,
) -> str:
    """The name of who ran the command.

    Documents say `sudo -u heartbeat`, so the account itself says nothing. `login` raises OSError without a terminal.
    """
    names = [name for name in _behind(environ) if name]
    for name in names:
        if name != "root":  # else it was a root shell, and the terminal knows better who opened it
            return name
    for ask in (login, user):
        try:
            found = ask()
        except (OSError, KeyError, ImportError):
            continue
        if found and not (names and ask is user):
            return found
    return names[0] if names else NAMELESS


def _behind(environ: Mapping[str, str]) -> Iterator[str]:
    """What sudo, doas and pkexec leave of who called them."""
    yield environ.get("SUDO_USER", "").strip()
    yield environ.get("DOAS_USER", "").strip()
    number = environ.get("PKEXEC_UID", "")
    if number.isdecimal():
        try:
            yield pwd.getpwuid(int(number)).pw_name
        except (KeyError, OverflowError):
            return
