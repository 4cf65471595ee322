"""Writes one group of heartbeats: the log, the states by their differences, open runs, and what is to be evaluated."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Run, apply, merge
from exporter.core.status import Status
from exporter.storage.commit import CommitStatements, Pending
from exporter.storage.database import Database, Transaction
from exporter.storage.fleet import Watched


@dataclass(frozen=True, slots=True)
class Changes:
    """What a group adds to its monitors, by id."""

    watched: Mapping[int, Watched]
    deltas: Mapping[int, HeartbeatState]

    def fold(self) -> bool:
        """Tells the fleet; whether anything is worth the evaluator's attention."""
        attention = False
        for id, delta in self.deltas.items():
            one = self.watched[id]
            attention = attention or one.standing.status is not Status.UP or due_at_once(one, delta, False)
            one.state = merge(one.state, delta)
        return attention


class GroupCommit:
    """Used inside a transaction. Not thread-safe."""

    def __init__(self, database: Database, replica: str) -> None:
        self._replica = replica
        self._statements = CommitStatements(database)

    def write(
        self, transaction: Transaction, batch: Sequence[Pending], not_before: Mapping[int, int] | None = None
    ) -> Changes:
        """`not_before` holds, by monitor, the moment up to which history is settled: nothing is judged anew before."""
        watched, beats = gathered(batch)
        deltas: dict[int, HeartbeatState] = {}
        ended: list[tuple[int, str]] = []
        started: list[tuple[int, Run]] = []
        open_runs, not_up = self._statements.before(transaction, sorted(beats))
        for id, received in beats.items():
            before = open_runs.get(id, ())
            nothing = HeartbeatState(runs=before) if before else NO_HEARTBEATS
            delta = deltas[id] = apply(nothing, received, watched[id].monitor.max_runtime)
            if delta.runs != before:
                # Rows keep the order of starts, so everything from the first difference on is written anew.
                same = _same(before, delta.runs)
                ended += [(id, run.rid) for run in before[same:]]
                started += [(id, run) for run in delta.runs[same:]]
        self._statements.end_runs(transaction, ended)
        self._statements.add_runs(transaction, started)
        self._statements.add_heartbeats(transaction, batch, self._replica)
        self._statements.update_states(transaction, list(deltas.items()))
        due = [
            (id, beats[id][0].received_at)
            for id, delta in deltas.items()
            if due_at_once(watched[id], delta, id in not_up)
        ]
        if not_before is not None:
            due = [(id, max(at, not_before[id])) for id, at in due]
        self._statements.bring_forward(transaction, due)
        return Changes(watched, deltas)

    def bring_forward(self, transaction: Transaction, evaluations: Sequence[tuple[int, int]]) -> None:
        """Each is (monitor id, moment)."""
        self._statements.bring_forward(transaction, evaluations)

    def replace_runs(self, transaction: Transaction, id: int, before: Sequence[Run], after: Sequence[Run]) -> None:
        same = _same(before, after)
        self._statements.end_runs(transaction, [(id, run.rid) for run in before[same:]])
        self._statements.add_runs(transaction, [(id, run) for run in after[same:]])


def gathered(batch: Sequence[Pending]) -> tuple[dict[int, Watched], dict[int, list[Heartbeat]]]:
    """The monitors of a group, and the heartbeats of each, by id."""
    beats: defaultdict[int, list[Heartbeat]] = defaultdict(list)
    watched: dict[int, Watched] = {}
    for pending in batch:
        id = pending.watched.id
        watched[id] = pending.watched
        beats[id].append(pending.beat)
    return watched, beats


def unwritten(batch: Sequence[Pending]) -> Changes:
    """What a group adds, worked out from memory alone."""
    watched, beats = gathered(batch)
    return Changes(
        watched,
        {
            id: apply(HeartbeatState(runs=watched[id].state.runs), received, watched[id].monitor.max_runtime)
            for id, received in beats.items()
        },
    )


def _same(before: Sequence[Run], after: Sequence[Run]) -> int:
    """How many are the same from the start on."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    return same


def due_at_once(watched: Watched, delta: HeartbeatState, not_up: bool) -> bool:
    """Whether what just arrived may change the status now, or bring a deadline nearer. A plain success cannot change
    that of a monitor that is UP: its deadline is worked out anew when it comes up, and the index stays untouched on the
    hot path.
    """
    monitor, before = watched.monitor, watched.state.last_received_at
    if before is not None and delta.last_received_at is not None and delta.last_received_at < before:
        return True  # the clock was set back: what was planned after the older heartbeat is too late by now
    if monitor.evaluation_cron is not None:
        return False
    return not_up or delta.failures > 0 or (delta.starts > 0 and monitor.max_runtime is not None)
