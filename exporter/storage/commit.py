"""What one group commit writes: three statements, built once, each run for a whole group at a time."""

from collections.abc import Sequence
from typing import Any

from peewee import Case, fn

from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Run
from exporter.core.status import Status
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.fleet import Watched

WAKE_NEVER, WAKE_IF_NOT_UP, WAKE_NOW = 0, 1, 2
"""Whether a heartbeat brings the monitor's next evaluation forward. For one that is UP it does not: its deadline is
worked out anew when it comes up, and the index stays untouched on the hot path."""


class Pending:
    """A heartbeat on its way to the disk."""

    __slots__ = ("abandoned", "beat", "context", "error", "watched")

    def __init__(self, watched: Watched, beat: Heartbeat, context: Any = None) -> None:
        self.watched = watched
        self.beat = beat
        self.context = context
        """Whatever the one who waits for it needs to find itself again."""
        self.abandoned = False
        """Set when nobody waits for it any more; it was answered 503 and is not recorded unless it is already."""
        self.error: StorageUnavailable | None = None


class CommitStatements:
    """States are changed by differences, so that two writers never overwrite each other's counts."""

    def __init__(self, database: Database) -> None:
        tables = database.tables
        beats, runs, states = tables.heartbeats, tables.runs, tables.states
        self._beat = Prepared(
            database,
            beats.insert(
                **{
                    column: param(column)
                    for column in ("exit_code", "kind", "monitor_id", "output", "received_at", "replica", "rid")
                }
            ),
        )
        assert self._beat.names == ("exit_code", "kind", "monitor_id", "output", "received_at", "replica", "rid")
        self._run = Prepared(
            database, runs.insert(**{column: param(column) for column in ("monitor_id", "rid", "started_at")})
        )

        def latest(column: str) -> Any:
            return fn.COALESCE(param(column), getattr(states, column))

        def of_last_outcome(column: str) -> Any:
            return Case(None, [(param("ended") == 1, param(column))], getattr(states, column))

        next_at = states.next_evaluation_at
        brought_forward = (
            (param("wake") == WAKE_NOW) | ((param("wake") == WAKE_IF_NOT_UP) & (states.status != Status.UP.value))
        ) & (next_at.is_null() | (next_at > param("at")))
        self._state = Prepared(
            database,
            states.update(
                **{
                    "received": states.received + param("received"),
                    "failures": states.failures + param("failures"),
                    "starts": states.starts + param("starts"),
                    "last_received_at": latest("last_received_at"),
                    "last_success_at": latest("last_success_at"),
                    "last_failure_at": latest("last_failure_at"),
                    "last_start_at": latest("last_start_at"),
                    "last_duration": latest("last_duration"),
                    "last_outcome": of_last_outcome("last_outcome"),
                    "last_exit_code": of_last_outcome("last_exit_code"),
                    "next_evaluation_at": Case(None, [(brought_forward, param("at"))], next_at),
                }
            ).where(states.monitor_id == param("monitor_id")),
        )

    def add_heartbeats(self, transaction: Transaction, batch: Sequence[Pending], replica: str) -> None:
        rows = []
        for pending in batch:
            beat = pending.beat
            rows.append(
                (
                    beat.exit_code,
                    beat.kind.value,
                    pending.watched.id,
                    beat.output,
                    beat.received_at,
                    replica,
                    beat.rid,
                )
            )
        transaction.execute_many(self._beat, rows)

    def add_runs(self, transaction: Transaction, monitor_id: int, runs: Sequence[Run]) -> None:
        transaction.execute_many(
            self._run,
            [self._run.row({"monitor_id": monitor_id, "rid": run.rid, "started_at": run.started_at}) for run in runs],
        )

    def update_states(self, transaction: Transaction, changes: Sequence[tuple[int, HeartbeatState, int, int]]) -> None:
        """Each change is (monitor id, difference, wake, moment of the first heartbeat in it)."""
        rows = []
        for monitor_id, delta, wake, at in changes:
            outcome = delta.last_outcome
            rows.append(
                self._state.row(
                    {
                        "monitor_id": monitor_id,
                        "received": delta.received,
                        "failures": delta.failures,
                        "starts": delta.starts,
                        "last_received_at": delta.last_received_at,
                        "last_success_at": delta.last_success_at,
                        "last_failure_at": delta.last_failure_at,
                        "last_start_at": delta.last_start_at,
                        "last_duration": delta.last_duration,
                        "last_outcome": outcome.value if outcome is not None else None,
                        "last_exit_code": delta.last_exit_code,
                        "ended": int(outcome is not None),
                        "wake": wake,
                        "at": at,
                    }
                )
            )
        transaction.execute_many(self._state, rows)
