"""Databases with as many monitors as it takes, written through the program's own storage."""

from pathlib import Path

from bench.processes import SECRET
from exporter.core.clock import SystemClock
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.storage.database import Database
from exporter.storage.keys import secret_key
from exporter.storage.monitors import Monitors
from exporter.storage.schema import migrate


def tag_of(number: int) -> str:
    return f"job{number:06}"


def fill(path: Path, monitors: int, deadlines: int = 0) -> None:
    """`monitors` that are UP since now; the last `deadlines` of them are late within seconds, one after the other."""
    database = Database(f"sqlite:///{path}")
    migrate(database)
    secret = digest(SECRET, secret_key(database, None))
    wanted = [
        (
            Monitor(
                tag=tag_of(number),
                name=f"Job number {number}",
                group=f"group{number % 20}",
                degraded_after=_until_late(number - (monitors - deadlines)),
                down_after=24 * 3_600_000,
            ),
            secret,
        )
        for number in range(monitors)
    ]
    Monitors(database, SystemClock(), "bench").provision(wanted)
    now = SystemClock().now()
    with database.write("fill"):
        sql = database.peewee.execute_sql
        sql("UPDATE monitors SET provisioned = 0")  # nobody's file, so no start takes them away
        sql(
            "UPDATE states SET status = 'UP', reason = 'on_time', status_since = ?, received = 1, "
            "last_outcome = 'success', "
            "last_received_at = ?, last_success_at = ?, last_exit_code = 0, last_duration = 1234, last_start_at = ?, "
            "next_evaluation_at = ?",
            (now, now, now, now, now),
        )
    database.close()


def _until_late(number: int) -> int:
    """The n-th of those with deadlines is late 15 s after it was filled, and 20 ms after the one before it."""
    return 15_000 + 20 * number if number >= 0 else 12 * 3_600_000
