"""Shared by all tests: a clock that moves only when told to, and a database of one's own."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from exporter.core.fleet import Fleet
from exporter.storage import database as storage_database
from exporter.storage.database import Database
from exporter.storage.schema import migrate

pytest_plugins = ["tests.support.replica"]

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("steady")

# A container's image may forbid it. A test that starts the program saves a third of the program's start by compiled
# modules, and each of the processes that run the tests half of its own.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

Fleet.checked = True  # a write to the fleet by a wrong thread is an error in every test
# On a busy machine a transaction takes longer than the second after which a database counts as having been away.
storage_database.AWAY = 60.0

LONGEST = [
    "live/test_documents",
    "live/test_spool",
    "live/test_alerting",
    "live/test_replicas",
    "live/test_clocks",
    "alerting/test_evaluator",
    "evaluation/test_clock_watch",
    "live/test_durability",
    "live/test_storage_trouble",
    "live/test_connections",
    "live/test_blackouts",
    "live/test_page",
    "live/test_upkeep",
    "live/test_order",
    "live/test_loading",
    "live/test_rules",
    "recording/test_order",
    "live/test_examples",
    "live/test_image",
    "storm/test_storm_postgresql",
    "storm/test_storm_sqlite",
    "fuzz/test_operations",
    "notify/test_notifiers",
    "notify/test_templates",
    "doctor/test_doctor",
    "live/test_first_second",
    "live/test_secrets",
    "live/test_demo",
    "live/test_dashboards",
    "live/test_credentials",
    "live/test_packaging",
    "live/test_reload",
    "live/test_incidents",
    "live/test_maintenance",
    "live/test_alertmanager",
    "storm/test_storm_clocks",
    "recording/test_spool",
    "recording/test_recorder",
    "evaluation/test_outages",
    "alertmanager/test_rules",
    "app/test_loader",
    "storage/test_postgresql",
    "storage/test_pgbouncer",
    "fuzz/test_connection",
    "fuzz/test_dialects",
]
"""Files that take longest, the longest first. Each is run by one process, so all others would wait for one that begins
late."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, and all others as they come."""
    missing = [name for name in LONGEST if not (Path(__file__).parent / f"{name}.py").exists()]
    assert not missing, f"LONGEST names files that have moved: {missing}"
    order = {f"tests/{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.location[0], len(order)))


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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Makes a SQLite file in this version's schema, and returns its URL; migrated once, for that costs 30 ms of CPU."""
    template = tmp_path_factory.mktemp("template") / "migrated.db"
    made(f"sqlite:///{template}")

    def copy(path: Path) -> str:
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    return copy


@pytest.fixture
def database(tmp_path: Path, migrated_file: Callable[[Path], str]) -> Iterator[Database]:
    database = Database(migrated_file(tmp_path / "test.db"))
    yield database
    database.close()


def made(url: str) -> str:
    """`url`, whose database is there and in this version's schema, as a service leaves it."""
    database = Database(url)
    migrate(database)
    database.close()
    return url
