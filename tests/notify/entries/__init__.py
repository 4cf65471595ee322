"""How the contract tests point each type of notifier at a receiver of their own: `<type>.py` here holds its ENTRY."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tests.support.receivers import Behaviour, Received, answer


def _idempotency_key(request: Received) -> str:
    return request.headers["idempotency-key"]


def _nothing(request: Received) -> None:
    pass


@dataclass(frozen=True)
class Entry:
    options: Callable[[str], dict[str, Any]]
    """All options but name and type, for a service at this URL (`http://127.0.0.1:1234`, or another host)."""
    secrets: tuple[str, ...]
    """Texts in those options that nobody may ever see."""
    check: Callable[[Received], None] = _nothing
    """Asserts that the service would take the request: its form, its limits."""
    accepted: Behaviour = field(default_factory=answer)
    """What the service answers when all is well."""
    key: Callable[[Received], Any] = _idempotency_key
    """What of a request is the same whenever the same message is sent, and differs between messages."""
    not_by_http: str = ""
    """Why the cases that are about HTTP are none for it; it then has tests of its own that do the same."""


def entry(type: str) -> Entry:
    found: Entry = import_module(f"tests.notify.entries.{type}").ENTRY
    return found
