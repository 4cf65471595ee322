"""The engines that there are, by the scheme of a storage URL. One is imported when a URL asks for it."""

from importlib import import_module
from urllib.parse import urlsplit

from exporter.core.errors import InvalidValue
from exporter.storage.engine import Engine

_ENGINES = {
    "sqlite": "exporter.storage.sqlite:SqliteEngine",
    "postgresql": "exporter.storage.postgresql:PostgresqlEngine",
}
_DRIVERS = {"psycopg": "postgres"}
"""Packages that an engine needs, and the extra that installs them."""


def open_engine(url: str) -> Engine:
    """The engine for `url`, unconnected. Raises InvalidValue, which quotes nothing of the URL but its scheme."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise InvalidValue("storage.url: this is no URL") from None
    found = _ENGINES.get(scheme)
    if found is None:
        known = ", ".join(f"{name}://" for name in sorted(_ENGINES))
        raise InvalidValue(f"storage.url: {scheme or 'no'} engine: this version knows {known}")
    module, _, name = found.partition(":")
    try:
        opener = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        extra = _DRIVERS.get(error.name or "")
        if extra is None:
            raise
        install = f"pip install 'heartbeat-exporter[{extra}]'"
        raise InvalidValue(f"storage.url: {scheme}:// needs {error.name}: {install}") from None
    engine: Engine = opener(url)
    return engine
