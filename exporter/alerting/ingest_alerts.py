"""Holds alerts while heartbeats may not reach the exporter, and reports that to the notifiers that would get them."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from exporter.alerting.changes import AlertStarted
from exporter.alerting.holds import AlertHolds
from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.held import HOLDABLE, AlertHold, HoldKind
from exporter.core.clock import SECOND
from exporter.core.ingest_guard import Ending, Suspicion
from exporter.core.status import Reason, Status
from exporter.presentation.events import EventLog, LogEvent
from exporter.presentation.message import INGEST_SUSPECT, AlertSnapshot, IngestFigures
from exporter.storage.database import Transaction
from exporter.storage.delivery.notifications import ALARM
from exporter.storage.delivery.outbox import DeliveryPolicy, Outbox, OutboxItem
from exporter.storage.ingest_suspicions import IngestSuspicions, StoredSuspicion
from exporter.storage.repositories.alerts import Alert, Alerts, NewAlert

NO_MONITOR = 0
"""Where an alert is about no monitor: no monitor has this number."""
MAX_WAIT = 3 * SECOND
"""How long the message waits, so that a silence that is over at once is not reported, and its figures are not those of
the first monitors alone."""


class IngestAlerts:
    """Implements HoldDecider. Used inside transactions of the alert writer; methods raise StorageUnavailable."""

    def __init__(
        self,
        holds: AlertHolds,
        alerts: Alerts,
        outbox: Outbox,
        suspicions: IngestSuspicions,
        policy_of: Callable[[str], DeliveryPolicy],
        on_enqueued: Callable[[], None],
        events: EventLog,
    ) -> None:
        self.current: Callable[[], Suspicion | None] = lambda: None
        """Returns the suspicion that is on, with its figures of now."""
        self._holds = holds
        self._alerts = alerts
        self._outbox = outbox
        self._suspicions = suspicions
        self._policy_of = policy_of
        self._on_enqueued = on_enqueued
        self._events = events

    def decide(
        self, transaction: Transaction, started: Sequence[AlertStarted], ids: Mapping[str, int], now: int
    ) -> Mapping[str, Sequence[AlertHold]]:
        suspicion = self.current()
        if suspicion is None or suspicion.until <= now:
            return {}
        held = [alert for alert in started if alert.change.reason in HOLDABLE]
        lasting = [alert for alert in held if alert.ended_at is None]
        reported = self._suspicions.reported() if lasting else None
        if reported is not None:
            notifiers = {name for alert in lasting for name in alert.rule.notify}
            self._report(transaction, *reported, suspicion, sorted(notifiers), now)
        hold = AlertHold(HoldKind.INGEST_GUARD, now, suspicion.until)
        return {alert.uid: [hold] for alert in held}

    def begin(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        """Heartbeats may not arrive: what was about to be sent since the silence began is held after all."""
        suspicion = stored.suspicion
        hold = AlertHold(HoldKind.INGEST_GUARD, now, suspicion.until)
        notifiers = self._holds.take_back(transaction, suspicion.counted_from, hold, now)
        if notifiers:
            self._report(transaction, stored.id, None, suspicion, notifiers, now)

    def end(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        """That is over: all that is still held by it is released, once its monitors are evaluated again."""
        if stored.ending is not Ending.LASTED:  # else the deadlines of all have passed
            self._holds.end_kind(transaction, HoldKind.INGEST_GUARD, now)
        transaction.after_commit.append(self._on_enqueued)
        found = self._suspicions.alert_of(stored.id)
        alert = self._alerts.find([found]).get(found) if found is not None else None
        if alert is None:
            return
        ending = ResolveReason.RECOVERED if stored.ending is Ending.RETURNED else ResolveReason.HOLD_ENDED
        self._alerts.resolve(transaction, [(alert.id, now, ending)])
        facts = _facts(alert.uid, stored.suspicion, now, resolved_at=now, ending=ending)
        self._outbox.recover_alone(transaction, OutboxItem(alert.id, facts), self._policy, now)
        fields = {"rule": alert.rule, "alert": alert.uid, "severity": alert.severity, "reason": ending, "at": now}
        transaction.after_commit.append(lambda: self._events.record(LogEvent.ALERT_RESOLVED, **fields))

    def _report(
        self,
        transaction: Transaction,
        id: int,
        alert_id: int | None,
        suspicion: Suspicion,
        notifiers: Iterable[str],
        now: int,
    ) -> None:
        """Enqueues the alert to those of these notifiers that have not got it; the others learn the figures of now if
        theirs was not tried yet.
        """
        names = list(notifiers)
        if not names and alert_id is None:
            return
        alert = self._alerts.find([alert_id])[alert_id] if alert_id is not None else self._open(transaction, id, now)
        item = OutboxItem(alert.id, _facts(alert.uid, suspicion, now))
        if alert.notify:
            self._outbox.restate(transaction, item)
        new = [name for name in names if name not in alert.notify]
        if not new:
            return
        self._alerts.notify(alert.id, (*alert.notify, *new))
        for name in new:
            self._outbox.enqueue_alone(transaction, name, ALARM, item, self._policy(name), now)
        transaction.after_commit.append(self._on_enqueued)

    def _open(self, transaction: Transaction, id: int, now: int) -> Alert:
        new = NewAlert(
            uid=uuid.uuid4().hex,
            rule=INGEST_SUSPECT,
            monitor_id=NO_MONITOR,
            tag="",
            severity=Severity.CRITICAL,
            notify=(),
            status=Status.DOWN,
            reason=Reason.MISSED,
            triggered_at=now,
            incident_id=None,
            next_repeat_at=None,
        )
        alert_id = self._alerts.open(transaction, [new])[new.uid]
        self._suspicions.name_alert(transaction, id, alert_id)
        fields = {"rule": new.rule, "alert": new.uid, "severity": new.severity, "at": now}
        transaction.after_commit.append(lambda: self._events.record(LogEvent.ALERT_FIRING, **fields))
        return self._alerts.find([alert_id])[alert_id]

    def _policy(self, notifier: str) -> DeliveryPolicy:
        """The message does not wait for others: none joins it."""
        policy = self._policy_of(notifier)
        return DeliveryPolicy(min(policy.group_wait, MAX_WAIT), policy.give_up_after)


def _facts(
    uid: str,
    suspicion: Suspicion,
    now: int,
    *,
    resolved_at: int | None = None,
    ending: ResolveReason | None = None,
) -> str:
    return AlertSnapshot(
        alert_id=uid,
        rule=INGEST_SUSPECT,
        severity=Severity.CRITICAL,
        tag="",
        name="Heartbeat Exporter",
        status=Status.DOWN,
        reason=Reason.MISSED,
        at=now,
        triggered_at=suspicion.since,
        resolved_at=resolved_at,
        ending=ending,
        since=suspicion.counted_from,
        last_success_at=suspicion.last_received_at,
        ingest=IngestFigures(suspicion.late, suspicion.sample, suspicion.last_received_at, suspicion.until),
    ).to_json()
