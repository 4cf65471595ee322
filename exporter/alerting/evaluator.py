"""The alert evaluator: makes alerts, incidents and messages of evaluations, in the same transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from exporter.alerting.changes import AlertChanges
from exporter.alerting.ruleset import RuleSet
from exporter.alerting.writer import AlertWriter
from exporter.core.alerts.alert import AlertChange, Observation, ResolveReason, RuleState, advance, count
from exporter.core.alerts.alert_rule import FROZEN, WATCHABLE, AlertRule
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.timeline import CurrentStatus
from exporter.evaluation.gate import EvaluationGate
from exporter.evaluation.outcomes import Outcome
from exporter.fleet.loader import load_ids_with, load_present, load_statuses
from exporter.storage.database import Database, Transaction
from exporter.storage.ingest_suspicions import StoredSuspicion
from exporter.storage.repositories.alert_progress import AlertProgress, Tracked
from exporter.storage.repositories.alerts import Alerts

Item = TypeVar("Item")

BATCH = 500
"""Alerts advanced in one transaction."""
RELEASED = 100
"""Held alerts announced in one transaction: thousands may come due at once, and heartbeats have to be committed too."""


class AlertEvaluator:
    """Implements evaluation.AlertSink; all methods but `use` are called on the evaluator's thread."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        progress: AlertProgress,
        alerts: Alerts,
        writer: AlertWriter,
    ) -> None:
        self._db = database
        self._fleet = fleet
        self._progress = progress
        self._alerts = alerts
        self._writer = writer
        self._rules = RuleSet()
        self._changed = False

    def use(self, rules: RuleSet) -> None:
        """Puts these rules in force; `advance` applies them to firing alerts. Any thread may call it."""
        self._rules = rules
        self._changed = True

    def took_over(self) -> None:
        self._changed = True

    def clock_set_back(self, transaction: Transaction, by: int, now: int) -> None:
        self._progress.set_back(by, now)
        self._alerts.set_back(by, now)
        self._writer.set_back(by, now)

    def next_due(self) -> int | None:
        moments = (self._progress.next_due(), self._alerts.next_repeat_at(), self._writer.holds.next_due())
        return min((moment for moment in moments if moment is not None), default=None)

    def observe(self, transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> None:
        rules = self._rules
        if not rules or not outcomes:
            return
        before: defaultdict[int, dict[str, Tracked]] = defaultdict(dict)
        for tracked in self._progress.tracked([outcome.due.monitor_id for outcome in outcomes]):
            before[tracked.monitor_id][tracked.rule] = tracked
        changes = AlertChanges()
        for outcome in outcomes:
            watched = outcome.watched
            self._step(changes, rules, watched, before[watched.id], outcome.after, outcome.observations, now)
        self._writer.write(transaction, changes, rules, now)
        if before or changes.started:
            evaluated = [(outcome.watched, outcome.after) for outcome in outcomes]
            self._writer.reconsider(transaction, evaluated, rules, now)

    def advance(self, now: int, gate: EvaluationGate) -> None:
        if self._changed:
            self._changed = False
            try:
                self._reconcile(now, gate)
            except BaseException:  # re-raised; the next attempt must reconcile
                self._changed = True
                raise
        while True:
            due = self._progress.due(now, BATCH)
            if due:
                self._advance_these(due, now, gate)
            if len(due) < BATCH:
                break
        self._release(now, gate)
        self._repeat(now, gate)

    def ingest_suspect(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        self._writer.ingest.begin(transaction, stored, now)

    def ingest_over(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        self._writer.ingest.end(transaction, stored, now)

    # ── one rule, one monitor ────────────────────────────────────────────────────────────────────────────────

    def _step(
        self,
        changes: AlertChanges,
        rules: RuleSet,
        watched: FleetMonitor,
        progress_by_rule: Mapping[str, Tracked],
        current: CurrentStatus,
        observations: Sequence[Observation],
        now: int,
    ) -> None:
        watching = rules.watching(watched.monitor)
        for rule in watching:
            tracked = progress_by_rule.get(rule.name)
            fingerprint = rules.fingerprint(rule.name)
            assert fingerprint is not None
            if tracked is not None and tracked.fingerprint != fingerprint:
                changes.end(tracked, now, ResolveReason.RULE_CHANGED)
                tracked = None
            progress = tracked.progress if tracked is not None else _begin(rule, current, observations, now)
            after, steps = _count(rule, watched, progress, observations, now)
            after = _with_reason(after, current)
            if after is not None or tracked is not None or steps:
                changes.take(rule, fingerprint, watched, tracked, after, steps)
        if progress_by_rule:
            names = {rule.name for rule in watching}
            for name, tracked in progress_by_rule.items():
                if name not in names:
                    changes.end(
                        tracked,
                        now,
                        ResolveReason.RULE_REMOVED if rules.get(name) is None else ResolveReason.DESELECTED,
                    )

    # ── by the clock alone ───────────────────────────────────────────────────────────────────────────────────

    def _advance_these(self, due: Sequence[Tracked], now: int, gate: EvaluationGate) -> None:
        rules, changes = self._rules, AlertChanges()
        present = self._watched([tracked.monitor_id for tracked in due])
        for tracked in due:
            watched = present.get(tracked.monitor_id)
            rule = rules.get(tracked.rule)
            ending = _ending(rules, rule, tracked, watched)
            if ending is not None:
                changes.end(tracked, now, ending)
                continue
            assert rule is not None
            assert watched is not None
            after, steps = _count(rule, watched, tracked.progress, (), now)
            changes.take(rule, tracked.fingerprint, watched, tracked, after, steps)
        with gate.transaction("advance alerts") as transaction:
            self._writer.write(transaction, changes, rules, now)

    def _reconcile(self, now: int, gate: EvaluationGate) -> None:
        """After a change of the rules or a takeover: ends alerts without a rule, begins those that a rule demands."""
        rules, changes = self._rules, AlertChanges()
        going_on: set[tuple[int, str]] = set()
        for batch in _batches(self._progress.tracked()):
            present = self._watched([tracked.monitor_id for tracked in batch])
            for tracked in batch:
                ending = _ending(rules, rules.get(tracked.rule), tracked, present.get(tracked.monitor_id))
                if ending is not None:
                    changes.end(tracked, now, ending)
                else:
                    going_on.add((tracked.monitor_id, tracked.rule))
        self._write_in_batches(_split(changes), rules, now, gate)
        for candidates in _batches(self._newly_watched(rules, going_on)):
            with gate.transaction("reconcile alerts") as transaction:
                # Read again inside: an evaluation of the process that held the lease may have been committed meanwhile.
                ids = sorted({watched.id for watched, _, _ in candidates})
                statuses = load_statuses(self._db, ids)
                tracked_now = {(tracked.monitor_id, tracked.rule) for tracked in self._progress.tracked(ids)}
                starts = AlertChanges()
                for watched, rule, fingerprint in candidates:
                    current = statuses.get(watched.id)
                    if current is None or (watched.id, rule.name) in tracked_now:
                        continue
                    progress = _begin(rule, current, (), now)
                    after, steps = _count(rule, watched, progress, (), now)
                    if after is not None or steps:
                        starts.take(rule, fingerprint, watched, None, after, steps)
                self._writer.write(transaction, starts, rules, now)

    def _newly_watched(
        self, rules: RuleSet, going_on: set[tuple[int, str]]
    ) -> Iterable[tuple[FleetMonitor, AlertRule, str]]:
        """The monitors that have a status of which a rule alerts, in the database and not in the fleet, which may not
        know yet what other processes wrote.
        """
        if not rules:
            return
        for ids in _batches(load_ids_with(self._db, WATCHABLE)):
            for watched in self._watched(ids).values():
                for rule in rules.watching(watched.monitor):
                    if watched.current.status in rule.when and (watched.id, rule.name) not in going_on:
                        fingerprint = rules.fingerprint(rule.name)
                        assert fingerprint is not None
                        yield watched, rule, fingerprint

    def _watched(self, ids: Sequence[int]) -> Mapping[int, FleetMonitor]:
        return load_present(self._db, self._fleet, ids)

    def _write_in_batches(
        self, batches: Iterable[AlertChanges], rules: RuleSet, now: int, gate: EvaluationGate
    ) -> None:
        for changes in batches:
            if changes:
                with gate.transaction("reconcile alerts") as transaction:
                    self._writer.write(transaction, changes, rules, now)

    def _release(self, now: int, gate: EvaluationGate) -> None:
        """Announces held alerts whose deadline has passed."""
        last = 0
        while not self._changed:  # else alerts whose rule is gone are ended first, in the next turn
            due = self._writer.holds.due(now, RELEASED, last)
            if not due:
                break
            with gate.transaction("release alerts") as transaction:
                self._writer.release(transaction, due, self._rules, self._watched, now)
            last = due[-1]

    def _repeat(self, now: int, gate: EvaluationGate) -> None:
        rules = self._rules
        if not self._alerts.repeats_due(now, 1):
            return
        with gate.transaction("repeat alerts") as transaction:
            # Read inside: an alert that was acknowledged while this waited for the database is not repeated.
            alerts = self._alerts.repeats_due(now, BATCH)
            present = self._watched([alert.monitor_id for alert in alerts])
            for alert in alerts:
                rule, watched = rules.get(alert.rule), present.get(alert.monitor_id)
                again = now + rule.repeat_every if rule is not None and rule.repeat_every is not None else None
                if rule is not None and watched is not None and watched.current.status not in FROZEN:
                    self._writer.repeat(transaction, alert, rule, watched, now)
                self._alerts.repeat_at([alert.id], again)


def _begin(rule: AlertRule, current: CurrentStatus, observations: Sequence[Observation], now: int) -> RuleState | None:
    """Of a rule that meets a monitor for the first time and finds it in `when`: what was before does not count."""
    if observations or current.status not in rule.when:
        return None
    return RuleState(False, 0, 0, Observation(now, current.status, current.reason))


def _count(
    rule: AlertRule, watched: FleetMonitor, progress: RuleState | None, observations: Sequence[Observation], now: int
) -> tuple[RuleState | None, list[AlertChange]]:
    if watched.monitor.evaluation_cron is not None:
        return count(rule, progress, observations)
    return advance(rule, progress, observations, now, watched.exclusions.blackouts)


def _with_reason(progress: RuleState | None, current: CurrentStatus) -> RuleState | None:
    """A reason may change without the status: `missed` becomes `failed`."""
    if progress is None or progress.seen.status is not current.status or progress.seen.reason is current.reason:
        return progress
    return replace(progress, seen=replace(progress.seen, reason=current.reason))


def _ending(
    rules: RuleSet, rule: AlertRule | None, tracked: Tracked, watched: FleetMonitor | None
) -> ResolveReason | None:
    """Why this progress cannot go on; None when it can. `watched` is None for a monitor that was removed."""
    if watched is None:
        return ResolveReason.MONITOR_REMOVED
    if rule is None:
        return ResolveReason.RULE_REMOVED
    if rules.fingerprint(rule.name) != tracked.fingerprint:
        return ResolveReason.RULE_CHANGED
    return None if rule.selector.matches(watched.monitor) else ResolveReason.DESELECTED


def _batches(items: Iterable[Item]) -> Iterable[list[Item]]:
    some: list[Item] = []
    for item in items:
        some.append(item)
        if len(some) == BATCH:
            yield some
            some = []
    if some:
        yield some


def _split(changes: AlertChanges) -> Iterable[AlertChanges]:
    """Endings, BATCH to a transaction: the dropped progress goes with the ends it belongs to."""
    by_monitor: defaultdict[int, AlertChanges] = defaultdict(AlertChanges)
    for key in changes.dropped:
        by_monitor[key[0] // BATCH].dropped.append(key)
    for ended in changes.ended:
        by_monitor[ended.monitor_id // BATCH].ended.append(ended)
    return by_monitor.values()
