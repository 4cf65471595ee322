"""Incidents and their timelines. One is open per monitor at most; the database itself sees to that."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peewee import fn

from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.clock import Clock
from exporter.core.errors import Conflict, NotFound
from exporter.presentation.events import EventLog, LogEvent
from exporter.storage.database import Database
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.rows import chunks
from exporter.storage.tables import INCIDENT_COLUMNS

EXPORTER = "Heartbeat Exporter"
"""The author of automatic changes."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Moments are Unix time in milliseconds."""

    id: int
    monitor_id: int
    tag: str
    title: str
    impact: Severity
    """The most severe of its alerts."""
    state: IncidentState
    started_at: int
    resolved_at: int | None
    acknowledged_at: int | None
    acknowledged_by: str | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of an incident's timeline."""

    incident_id: int
    at: int
    state: IncidentState
    text: str
    author: str


@dataclass(frozen=True, slots=True)
class NewIncident:
    monitor_id: int
    tag: str
    title: str
    impact: Severity
    started_at: int
    text: str
    """The first entry of its timeline."""


_SEVERITIES = tuple(Severity)


class Incidents:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock, events: EventLog | None = None) -> None:
        self._db = database
        self._clock = clock
        self._events = events or EventLog(clock)
        self._alerts = Alerts(database)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def recent(self, *, open: bool | None = None, limit: int = 100, before_id: int | None = None) -> Sequence[Incident]:
        """The newest first; those with a smaller id than `before_id`, to go on where a page ended."""
        table = self._db.tables.incidents
        condition = table.id > 0
        if open is not None:
            condition &= table.resolved_at.is_null(open)
        if before_id is not None:
            condition &= table.id < before_id
        with self._db.read("list incidents"):
            return self._select(condition, limit)

    def find(self, id: int) -> Incident:
        """Raises NotFound."""
        table = self._db.tables.incidents
        with self._db.read("read incident"):
            for incident in self._select(table.id == id, 1):
                return incident
        raise _none(id)

    def of_monitor(self, monitor_id: int, limit: int) -> Sequence[Incident]:
        """The newest first."""
        table = self._db.tables.incidents
        with self._db.read("list incidents"):
            return self._select(table.monitor_id == monitor_id, limit)

    def updates(self, ids: Sequence[int]) -> Mapping[int, Sequence[Update]]:
        """Per incident, oldest first."""
        table = self._db.tables.incident_updates
        timelines: dict[int, list[Update]] = {id: [] for id in ids}
        with self._db.read("read incident updates"):
            for chunk in chunks(ids):
                query = table.select(table.incident_id, table.at, table.state, table.text, table.author)
                for id, at, state, text, author in (
                    query.where(table.incident_id.in_(chunk)).order_by(table.id).tuples()
                ):
                    timelines[id].append(Update(id, at, IncidentState(state), text, author))
        return timelines

    def count_open(self) -> int:
        table = self._db.tables.incidents
        with self._db.read("count incidents"):
            return int(next(iter(table.select(fn.COUNT(table.id)).where(table.resolved_at.is_null()).tuples()))[0])

    # ── automatic changes: inside a transaction ──────────────────────────────────────────────────────────────

    def join(
        self, new: Iterable[NewIncident], opened: Callable[[Incident], None] = lambda incident: None
    ) -> Mapping[int, Incident]:
        """Opens an incident for each monitor that has none, and adds to the timeline of one that has.

        Returns the incidents by monitor; `opened` is called with each that was opened.
        """
        table = self._db.tables.incidents
        requested = list(new)
        open_ones = self.open_of([item.monitor_id for item in requested])
        for item in requested:
            incident = open_ones.get(item.monitor_id)
            if incident is None:
                incident = open_ones[item.monitor_id] = self._open(item)
                opened(incident)
                continue
            if _SEVERITIES.index(item.impact) < _SEVERITIES.index(incident.impact):
                table.update(**{"impact": item.impact.value}).where(table.id == incident.id).execute()
                open_ones[item.monitor_id] = replace(incident, impact=item.impact)
            self._add(incident, item.started_at, incident.state, item.text, EXPORTER)
        return open_ones

    def open_of(self, monitor_ids: Sequence[int]) -> dict[int, Incident]:
        """The open incidents of these monitors, by monitor."""
        table = self._db.tables.incidents
        return {
            item.monitor_id: item
            for chunk in chunks(monitor_ids)
            for item in self._select(table.monitor_id.in_(chunk) & table.resolved_at.is_null(), None)
        }

    def note(self, id: int, at: int, text: str) -> None:
        """Adds to the timeline without changing the state."""
        table = self._db.tables.incidents
        for incident in self._select(table.id == id, 1):
            self._add(incident, at, incident.state, text, EXPORTER)

    def close(self, id: int, at: int, text: str) -> Incident | None:
        """Resolves it, and returns it as it was; None when it is resolved already."""
        table = self._db.tables.incidents
        for incident in self._select((table.id == id) & table.resolved_at.is_null(), 1):
            table.update(**{"resolved_at": at}).where(table.id == id).execute()
            self._add(incident, at, IncidentState.RESOLVED, text, EXPORTER)
            return incident
        return None

    # ── what people do: transactions of their own ────────────────────────────────────────────────────────────

    def update(self, id: int, state: IncidentState | None, text: str, author: str) -> None:
        """Adds to the timeline, with another state if one is given. Raises NotFound, and Conflict if it is resolved.

        Resolved by a person while an alert fires, the alert stays open but is not repeated.
        """
        with self._db.write("update incident"):
            incident = self._still_open(id)
            now = self._clock.now()
            if state is IncidentState.RESOLVED:
                table = self._db.tables.incidents
                table.update(**{"resolved_at": max(now, incident.started_at)}).where(table.id == id).execute()
                self._alerts.acknowledge(id, now)
            self._add(incident, now, state or incident.state, text, author)
        if state is IncidentState.RESOLVED:
            self._events.record(LogEvent.INCIDENT_RESOLVED, monitor=incident.tag, incident=id, author=author, at=now)
        else:
            shown = state or incident.state
            self._events.record(
                LogEvent.INCIDENT_UPDATED, monitor=incident.tag, incident=id, state=shown, author=author, at=now
            )

    def acknowledge(self, id: int, author: str) -> None:
        """Marks it as being looked after: its alerts are not repeated. Raises NotFound and Conflict."""
        with self._db.write("acknowledge incident"):
            incident = self._still_open(id)
            if incident.acknowledged_at is not None:
                raise Conflict(f"incident {id} is acknowledged already, by {incident.acknowledged_by}")
            now = self._clock.now()
            table = self._db.tables.incidents
            table.update(**{"acknowledged_at": now, "acknowledged_by": author}).where(table.id == id).execute()
            self._add(incident, now, incident.state, "Acknowledged.", author)
            self._alerts.acknowledge(id, now)
        self._events.record(LogEvent.INCIDENT_ACKNOWLEDGED, monitor=incident.tag, incident=id, author=author, at=now)

    def _still_open(self, id: int) -> Incident:
        for incident in self._select(self._db.tables.incidents.id == id, 1):
            if incident.resolved_at is not None:
                raise Conflict(f"incident {id} is resolved already")
            return incident
        raise _none(id)

    def _open(self, new: NewIncident) -> Incident:
        table, at, state = self._db.tables.incidents, new.started_at, IncidentState.INVESTIGATING
        id = table.insert(
            **{
                "monitor_id": new.monitor_id,
                "tag": new.tag,
                "title": new.title,
                "impact": new.impact.value,
                "state": state.value,
                "started_at": at,
                "updated_at": at,
            }
        ).execute()
        self._enter(int(id), at, state, new.text, EXPORTER)
        return Incident(int(id), new.monitor_id, new.tag, new.title, new.impact, state, at, None, None, None, at)

    def _add(self, incident: Incident, at: int, state: IncidentState, text: str, author: str) -> None:
        table = self._db.tables.incidents
        self._enter(incident.id, at, state, text, author)
        # After a stall automatic changes are written late, at their own moments: readers of the feed have to
        # see that there is something new all the same.
        change = {"state": state.value, "updated_at": max(at, incident.updated_at + 1)}
        table.update(**change).where(table.id == incident.id).execute()

    def _enter(self, id: int, at: int, state: IncidentState, text: str, author: str) -> None:
        table = self._db.tables.incident_updates
        table.insert(**{"incident_id": id, "at": at, "state": state.value, "text": text, "author": author}).execute()

    def _select(self, condition: Any, limit: int | None) -> Sequence[Incident]:
        table = self._db.tables.incidents
        query = table.select(table.id, *(getattr(table, column) for column in INCIDENT_COLUMNS)).where(condition)
        query = query.order_by(table.id.desc())
        return [
            Incident(id, monitor_id, tag, title, Severity(impact), IncidentState(state), *rest)
            for id, monitor_id, tag, title, impact, state, *rest in (
                query if limit is None else query.limit(limit)
            ).tuples()
        ]


def _none(id: int) -> NotFound:
    return NotFound(f"there is no incident {id}")
