"""Which monitors are due for evaluation, and how an evaluation's outcome is written down: at most once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.core.alerts.alert import Observation
from exporter.core.fleet import Fleet, FleetMonitor, Writer
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import StatusHistory
from exporter.fleet.status_history import load_histories_of
from exporter.storage.database import Bulk, Database, Prepared, Transaction, param
from exporter.storage.repositories.history import Transition
from exporter.storage.rows import chunks


@dataclass(frozen=True, slots=True)
class Due:
    """A monitor whose status may have changed."""

    monitor_id: int
    since: int
    """`next_evaluation_at`: the earliest moment at which it may have."""
    evaluated_at: int
    """The moment up to which it was evaluated last."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one evaluation. It is written only if no heartbeat arrived and no other process wrote meanwhile."""

    due: Due
    watched: FleetMonitor
    """As it was read from the database."""
    received: int
    """Heartbeats that the monitor had received when it was read."""
    before: CurrentStatus
    after: CurrentStatus
    transitions: Sequence[Transition]
    evaluated_at: int
    next_evaluation_at: int | None
    observations: Sequence[Observation] = ()
    """What alert rules count: each change of status, or with `evaluation_cron` the status at each tick."""


class Evaluations:
    """Queries and the one conditional write; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, fleet: Fleet, replica: str) -> None:
        self._db = database
        self._fleet = fleet
        self._replica = replica
        states, transitions = database.tables.states, database.tables.transitions
        self._save = Prepared(
            database,
            states.update(
                **{
                    "status": param("status"),
                    "reason": param("reason"),
                    "status_since": param("status_since"),
                    "evaluated_at": param("evaluated_at"),
                    "next_evaluation_at": param("next_evaluation_at"),
                }
            ).where(states.monitor_id == param("monitor_id")),
        )

        self._present = Bulk(
            database,
            lambda ids: database.locking(
                states.select(states.monitor_id, states.status, states.received, states.next_evaluation_at)
                .where(states.monitor_id.in_([param("monitor_id")] * ids))
                .order_by(states.monitor_id)
            ),
        )
        self._transition = Prepared(
            database,
            transitions.insert(
                **{
                    column: param(column)
                    for column in ("monitor_id", "at", "status", "reason", "observed_at", "replica")
                }
            ),
        )

    def claim_fleet(self) -> None:
        """From now on this thread alone writes statuses to the fleet."""
        self._fleet.claim(Writer.EVALUATOR)

    def release_fleet(self) -> None:
        self._fleet.release(Writer.EVALUATOR)

    def due(self, now: int, limit: int) -> list[Due]:
        """The monitors to evaluate by `now`, the longest due first."""
        states = self._db.tables.states
        query = (
            states.select(states.monitor_id, states.next_evaluation_at, states.evaluated_at)
            .where(states.next_evaluation_at <= now)
            .order_by(states.next_evaluation_at)
            .limit(limit)
        )
        with self._db.read("find due monitors"):
            return [Due(*row) for row in query.tuples()]

    def next_due(self) -> int | None:
        """The moment at which the next monitor comes due; None when none ever does."""
        states = self._db.tables.states
        query = (
            states.select(states.next_evaluation_at)
            .where(states.next_evaluation_at.is_null(False))
            .order_by(states.next_evaluation_at)
            .limit(1)
        )
        with self._db.read("find next due"):
            return next((int(row[0]) for row in query.tuples()), None)

    def save_outcomes(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Writes outcomes and returns those that took effect: no heartbeat was committed, and no other process wrote,
        since their monitors were read. The fleet takes them over after the commit.
        """
        saved = self._unchanged(transaction, outcomes)
        transaction.execute_many(self._save, [self._save.row(_state_row(outcome)) for outcome in saved])
        transaction.execute_many(
            self._transition,
            [self._transition.row(row) for outcome in saved for row in _transition_rows(outcome, self._replica)],
        )
        changed = [outcome.due.monitor_id for outcome in saved if outcome.transitions]
        histories: dict[int, StatusHistory] = {}
        for some in chunks(changed):
            histories.update(load_histories_of(self._db, some))
        transaction.after_commit.append(lambda: self._update_fleet(saved, histories))
        return saved

    def set_aside(self, due: Due, until: int | None) -> None:
        """Postpones a monitor that cannot be evaluated, forever when None, so that it does not hold up the others."""
        states = self._db.tables.states
        with self._db.write("set monitor aside"):
            states.update(**{"next_evaluation_at": until}).where(states.monitor_id == due.monitor_id).execute()

    def reconsider_all(self, now: int) -> None:
        """Makes every monitor due after the clock was set back: deadlines lie in a future that is gone. So do moments
        of receipt, which become `now`: else every later heartbeat would count as received before them.
        """
        tables = self._db.tables
        states = tables.states
        with self._db.write("reconsider all monitors"):
            self._db.lock(states.select(states.monitor_id).order_by(states.monitor_id))
            for table, names in (
                (states, ("last_received_at", "last_success_at", "last_failure_at", "last_start_at")),
                (states, ("outcome_started_at", "evaluated_at", "next_evaluation_at")),
                (tables.runs, ("started_at",)),
                (tables.heartbeats, ("received_at",)),
            ):
                for name in names:
                    table.update(**{name: now}).where(getattr(table, name) > now).execute()

    def _unchanged(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes whose monitors are as they were when they were evaluated, and stay so until the transaction
        ends.
        """
        ids = sorted(outcome.due.monitor_id for outcome in outcomes)
        present = {id: tuple(state) for id, *state in self._present.read(transaction, ids)}
        return [
            outcome
            for outcome in outcomes
            if present.get(outcome.due.monitor_id) == (outcome.before.status.value, outcome.received, outcome.due.since)
        ]

    def _update_fleet(self, saved: Sequence[Outcome], histories: Mapping[int, StatusHistory]) -> None:
        for outcome in saved:
            self._fleet.evaluated(outcome.due.monitor_id, outcome.after, outcome.received, histories)


def _state_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.after.status.value,
        "reason": outcome.after.reason.value,
        "status_since": outcome.after.since,
        "evaluated_at": outcome.evaluated_at,
        "next_evaluation_at": outcome.next_evaluation_at,
        "monitor_id": outcome.due.monitor_id,
    }


def _transition_rows(outcome: Outcome, replica: str) -> list[dict[str, Any]]:
    return [
        {
            "monitor_id": outcome.due.monitor_id,
            "at": transition.at,
            "status": transition.status.value,
            "reason": transition.reason.value,
            "observed_at": transition.observed_at,
            "replica": replica,
        }
        for transition in outcome.transitions
    ]
