"""The order of receipt: what heartbeats leave behind, whatever process commits first.

Heartbeats are ordered by their moments of receipt, and at the same millisecond by their numbers in the log, that is by
the order of their commits. Counts, moments and the last outcome can be added up in any order (`core.heartbeat.merge`).
Runs and durations cannot, so the log of the monitor is replayed for them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.core.heartbeat import (
    MAX_OPEN_RUNS,
    NO_HEARTBEATS,
    Heartbeat,
    HeartbeatState,
    Kind,
    Run,
    apply,
    merge,
    outcome_at,
)

_OLDEST = 4
"""What part of an incomplete log, its oldest quarter, only shows from when on the log is whole."""


class Log(NamedTuple):
    """What is kept of a monitor's heartbeats."""

    beats: Sequence[Heartbeat] = ()
    """In the order of receipt."""
    since: int | None = None
    """The moment from which it has every heartbeat; None if it has none that can be relied on."""


EMPTY_LOG = Log()


def moment(beat: Heartbeat) -> int:
    return beat.received_at


def in_order(beats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """By their moments; those of the same millisecond stay as they are."""
    return sorted(beats, key=moment)


def log_of(numbered: Sequence[Heartbeat], received: int) -> Log:
    """From the newest heartbeats of a log in the order of their numbers, of a monitor that has `received` so many.

    What is missing has lower numbers. Its moments may be mixed with those of the oldest heartbeats that are here.
    """
    if len(numbered) >= received:
        return Log(in_order(numbered), 0)
    oldest = numbered[: -(-len(numbered) // _OLDEST)]
    since = max(map(moment, oldest), default=None)
    return Log(in_order(beat for beat in numbered if since is not None and beat.received_at >= since), since)


def include(
    state: HeartbeatState, beats: Iterable[Heartbeat], max_runtime: int | None = None, log: Log = EMPTY_LOG
) -> HeartbeatState:
    """`state` as it would be if `beats` had been applied each at its moment. `log` has what made `state`.

    Runs and durations are exact if the log reaches back to the start of every run that was open at the moment of the
    first of `beats`. Where it does not, nothing that is known of a later moment is undone, and a run that may have
    ended is not opened: it must not hold its monitor DOWN.
    """
    beats = in_order(beats)
    if not beats or state.last_received_at is None or beats[0].received_at >= state.last_received_at:
        return apply(state, beats, max_runtime)
    after = merge(state, apply(NO_HEARTBEATS, beats))
    if not after.starts and all(beat.duration is None for beat in (*beats, *log.beats)):
        return after._replace(runs=(), last_duration=state.last_duration)
    base = started_before(state.runs, log.beats)
    folded = apply(HeartbeatState(runs=base), log.beats, max_runtime)
    explained = folded.runs == state.runs and folded.last_duration in (None, state.last_duration)
    reach = log.since if explained else None
    within = [beat for beat in beats if reach is not None and beat.received_at >= reach]
    runs, duration = state.runs, state.last_duration
    if within:
        refolded = apply(HeartbeatState(runs=base), in_order([*log.beats, *within]), max_runtime)
        runs, duration = refolded.runs, refolded.last_duration
        if duration is None and folded.last_duration is None:
            duration = state.last_duration
    overtaken_by = outcome_at(merge(state, apply(NO_HEARTBEATS, within)))
    for beat in beats[: len(beats) - len(within)]:
        runs, duration = _unexplained(runs, duration, beat, overtaken_by, max_runtime)
    return after._replace(runs=runs, last_duration=duration)


def started_before(runs: Iterable[Run], log: Iterable[Heartbeat]) -> tuple[Run, ...]:
    """Those of these runs whose starts are not in the log any more."""
    starts = {(beat.rid, beat.received_at) for beat in log if beat.kind is Kind.START}
    return tuple(run for run in runs if (run.rid, run.started_at) not in starts)


def _unexplained(
    runs: tuple[Run, ...], duration: int | None, beat: Heartbeat, overtaken_by: int, max_runtime: int | None
) -> tuple[tuple[Run, ...], int | None]:
    """Runs and the last duration with a heartbeat from before the log. `overtaken_by` is the moment of the last outcome
    that became known before it.
    """
    earlier = tuple(run for run in runs if run.started_at <= beat.received_at)
    later = tuple(run for run in runs if run.started_at > beat.received_at)
    folded = apply(HeartbeatState(runs=earlier, last_duration=duration), (beat,), max_runtime)
    overtaken = overtaken_by > beat.received_at
    remaining = earlier if overtaken and beat.kind is Kind.START else folded.runs
    reused = {run.rid for run in later}
    runs = (*(run for run in remaining if run.rid not in reused), *later)[-MAX_OPEN_RUNS:]
    return runs, duration if overtaken else folded.last_duration
