"""What one group commit reads and writes: three statements, built once, each run for a whole group at a time.

And those for the few monitors of which another process has already committed later heartbeats.
"""

from collections.abc import Container, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

from peewee import EXCLUDED, JOIN, Case, fn

from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, Run
from exporter.core.order import Log, log_of
from exporter.core.status import Status
from exporter.storage.database import Bulk, Database, Prepared, Transaction, param
from exporter.storage.rows import state_of
from exporter.storage.tables import STATE_COLUMNS, STATUS_COLUMNS

if TYPE_CHECKING:
    from asyncio import Future

    from exporter.core.job_metrics.model import Push

_NEVER_INSERTED = (Status.NO_DATA.value, "", 0, 0)
"""What a state's other columns would hold if there were no row to add to."""


class Pending:
    """A heartbeat on its way to the disk."""

    __slots__ = ("abandoned", "beat", "error", "push", "waiter", "watched")
    repeated = False
    """Whether it repeats a late heartbeat that is kept already, so that it counts no more."""

    def __init__(
        self,
        watched: FleetMonitor,
        beat: Heartbeat,
        waiter: "Future[bool] | None" = None,
        push: "Push | None" = None,
    ) -> None:
        self.watched = watched
        self.beat = beat
        self.waiter = waiter
        """Of the request that brought it. Belongs to the event loop: the recorder leaves it alone."""
        self.abandoned = False
        """Set when the request has stopped waiting: it was answered 503, and the heartbeat is not recorded unless it
        already is.
        """
        self.error: StorageUnavailable | None = None
        """Why it was not recorded."""
        self.push = push
        """The metrics that came with it. Where they are `alone`, the heartbeat only says when they were received."""

    @property
    def arrived_at(self) -> int:
        """When it was received."""
        return self.beat.received_at


LOG_READ = 1000
"""Heartbeats of one monitor's log that are read to find out what its runs would be."""
LOGS_READ = 50_000
"""Heartbeats of all logs together that one group may read: it has to commit in seconds."""
_MIN_READ = 50

KINDS = {kind.value: kind for kind in Kind}
BEAT_COLUMNS = ("monitor_id", "received_at", "kind", "rid", "exit_code", "output", "replica", "duration")
_RUN_COLUMNS = ("monitor_id", "rid", "started_at")
_STATE_COLUMNS = (
    "monitor_id",
    *STATE_COLUMNS,
    *STATUS_COLUMNS,
    "evaluated_at",
)
_OUTCOME = STATE_COLUMNS.index("last_outcome")
_RUNS = HeartbeatState._fields.index("runs")
_REPLAYED = ("last_duration", "consecutive_failures", "outcome_started_at", "outcome_duration")
"""What depends on the order of the heartbeats: it is set, and not added up, where they come after later ones."""
assert HeartbeatState._fields[: len(STATE_COLUMNS)] == STATE_COLUMNS, "states are written in the order of their fields"


class Before(NamedTuple):
    """What a group needs to know of its monitors before it is written."""

    open_runs: Mapping[int, tuple[Run, ...]]
    """By monitor, in the order of their starts."""
    not_up: Container[int]
    """Monitors whose status is not UP."""
    ahead: Mapping[int, int]
    """Monitors whose heartbeats' order matters and that received one later than the group's first: the moment of their
    last.
    """


