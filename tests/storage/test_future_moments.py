"""Every moment that the database holds becomes right when a clock that was ahead is right again."""

from collections.abc import Iterator
from typing import Any

import pytest

from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.storage.database import Database
from exporter.storage.delivery.notifications import PENDING
from exporter.storage.future_moments import BECOME_NOW, HANDLED, FutureMoments
from exporter.storage.schema import migrate
from tests.conftest import START

BY = DAY
NOT_MOVED = {
    "stamps": {"at"},  # `Blackouts` moves it: that is how a clock that was ahead is found
    "heartbeats": {"claimed_at"},  # the sender's words, which identify the heartbeat
}
NO_MOMENTS = {
    "monitors": {"degraded_after", "down_after", "max_runtime", "revision", "generation", "every", "early"}
    | {"failure_tolerance", "min_runtime", "release_after"},
    "job_metrics": {"samples", "size", "revision"},
    "states": {"received", "failures", "starts", "last_exit_code", "last_duration", "consecutive_failures"}
    | {"outcome_duration"},
    "heartbeats": {"exit_code", "duration"},
    "runtimes": {"received", "runs", "median", "p95", "revision"},
    "spools": {"position", "committed"},
    "leases": {"token"},
    "stamps": {"blackout_total"},
    "clocks": {"ahead"},
    "maintenances": {"duration"},
    "alert_progress": {"gained", "evaluations"},
    "alerts": {"revision"},
    "notifications": {"attempts"},
    "ping_keys": {"max_monitors"},
    "schema_migrations": {"batch"},
    "ingest_suspicions": {"late", "sample"},
}
"""Counts, durations and the like."""
FLAGS = {"triggered", "sealed", "replaced", "provisioned", "paused", "paused_by_hand", "late", "settled"} | {
    "restarted",
    "released",
}
"""SQLite has no type for them."""
PLANS = {
    ("suppressions", "release_at"),
    ("states", "next_evaluation_at"),
    ("alert_progress", "next_at"),
    ("alerts", "next_repeat_at"),
    ("notifications", "next_attempt_at"),
    ("notifications", "expires_at"),
    ("notifier_holds", "until"),
    ("held_alerts", "until"),
    ("ingest_suspicions", "until"),
    ("maintenances", "starts_at"),
}
"""These may lie ahead of the clock, and then keep their distance from it."""


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database)
    yield database
    database.close()


def numbers(database: Database) -> dict[str, set[str]]:
    """The columns of each table that hold numbers, without those that name a row."""
    found: dict[str, set[str]] = {}
    with database.read("test"):
        for table in database.peewee.get_tables():
            for column in database.peewee.get_columns(table):
                is_number = column.data_type.lower() in ("bigint", "integer", "numeric", "real", "double precision")
                if is_number and column.name != "id" and not column.name.endswith("_id"):
                    found.setdefault(table, set()).add(column.name)
    return found


def test_every_column_with_a_moment_is_moved_or_it_is_said_why_not(database: Database) -> None:
    """A new column that holds a moment has a place in `BECOME_NOW`, or one in `HANDLED` and code that moves it."""
    for table, columns in numbers(database).items():
        known = set(HANDLED.get(table, ())) | NOT_MOVED.get(table, set()) | NO_MOMENTS.get(table, set())
        columns -= FLAGS
        assert columns == known & columns, f"{table}: {sorted(columns - known)}"
        assert set(HANDLED.get(table, ())) <= columns
    assert set(HANDLED) <= set(numbers(database))


def test_nothing_of_the_future_is_left_in_any_column(database: Database) -> None:
    """One row in each table, all of whose moments are a day and some minutes ahead."""
    now = START
    ahead = now + BY + 5 * MINUTE
    _insert(database, "monitors", {"created_at": ahead, "tag": "present"})
    for table, columns in HANDLED.items():
        _insert(database, table, dict.fromkeys(columns, ahead))
    future = FutureMoments(database)
    with database.write("test"):
        future.settle(BY, now)
    future.settle_log(now)
    for table, columns in HANDLED.items():
        for column in columns:
            moment = _values(database, table, column)[-1]
            if (table, column) in PLANS:
                assert moment <= now + 5 * MINUTE, (table, column)
            else:
                assert moment <= now, (table, column)
            if column in BECOME_NOW.get(table, ()):
                assert moment == now, (table, column)


