"""Holds the alerts of suppressed monitors: for a message about what they depend on, or until that is well again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from exporter.alerting.changes import AlertStarted
from exporter.alerting.suppressions import SuppressionTracker
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.alerts.held import HOLDABLE, AlertHold, HoldKind
from exporter.core.alerts.notification import NotificationState
from exporter.core.clock import MINUTE
from exporter.core.dependencies.suppression import HELD, MAX_SUPPRESSION, Suppression, Trouble, message_window
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.status import Reason
from exporter.storage.database import Transaction
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.outbox import Outbox
from exporter.storage.repositories.alerts import Alert, Alerts

RECHECK = MINUTE
"""How often it is looked whether a message that is on its way was given up."""
BATCH = 500
_DEPENDENCY = HoldKind.DEPENDENCY


class DependencyHolds:
    """Implements holds.HoldDecider. Used inside the evaluator's transactions; methods raise StorageUnavailable."""

    def __init__(
        self, tracker: SuppressionTracker, fleet: Fleet, held: HeldAlerts, alerts: Alerts, outbox: Outbox
    ) -> None:
        self._tracker = tracker
        self._fleet = fleet
        self._held = held
        self._alerts = alerts
        self._outbox = outbox

    def covered(self, started: Iterable[AlertStarted]) -> list[AlertStarted]:
        """Those of these alerts that begin held, because their monitors are suppressed."""
        if not self._tracker.graph:
            return []
        trouble = self._tracker.trouble()
        return [alert for alert in started if alert.change.reason in HOLDABLE and self._is_suppressed(alert, trouble)]

    def causes(self, tag: str) -> list[int]:
        """The numbers of the monitors that suppress `tag`, the nearest first."""
        members = map(self._fleet.get, self._tracker.trouble().causes(tag))
        return [watched.id for watched in members if watched is not None]

    def depending(self, tag: str) -> int:
        """How many monitors depend on this one, over any number of levels."""
        return self._tracker.graph.count_descendants(tag)

    def has_children(self, tag: str) -> bool:
        return self._tracker.graph.has_children(tag)

    def decide(
        self, transaction: Transaction, started: Sequence[AlertStarted], ids: Mapping[str, int], now: int
    ) -> Mapping[str, Sequence[AlertHold]]:
        covered = self.covered(started)
        held_now = {alert.uid for alert in covered}
        if not covered:
            return {}
        fresh = {ids[alert.uid] for alert in started if alert.uid not in held_now}
        judge = self._judge([alert.watched for alert in covered], fresh, now)
        holds: dict[str, list[AlertHold]] = {}
        for alert in covered:
            new = [AlertHold(_DEPENDENCY, now, now, notifier) for notifier in alert.rule.notify or ("",)]
            suppression = self._tracker.of(alert.watched.id) or Suppression(now)
            holds[alert.uid] = [judge.judged(hold, alert.watched, suppression) for hold in new]
        return holds

    def fold_into(self, transaction: Transaction, parents: Sequence[tuple[int, int, Sequence[str]]], now: int) -> None:
        """Messages about alerts of these monitors, (alert id, monitor id, notifiers), are about to be sent: what is
        held because of them waits for no other message.
        """
        parents = [
            (alert_id, id, notifiers)
            for alert_id, id, notifiers in parents
            if (watched := self._fleet.with_id(id)) is not None
            and self._tracker.graph.has_children(watched.monitor.tag)
        ]
        if not parents:
            return
        trouble = self._tracker.trouble()
        by_notifier: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for alert_id, id, notifiers in parents:
            watched = self._fleet.with_id(id)
            for notifier in notifiers if watched is not None else ():
                by_notifier[notifier][watched.monitor.tag] = (alert_id, id)  # type: ignore[union-attr]
        changed: list[tuple[int, int, AlertHold]] = []
        for alert_id, monitor_id, hold in self._held.unfolded(_DEPENDENCY):
            watched, suppression = self._fleet.with_id(monitor_id), self._tracker.of(monitor_id)
            if watched is None or suppression is None or suppression.released:
                continue
            for cause in trouble.causes(watched.monitor.tag):
                found = by_notifier[hold.notifier].get(cause)
                if found is not None:
                    until = min(_latest(hold, suppression), now + RECHECK)
                    folded = replace(hold, until=until, parent_alert_id=found[0], parent_id=found[1])
                    changed.append((alert_id, monitor_id, folded))
                    break
        self._held.hold(transaction, changed, now)

    def review(self, transaction: Transaction, monitor_ids: Iterable[int], now: int) -> None:
        """After a change of what suppresses these monitors: gives the holds of their alerts their deadlines."""
        ids = sorted(monitor_ids)
        if ids:
            self._review(transaction, self._held.of_monitors(ids), now)

    def is_due(self, now: int) -> bool:
        """Whether `review_due` has anything to do."""
        return self._held.next_due_of(_DEPENDENCY, now) is not None

    def review_due(self, transaction: Transaction, now: int) -> None:
        """Puts off the deadlines of this kind that have come, where something else still holds the alert."""
        last = 0
        while due := self._held.due(now, BATCH, last):
            self._review(transaction, self._held.of_alerts(due), now, only_due=True)
            last = due[-1]

    # ── one hold ─────────────────────────────────────────────────────────────────────────────────────────────

    def _is_suppressed(self, alert: AlertStarted, trouble: Trouble) -> bool:
        if alert.ended_at is not None:  # it began and ended while no process evaluated
            return bool(trouble.causes(alert.watched.monitor.tag))
        suppression = self._tracker.of(alert.watched.id)
        return suppression is not None and not suppression.released

    def _review(
        self,
        transaction: Transaction,
        held: Mapping[int, Sequence[AlertHold]],
        now: int,
        *,
        only_due: bool = False,
    ) -> None:
        waiting: list[tuple[int, FleetMonitor, AlertHold]] = []
        alerts = self._alerts.find(sorted(held))
        for alert_id, holds in held.items():
            alert = alerts.get(alert_id)
            watched = self._fleet.with_id(alert.monitor_id) if alert is not None else None
            if watched is None:
                continue  # its alert is about to end
            waiting += [
                (alert_id, watched, hold)
                for hold in holds
                if hold.kind is _DEPENDENCY and hold.until is not None and (hold.until <= now or not only_due)
            ]
        if not waiting:
            return
        judge = self._judge([watched for _, watched, _ in waiting], set(), now)
        changed: list[tuple[int, int, AlertHold]] = []
        for alert_id, watched, hold in waiting:
            suppression = self._tracker.of(watched.id)
            if suppression is None and self._tracker.reason(watched.monitor.tag) not in HELD:
                continue  # well, or not watched: it is released when it is late again, or ends
            if suppression is None or suppression.released:
                after = replace(hold, until=min(now, hold.until or now))
            else:
                after = judge.judged(hold, watched, suppression)
            if after != hold:
                changed.append((alert_id, watched.id, after))
        self._held.hold(transaction, changed, now)

    def _judge(self, children: Iterable[FleetMonitor], fresh: set[int], now: int) -> "_Judge":
        trouble = self._tracker.trouble()
        causes = {cause for child in children for cause in trouble.causes(child.monitor.tag)}
        ids = sorted(watched.id for cause in causes if (watched := self._fleet.get(cause)) is not None)
        firing = self._alerts.firing(ids) if ids else {}
        states = self._outbox.alarm_states([alert.id for alerts in firing.values() for alert in alerts])
        return _Judge(self._tracker, self._fleet, trouble, firing, states, fresh, now)


