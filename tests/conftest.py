"""Shared by all tests: a clock that moves only when told to, and a database of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from exporter.core.fleet import Fleet
from exporter.storage.database import Database
from exporter.storage.schema import migrate

pytest_plugins = ["tests.support.replica"]

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("steady")

Fleet.checked = True  # a write to the fleet by a wrong thread is an error in every test

START = 1_790_000_000_000
"""Where test clocks begin: 2026-09-21 14:13:20 UTC."""


class ManualClock:
    """A clock for tests."""

    def __init__(self, now: int = START) -> None:
        self.wall = now
        self.steady = 5_000_000

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> int:
        return self.steady

    def advance(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.steady += milliseconds

    def step(self, milliseconds: int) -> None:
        """Somebody sets the wall clock."""
        self.wall += milliseconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    migrate(database)
    yield database
    database.close()


def made(url: str) -> str:
    """`url`, whose database is there and in this version's schema, as a service leaves it."""
    database = Database(url)
    migrate(database)
    database.close()
    return url
