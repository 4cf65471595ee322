"""Heartbeats, and what is remembered of them: the state that status is worked out from.

Named tuples: thousands are made a second, and a frozen dataclass takes three times as long to make.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

MAX_OPEN_RUNS = 100
"""Open runs remembered per monitor; beyond it the oldest is forgotten."""


class Kind(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    START = "start"
    LOG = "log"


class Heartbeat(NamedTuple):
    """One signal received for a monitor."""

    kind: Kind
    received_at: int
    """Unix time in milliseconds."""
    rid: str = ""
    """Pairs the start and the end of a run; empty when the sender gave none."""
    exit_code: int | None = None
    output: str = ""
    """The job's output: the first 10 kB of the request's body."""


class Run(NamedTuple):
    """A run that was started and has not ended."""

    rid: str
    started_at: int


class HeartbeatState(NamedTuple):
    """All that the past heartbeats of one monitor leave behind. Moments are None before the first."""

    received: int = 0
    """Heartbeats of every kind, ever."""
    failures: int = 0
    starts: int = 0
    last_received_at: int | None = None
    last_success_at: int | None = None
    last_failure_at: int | None = None
    last_start_at: int | None = None
    last_outcome: Kind | None = None
    """SUCCESS or FAILURE, whichever was received last."""
    last_exit_code: int | None = None
    """Of the last outcome; 0 for a plain success, None for a failure that told none."""
    last_duration: int | None = None
    """Milliseconds, of the last run whose start was seen."""
    runs: tuple[Run, ...] = ()
    """Open runs, in the order in which their starts were received."""


NO_HEARTBEATS = HeartbeatState()


def apply(state: HeartbeatState, beats: Iterable[Heartbeat], max_runtime: int | None = None) -> HeartbeatState:
    """`state` after `beats`, in the order in which they were received.

    The order decides, not the timestamps, so a clock that steps back loses nothing. A start without a `rid`
    replaces an earlier one without; an end without a `rid` belongs to the latest start. A success also closes
    every run that had already overrun `max_runtime`: the job has proved itself since, and a run that died
    without a word must not hold its monitor DOWN for ever.
    """
    received, failures, starts = state.received, state.failures, state.starts
    last_at, success_at = state.last_received_at, state.last_success_at
    failure_at, start_at = state.last_failure_at, state.last_start_at
    outcome, exit_code, duration = state.last_outcome, state.last_exit_code, state.last_duration
    runs = state.runs
    for beat in beats:
        at, kind = beat.received_at, beat.kind
        received += 1
        last_at = at
        if kind is Kind.SUCCESS:
            success_at, outcome, exit_code = at, kind, 0
        elif kind is Kind.FAILURE:
            failures += 1
            failure_at, outcome, exit_code = at, kind, beat.exit_code
        elif kind is Kind.START:
            starts += 1
            start_at = at
            runs = (*(run for run in runs if run.rid != beat.rid), Run(beat.rid, at))[-MAX_OPEN_RUNS:]
            continue
        else:
            continue
        if runs:
            ended = _run_ended_by(runs, beat.rid)
            if ended is not None:
                duration = max(0, at - ended.started_at)
                runs = tuple(run for run in runs if run is not ended)
            if max_runtime is not None and kind is Kind.SUCCESS:
                runs = tuple(run for run in runs if at - run.started_at <= max_runtime)
    return HeartbeatState(
        received,
        failures,
        starts,
        last_at,
        success_at,
        failure_at,
        start_at,
        outcome,
        exit_code,
        duration,
        runs,
    )


def apply_late(state: HeartbeatState, beats: Iterable[Heartbeat], max_runtime: int | None = None) -> HeartbeatState:
    """`state` with `beats` that were received before its last heartbeat and became known only now.

    Here the moments decide: nothing that is known of a later moment is undone. A late start opens a run only if no
    outcome was received after it: whether one of those was its end cannot be told any more, and a run that is over
    must not hold its monitor DOWN.
    """
    for beat in beats:
        earlier = tuple(run for run in state.runs if run.started_at <= beat.received_at)
        later = tuple(run for run in state.runs if run.started_at > beat.received_at)
        after = apply(state._replace(runs=earlier), (beat,), max_runtime)
        outcome_at = state.last_failure_at if state.last_outcome is Kind.FAILURE else state.last_success_at
        overtaken = outcome_at is not None and outcome_at > beat.received_at
        if overtaken:
            after = after._replace(
                last_outcome=state.last_outcome,
                last_exit_code=state.last_exit_code,
                last_duration=state.last_duration,
            )
        runs = earlier if overtaken and beat.kind is Kind.START else after.runs
        state = after._replace(
            last_received_at=_later(state.last_received_at, after.last_received_at),
            last_success_at=_later(state.last_success_at, after.last_success_at),
            last_failure_at=_later(state.last_failure_at, after.last_failure_at),
            last_start_at=_later(state.last_start_at, after.last_start_at),
            runs=(*(run for run in runs if all(run.rid != other.rid for other in later)), *later)[-MAX_OPEN_RUNS:],
        )
    return state


def merge(state: HeartbeatState, delta: HeartbeatState) -> HeartbeatState:
    """`state` with what `delta`, the outcome of `apply` on NO_HEARTBEATS and `state`'s runs, adds to it.

    The database does the same to its row, so that two writers never overwrite each other's counts.
    """
    ended = delta.last_outcome is not None
    return HeartbeatState(
        state.received + delta.received,
        state.failures + delta.failures,
        state.starts + delta.starts,
        state.last_received_at if delta.last_received_at is None else delta.last_received_at,
        state.last_success_at if delta.last_success_at is None else delta.last_success_at,
        state.last_failure_at if delta.last_failure_at is None else delta.last_failure_at,
        state.last_start_at if delta.last_start_at is None else delta.last_start_at,
        delta.last_outcome if ended else state.last_outcome,
        delta.last_exit_code if ended else state.last_exit_code,
        state.last_duration if delta.last_duration is None else delta.last_duration,
        delta.runs,
    )


def _later(moment: int | None, other: int | None) -> int | None:
    return other if moment is None or (other is not None and other > moment) else moment


def _run_ended_by(runs: tuple[Run, ...], rid: str) -> Run | None:
    if not rid:
        return runs[-1]
    for run in runs:
        if run.rid == rid:
            return run
    return None
