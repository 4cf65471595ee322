"""The engines that there are, by the scheme of a storage URL. One is imported when a URL asks for it."""

from importlib import import_module

from exporter.config.storage_url import canonical
from exporter.core.errors import InvalidValue
from exporter.storage.engines.engine import Engine

_ENGINES = {
    "sqlite": "exporter.storage.engines.sqlite:SqliteEngine",
    "postgresql": "exporter.storage.engines.postgresql:PostgresqlEngine",
}
_DRIVERS = {"psycopg": "postgres"}
"""Packages that an engine needs, and the extra that installs them."""


def open_engine(url: str) -> Engine:
    """The engine for `url`, unconnected. Raises InvalidValue, which quotes nothing of the URL but its scheme."""
    try:
        url = canonical(url)
    except InvalidValue as error:
        raise InvalidValue(f"storage.url: {error}") from None
    scheme = url.partition(":")[0]
    target = _ENGINES[scheme]
    module, _, name = target.partition(":")
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