class _Judge:
    """Decides until when an alert of a suppressed monitor is held for a notifier, in one transaction."""

    def __init__(
        self,
        tracker: SuppressionTracker,
        fleet: Fleet,
        trouble: Trouble,
        firing: Mapping[int, Sequence[Alert]],
        states: Mapping[tuple[int, str], NotificationState],
        fresh: set[int],
        now: int,
    ) -> None:
        """`firing`: the alerts of monitors that suppress. `fresh`: those that begin now, whose alarms are not enqueued
        yet.
        """
        self._tracker = tracker
        self._fleet = fleet
        self._trouble = trouble
        self._firing = firing
        self._states = states
        self._fresh = fresh
        self._now = now

    def judged(self, hold: AlertHold, child: FleetMonitor, suppression: Suppression) -> AlertHold:
        """`hold` with its deadline, and with the alert whose message it is folded into, if there is one."""
        latest, causes = _latest(hold, suppression), self._trouble.causes(child.monitor.tag)
        parents = [watched for cause in causes if (watched := self._fleet.get(cause)) is not None]
        nearest = parents[0].id if parents else hold.parent_id
        if suppression.unplanned_since is None or not parents or not hold.notifier:
            # All that are in trouble are in MAINTENANCE, or well: no message about them is expected.
            return replace(hold, until=latest, parent_id=nearest)
        for parent in parents:
            for alert in self._firing.get(parent.id, ()):
                message = self._message(alert, hold.notifier)
                if message is not None:
                    until = latest if message is NotificationState.DELIVERED else min(latest, self._now + RECHECK)
                    return replace(hold, until=until, parent_id=parent.id, parent_alert_id=alert.id)
        expecting = [
            message_window(parent.monitor, child.monitor)
            for parent in parents
            if self._tracker.reason(parent.monitor.tag) is not Reason.MAINTENANCE
        ]
        window = max(expecting, default=child.monitor.release_after)
        until = min(latest, max(hold.since, suppression.unplanned_since) + window)
        return replace(hold, until=until, parent_id=nearest, parent_alert_id=None)

    def _message(self, alert: Alert, notifier: str) -> NotificationState | None:
        """Whether the notifier got the alarm of this alert, or still gets it."""
        state = self._states.get((alert.id, notifier))
        if state in (NotificationState.DELIVERED, NotificationState.PENDING):
            return state
        if state is not None or notifier not in alert.notify:
            return None
        guarded = [hold for hold in alert.holds if hold.concerns(notifier)]
        if alert.id in self._fresh or (guarded and all(hold.kind is not _DEPENDENCY for hold in guarded)):
            return NotificationState.PENDING
        return None


def creates_incident(alert: Alert, rule: AlertRule | None) -> bool:
    """Whether the alert should have an incident and has none yet."""
    return alert.incident_id is None and rule is not None and rule.create_incident


def _latest(hold: AlertHold, suppression: Suppression) -> int:
    released_at = suppression.next_at
    latest = hold.since + MAX_SUPPRESSION
    return latest if released_at is None else min(latest, released_at)
