"""Writes the changes of alerts: progress, alerts, incidents and messages, all in the caller's transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from exporter.alerting.changes import AlertChanges, AlertEnded, AlertStarted
from exporter.alerting.dependencies import DependencyHolds, creates_incident
from exporter.alerting.holds import AlertHolds, heard_by
from exporter.alerting.ingest_alerts import IngestAlerts
from exporter.alerting.ruleset import RuleSet
from exporter.alerting.shared_incidents import SharedIncidents
from exporter.alerting.snapshot import snapshot_of, snapshot_of_end
from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.status import Reason, Status
from exporter.core.telemetry import Telemetry
from exporter.core.timeline import CurrentStatus
from exporter.presentation.events import EventLog, LogEvent
from exporter.presentation.moments import humanize_duration
from exporter.presentation.text import enumerate_tags
from exporter.storage.database import Transaction
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.notifications import ALARM, REPEAT
from exporter.storage.delivery.outbox import DeliveryPolicy, Outbox, OutboxItem
from exporter.storage.ingest_suspicions import IngestSuspicions
from exporter.storage.repositories.alert_progress import AlertProgress
from exporter.storage.repositories.alerts import Alert, Alerts, NewAlert
from exporter.storage.repositories.history import History
from exporter.storage.repositories.incidents import Incident, Incidents, NewIncident

_ENDED = {
    ResolveReason.RULE_CHANGED: "its rule was changed",
    ResolveReason.RULE_REMOVED: "its rule was removed",
    ResolveReason.DESELECTED: "its rule no longer watches this monitor",
    ResolveReason.MONITOR_REMOVED: "the monitor was removed",
    ResolveReason.HOLD_ENDED: "the hold has ended",
}


class AlertWriter:
    """All methods block, and raise StorageUnavailable."""

    def __init__(
        self,
        fleet: Fleet,
        history: History,
        progress: AlertProgress,
        alerts: Alerts,
        incidents: Incidents,
        outbox: Outbox,
        telemetry: Telemetry,
        on_enqueued: Callable[[], None],
        held: HeldAlerts,
        suspicions: IngestSuspicions,
        events: EventLog | None = None,
    ) -> None:
        self._events = events or EventLog()
        self.holds = AlertHolds(fleet, held, alerts, outbox, history, on_enqueued, self._events)
        """Which alerts begin without a message, and when those are announced."""
        self.ingest = IngestAlerts(self.holds, alerts, outbox, suspicions, self._policy, on_enqueued, self._events)
        """What is held because heartbeats may not arrive."""
        self.holds.deciders = (self.ingest,)
        self._fleet = fleet
        self._history = history
        self._progress = progress
        self._alerts = alerts
        self._incidents = incidents
        self._outbox = outbox
        self._telemetry = telemetry
        self._on_enqueued = on_enqueued
        """Called when new messages were enqueued, once that is durable."""
        self._shared: SharedIncidents | None = None
        self.policies: Mapping[str, DeliveryPolicy] = {}
        """By notifier; the defaults hold for a notifier that is not configured any more."""

    def hold_by_dependencies(self, dependencies: DependencyHolds) -> None:
        """From now on alerts of suppressed monitors are held, and attached to the incident of what suppresses them."""
        self._shared = SharedIncidents(dependencies, self._incidents, self._alerts)
        self.holds.deciders = (*self.holds.deciders, dependencies)
        self.holds.on_announced = dependencies.fold_into
        self.holds.depending = dependencies.depending
        self.holds.open_incidents = self._open_late

    def write(self, transaction: Transaction, changes: AlertChanges, rules: RuleSet, now: int) -> None:
        if not changes:
            return
        self._progress.drop(transaction, changes.dropped)
        lines: list[_Line] = []
        ids = self._begin(transaction, changes.started, rules, now, lines)
        self._progress.keep(transaction, (alert.tracked(ids) for alert in changes.kept))
        over = [
            *changes.ended,
            *(
                AlertEnded(ids[alert.uid], alert.watched.id, alert.ended_at, ResolveReason.RECOVERED)
                for alert in changes.started
                if alert.ended_at is not None
            ),
        ]
        self._end(transaction, over, rules, now, lines)
        started, ended = len(changes.started), len(over)
        if started or ended:
            transaction.after_commit.append(lambda: self._report(started, ended, lines))

    def repeat(self, transaction: Transaction, alert: Alert, rule: AlertRule, watched: FleetMonitor, now: int) -> None:
        """Enqueues a reminder to the notifiers that delivered the alarm."""
        current = watched.current
        facts = snapshot_of(
            uid=alert.uid,
            rule=rule,
            watched=watched,
            status=current.status if current.status in rule.when else alert.status,
            reason=current.reason if current.status in rule.when else alert.reason,
            triggered_at=alert.triggered_at,
            at=now,
            output=self._history.last_outputs([watched.id]).get(watched.id, ""),
            incident_id=alert.incident_id,
            depending=self.holds.depending(alert.tag),
        )
        for notifier in self._outbox.told_of(alert.id):
            items = [OutboxItem(alert.id, facts.to_json())]
            self._outbox.enqueue(transaction, notifier, REPEAT, items, self._policy(notifier), now)
        transaction.after_commit.append(self._on_enqueued)

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`."""
        self._outbox.set_back(by, now)
        self.holds.set_back(by, now)

    def release(
        self,
        transaction: Transaction,
        alert_ids: Sequence[int],
        rules: RuleSet,
        watched_of: Callable[[Sequence[int]], Mapping[int, FleetMonitor]],
        now: int,
    ) -> None:
        """Announces those of these held alerts that nothing holds any more; `watched_of` reads their monitors."""
        self.holds.release_due(transaction, alert_ids, rules, watched_of, self._policy, now)

    def reconsider(
        self,
        transaction: Transaction,
        evaluated: Iterable[tuple[FleetMonitor, CurrentStatus]],
        rules: RuleSet,
        now: int,
    ) -> None:
        """After evaluations: announces held alerts of which these leave no doubt."""
        self.holds.reconsider(transaction, evaluated, rules, self._policy, now)

    # ── alerts that begin ────────────────────────────────────────────────────────────────────────────────────

    def _begin(
        self,
        transaction: Transaction,
        new_alerts: Sequence[AlertStarted],
        rules: RuleSet,
        now: int,
        lines: "list[_Line]",
    ) -> Mapping[str, int]:
        if not new_alerts:
            return {}
        with_incident = [started for started in new_alerts if started.rule.create_incident]
        covered = self._shared.covered(with_incident) if self._shared is not None else {}
        joined = self._incidents.join(
            (_incident(started) for started in with_incident if started.uid not in covered),
            opened=lambda incident: lines.append(_opened(incident)),
        )
        incidents = {started.uid: joined[started.watched.id] for started in with_incident if started.uid not in covered}
        if self._shared is not None and covered:
            incidents |= self._shared.attach(covered.values(), now)
        outputs = self._history.last_outputs(sorted({started.watched.id for started in new_alerts}))
        new, facts = [], {}
        for started in new_alerts:
            rule, change, monitor = started.rule, started.change, started.watched.monitor
            incident = incidents.get(started.uid)
            incident_id = incident.id if incident is not None else None
            # An alert that joins an acknowledged incident is not repeated.
            acknowledged = incident is not None and incident.acknowledged_at is not None
            again = rule.repeat_every is not None and started.ended_at is None and not acknowledged
            new.append(
                NewAlert(
                    uid=started.uid,
                    rule=rule.name,
                    monitor_id=started.watched.id,
                    tag=monitor.tag,
                    severity=rule.severity,
                    notify=rule.notify,
                    status=change.status,
                    reason=change.reason,
                    triggered_at=change.at,
                    incident_id=incident_id,
                    next_repeat_at=now + (rule.repeat_every or 0) if again else None,
                )
            )
            lines.append(_firing(new[-1]))
            facts[started.uid] = snapshot_of(
                uid=started.uid,
                rule=rule,
                watched=started.watched,
                status=change.status,
                reason=change.reason,
                triggered_at=change.at,
                at=max(now, change.at),
                output=outputs.get(started.watched.id, ""),
                incident_id=incident_id,
                depending=self.holds.depending(monitor.tag),
            )
        ids = self._alerts.open(transaction, new)
        if self._shared is not None and joined:
            self._shared.adopt(joined, rules, now)
        holds = self.holds.begin(transaction, new_alerts, ids, now)
        announced: list[tuple[int, int, Sequence[str]]] = []
        items: defaultdict[str, list[OutboxItem]] = defaultdict(list)
        for started in new_alerts:
            heard = heard_by(started.rule.notify, holds.get(started.uid, ()))
            announced.append((ids[started.uid], started.watched.id, heard))
            for notifier in heard:
                items[notifier].append(OutboxItem(ids[started.uid], facts[started.uid].to_json()))
        for notifier, outbox_items in items.items():
            self._outbox.enqueue(transaction, notifier, ALARM, outbox_items, self._policy(notifier), now)
        self.holds.on_announced(transaction, announced, now)
        return ids

    # ── alerts that end ──────────────────────────────────────────────────────────────────────────────────────

    def _end(
        self, transaction: Transaction, over: Sequence[AlertEnded], rules: RuleSet, now: int, lines: "list[_Line]"
    ) -> None:
        if not over:
            return
        alerts = self._alerts.find([ended.alert_id for ended in over])
        self.holds.end(transaction, [ended.alert_id for ended in over])
        self._alerts.resolve(transaction, [(ended.alert_id, ended.at, ended.ending) for ended in over])
        outputs = self._history.last_outputs(sorted({ended.monitor_id for ended in over}))
        facts = {}
        for ended in over:
            alert = alerts[ended.alert_id]
            lines.append(_resolved(alert, ended))
            watched = self._fleet.with_id(ended.monitor_id)
            since = self._history.began(alert.monitor_id, alert.status, alert.triggered_at) if alert.notify else None
            snapshot = snapshot_of_end(alert, rules.get(alert.rule), watched, since, ended.at, ended.ending, outputs)
            facts[ended.alert_id] = snapshot.to_json()
        self._outbox.recover(transaction, facts, self._policy, now)
        self._close_incidents([(alerts[ended.alert_id], ended) for ended in over], lines)

    def _close_incidents(self, over: Iterable[tuple[Alert, AlertEnded]], lines: "list[_Line]") -> None:
        """An incident is resolved with its last alert."""
        by_incident: defaultdict[int, list[tuple[Alert, AlertEnded]]] = defaultdict(list)
        for alert, ended in over:
            if alert.incident_id is not None:
                by_incident[alert.incident_id].append((alert, ended))
        going_on = self._alerts.open_of_incidents(sorted(by_incident))
        for incident_id, some in by_incident.items():
            if incident_id in going_on:
                tag = self._incidents.find(incident_id).tag
                for alert, ended in some:
                    if alert.tag == tag:
                        why = _ENDED.get(ended.ending)
                        text = f"Alert {alert.rule} is over{f': {why}' if why else ''}."
                        self._incidents.note(incident_id, ended.at, text)
                others = sorted({alert.tag for alert, _ in some if alert.tag != tag})
                if others:
                    at = max(ended.at for _, ended in some)
                    self._incidents.note(incident_id, at, f"Alerts of {enumerate_tags(others)} are over.")
            if incident_id not in going_on:
                last = max(ended.at for _, ended in some)
                began = self._incidents.find(incident_id).started_at
                why = _ENDED.get(some[-1][1].ending)
                because = f"The alert has ended because {why}." if why else "All is well again."
                closed = self._incidents.close(
                    incident_id, last, f"{because} It lasted {humanize_duration(last - began)}."
                )
                if closed is not None:
                    lines.append(
                        (LogEvent.INCIDENT_RESOLVED, {"monitor": closed.tag, "incident": closed.id, "at": last})
                    )

    def _open_late(
        self, alerts: Sequence[Alert], watched: Mapping[int, FleetMonitor], rules: RuleSet, now: int
    ) -> Mapping[int, int]:
        """Opens the incidents of alerts that are released without one: none of what they depend on had any."""
        waiting = [alert for alert in alerts if creates_incident(alert, rules.get(alert.rule))]
        if not waiting:
            return {}
        incidents = self._incidents.join(
            NewIncident(
                alert.monitor_id,
                alert.tag,
                _title(watched[alert.monitor_id].monitor.name or alert.tag, alert.status),
                alert.severity,
                alert.triggered_at,
                f"Alert {alert.rule} ({alert.severity.value}): {alert.status.value}. It was held until now.",
            )
            for alert in waiting
        )
        attached = {alert.id: incidents[alert.monitor_id].id for alert in waiting}
        self._alerts.attach(attached)
        return attached

    def _policy(self, notifier: str) -> DeliveryPolicy:
        return self.policies.get(notifier, DeliveryPolicy())

    def _report(self, started: int, ended: int, lines: "Sequence[_Line]") -> None:
        for event, fields in lines:
            self._events.record(event, **fields)
        self._telemetry.alerts_changed(started, ended)
        self._on_enqueued()


