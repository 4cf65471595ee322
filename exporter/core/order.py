"""The order of receipt: what heartbeats leave behind, whatever process commits first.

Heartbeats are ordered by their moments of receipt, late ones by the moments that their senders gave, and at the same
millisecond by their numbers in the log, that is by the order of their commits. Counts, moments and the last outcome can
be added up in any order (`core.heartbeat.merge`). Runs, durations and consecutive failures cannot, so the log of the
monitor is replayed for them.
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

_OUTCOMES = (Kind.SUCCESS, Kind.FAILURE)
_UNKNOWN = (None, None)
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


def log_of(numbered: Sequence[Heartbeat], received: int, arrivals: Sequence[int | None] = ()) -> Log:
    """From the newest heartbeats of a log in the order of their numbers, of a monitor that has `received` so many.
    `arrivals` are the moments at which they were received, None for those of which that is the moment that counts.

    What is missing has lower numbers. Its moments may be mixed with those of the oldest heartbeats that are here.
    """
    if len(numbered) >= received:
        return Log(in_order(numbered), 0)
    since = _whole_since(numbered, arrivals)
    return Log(in_order(beat for beat in numbered if since is not None and beat.received_at >= since), since)


def without_strays(numbered: Sequence[Heartbeat], received: int, arrivals: Sequence[int | None]) -> Sequence[Heartbeat]:
    """As `log_of`, in the order of moments: the heartbeats without the late ones whose moments lie before those of the
    log. Between them and the log others are missing.
    """
    if len(numbered) >= received or not any(arrivals):
        return in_order(numbered)
    since = _whole_since(numbered, arrivals) or 0
    pairs = zip(numbered, arrivals, strict=True)
    return in_order(beat for beat, arrived_at in pairs if arrived_at is None or beat.received_at >= since)


def _whole_since(numbered: Sequence[Heartbeat], arrivals: Sequence[int | None]) -> int | None:
    """No heartbeat counts at a later moment than that of its receipt, so what is missing does not reach beyond the
    receipt of the oldest ones that are here.
    """
    oldest = -(-len(numbered) // _OLDEST)
    late = [arrived_at for arrived_at in arrivals[:oldest] if arrived_at is not None]
    return max([*map(moment, numbered[:oldest]), *late], default=None)


def include(
    state: HeartbeatState, beats: Iterable[Heartbeat], max_runtime: int | None = None, log: Log = EMPTY_LOG
) -> HeartbeatState:
    """`state` as it would be if `beats` had been applied each at its moment. `log` has what made `state`.

    Runs, durations and consecutive failures are exact if the log reaches back to the start of every run that was open
    at the moment of the first of `beats`, and to the last success. Where it does not, nothing that is known of a later
    moment is undone, and a run that may have ended is not opened: it must not hold its monitor DOWN.
    """
    beats = in_order(beats)
    if not beats or state.last_received_at is None or beats[0].received_at >= state.last_received_at:
        return apply(state, beats, max_runtime)
    after = merge(state, apply(NO_HEARTBEATS, beats))._replace(
        consecutive_failures=_consecutive_failures(state, beats, log)
    )
    if not after.starts and all(beat.duration is None for beat in (*beats, *log.beats)):
        return after._replace(runs=(), last_duration=state.last_duration)
    base = started_before(state.runs, log.beats)
    folded = apply(HeartbeatState(runs=base), log.beats, max_runtime)
    reach = log.since if _explains(folded, state) else None
    within = [beat for beat in beats if reach is not None and beat.received_at >= reach]
    runs, duration, run = state.runs, state.last_duration, _last_run(state)
    if within:
        refolded = apply(HeartbeatState(runs=base), in_order([*log.beats, *within]), max_runtime)
        runs, duration = refolded.runs, refolded.last_duration
        if duration is None and folded.last_duration is None:
            duration = state.last_duration
        if outcome_at(refolded) >= outcome_at(state) and (_last_run(refolded), _last_run(folded)) != (
            _UNKNOWN,
            _UNKNOWN,
        ):
            run = _last_run(refolded)
        elif any(beat.kind in _OUTCOMES and beat.received_at >= outcome_at(state) for beat in within):
            run = _UNKNOWN
    overtaken_by = outcome_at(merge(state, apply(NO_HEARTBEATS, within)))
    for beat in beats[: len(beats) - len(within)]:
        runs, duration, run = _unexplained(runs, duration, run, beat, overtaken_by, max_runtime)
    return after._replace(runs=runs, last_duration=duration, outcome_started_at=run[0], outcome_duration=run[1])


def _consecutive_failures(state: HeartbeatState, beats: Sequence[Heartbeat], log: Log) -> int:
    """With `beats`, which are in order. A failure that the log does not show counts, even if one of them may have been
    a success after it.
    """
    last = max((beat.received_at for beat in beats if beat.kind is Kind.SUCCESS), default=None)
    if last is None or (state.last_success_at is not None and last < state.last_success_at):
        since = state.last_success_at
        new = (beat for beat in beats if since is None or beat.received_at >= since)
        return state.consecutive_failures + sum(beat.kind is Kind.FAILURE for beat in new)
    new_failures = apply(NO_HEARTBEATS, beats).consecutive_failures
    if state.last_failure_at is None or state.last_failure_at <= last:
        return new_failures
    later = [beat.received_at for beat in log.beats if beat.kind is Kind.FAILURE and beat.received_at > last]
    if log.since is None or log.since > last or state.last_failure_at not in later:
        return new_failures + state.consecutive_failures
    return new_failures + len(later)


def _explains(folded: HeartbeatState, state: HeartbeatState) -> bool:
    """Whether `state` follows from a log that leads to `folded`; what lies before the log may have ended a run."""
    last_run = outcome_at(folded) != outcome_at(state) or _last_run(folded) in (_UNKNOWN, _last_run(state))
    return folded.runs == state.runs and folded.last_duration in (None, state.last_duration) and last_run


def _last_run(state: HeartbeatState) -> tuple[int | None, int | None]:
    """What is known of the run that the last outcome ended: its start and its duration."""
    return state.outcome_started_at, state.outcome_duration


def started_before(runs: Iterable[Run], log: Iterable[Heartbeat]) -> tuple[Run, ...]:
    """Those of these runs whose starts are not in the log any more."""
    starts = {(beat.rid, beat.received_at) for beat in log if beat.kind is Kind.START}
    return tuple(run for run in runs if (run.rid, run.started_at) not in starts)


def _unexplained(
    runs: tuple[Run, ...],
    duration: int | None,
    run: tuple[int | None, int | None],
    beat: Heartbeat,
    overtaken_by: int,
    max_runtime: int | None,
) -> tuple[tuple[Run, ...], int | None, tuple[int | None, int | None]]:
    """Runs, the last duration and the run of the last outcome with a heartbeat from before the log. `overtaken_by` is
    the moment of the last outcome that became known before it.
    """
    earlier = tuple(run for run in runs if run.started_at <= beat.received_at)
    later = tuple(run for run in runs if run.started_at > beat.received_at)
    folded = apply(HeartbeatState(runs=earlier, last_duration=duration), (beat,), max_runtime)
    overtaken = overtaken_by > beat.received_at
    remaining = earlier if overtaken and beat.kind is Kind.START else folded.runs
    reused = {run.rid for run in later}
    runs = (*(run for run in remaining if run.rid not in reused), *later)[-MAX_OPEN_RUNS:]
    if overtaken:
        return runs, duration, run
    return runs, folded.last_duration, _last_run(folded) if folded.last_outcome is not None else run
