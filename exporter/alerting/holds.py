"""Decides which alerts are held when they begin, and releases them: at a deadline, or when no doubt is left."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from exporter.alerting.changes import AlertStarted
from exporter.alerting.ruleset import RuleSet
from exporter.alerting.snapshot import snapshot_of
from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.alerts.held import HOLDABLE, AlertHold, HoldKind, held_until
from exporter.core.calendar.schedule import next_tick
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.status import evaluate
from exporter.core.timeline import CurrentStatus
from exporter.presentation.events import EventLog, LogEvent
from exporter.storage.database import Transaction
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.notifications import ALARM
from exporter.storage.delivery.outbox import DeliveryPolicy, Outbox, OutboxItem
from exporter.storage.repositories.alerts import Alert, Alerts
from exporter.storage.repositories.history import History


class HoldDecider(Protocol):
    """One kind of hold. Called on the evaluator's thread, in the transaction that begins the alerts."""

    def decide(
        self, transaction: Transaction, started: Sequence[AlertStarted], ids: Mapping[str, int], now: int
    ) -> Mapping[str, Sequence[AlertHold]]:
        """The holds of alerts that begin, by their uid; alerts that it does not hold are left out. `ids` are the
        numbers of all of them by uid. A hold of an alert that does not rest on silence has no effect.
        """
        ...


_Free = tuple[Alert, FleetMonitor, CurrentStatus, Sequence[AlertHold]]
"""An alert of which a hold has ended, its monitor and that one's status, and the holds that are left."""


