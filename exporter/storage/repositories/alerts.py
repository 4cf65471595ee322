"""Alerts, open and past."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peewee import fn

from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.held import AlertHold, HoldKind
from exporter.core.status import Reason, Status
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.repositories.revisions import next_revision
from exporter.storage.rows import CHUNK, chunks
from exporter.storage.tables import ALERT_COLUMNS

_REVISION = "alert_revision"


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode. Moments are Unix time in milliseconds."""

    id: int
    uid: str
    rule: str
    monitor_id: int
    tag: str
    severity: Severity
    notify: tuple[str, ...]
    step: AlertState
    status: Status
    """The status that triggered it, and its reason."""
    reason: Reason
    triggered_at: int
    resolved_at: int | None = None
    ending: ResolveReason | None = None
    incident_id: int | None = None
    acknowledged_at: int | None = None
    holds: tuple[AlertHold, ...] = ()
    """What holds its messages, while it is firing."""


@dataclass(frozen=True, slots=True)
class NewAlert:
    uid: str
    rule: str
    monitor_id: int
    tag: str
    severity: Severity
    notify: tuple[str, ...]
    status: Status
    reason: Reason
    triggered_at: int
    incident_id: int | None
    next_repeat_at: int | None


class Alerts:
    """Queries, and writes for use inside a transaction; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._held = HeldAlerts(database)
        alerts = database.tables.alerts
        self._insert = Prepared(
            database,
            alerts.insert(**{column: param(column) for column in (*ALERT_COLUMNS, "next_repeat_at", "revision")}),
        )
        self._resolve = Prepared(
            database,
            alerts.update(
                **{
                    "step": AlertState.RESOLVED.value,
                    "resolved_at": param("resolved_at"),
                    "ending": param("ending"),
                    "next_repeat_at": None,
                    "revision": param("revision"),
                }
            ).where((alerts.id == param("id")) & (alerts.step == AlertState.TRIGGERED.value)),
        )

    def next_repeat_at(self) -> int | None:
        """When the next alert is to be repeated; None when none ever is."""
        alerts = self._db.tables.alerts
        with self._db.read("find next repeat"):
            moment = next(iter(alerts.select(fn.MIN(alerts.next_repeat_at)).tuples()))[0]
        return None if moment is None else int(moment)

    def open(self, transaction: Transaction, new: Sequence[NewAlert]) -> Mapping[str, int]:
        """Writes alerts that begin; their ids by uid."""
        if not new:
            return {}
        revision = next_revision(self._db, _REVISION)
        transaction.execute_many(self._insert, [self._insert.row(_alert_row(alert, revision)) for alert in new])
        alerts = self._db.tables.alerts
        ids: dict[str, int] = {}
        for start in range(0, len(new), CHUNK):
            uids = [alert.uid for alert in new[start : start + CHUNK]]
            ids.update(alerts.select(alerts.uid, alerts.id).where(alerts.uid.in_(uids)).tuples())
        return ids

    def resolve(self, transaction: Transaction, ended: Sequence[tuple[int, int, ResolveReason]]) -> None:
        """Each is (id, moment, why)."""
        if ended:
            revision = next_revision(self._db, _REVISION)
            transaction.execute_many(
                self._resolve,
                [
                    self._resolve.row({"id": id, "resolved_at": at, "ending": ending.value, "revision": revision})
                    for id, at, ending in ended
                ],
            )

    def find(self, ids: Sequence[int]) -> Mapping[int, Alert]:
        alerts = self._db.tables.alerts
        found: dict[int, Alert] = {}
        for chunk in chunks(ids):
            with self._db.read("read alerts"):  # each on its own: reading what holds them ends it
                found.update((alert.id, alert) for alert in self._select(alerts.id.in_(chunk)))
        return found

    def recent(
        self,
        *,
        step: AlertState | None = None,
        incident_id: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
    ) -> Sequence[Alert]:
        """The newest first; those with a smaller id than `before_id`, to go on where a page ended."""
        alerts = self._db.tables.alerts
        condition = alerts.id > 0
        if step is not None:
            condition &= alerts.step == step.value
        if incident_id is not None:
            condition &= alerts.incident_id == incident_id
        if before_id is not None:
            condition &= alerts.id < before_id
        with self._db.read("list alerts"):
            return self._select(condition, limit)

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence[Alert]:
        """The newest first."""
        alerts = self._db.tables.alerts
        with self._db.read("list alerts"):
            return self._select(alerts.monitor_id == monitor_id, limit)

    def firing(self, monitor_ids: Sequence[int]) -> Mapping[int, Sequence[Alert]]:
        """Those that are on, by monitor; monitors without any are left out."""
        alerts = self._db.tables.alerts
        by_monitor: dict[int, list[Alert]] = {}
        for chunk in chunks(monitor_ids):
            with self._db.read("list alerts"):
                for alert in self._select(alerts.monitor_id.in_(chunk) & (alerts.step == AlertState.TRIGGERED.value)):
                    by_monitor.setdefault(alert.monitor_id, []).append(alert)
        return by_monitor

    def changed_since(self, revision: int) -> tuple[int, Sequence[Alert]]:
        """The newest revision, and all alerts that began, ended or were acknowledged after `revision`."""
        alerts = self._db.tables.alerts
        with self._db.read("follow alerts"):
            newest = next(iter(alerts.select(fn.MAX(alerts.revision)).tuples()))[0] or 0
            if newest <= revision:
                return revision, ()
            # Everything is in the first call: only what is on matters then.
            condition = alerts.revision > revision if revision else alerts.step == AlertState.TRIGGERED.value
            return int(newest), self._select(condition, None)

    def repeats_due(self, now: int, limit: int) -> Sequence[Alert]:
        alerts = self._db.tables.alerts
        with self._db.read("find due repeats"):
            return self._select(alerts.next_repeat_at <= now, limit)

    def repeat_at(self, ids: Sequence[int], at: int | None) -> None:
        """Inside a transaction: when these are to be repeated; None is never."""
        alerts = self._db.tables.alerts
        for chunk in chunks(ids):
            alerts.update(**{"next_repeat_at": at}).where(alerts.id.in_(chunk)).execute()

    def attach(self, incident_of: Mapping[int, int]) -> None:
        """Inside a transaction: makes alerts part of incidents, by alert."""
        alerts = self._db.tables.alerts
        by_incident: dict[int, list[int]] = {}
        for alert_id, incident_id in incident_of.items():
            by_incident.setdefault(incident_id, []).append(alert_id)
        for incident_id, ids in by_incident.items():
            for chunk in chunks(ids):
                alerts.update(**{"incident_id": incident_id}).where(alerts.id.in_(chunk)).execute()
        self.touch(list(incident_of))

    def without_incident(self, kind: HoldKind) -> Sequence[Alert]:
        """Firing alerts that are part of no incident, and that such a hold holds."""
        alerts, held = self._db.tables.alerts, self._db.tables.held_alerts
        condition = (alerts.step == AlertState.TRIGGERED.value) & alerts.incident_id.is_null()
        with self._db.read("read held alerts"):
            return self._select(condition & alerts.id.in_(held.select(held.alert_id).where(held.kind == kind.value)))

    def repeat_after_release(self, ids: Sequence[int], at: int) -> None:
        """Inside a transaction: when these are to be repeated, except those that are acknowledged."""
        alerts = self._db.tables.alerts
        for chunk in chunks(ids):
            mine = alerts.id.in_(chunk) & alerts.acknowledged_at.is_null()
            alerts.update(**{"next_repeat_at": at}).where(mine).execute()

    def notify(self, id: int, notifiers: Sequence[str]) -> None:
        """Inside a transaction: the notifiers of an alert that has no rule."""
        alerts = self._db.tables.alerts
        change = {"notify": "\n".join(notifiers), "revision": next_revision(self._db, _REVISION)}
        alerts.update(**change).where(alerts.id == id).execute()

    def firing_since(self, at: int, reasons: Iterable[Reason]) -> Sequence[Alert]:
        """Those that are on, of these reasons, and began at that moment or later."""
        alerts = self._db.tables.alerts
        condition = (alerts.step == AlertState.TRIGGERED.value) & (alerts.triggered_at >= at)
        with self._db.read("list alerts"):
            return self._select(condition & alerts.reason.in_([reason.value for reason in reasons]), None)

    def touch(self, ids: Sequence[int]) -> None:
        """Inside a transaction: has every process read these alerts again, since what holds them has changed."""
        alerts = self._db.tables.alerts
        if ids:
            revision = next_revision(self._db, _REVISION)
            for chunk in chunks(ids):
                alerts.update(**{"revision": revision}).where(alerts.id.in_(chunk)).execute()

    def set_back(self, by: int, now: int) -> None:
        """Inside a transaction: the clock was set back by so much, to `now`; no reminder waits for longer."""
        alerts = self._db.tables.alerts
        change = {"next_repeat_at": alerts.next_repeat_at - by}
        alerts.update(**change).where(alerts.next_repeat_at > now).execute()

    def acknowledge(self, incident_id: int, at: int) -> None:
        """Inside a transaction: the incident's alerts are not repeated."""
        alerts = self._db.tables.alerts
        change = {"acknowledged_at": at, "next_repeat_at": None, "revision": next_revision(self._db, _REVISION)}
        alerts.update(**change).where((alerts.incident_id == incident_id) & alerts.acknowledged_at.is_null()).execute()

    def open_of_incidents(self, incident_ids: Sequence[int]) -> set[int]:
        """Those of these incidents that still have an alert that is on."""
        alerts = self._db.tables.alerts
        with self._db.read("read alerts"):
            return {
                int(row[0])
                for chunk in chunks(incident_ids)
                for row in alerts.select(alerts.incident_id)
                .where(alerts.incident_id.in_(chunk) & (alerts.step == AlertState.TRIGGERED.value))
                .distinct()
                .tuples()
            }

    def _select(self, condition: Any, limit: int | None = None) -> Sequence[Alert]:
        alerts = self._db.tables.alerts
        query = alerts.select(alerts.id, *(getattr(alerts, column) for column in ALERT_COLUMNS)).where(condition)
        query = query.order_by(alerts.id.desc())
        alerts_read = [_alert(row) for row in (query if limit is None else query.limit(limit)).tuples()]
        holds = self._held.read_of_alerts([alert.id for alert in alerts_read if alert.step is AlertState.TRIGGERED])
        if not holds:
            return alerts_read
        return [replace(alert, holds=holds[alert.id]) if alert.id in holds else alert for alert in alerts_read]


def _alert_row(alert: NewAlert, revision: int) -> Mapping[str, Any]:
    return {
        "uid": alert.uid,
        "rule": alert.rule,
        "monitor_id": alert.monitor_id,
        "tag": alert.tag,
        "severity": alert.severity.value,
        "notify": "\n".join(alert.notify),
        "step": AlertState.TRIGGERED.value,
        "status": alert.status.value,
        "reason": alert.reason.value,
        "triggered_at": alert.triggered_at,
        "resolved_at": None,
        "ending": None,
        "incident_id": alert.incident_id,
        "acknowledged_at": None,
        "next_repeat_at": alert.next_repeat_at,
        "revision": revision,
    }


def _alert(row: Sequence[Any]) -> Alert:
    id, uid, rule, monitor_id, tag, severity, notify, step, status, reason, triggered_at, resolved_at, ending, *rest = (
        row
    )
    return Alert(
        id,
        uid,
        rule,
        monitor_id,
        tag,
        Severity(severity),
        tuple(notify.split("\n")) if notify else (),
        AlertState(step),
        Status(status),
        Reason(reason),
        triggered_at,
        resolved_at,
        ResolveReason(ending) if ending is not None else None,
        *rest,
    )