def test_what_is_not_of_the_future_stays(database: Database) -> None:
    now = START
    for table, columns in HANDLED.items():
        _insert(database, table, dict.fromkeys(columns, now - MINUTE))
    future = FutureMoments(database)
    with database.write("test"):
        assert future.settle(BY, now) == 0
    assert future.settle_log(now) == 0
    for table, columns in HANDLED.items():
        for column in columns:
            assert _values(database, table, column) == [now - MINUTE], (table, column)


def test_what_lasts_keeps_its_length(database: Database) -> None:
    """A run, and an outage of the exporter while its clock was ahead."""
    now, ahead = START, START + BY
    _insert(database, "runs", {"started_at": ahead - 4 * MINUTE})
    _insert(database, "blackouts", {"started_at": ahead - 3 * MINUTE, "ended_at": ahead - MINUTE})
    _insert(database, "blackouts", {"started_at": now - HALF, "ended_at": ahead - MINUTE})
    with database.write("test"):
        FutureMoments(database).settle(BY, now)
    assert _values(database, "runs", "started_at") == [now - 4 * MINUTE]
    assert _values(database, "blackouts", "started_at") == [now - 3 * MINUTE, now - HALF]
    assert _values(database, "blackouts", "ended_at") == [now - MINUTE, now - MINUTE]


@pytest.mark.parametrize(
    ("by", "left"), [(60 * MINUTE, []), (30 * MINUTE, [(START, START + 30 * MINUTE)]), (90 * MINUTE, [])]
)
def test_time_that_a_clock_was_set_forward_over_and_back_was_lived(
    database: Database, by: int, left: list[tuple[int, int]]
) -> None:
    """Set forward by an hour, and back ten minutes later."""
    _insert(database, "blackouts", {"started_at": START, "ended_at": START + 60 * MINUTE, "kind": "clock"})
    old = {"started_at": START - DAY, "ended_at": START - DAY + MINUTE, "kind": "clock"}
    _insert(database, "blackouts", old)
    with database.write("test"):
        FutureMoments(database).settle(by, START + 70 * MINUTE - by)
    spans = list(
        zip(_values(database, "blackouts", "started_at"), _values(database, "blackouts", "ended_at"), strict=True)
    )
    assert spans == [*left, (old["started_at"], old["ended_at"])]


@pytest.mark.parametrize(("age", "moved"), [(0, True), (SECOND, True), (3 * 60 * MINUTE, False), (-MINUTE, False)])
def test_a_pause_that_began_when_it_was_made_has_begun(database: Database, age: int, moved: bool) -> None:
    made = START + BY - 10 * MINUTE
    _insert(database, "maintenances", {"created_at": made, "starts_at": made - age})
    with database.write("test"):
        FutureMoments(database).settle(BY, START)
    assert _values(database, "maintenances", "starts_at") == [made - age - (BY if moved else 0)]


HALF = 3 * MINUTE


def _insert(database: Database, table: str, moments: dict[str, Any]) -> None:
    """A row with these values, and anything else in its other columns."""
    row: dict[str, Any] = {}
    with database.read("test"):
        columns = database.peewee.get_columns(table)
    for column in columns:
        kind = column.data_type.lower()
        if column.name in moments:
            row[column.name] = moments[column.name]
        elif not column.null and not (column.primary_key and column.name == "id"):
            if "char" in kind or "text" in kind:
                row[column.name] = PENDING if column.name == "state" else f"{column.name}"[:10]
            elif "blob" in kind or "bytea" in kind:
                row[column.name] = b"d"
            elif "bool" in kind:
                row[column.name] = False
            else:
                row[column.name] = 1
    bound = getattr(database.tables, table)
    with database.write("test"):
        bound.insert(**{name: value for name, value in row.items() if name in bound._columns}).execute()


def _values(database: Database, table: str, column: str) -> list[Any]:
    """Of all rows, in the order in which they were inserted."""
    bound = getattr(database.tables, table)
    query = bound.select(getattr(bound, column))
    with database.read("test"):
        return [row[0] for row in (query.order_by(bound.id) if "id" in bound._columns else query).tuples()]
