"""Keeps peewee from importing every driver that it finds: psycopg takes six megabytes of every process. Where it is
needed, the engine imports it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_drivers() -> Iterator[None]:
    """What is imported inside finds no drivers, except those that are imported already."""
    hidden = [name for name in ("psycopg", "psycopg2") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