class AlertHolds:
    """Used inside the transactions of the alert writer; all methods block and raise StorageUnavailable."""

    def __init__(
        self,
        fleet: Fleet,
        held: HeldAlerts,
        alerts: Alerts,
        outbox: Outbox,
        history: History,
        on_enqueued: Callable[[], None],
        events: EventLog,
    ) -> None:
        self.deciders: tuple[HoldDecider, ...] = ()
        """Each adds its own holds; an alert is announced when none is left."""
        self.on_announced: Callable[[Transaction, Sequence[tuple[int, int, Sequence[str]]], int], None] = _ignore
        """Called when alarms were enqueued: (alert id, monitor id, notifiers) of each, and the moment."""
        self.depending: Callable[[str], int] = lambda tag: 0
        """Returns how many monitors depend on the one with this tag."""
        self.open_incidents: Callable[[Sequence[Alert], Mapping[int, FleetMonitor], RuleSet, int], Mapping[int, int]]
        self.open_incidents = lambda alerts, watched, rules, now: {}
        """Opens those incidents that released alerts have been waiting for too; returns their numbers by alert."""
        self._fleet = fleet
        self._held = held
        self._alerts = alerts
        self._outbox = outbox
        self._history = history
        self._on_enqueued = on_enqueued
        self._events = events

    def begin(
        self, transaction: Transaction, started: Sequence[AlertStarted], ids: Mapping[str, int], now: int
    ) -> Mapping[str, Sequence[AlertHold]]:
        """Writes the holds of alerts that begin, and returns them by uid."""
        candidates = {alert.uid: alert for alert in started if alert.change.reason in HOLDABLE}
        holds: defaultdict[str, list[AlertHold]] = defaultdict(list)
        if not candidates:
            return holds
        for decider in self.deciders:
            for uid, some in decider.decide(transaction, started, ids, now).items():
                if uid in candidates:
                    holds[uid] += some
        self._held.hold(
            transaction,
            ((ids[uid], candidates[uid].watched.id, hold) for uid, some in holds.items() for hold in some),
            now,
        )
        silent = [ids[uid] for uid, some in holds.items() if heard_by(candidates[uid].rule.notify, some) == ()]
        self._alerts.repeat_at(silent, None)  # from its release on
        lines = [_held_line(candidates[uid], some) for uid, some in holds.items() if some]
        transaction.after_commit.append(lambda: self._record(LogEvent.ALERT_HELD, lines))
        return {uid: some for uid, some in holds.items() if some}

    def take_back(self, transaction: Transaction, since: int, hold: AlertHold, now: int) -> Sequence[str]:
        """Holds alerts after all that rest on silence, began at `since` or later, and of which no message was tried
        yet: those are taken back. Returns the notifiers of these alerts.
        """
        alerts = {
            alert.id: alert
            for alert in self._alerts.firing_since(since, HOLDABLE)
            if alert.notify and self._is_silent(alert.monitor_id)
        }
        withdrawn: defaultdict[int, set[str]] = defaultdict(set)
        for id, notifier in self._outbox.withdraw(transaction, sorted(alerts), now):
            withdrawn[id].add(notifier)
        holds = []
        for id, notifiers in withdrawn.items():
            alert = alerts[id]
            # One that another notifier has got already is held for the rest.
            whole = notifiers.issuperset(alert.notify)
            names = [""] if whole else sorted(notifiers)
            holds += [(id, alert.monitor_id, replace(hold, notifier=name)) for name in names]
        self._held.hold(transaction, holds, now)
        self._alerts.touch(sorted(withdrawn))
        return sorted(set().union(*withdrawn.values())) if withdrawn else []

    def _is_silent(self, monitor_id: int) -> bool:
        """Whether the monitor is still in trouble because nothing came: it may have reported a failure since."""
        watched = self._fleet.with_id(monitor_id)
        return watched is not None and watched.current.reason in HOLDABLE

    def end_kind(self, transaction: Transaction, kind: HoldKind, now: int) -> None:
        """Has all holds of this kind end at `now`."""
        self._alerts.touch(sorted(self._held.of_kind(kind)))
        self._held.end_at(transaction, kind, now, now)

    def end(self, transaction: Transaction, alert_ids: Sequence[int]) -> None:
        """The alerts are over: nothing is announced of those that nobody has heard of."""
        self._held.remove(transaction, alert_ids)

    def due(self, now: int, limit: int, after_id: int = 0) -> list[int]:
        """Alerts of which a hold ends by `now`."""
        return self._held.due(now, limit, after_id)

    def next_due(self) -> int | None:
        """When the next hold ends."""
        return self._held.next_due()

    def set_back(self, by: int, now: int) -> None:
        self._held.set_back(by, now)

    def release_due(
        self,
        transaction: Transaction,
        alert_ids: Sequence[int],
        rules: RuleSet,
        watched_of: Callable[[Sequence[int]], Mapping[int, FleetMonitor]],
        policy_of: Callable[[str], DeliveryPolicy],
        now: int,
    ) -> None:
        """Ends the holds of these alerts whose deadline has passed, and announces what nothing holds any more.

        `watched_of` reads monitors as they are in the database.
        """
        held = self._held.of_alerts(alert_ids)
        alerts = self._alerts.find(sorted(held))
        present = watched_of([alert.monitor_id for alert in alerts.values()])
        ended: list[int] = []
        waiting: list[int] = []
        postponed: dict[int, int] = {}
        gone = [id for id in held if id not in alerts or alerts[id].step is not AlertState.TRIGGERED]
        free: list[_Free] = []
        for id, holds in held.items():
            if id in gone:
                continue
            alert = alerts[id]
            rule, watched = rules.get(alert.rule), present.get(alert.monitor_id)
            if rule is None or watched is None:
                continue  # the alert evaluator is about to end it
            if watched.current.status not in rule.when:
                waiting.append(id)
                continue
            tick = _next_verdict(watched, rule, now)
            if tick is not None:
                postponed[id] = tick
                continue
            ended.append(id)
            left = [hold for hold in holds if hold.until is None or hold.until > now]
            free.append((alert, watched, watched.current, left))
        self._held.remove(transaction, gone)
        self._held.remove(transaction, ended, ended_by=now)
        self._held.wait(transaction, waiting, now)
        self._held.postpone(transaction, postponed, now)
        self._announce(transaction, free, rules, policy_of, now)
        self._alerts.touch([*ended, *waiting, *postponed])

    def reconsider(
        self,
        transaction: Transaction,
        evaluated: Iterable[tuple[FleetMonitor, CurrentStatus]],
        rules: RuleSet,
        policy_of: Callable[[str], DeliveryPolicy],
        now: int,
    ) -> None:
        """After evaluations, which found these statuses: announces at once what no longer rests on silence, and what
        was only waiting for its monitor to be in the alert's condition again.
        """
        by_id = {watched.id: (watched, current) for watched, current in evaluated}
        held = self._held.of_monitors(sorted(by_id))
        if not held:
            return
        explicit: list[int] = []
        resumed: list[int] = []
        free: list[_Free] = []
        for id, alert in self._alerts.find(sorted(held)).items():
            rule, (watched, current) = rules.get(alert.rule), by_id[alert.monitor_id]
            if rule is None or current.status not in rule.when:
                continue
            if current.reason not in HOLDABLE:
                explicit.append(id)
                free.append((alert, watched, current, ()))
                continue
            left = [hold for hold in held[id] if hold.until is not None]
            if len(left) < len(held[id]):
                resumed.append(id)
                free.append((alert, watched, current, left))
        self._held.remove(transaction, explicit)
        self._held.resume(transaction, resumed)
        self._announce(transaction, free, rules, policy_of, now)
        self._alerts.touch([*explicit, *resumed])

    def _announce(
        self,
        transaction: Transaction,
        free: Sequence[_Free],
        rules: RuleSet,
        policy_of: Callable[[str], DeliveryPolicy],
        now: int,
    ) -> None:
        """Enqueues the alarms, with what is true now, to the notifiers that no hold is left for."""
        if not free:
            return
        alarmed = self._outbox.alarmed([alert.id for alert, *_ in free])
        outputs = self._history.last_outputs(sorted({watched.id for _, watched, *_ in free}))
        items: defaultdict[str, list[OutboxItem]] = defaultdict(list)
        repeats: defaultdict[int, list[int]] = defaultdict(list)
        lines: list[dict[str, object]] = []
        announced: list[tuple[int, int, Sequence[str]]] = []
        sent = [(alert, watched) for alert, watched, _, left in free if not left or heard_by(alert.notify, left)]
        incidents = self.open_incidents(
            [alert for alert, _ in sent], {watched.id: watched for _, watched in sent}, rules, now
        )
        for alert, watched, current, left in free:
            rule = rules.get(alert.rule)
            assert rule is not None
            if left and not heard_by(alert.notify, left):
                continue
            facts = snapshot_of(
                uid=alert.uid,
                rule=rule,
                watched=watched,
                status=current.status,
                reason=current.reason,
                triggered_at=alert.triggered_at,
                at=max(now, alert.triggered_at),
                output=outputs.get(watched.id, ""),
                incident_id=incidents.get(alert.id, alert.incident_id),
                since=current.since,
                depending=self.depending(alert.tag),
            ).to_json()
            heard = [name for name in heard_by(alert.notify, left) if (alert.id, name) not in alarmed]
            for notifier in heard:
                items[notifier].append(OutboxItem(alert.id, facts))
            if heard and rule.repeat_every is not None and not any(id == alert.id for id, _ in alarmed):
                repeats[rule.repeat_every].append(alert.id)
            announced.append((alert.id, watched.id, heard))
            lines.append({"monitor": alert.tag, "rule": alert.rule, "alert": alert.uid, "at": now})
        for notifier, some in items.items():
            self._outbox.enqueue(transaction, notifier, ALARM, some, policy_of(notifier), now)
        for every, ids in repeats.items():
            self._alerts.repeat_after_release(ids, now + every)
        self.on_announced(transaction, announced, now)
        transaction.after_commit.append(lambda: self._record(LogEvent.ALERT_RELEASED, lines))
        transaction.after_commit.append(self._on_enqueued)

    def _record(self, event: LogEvent, lines: Sequence[Mapping[str, object]]) -> None:
        for fields in lines:
            self._events.record(event, **fields)