class CommitStatements:
    """States are changed by differences, so that two writers never overwrite each other's counts."""

    def __init__(self, database: Database) -> None:
        tables = database.tables
        beats, runs, states = tables.heartbeats, tables.runs, tables.states
        self._beats = Bulk(database, lambda rows: insert(beats, BEAT_COLUMNS, rows))
        self._states = Bulk(database, lambda rows: _add_difference(states, rows))
        self._lock = Bulk(
            database,
            lambda ids: database.locking(
                states.select(states.monitor_id)
                .where(states.monitor_id.in_([param("monitor_id")] * ids))
                .order_by(states.monitor_id)
            ),
        )
        self._before = Bulk(
            database,
            lambda ids: (
                states.select(states.monitor_id, states.status, runs.rid, runs.started_at, states.last_received_at)
                .join(runs, JOIN.LEFT_OUTER, on=(runs.monitor_id == states.monitor_id))
                .where(states.monitor_id.in_([param("monitor_id")] * ids))
                .where(
                    (
                        (states.last_received_at > param("first"))
                        & ((states.starts > param("least")) | (states.consecutive_failures > 0))
                    )
                    | (states.status != Status.UP.value)
                    | runs.id.is_null(False)
                )
                .order_by(runs.id)
            ),
        )
        self._present = Bulk(
            database,
            lambda ids: states.select(states.monitor_id, *(getattr(states, column) for column in STATE_COLUMNS)).where(
                states.monitor_id.in_([param("monitor_id")] * ids)
            ),
        )
        self._log = Prepared(
            database,
            beats.select(beats.kind, beats.received_at, beats.rid, beats.exit_code, beats.duration, beats.arrived_at)
            .where(beats.monitor_id == param("monitor_id"))
            .order_by(beats.id.desc())
            .limit(param("most")),
        )
        self._replayed = Prepared(
            database,
            states.update(**{column: param(column) for column in _REPLAYED}).where(
                states.monitor_id == param("monitor_id")
            ),
        )
        planned = states.next_evaluation_at
        # Never before the moment up to which it has been evaluated: what is written of the time until then stays.
        self._wake = Prepared(
            database,
            states.update(next_evaluation_at=_latest(param("at"), states.evaluated_at)).where(
                (states.monitor_id == param("monitor_id"))
                & (planned.is_null() | ((planned > param("at")) & (planned > states.evaluated_at)))
            ),
        )
        self._runs = Bulk(database, lambda rows: insert(runs, _RUN_COLUMNS, rows))
        self._ended = Bulk(
            database,
            lambda rows: runs.delete().where(
                reduce(or_, [(runs.monitor_id == param("monitor_id")) & (runs.rid == param("rid"))] * rows)
            ),
        )
        self._locks_rows = database.locks_rows

    def lock(self, transaction: Transaction, monitor_ids: Sequence[int]) -> None:
        """The states of these monitors, in the order of their numbers, where writers run side by side: else what is
        read may be changed before this transaction changes it.
        """
        if self._locks_rows:
            for _ in self._lock.read(transaction, monitor_ids):
                pass

    def before(self, transaction: Transaction, monitor_ids: Sequence[int], first: int, ordered: bool) -> Before:
        """One query, and no row for a monitor of which there is nothing to say, because every row has to wait for the
        interpreter. `first` is the moment of the group's first heartbeat; `ordered` says whether it has a heartbeat
        whose place among the others matters: a start, a failure, or a duration that its sender measured.
        """
        self.lock(transaction, monitor_ids)
        open_runs: dict[int, tuple[Run, ...]] = {}
        not_up: set[int] = set()
        ahead: dict[int, int] = {}
        rows = self._before.read(transaction, monitor_ids, (first, -1 if ordered else 0))
        for monitor_id, status, rid, started_at, last_received_at in rows:
            if status != Status.UP.value:
                not_up.add(monitor_id)
            if rid is not None:
                open_runs[monitor_id] = (*open_runs.get(monitor_id, ()), Run(rid, started_at))
            if last_received_at is not None and last_received_at > first:
                ahead[monitor_id] = last_received_at
        return Before(open_runs, not_up, ahead)

    def present(
        self, transaction: Transaction, ids: Sequence[int], open_runs: Mapping[int, tuple[Run, ...]]
    ) -> list[tuple[int, HeartbeatState, Log]]:
        """Of each of these monitors its state and what is kept of its log."""
        most = max(_MIN_READ, min(LOG_READ, LOGS_READ // max(1, len(ids))))
        states = {id: state_of(row, open_runs.get(id, ())) for id, *row in self._present.read(transaction, ids)}
        return [(id, state, self._read_log(transaction, id, state.received, most)) for id, state in states.items()]

    def _read_log(self, transaction: Transaction, id: int, received: int, most: int) -> Log:
        rows = list(transaction.query(self._log, self._log.row({"monitor_id": id, "most": most})))[::-1]
        beats = [Heartbeat(KINDS[kind], at, rid, code, "", took) for kind, at, rid, code, took, _ in rows]
        return log_of(beats, received, [row[-1] for row in rows])

    def set_replayed(self, transaction: Transaction, states: Mapping[int, HeartbeatState]) -> None:
        """Writes what is no sum, of the whole states by monitor id."""
        transaction.execute_many(
            self._replayed,
            [
                self._replayed.row({"monitor_id": id, **{column: getattr(state, column) for column in _REPLAYED}})
                for id, state in states.items()
            ],
        )

    def add_heartbeats(self, transaction: Transaction, batch: Sequence[Pending], replica: str) -> None:
        values: list[Any] = []
        for pending in batch:
            kind, received_at, rid, exit_code, output, duration = pending.beat
            values += (pending.watched.id, received_at, kind._value_, rid, exit_code, output, replica, duration)
        self._beats.write(transaction, values, len(BEAT_COLUMNS))

    def end_runs(self, transaction: Transaction, ended: Sequence[tuple[int, str]]) -> None:
        """Each is (monitor id, rid)."""
        self._ended.write(transaction, [value for one in ended for value in one], 2)

    def add_runs(self, transaction: Transaction, started: Sequence[tuple[int, Run]]) -> None:
        """Each is (monitor id, run)."""
        values = [value for monitor_id, run in started for value in (monitor_id, run.rid, run.started_at)]
        self._runs.write(transaction, values, len(_RUN_COLUMNS))

    def update_states(self, transaction: Transaction, changes: Sequence[tuple[int, HeartbeatState]]) -> None:
        """Each change is (monitor id, difference)."""
        values: list[Any] = []
        for monitor_id, delta in changes:
            outcome = delta.last_outcome
            values.append(monitor_id)
            values += delta[:_OUTCOME]
            values += (
                outcome._value_ if outcome is not None else None,
                *delta[_OUTCOME + 1 : _RUNS],
                *_NEVER_INSERTED,
            )
        self._states.write(transaction, values, len(_STATE_COLUMNS))

    def bring_forward(self, transaction: Transaction, evaluations: Sequence[tuple[int, int]]) -> None:
        """Each is (monitor id, moment). A statement of its own, because setting an indexed column to what it is costs
        as much as changing it.
        """
        transaction.execute_many(
            self._wake, [self._wake.row({"monitor_id": monitor_id, "at": at}) for monitor_id, at in evaluations]
        )


def beat_values(pending: Pending, replica: str) -> tuple[Any, ...]:
    """Of BEAT_COLUMNS."""
    kind, received_at, rid, exit_code, output, duration = pending.beat
    return pending.watched.id, received_at, kind._value_, rid, exit_code, output, replica, duration


def insert(table: Any, columns: Sequence[str], rows: int) -> Any:
    """An insert of so many rows; the columns, and so each row's values, in the order given."""
    places = [[param(column) for column in columns] for _ in range(rows)]
    return table.insert(places, columns=[getattr(table, column) for column in columns])


def _latest(moment: Any, other: Any) -> Any:
    """The later of two moments. `other` if either is null."""
    return Case(None, [(moment > other, moment)], other)


def _add_difference(states: Any, rows: int) -> Any:
    """Adds differences to states that exist, as the core's `merge` does. An insert that always conflicts is the one
    statement for many rows that every engine has.
    """

    def latest(column: str) -> Any:
        added, present = getattr(EXCLUDED, column), getattr(states, column)
        return Case(None, [(added > present, added)], fn.COALESCE(present, added))

    def outcome_at(row: Any) -> Any:
        failed = row.last_outcome == Kind.FAILURE.value
        return Case(None, [(failed, row.last_failure_at)], row.last_success_at)

    ended = EXCLUDED.last_outcome.is_null(False) & (
        states.last_outcome.is_null() | (outcome_at(EXCLUDED) >= outcome_at(states))
    )

    def of_last_outcome(column: str) -> Any:
        return Case(None, [(ended, getattr(EXCLUDED, column))], getattr(states, column))

    update = {
        states.received: states.received + EXCLUDED.received,
        states.failures: states.failures + EXCLUDED.failures,
        states.starts: states.starts + EXCLUDED.starts,
        states.last_received_at: latest("last_received_at"),
        states.last_success_at: latest("last_success_at"),
        states.last_failure_at: latest("last_failure_at"),
        states.last_start_at: latest("last_start_at"),
        states.last_duration: fn.COALESCE(EXCLUDED.last_duration, states.last_duration),
        states.last_outcome: of_last_outcome("last_outcome"),
        states.last_exit_code: of_last_outcome("last_exit_code"),
        states.consecutive_failures: Case(
            None,
            [(EXCLUDED.last_success_at.is_null(), states.consecutive_failures + EXCLUDED.consecutive_failures)],
            EXCLUDED.consecutive_failures,
        ),
        states.outcome_started_at: of_last_outcome("outcome_started_at"),
        states.outcome_duration: of_last_outcome("outcome_duration"),
    }
    return insert(states, _STATE_COLUMNS, rows).on_conflict(conflict_target=[states.monitor_id], update=update)
