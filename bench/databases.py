"""Databases with as many monitors as it takes, written through the program's own storage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.processes import SECRET
from exporter.core.clock import SystemClock
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.storage.database import Database
from exporter.storage.repositories.keys import secret_key
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.schema import migrate


def tag_of(number: int) -> str:
    return f"job{number:06}"


@dataclass(frozen=True)
class Store:
    """An engine to measure on."""

    name: str
    make: Callable[[str], str]
    """The URL of a new, empty database."""
    bars: bool
    """Whether the bars for heartbeats and memory are meant for it."""


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    database = Database(url)
    with database.read("bench"):
        found = list(database.peewee.execute_sql(statement).fetchall())
    database.close()
    return found


def fill(url: str, monitors: int, deadlines: int = 0, apart: float = 20) -> None:
    """`monitors` that are UP since now; the last `deadlines` of them are late within seconds, one after the other."""
    database = Database(url)
    migrate(database)
    secret = digest(SECRET, secret_key(database, None))
    wanted = [
        (
            Monitor(
                tag=tag_of(number),
                name=f"Job number {number}",
                group=f"group{number % 20}",
                degraded_after=_until_late(number - (monitors - deadlines), apart),
                down_after=24 * 3_600_000,
            ),
            secret,
        )
        for number in range(monitors)
    ]
    Monitors(database, SystemClock(), "bench").provision(wanted)
    now = SystemClock().now()
    with database.write("fill"):
        definitions, states = database.tables.monitors, database.tables.states
        definitions.update(**{"provisioned": False}).execute()  # nobody's file, so no start takes them away
        up = {
            "status": "UP",
            "reason": "on_time",
            "status_since": now,
            "received": 1,
            "last_outcome": "success",
            "last_received_at": now,
            "last_success_at": now,
            "last_exit_code": 0,
            "last_duration": 1234,
            "last_start_at": now,
            "next_evaluation_at": now,
        }
        states.update(**up).execute()
    if database.locks_rows:  # as its autovacuum would have done long before there were so many
        with database.read("fill"):
            database.peewee.execute_sql("SET statement_timeout = 0")
            database.peewee.execute_sql("VACUUM (ANALYZE)")
    database.close()


def _until_late(number: int, apart: float) -> int:
    """The n-th of those with deadlines is late 15 s after it was filled, and `apart` milliseconds after the one before
    it.
    """
    return int(15_000 + apart * number) if number >= 0 else 12 * 3_600_000