def _ignore(transaction: Transaction, announced: Sequence[tuple[int, int, Sequence[str]]], now: int) -> None:
    """Nothing depends on these monitors."""


def heard_by(notifiers: Sequence[str], holds: Sequence[AlertHold]) -> tuple[str, ...]:
    """The notifiers that none of these holds concerns."""
    return tuple(name for name in notifiers if not any(hold.concerns(name) for hold in holds))


def _next_verdict(watched: FleetMonitor, rule: AlertRule, now: int) -> int | None:
    """The next tick of a monitor that is evaluated only at ticks, if that will find it out of the rule's condition: it
    has sent a heartbeat since the last one. None for all others.
    """
    monitor = watched.monitor
    if monitor.evaluation_cron is None:
        return None
    if evaluate(monitor, watched.state, now, watched.exclusions).status in rule.when:
        return None
    return next_tick(monitor.evaluation_cron, monitor.timezone, now)


def _held_line(started: AlertStarted, holds: Sequence[AlertHold]) -> dict[str, object]:
    return {
        "monitor": started.watched.monitor.tag,
        "rule": started.rule.name,
        "alert": started.uid,
        "held_by": ",".join(sorted({hold.kind.value for hold in holds})),
        "at": started.change.at,
        "until": held_until(holds),
    }
