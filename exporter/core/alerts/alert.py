"""Alert counting: one pure state machine for (rule, monitor). Nothing else decides when an alert begins or ends.

    no progress ──in `when`──▶ pending ──long enough──▶ triggered ──UP for long enough──▶ no progress
                               └──anything else, but frozen──▶ no progress

A monitor that is evaluated continuously is counted by time: one evaluation a minute, the first at the moment its
status begins. One with `evaluation_cron` is counted by its ticks, and only there does anything change.

A blackout freezes, as MAINTENANCE does: the monitor's status is unknown meanwhile, so that time does not count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.core.alerts.alert_rule import FROZEN, AlertRule
from exporter.core.spans import Span, moment_after, overlap
from exporter.core.status import Reason, Status


@dataclass(frozen=True, slots=True)
class Observation:
    """What a monitor was found to be, from a moment on. Unix time in milliseconds."""

    at: int
    status: Status
    reason: Reason


@dataclass(frozen=True, slots=True)
class RuleState:
    """How far a rule has come with a monitor. There is none as long as nothing is wrong."""

    triggered: bool
    """Whether the alert is on; then what is gained is gained towards its end."""
    elapsed: int
    """Milliseconds of unbroken time, up to `seen.at`."""
    evaluations: int
    """Unbroken evaluations; kept for monitors with `evaluation_cron` alone."""
    seen: Observation
    """The last observation; `at` moves on with the time that is counted."""


class AlertState(StrEnum):
    """An alert's state as the database, templates and the metric's label `step` write it."""

    TRIGGERED = "TRIGGERED"
    RESOLVED = "RESOLVED"

    @property
    def public(self) -> "PublicAlertState":
        """The same state as the API writes it."""
        return PublicAlertState.FIRING if self is AlertState.TRIGGERED else PublicAlertState.RESOLVED


class PublicAlertState(StrEnum):
    """An alert's state as the API and the command line's JSON write it."""

    FIRING = "firing"
    RESOLVED = "resolved"

    @property
    def stored(self) -> AlertState:
        """The same state as the database writes it."""
        return AlertState.TRIGGERED if self is PublicAlertState.FIRING else AlertState.RESOLVED


class ResolveReason(StrEnum):
    """Why an alert is over."""

    RECOVERED = "recovered"
    RULE_CHANGED = "rule_changed"
    RULE_REMOVED = "rule_removed"
    DESELECTED = "deselected"
    """The rule no longer selects the monitor."""
    MONITOR_REMOVED = "monitor_removed"
    HOLD_ENDED = "hold_ended"
    """Of the alert that says that heartbeats may not arrive: what was held because of that is sent."""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert begins or ends."""

    step: AlertState
    at: int
    status: Status
    reason: Reason


def next_change_at(rule: AlertRule, progress: RuleState | None, blackouts: Sequence[Span] = ()) -> int | None:
    """When the alert changes if the monitor stays as it is, for one evaluated continuously; None is never."""
    if progress is None or not _gains(rule, progress):
        return None
    left = _needed(rule, progress) - progress.elapsed
    return moment_after(progress.seen.at, left, blackouts) if left > 0 else progress.seen.at


def advance(
    rule: AlertRule,
    progress: RuleState | None,
    observations: Iterable[Observation],
    until: int,
    blackouts: Sequence[Span] = (),
) -> tuple[RuleState | None, list[AlertChange]]:
    """Counts by time, for monitors that are evaluated continuously.

    `observations` are changes of status, in order; the last one holds up to and including the moment `until`.
    `blackouts`, merged, are those that are forgiven.
    """
    changes: list[AlertChange] = []
    for observation in observations:
        # At the moment of a change the old status no longer holds: what it needed another moment for, it did not get.
        progress = _pass_time(rule, progress, observation.at - 1, changes, blackouts)
        progress = _observe(rule, _moved(rule, progress, observation.at, blackouts), observation)
        progress = _pass_time(rule, progress, observation.at, changes, blackouts)
    progress = _pass_time(rule, progress, until, changes, blackouts)
    return _moved(rule, progress, until, blackouts), changes


def count(
    rule: AlertRule, progress: RuleState | None, evaluations: Iterable[Observation]
) -> tuple[RuleState | None, list[AlertChange]]:
    """Counts by evaluations, for monitors with `evaluation_cron`: each tick is one."""
    changes: list[AlertChange] = []
    for evaluation in evaluations:
        progress = _observe(rule, _moved(rule, progress, evaluation.at, ()), evaluation)
        if progress is None or not _gains(rule, progress):
            continue
        progress = replace(progress, evaluations=progress.evaluations + 1)
        if _enough(rule, progress):
            progress = _turn(progress, evaluation.at, changes)
    return progress, changes


def _observe(rule: AlertRule, progress: RuleState | None, observation: Observation) -> RuleState | None:
    """`progress` once `found` holds. What breaks a run starts it again; what freezes it leaves it as it is."""
    if progress is None:
        return RuleState(False, 0, 0, observation) if observation.status in rule.when else None
    progress = replace(progress, seen=observation)
    if observation.status in FROZEN or _gains(rule, progress):
        return progress
    return replace(progress, elapsed=0, evaluations=0) if progress.triggered else None


def _gains(rule: AlertRule, progress: RuleState) -> bool:
    status = progress.seen.status
    return status is Status.UP if progress.triggered else status in rule.when


def _needed(rule: AlertRule, progress: RuleState) -> int:
    return rule.resolve_time if progress.triggered else rule.trigger_time


def _enough(rule: AlertRule, progress: RuleState) -> bool:
    after = rule.resolve_after if progress.triggered else rule.trigger_after
    if after is not None:
        return progress.elapsed >= after
    return progress.evaluations >= (rule.success_threshold if progress.triggered else rule.failure_threshold)


def _pass_time(
    rule: AlertRule, progress: RuleState | None, until: int, changes: list[AlertChange], blackouts: Sequence[Span]
) -> RuleState | None:
    """Lets time pass with nothing observed; at most one change comes of it."""
    moment = next_change_at(rule, progress, blackouts)
    if progress is None or moment is None or moment > until:
        return progress
    return _turn(progress, moment, changes)


def _turn(progress: RuleState, at: int, changes: list[AlertChange]) -> RuleState | None:
    """The alert begins or ends."""
    seen = progress.seen
    changes.append(
        AlertChange(AlertState.RESOLVED if progress.triggered else AlertState.TRIGGERED, at, seen.status, seen.reason)
    )
    return None if progress.triggered else RuleState(True, 0, 0, replace(seen, at=at))


def _moved(rule: AlertRule, progress: RuleState | None, at: int, blackouts: Sequence[Span]) -> RuleState | None:
    """Gains the time up to the moment `at`; a clock that stepped back gains nothing."""
    if progress is None or at == progress.seen.at:
        return progress
    elapsed, since = progress.elapsed, progress.seen.at
    if at > since and _gains(rule, progress):
        elapsed += at - since - overlap(blackouts, since, at)
    return replace(progress, elapsed=elapsed, seen=replace(progress.seen, at=at))
