"""The name by which we greet a mail server. Many relays refuse a greeting without a name that could exist."""

import re
import socket
import threading
from functools import lru_cache

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?=[^.]*[A-Za-z]){_LABEL}")
_LITERAL = re.compile(r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]")
_NOWHERE = ("arpa", "home", "internal", "invalid", "lan", "local", "localdomain", "localhost", "test")
"""Last labels of names that no mail server can look up."""
LOOK_UP = 2.0
"""Seconds for looking up the machine's own name, once."""


def is_greeting(text: str) -> bool:
    """Whether it can stand after EHLO: a name with a dot in it, or an address in brackets."""
    return len(text) <= 255 and bool(_NAME.fullmatch(text) or _LITERAL.fullmatch(text))


def greeting(configured: str | None, sender_domain: str) -> str | None:
    """What is configured, else the machine's full name, else the sender's domain; None when none of them will do."""
    if configured is not None:
        return configured
    return next((name for name in (machine_name(), sender_domain) if name is not None and _is_known(name)), None)


def address_literal(address: str) -> str:
    """An IP address as it stands after EHLO."""
    plain = address.partition("%")[0]
    return f"[IPv6:{plain}]" if ":" in plain else f"[{plain}]"


@lru_cache(maxsize=1)
def machine_name() -> str | None:
    """This machine's full name, from its host name or, for a short one, from the resolver. Blocks for LOOK_UP seconds
    at most: mail must not wait for a resolver that is down.
    """
    name = socket.gethostname()
    if _is_known(name):
        return name
    names: list[str] = []
    thread = threading.Thread(target=_look_up, args=(name, names), name="machine name", daemon=True)
    thread.start()
    thread.join(LOOK_UP)
    return next((each for each in list(names) if _is_known(each)), None)


def _look_up(name: str, names: list[str]) -> None:
    try:
        names += [each[3] for each in socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)]
    except (OSError, UnicodeError):
        return


def _is_known(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name.rpartition(".")[2].lower() not in _NOWHERE