_Line = tuple[LogEvent, Mapping[str, object]]
"""Of the log, once the transaction is committed."""


def _firing(alert: NewAlert) -> _Line:
    fields = {
        "monitor": alert.tag,
        "rule": alert.rule,
        "alert": alert.uid,
        "severity": alert.severity,
        "status": alert.status,
        "reason": alert.reason,
        "incident": alert.incident_id,
        "at": alert.triggered_at,
    }
    return LogEvent.ALERT_FIRING, fields


def _resolved(alert: Alert, ended: AlertEnded) -> _Line:
    fields = {
        "monitor": alert.tag,
        "rule": alert.rule,
        "alert": alert.uid,
        "severity": alert.severity,
        "reason": ended.ending,
        "incident": alert.incident_id,
        "at": ended.at,
    }
    return LogEvent.ALERT_RESOLVED, fields


def _opened(incident: Incident) -> _Line:
    fields = {
        "monitor": incident.tag,
        "incident": incident.id,
        "severity": incident.impact,
        "title": incident.title,
        "at": incident.started_at,
    }
    return LogEvent.INCIDENT_OPENED, fields


def _title(name: str, status: Status) -> str:
    return f"{name} never reported" if status is Status.NO_DATA else f"{name} is {status.value}"


def _incident(started: AlertStarted) -> NewIncident:
    monitor, change = started.watched.monitor, started.change
    title = _title(monitor.name or monitor.tag, change.status)
    why = "" if change.reason is Reason.NEVER_RECEIVED else f", {change.reason.value.replace('_', ' ')}"
    text = f"Alert {started.rule.name} ({started.rule.severity.value}): {change.status.value.replace('_', ' ')}{why}."
    if started.rule.description:
        text += f" {started.rule.description}"
    return NewIncident(started.watched.id, monitor.tag, title, started.rule.severity, change.at, text)
