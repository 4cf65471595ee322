"""The status that the evaluator is about to write, worked out from heartbeats that it has not evaluated yet.

A client that got its `200` reads a status that takes its heartbeat into account, although the evaluator writes that
status, with its alerts, a few milliseconds later. Readers work it out, each only when it reads: a heartbeat that
changes no status costs nothing.
"""

from collections.abc import Sequence

from exporter.core.clock import SECOND
from exporter.core.exclusions import Exclusions
from exporter.core.heartbeat import Heartbeat, HeartbeatState, apply
from exporter.core.monitor import Monitor
from exporter.core.status import Status, evaluate
from exporter.core.timeline import CurrentStatus, changes

MAX_BEATS = 64
"""Heartbeats of one monitor that are replayed one by one while the evaluator is behind; older ones count only by the
state that they led to."""
LOOK_BACK = 10 * SECOND
"""A deadline that passed so long before the first heartbeat, and that the evaluator has not seen yet, is left to it."""


class Preview:
    """What a monitor received since the evaluator wrote its status. Immutable, but for what it keeps of its result."""

    __slots__ = ("_result", "arrived_at", "beats", "since", "state")

    def __init__(
        self, since: int, state: HeartbeatState, beats: tuple[Heartbeat, ...] = (), arrived_at: int = 0
    ) -> None:
        self.since = since
        """Unix time in milliseconds: from when on the status may differ from the one that is written."""
        self.state = state
        """As it was before `beats`."""
        self.beats = beats
        """Without their output, in the order of receipt."""
        self.arrived_at = arrived_at
        """When the last late heartbeat was received; 0 without any. It changes what happened before."""
        self._result: tuple[Monitor, CurrentStatus, Exclusions, CurrentStatus] | None = None
        """What the status was worked out from last, and that status."""

    @classmethod
    def begin(cls, current: CurrentStatus, state: HeartbeatState, beats: Sequence[Heartbeat]) -> "Preview":
        """Of the first heartbeats after the evaluation that led to `current`."""
        first = beats[0].received_at
        since = min(first, max(current.since, state.last_received_at or 0, first - LOOK_BACK))
        return cls(since, state, tuple(map(_plain, beats)))

    def with_more(self, beats: Sequence[Heartbeat], max_runtime: int | None) -> "Preview":
        """The same with heartbeats received after it."""
        together = (*self.beats, *map(_plain, beats))
        if len(together) <= MAX_BEATS:
            return Preview(self.since, self.state, together, self.arrived_at)
        longer = Preview(self.since, self.state, together, self.arrived_at)
        return longer.without_first(len(together) - MAX_BEATS, max_runtime)

    def without_first(self, count: int, max_runtime: int | None) -> "Preview":
        """The same once the evaluator has evaluated that many of its heartbeats."""
        if count <= 0:
            return self
        gone, kept = self.beats[:count], self.beats[count:]
        since = max(self.since, gone[-1].received_at)
        return Preview(since, apply(self.state, gone, max_runtime), kept, self.arrived_at)

    @property
    def received_until(self) -> int:
        """The moment of the last heartbeat."""
        return max(self.since, self.beats[-1].received_at) if self.beats else self.since

    @property
    def until(self) -> int:
        """The moment for which the status is worked out: that of the last heartbeat, or the receipt of a late one."""
        return max(self.received_until, self.arrived_at)

    def current(self, monitor: Monitor, written: CurrentStatus, exclusions: Exclusions) -> CurrentStatus:
        """The status, its reason and its beginning; `written` itself where the heartbeats change nothing. What time
        alone changes after the last heartbeat is left to the evaluator.
        """
        last = self._result
        if last is not None and last[0] is monitor and last[1] is written and last[2] is exclusions:
            return last[3]
        result = written
        if not at_ticks(monitor, written):
            try:
                since, state, beats = self._replayed(monitor, exclusions)
                if self.arrived_at:  # what was written of the time before stays
                    since = max(since, written.since)
                passed = changes(monitor, state, written, since, self.until, beats, exclusions)
                result = [written, *passed][-1]
            except Exception:  # noqa: BLE001 - the evaluation logs which and why; all others must still be read
                result = written
        self._result = (monitor, written, exclusions, result)
        return result

    def _replayed(self, monitor: Monitor, exclusions: Exclusions) -> tuple[int, HeartbeatState, tuple[Heartbeat, ...]]:
        """The moment, state and heartbeats from which the changes follow.

        The evaluator takes the heartbeats of the first moment together, unless a deadline comes before them: what lasts
        no time is no change.
        """
        beats = self.beats
        first = [beat for beat in beats if beat.received_at == beats[0].received_at]
        if len(first) > 1:
            deadline = evaluate(monitor, self.state, self.since, exclusions).next_change_at
            if deadline is None or deadline >= first[0].received_at:
                state = apply(self.state, first, monitor.max_runtime)
                return max(self.since, first[0].received_at), state, beats[len(first) :]
        return self.since, self.state, beats


def at_ticks(monitor: Monitor, current: CurrentStatus) -> bool:
    """Whether the status changes only at the ticks of `evaluation_cron`."""
    return monitor.evaluation_cron is not None and not monitor.paused and current.status is not Status.PAUSED


def _plain(beat: Heartbeat) -> Heartbeat:
    """An output may be long, and no status depends on it."""
    return beat._replace(output="") if beat.output else beat
