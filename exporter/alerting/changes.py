"""The changes that one transaction writes: alerts that began, alerts that ended, and progress to be kept."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.core.alerts.alert import AlertChange, AlertState, ResolveReason, RuleState, next_change_at
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.fleet import FleetMonitor
from exporter.storage.repositories.alert_progress import Tracked


@dataclass(slots=True)
class AlertStarted:
    """An alert that begins; after a stall of the evaluation it may also have ended already."""

    rule: AlertRule
    watched: FleetMonitor
    change: AlertChange
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class AlertEnded:
    alert_id: int
    monitor_id: int
    at: int
    ending: ResolveReason


@dataclass(slots=True)
class PendingRule:
    """The progress of a rule that is not resolved, with its alert if it has triggered."""

    monitor_id: int
    rule: AlertRule
    fingerprint: str
    progress: RuleState
    counted: bool
    """Whether it counts evaluations, so that time alone changes nothing."""
    alert_id: int | None = None
    started: AlertStarted | None = None

    def tracked(self, alert_ids: Mapping[str, int]) -> Tracked:
        alert_id = self.alert_id if self.started is None else alert_ids[self.started.uid]
        next_at = None if self.counted else next_change_at(self.rule, self.progress)
        return Tracked(self.monitor_id, self.rule.name, self.fingerprint, self.progress, next_at, alert_id)


class AlertChanges:
    """Collects changes, which AlertWriter writes at once."""

    def __init__(self) -> None:
        self.started: list[AlertStarted] = []
        self.ended: list[AlertEnded] = []
        self.kept: list[PendingRule] = []
        self.dropped: list[tuple[int, str]] = []
        """(monitor id, rule)."""

    def take(
        self,
        rule: AlertRule,
        fingerprint: str,
        watched: FleetMonitor,
        before: Tracked | None,
        after: RuleState | None,
        changes: list[AlertChange],
    ) -> None:
        """Adds what changed between one rule and one monitor."""
        alert_id = before.alert_id if before is not None else None
        started: AlertStarted | None = None
        for change in changes:
            if change.step is AlertState.TRIGGERED:
                started = AlertStarted(rule, watched, change)
                self.started.append(started)
            elif started is not None:
                started.ended_at, started = change.at, None
            elif alert_id is not None:
                self.ended.append(AlertEnded(alert_id, watched.id, change.at, ResolveReason.RECOVERED))
                alert_id = None
        if after is not None:
            counted = watched.monitor.evaluation_cron is not None
            self.kept.append(PendingRule(watched.id, rule, fingerprint, after, counted, alert_id, started))
        elif before is not None:
            self.dropped.append((before.monitor_id, before.rule))

    def end(self, tracked: Tracked, at: int, ending: ResolveReason) -> None:
        """Ends an alert other than by recovery: its rule or its monitor has changed."""
        self.dropped.append((tracked.monitor_id, tracked.rule))
        if tracked.alert_id is not None:
            self.ended.append(AlertEnded(tracked.alert_id, tracked.monitor_id, at, ending))

    def __bool__(self) -> bool:
        return bool(self.started or self.ended or self.kept or self.dropped)
