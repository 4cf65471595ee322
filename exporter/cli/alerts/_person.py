"""The user at the command line: the person, not the account that sudo switched to."""

import getpass
import os
import pwd
from collections.abc import Callable, Iterator, Mapping

NAMELESS = "the command line"
"""The name of a user without a name, as in many containers."""


def person(
    environ: Mapping[str, str] = os.environ,
    login: Callable[[], str] = os.getlogin,
    user: Callable[[], str] = getpass.getuser,
) -> str:
    """Returns the name of the user who ran the command.

    The documents recommend `sudo -u heartbeat`, so the account itself does not identify the user. `login` raises
    OSError without a terminal.
    """
    names = [name for name in _callers(environ) if name]
    for name in names:
        if name != "root":  # from a root shell, the terminal knows the user
            return name
    for ask in (login, user):
        try:
            name = ask()
        except (OSError, KeyError, ImportError):
            continue
        if name and not (names and ask is user):
            return name
    return names[0] if names else NAMELESS


def _callers(environ: Mapping[str, str]) -> Iterator[str]:
    """Yields the user names that sudo, doas and pkexec pass on in the environment."""
    yield environ.get("SUDO_USER", "").strip()
    yield environ.get("DOAS_USER", "").strip()
    number = environ.get("PKEXEC_UID", "")
    if number.isdecimal():
        try:
            yield pwd.getpwuid(int(number)).pw_name
        except (KeyError, OverflowError):
            return
