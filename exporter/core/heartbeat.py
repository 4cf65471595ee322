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
    """Unix time in milliseconds: the moment of receipt, or the earlier one that the sender gave for it."""
    rid: str = ""
    """Pairs the start and the end of a run; empty when the sender gave none."""
    exit_code: int | None = None
    output: str = ""
    """The job's output: of more than 10 kB the first 1 kB and the last 9 kB."""
    duration: int | None = None
    """Milliseconds that the run took, as its sender measured it; None when the sender did not say."""


class Claim(NamedTuple):
    """What the sender of a late heartbeat said of its moment. `Heartbeat.received_at` is the moment that counts."""

    claimed_at: int
    """The moment that the sender gave, as it gave it. With the kind and the rid it identifies the heartbeat: one that
    is sent again counts once.
    """
    arrived_at: int
    """When the heartbeat was received."""


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
    """SUCCESS or FAILURE: the one received last."""
    last_exit_code: int | None = None
    """Of the last outcome; 0 for a plain success, None for a failure without one."""
    last_duration: int | None = None
    """Milliseconds, of the last run whose start was seen or whose sender measured it."""
    consecutive_failures: int = 0
    """Failures since the last success, or ever if there was none."""
    outcome_started_at: int | None = None
    """When the run began that the last outcome ended; None if its start was not seen."""
    outcome_duration: int | None = None
    """Milliseconds that this run took: as its sender measured it, else since its start; None if neither is known."""
    runs: tuple[Run, ...] = ()
    """Open runs, in the order in which their starts were received."""


NO_HEARTBEATS = HeartbeatState()


def apply(state: HeartbeatState, beats: Iterable[Heartbeat], max_runtime: int | None = None) -> HeartbeatState:
    """`state` after `beats`, which come in the order of receipt, after all that made `state`; `core.order` sees to it.

    A start without a `rid` replaces an earlier one without; an end without a `rid` belongs to the latest start. A
    success also closes every run that had already overrun `max_runtime`: the job has proved itself since, and a run
    that died without a word must not hold its monitor DOWN forever.
    """
    (
        received, failures, starts, last_at, success_at, failure_at, start_at,
        outcome, exit_code, duration, consecutive, began, took, runs,
    ) = state  # fmt: skip
    for kind, at, rid, code, _, measured in beats:
        received += 1
        last_at = at
        if kind is Kind.SUCCESS:
            success_at, outcome, exit_code, consecutive = at, kind, 0, 0
        elif kind is Kind.FAILURE:
            failures += 1
            consecutive += 1
            failure_at, outcome, exit_code = at, kind, code
        elif kind is Kind.START:
            starts += 1
            start_at = at
            runs = (*(run for run in runs if run.rid != rid), Run(rid, at))[-MAX_OPEN_RUNS:]
            continue
        else:
            continue
        began, took = None, measured
        if runs:
            ended = _run_ended_by(runs, rid)
            if ended is not None:
                began = ended.started_at
                took = max(0, at - began)
                runs = tuple(run for run in runs if run is not ended)
            if max_runtime is not None and kind is Kind.SUCCESS:
                runs = tuple(run for run in runs if at - run.started_at <= max_runtime)
            if measured is not None:  # the sender knows better than two moments of receipt
                took = measured
        if took is not None:
            duration = took
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
        consecutive,
        began,
        took,
        runs,
    )


def outcome_at(state: HeartbeatState) -> int:
    """When the last outcome was received; a moment before all others if there was none."""
    moment = state.last_failure_at if state.last_outcome is Kind.FAILURE else state.last_success_at
    return -1 if moment is None else moment


def merge(state: HeartbeatState, delta: HeartbeatState) -> HeartbeatState:
    """`state` with what `delta`, the outcome of `apply` on NO_HEARTBEATS and `state`'s runs, adds to it.

    The moments decide and not the order of the calls, except for runs, durations and consecutive failures: those are
    `core.order`'s. The database does the same to its row, so two writers never overwrite each other's counts.
    """
    (
        received, failures, starts, last_at, success_at, failure_at, start_at,
        outcome, exit_code, duration, consecutive, began, took, _,
    ) = state  # fmt: skip
    (
        more, failed, started, at, succeeded_at, failed_at, started_at,
        ending, code, lasted, in_a_row, beginning, taking, runs,
    ) = delta  # fmt: skip
    if ending is not None:
        ended_at = failed_at if ending is Kind.FAILURE else succeeded_at
        before = failure_at if outcome is Kind.FAILURE else success_at
        if before is None or (ended_at is not None and ended_at >= before):
            outcome, exit_code, began, took = ending, code, beginning, taking
    if last_at is None or (at is not None and at > last_at):
        last_at = at
    if succeeded_at is None:
        consecutive += in_a_row
    else:
        consecutive = in_a_row
        if success_at is None or succeeded_at > success_at:
            success_at = succeeded_at
    if failure_at is None or (failed_at is not None and failed_at > failure_at):
        failure_at = failed_at
    if start_at is None or (started_at is not None and started_at > start_at):
        start_at = started_at
    return HeartbeatState(
        received + more,
        failures + failed,
        starts + started,
        last_at,
        success_at,
        failure_at,
        start_at,
        outcome,
        exit_code,
        duration if lasted is None else lasted,
        consecutive,
        began,
        took,
        runs,
    )


def _run_ended_by(runs: tuple[Run, ...], rid: str) -> Run | None:
    if not rid:
        return runs[-1]
    for run in runs:
        if run.rid == rid:
            return run
    return None
