"""A database of before gets the values that follow from the heartbeats that it holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.clock import HOUR, MINUTE, SECOND
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind
from exporter.fleet.loader import load
from exporter.recording.statements import Pending
from exporter.storage.schema import migrate, pending
from tests.conftest import ManualClock
from tests.support.replica import Replica

NAME = "0012_judgement"
COLUMNS = {
    "monitors": ("every", "early", "failure_tolerance", "min_runtime"),
    "states": ("consecutive_failures", "outcome_started_at", "outcome_duration"),
}


def set_back(replica: Replica) -> None:
    """Makes the database what it was before the migration."""
    with replica.db.write("test"):
        for table, columns in COLUMNS.items():
            for column in columns:
                replica.db.peewee.execute_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
        replica.db.peewee.execute_sql(f"DELETE FROM schema_migrations WHERE name = '{NAME}'")


def upgraded(replica: Replica) -> HeartbeatState:
    set_back(replica)
    assert pending(replica.db) == [NAME]
    assert migrate(replica.db) == [NAME]
    return load(replica.db)[0].state


def commit(replica: Replica, *beats: Heartbeat) -> None:
    job = replica.fleet.get("job")
    assert job is not None
    replica.recorder._commit([Pending(job, beat) for beat in beats])


def test_every_value_follows_from_the_log(replica: Replica, clock: ManualClock, request: pytest.FixtureRequest) -> None:
    replica.add("job")
    job = replica.fleet.get("job")
    assert job is not None
    moments = st.integers(1, 50)
    made = st.lists(
        st.tuples(st.sampled_from(Kind), moments, st.none() | st.none() | st.integers(1, 9)), min_size=1, max_size=6
    )

    @settings(max_examples=40 if "sqlite" in request.node.name else 8)
    @given(made)
    def check(steps: list[tuple[Kind, int, int | None]]) -> None:
        for kind, seconds, measured in steps:
            clock.advance(seconds * SECOND)
            took = None if measured is None or kind is Kind.START or job.state.runs else measured
            commit(replica, Heartbeat(kind, clock.now(), duration=took))
        state = load(replica.db)[0].state
        assert upgraded(replica) == state

    check()


def test_a_failure_that_the_log_has_lost_counts(replica: Replica, clock: ManualClock) -> None:
    replica.add("job")
    commit(replica, Heartbeat(Kind.SUCCESS, clock.now()), Heartbeat(Kind.FAILURE, clock.now() + 1))
    with replica.db.write("test"):
        replica.db.tables.heartbeats.delete().execute()
    assert upgraded(replica).consecutive_failures == 1


def test_an_early_success_ends_its_lateness_at_once(replica: Replica, clock: ManualClock) -> None:
    """The monitor was DOWN by the rules of before, and nothing more was to change that."""
    replica.add("job", schedule="0 * * * *", early=0)
    clock.wall = clock.wall - clock.wall % HOUR + HOUR - 30 * SECOND
    replica.beat("job")
    replica.evaluator.evaluate_due()
    clock.advance(30 * MINUTE)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("DOWN", "missed")
    upgraded(replica)
    replica.evaluator.evaluate_due()
    assert replica.status("job") == ("UP", "on_time")
    assert load(replica.db)[0].monitor.early == MINUTE
