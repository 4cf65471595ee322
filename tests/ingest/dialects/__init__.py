"""One module for each dialect: the requests that it is tried out with. `test_dialects.py` runs the contract on all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

from exporter.ingest.dialect import Dialect
from tests.support.ingest import Asked


@dataclass(frozen=True)
class Entry:
    """What the contract needs to know of a dialect. `{secret}` and `{token}` stand for those of the monitor `job`."""

    dialect: Dialect
    good: Sequence[Asked]
    """Requests that are one heartbeat of `job` each: one for every place in which credentials can be."""
    wrong: Sequence[Asked] = ()
    """More requests with wrong credentials, besides the good ones with another secret."""
    denied: int = 404
    """Status of the answer to wrong credentials."""
    body: Asked | None = None
    """A request whose body is kept as output, if there is any."""
    methods: Sequence[str] = ("PUT", "DELETE", "PATCH", "OPTIONS", "STRANGE")
    """Methods that none of the good requests may be sent with."""
    refused: Sequence[tuple[Asked, int]] = field(default_factory=tuple)
    """Requests with right credentials that the dialect refuses, with the status."""
    varying: bytes = b"$^"
    """A regular expression for what differs from answer to answer, such as the id of a request."""


def entries() -> list[Entry]:
    """Those of all modules here, in the order of names."""
    found = sorted(module.name for module in iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").ENTRY for name in found]
