"""Writes one group of heartbeats: the log, the states by their differences, open runs, and what is to be evaluated.

The moments of receipt decide, and not which process commits first: see `core.order`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.core.exclusions import Exclusions
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply, merge, outcome_at
from exporter.core.order import include
from exporter.core.status import Status
from exporter.recording.late import LatePending, LateStatements, arrivals_of, late_last, late_of
from exporter.recording.pushes import PushCommit
from exporter.recording.statements import CommitStatements, Pending
from exporter.storage.database import Database, Transaction
from exporter.storage.job_metrics import GroupChange


@dataclass(frozen=True, slots=True)
class Changes:
    """What a group adds to its monitors, by id."""

    watched: Mapping[int, FleetMonitor]
    deltas: Mapping[int, HeartbeatState]
    replayed: Mapping[int, HeartbeatState]
    """The whole states of those whose logs were replayed."""
    beats: Mapping[int, Sequence[Heartbeat]]
    """In the order of receipt."""
    arrivals: Mapping[int, int]
    """When the last late heartbeat was received, of those monitors that have any."""
    groups: Sequence[GroupChange] = ()
    """Of job metrics."""

    def fold(self, fleet: Fleet) -> bool:
        """Updates the fleet; returns whether the evaluator has to be woken."""
        loud = [
            id
            for id, delta in self.deltas.items()
            if (one := self.watched[id]).current.status is not Status.UP
            or one.preview is not None
            or due_at_once(one, delta, False, id in self.replayed)
        ]
        if loud:  # before the states: a reader never sees a new state beside an old status
            fleet.preview(
                [
                    (one, self.beats[id], self._whole(id), self.arrivals.get(id, 0))
                    for id in loud
                    if (one := self.watched[id]).monitor.evaluation_cron is None
                ]
            )
        for id, delta in self.deltas.items():
            monitor = self.watched[id]
            monitor.state = merge(monitor.state, delta)
        for id, state in self.replayed.items():
            self.watched[id].state = state
        return bool(loud)

    def _whole(self, id: int) -> HeartbeatState | None:
        """The state of a monitor of which more is known than its heartbeats in their order."""
        if id in self.arrivals and id not in self.replayed:
            return merge(self.watched[id].state, self.deltas[id])
        return self.replayed.get(id)


class GroupCommit:
    """Used inside a transaction. Not thread-safe."""

    def __init__(self, database: Database, replica: str) -> None:
        self._replica = replica
        self._statements = CommitStatements(database)
        self._late = LateStatements(database)
        self._pushes = PushCommit(database, replica)

    def write(self, transaction: Transaction, batch: Sequence[Pending]) -> Changes:
        """States become what they would be if every heartbeat had been applied at its moment of receipt."""
        batch = sorted(batch, key=_moment)
        pushed = [pending for pending in batch if pending.push is not None]
        if pushed:
            return self._write_with_pushes(transaction, batch, pushed)
        return self._write(transaction, batch)

    def _write_with_pushes(
        self, transaction: Transaction, batch: Sequence[Pending], pushed: Sequence[Pending]
    ) -> Changes:
        self._statements.lock(transaction, sorted({pending.watched.id for pending in batch}))
        groups = self._pushes.plan(transaction, pushed)
        beats = [pending for pending in batch if pending.push is None or pending.push.brings_heartbeat]
        changes = self._write(transaction, beats) if beats else Changes({}, {}, {}, {}, {})
        return replace(changes, groups=self._pushes.write(transaction, groups, _moment(batch[-1])))

    def _write(self, transaction: Transaction, batch: Sequence[Pending]) -> Changes:
        """A group of heartbeats in the order of receipt."""
        late = late_of(batch)
        if late:
            batch = late_last(batch)
        watched, beats = gathered(batch)
        deltas: dict[int, HeartbeatState] = {}
        ended: list[tuple[int, str]] = []
        started: list[tuple[int, Run]] = []
        ordered = any(
            kind is Kind.START or kind is Kind.FAILURE or duration is not None
            for kind, _, _, _, _, duration in [pending.beat for pending in batch]
        )
        before = self._statements.before(transaction, sorted(beats), _moment(batch[0]), ordered)
        if late:  # looked for after the monitors were locked: another process may have been about to commit the same
            late = self._late.unkept(transaction, late)
            batch = [pending for pending in batch if not pending.repeated]
            watched, beats = gathered(batch)
        overtaken = [id for id, last in before.ahead.items() if id in beats and beats[id][0].received_at < last]
        replayed: dict[int, HeartbeatState] = {}
        if overtaken:
            for id, state, log in self._statements.present(transaction, overtaken, before.open_runs):
                replayed[id] = include(state, beats[id], watched[id].monitor.max_runtime, log)
        for id, received in beats.items():
            open_runs = before.open_runs.get(id, ())
            whole = replayed.get(id) if replayed else None
            if whole is None:
                nothing = HeartbeatState(runs=open_runs) if open_runs else NO_HEARTBEATS
                delta = apply(nothing, received, watched[id].monitor.max_runtime)
            else:
                delta = _difference(received, whole)
            if watched[id].exclusions.skipped:
                delta = without_skipped_time(delta, watched[id].exclusions)
                if id in replayed:
                    replayed[id] = without_skipped_time(replayed[id], watched[id].exclusions)
            deltas[id] = delta
            if delta.runs != open_runs:
                # Rows keep the order of starts, so everything from the first difference on is written again.
                same = _same(open_runs, delta.runs)
                ended += [(id, run.rid) for run in open_runs[same:]]
                started += [(id, run) for run in delta.runs[same:]]
        self._statements.end_runs(transaction, ended)
        self._statements.add_runs(transaction, started)
        if late:
            batch = [pending for pending in batch if not isinstance(pending, LatePending)]
        self._statements.add_heartbeats(transaction, batch, self._replica)
        self._late.add(transaction, late, self._replica)
        self._statements.update_states(transaction, list(deltas.items()))
        self._statements.set_replayed(transaction, replayed)
        self._statements.bring_forward(
            transaction,
            [
                (id, beats[id][0].received_at)
                for id, delta in deltas.items()
                if due_at_once(watched[id], delta, id in before.not_up, id in replayed)
            ],
        )
        return Changes(watched, deltas, replayed, beats, arrivals_of(late) if late else {})


def gathered(batch: Sequence[Pending]) -> tuple[dict[int, FleetMonitor], dict[int, list[Heartbeat]]]:
    """The monitors of a group, and the heartbeats of each, by id."""
    beats: defaultdict[int, list[Heartbeat]] = defaultdict(list)
    watched: dict[int, FleetMonitor] = {}
    for pending in batch:
        id = pending.watched.id
        watched[id] = pending.watched
        beats[id].append(pending.beat)
    return watched, beats


def unwritten(batch: Sequence[Pending]) -> Changes:
    """The changes of a group, computed from memory alone."""
    watched, beats = gathered(late_last(batch))
    deltas: dict[int, HeartbeatState] = {}
    replayed: dict[int, HeartbeatState] = {}
    for id, received in beats.items():
        state, max_runtime = watched[id].state, watched[id].monitor.max_runtime
        if state.last_received_at is not None and received[0].received_at < state.last_received_at:
            whole = replayed[id] = include(state, received, max_runtime)
            deltas[id] = _difference(received, whole)
        else:
            deltas[id] = apply(HeartbeatState(runs=state.runs), received, max_runtime)
    return Changes(watched, deltas, replayed, beats, arrivals_of(late_of(batch)))


def without_skipped_time(state: HeartbeatState, exclusions: Exclusions) -> HeartbeatState:
    """The same where the clock was set forward while the run went on that the last outcome ended: that was shorter."""
    began, took = state.outcome_started_at, state.outcome_duration
    if began is None or took is None or took != outcome_at(state) - began:  # else its sender measured it
        return state
    lasted = took - exclusions.skipped_between(began, began + took)
    if state.last_duration == took:
        state = state._replace(last_duration=lasted)
    return state._replace(outcome_duration=lasted)


def _difference(beats: Sequence[Heartbeat], whole: HeartbeatState) -> HeartbeatState:
    """What these heartbeats add where they come after later ones; what is no sum is set afterwards."""
    return apply(NO_HEARTBEATS, beats)._replace(runs=whole.runs, last_duration=None)


def _moment(pending: Pending) -> int:
    return pending.beat.received_at


def _same(before: Sequence[Run], after: Sequence[Run]) -> int:
    """How many are the same from the start on."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    return same


def due_at_once(watched: FleetMonitor, delta: HeartbeatState, not_up: bool, replayed: bool) -> bool:
    """Whether what just arrived may change the status now, or bring a deadline nearer. A plain success cannot change
    that of a monitor that is UP, in whatever order it comes: its deadline is worked out again when it comes up, and the
    index stays untouched on the hot path.
    """
    monitor = watched.monitor
    if monitor.evaluation_cron is not None:
        return False
    if not_up or delta.failures > 0 or (delta.starts > 0 and monitor.max_runtime is not None):
        return True
    if replayed:
        return monitor.max_runtime is not None or monitor.min_runtime is not None or monitor.schedule is not None
    took = delta.outcome_duration
    if took is None:  # nothing is known of its run
        return False
    too_short = monitor.min_runtime is not None and took < monitor.min_runtime
    return too_short or (monitor.schedule is not None and delta.outcome_started_at is not None)
