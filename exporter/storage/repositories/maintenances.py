"""Maintenance windows in the database: of the configuration file, and made by hand.

Each change takes the next number of a counter in its transaction, by which every process notices it, and makes the
monitors concerned due. Past windows are kept for as long as transitions: the past counts as it did.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import Clock
from exporter.core.errors import Conflict, NotFound
from exporter.core.maintenance import Window
from exporter.storage.database import Database
from exporter.storage.repositories.revisions import hold_revision, next_revision
from exporter.storage.rows import chunks, monitor_of
from exporter.storage.tables import MAINTENANCE_COLUMNS, MONITOR_COLUMNS

REVISION = "maintenance_revision"


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A window as it is kept."""

    id: int
    window: Window
    provisioned: bool
    """Whether it comes from the configuration file."""

    def over(self, now: int) -> bool:
        at = self.window.over_at()
        return at is not None and at <= now


class Maintenances:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def revision(self) -> int:
        """It differs after every change."""
        settings = self._db.tables.settings
        with self._db.read("read maintenance"):
            rows = settings.select(settings.value).where(settings.key == REVISION).tuples()
            return next((int(row[0]) for row in rows), 0)

    def all(self) -> Sequence[StoredWindow]:
        """Those that are over too, in the order in which they were made."""
        with self._db.read("read maintenance"):
            return self._select()

    def add(self, window: Window) -> None:
        """Raises Conflict while there is another of that name that is not over."""
        with self._db.write("add maintenance"):
            next_revision(self._db, REVISION)  # from here on no other transaction changes any
            now = self._clock.now()
            if any(stored.window.name == window.name and not stored.over(now) for stored in self._select()):
                raise Conflict(f"there is a maintenance {window.name!r} already: end it first, or take another name")
            self._insert(window, provisioned=False)
            self._wake([window])

    def end(self, name: str) -> Window:
        """Ends it now and for good; returns it as it was. Raises NotFound, or Conflict for one of the configuration
        file.
        """
        with self._db.write("end maintenance"):
            next_revision(self._db, REVISION)
            now = self._clock.now()
            windows = [kept for kept in self._select() if kept.window.name == name and not kept.over(now)]
            if not windows:
                raise NotFound(f"there is no maintenance {name!r} that is not over")
            if windows[0].provisioned:
                raise Conflict(f"{name!r} comes from the configuration file: remove it there and reload")
            self._end(windows[0], now)
            self._wake([windows[0].window])
            return windows[0].window

    def provision(self, windows: Iterable[Window]) -> tuple[int, int]:
        """Makes those of the configuration file exactly these; returns how many began to be and how many ended.

        One that is changed ends, and a new one begins: the past counts as it did.
        """
        missing = {window.name: window for window in windows}
        with self._db.write("provision maintenance"):
            hold_revision(self._db, REVISION)  # replicas that start together provision the same
            now = self._clock.now()
            ended = []
            for kept in self._select():
                if kept.provisioned and not kept.over(now):
                    if missing.get(kept.window.name) == kept.window:
                        del missing[kept.window.name]
                    else:
                        ended.append(kept)
                elif kept.provisioned and missing.get(kept.window.name) == kept.window:
                    del missing[kept.window.name]  # it is over, and stands in the file all the same
            if missing or ended:
                next_revision(self._db, REVISION)
                for kept in ended:
                    self._end(kept, now)
                for window in missing.values():
                    self._insert(window, provisioned=True)
                self._wake([*missing.values(), *(kept.window for kept in ended)])
        return len(missing), len(ended)

    # ── within a transaction ─────────────────────────────────────────────────────────────────────────────────

    def _select(self) -> list[StoredWindow]:
        table = self._db.tables.maintenances
        columns = (getattr(table, column) for column in MAINTENANCE_COLUMNS)
        query = table.select(table.id, table.provisioned, *columns).order_by(table.id)
        return [StoredWindow(id, _window(row), bool(provisioned)) for id, provisioned, *row in query.tuples()]

    def _insert(self, window: Window, *, provisioned: bool) -> None:
        table = self._db.tables.maintenances
        row = {column: getattr(window, column) for column in MAINTENANCE_COLUMNS}
        row["selector"] = _written(window.selector)
        table.insert(**row, provisioned=provisioned, created_at=self._clock.now()).execute()

    def _end(self, stored: StoredWindow, now: int) -> None:
        table = self._db.tables.maintenances
        if stored.window.starts_at >= now:  # it never began
            table.delete().where(table.id == stored.id).execute()
        else:
            table.update(**{"ended_at": now}).where(table.id == stored.id).execute()

    def _wake(self, windows: Sequence[Window]) -> None:
        """Has the monitors evaluated that these are for."""
        monitors, states = self._db.tables.monitors, self._db.tables.states
        query = monitors.select(monitors.id, *(getattr(monitors, column) for column in MONITOR_COLUMNS))
        ids = []
        for id, *row in query.where(monitors.removed_at.is_null()).order_by(monitors.id).tuples():
            monitor = monitor_of(row, False)
            if any(window.applies_to(monitor) for window in windows):
                ids.append(id)
        now = self._clock.now()
        for chunk in chunks(ids):
            mine = states.monitor_id.in_(chunk)
            self._db.lock(states.select(states.monitor_id).where(mine).order_by(states.monitor_id))
            later = states.next_evaluation_at.is_null() | (states.next_evaluation_at > now)
            states.update(**{"next_evaluation_at": now}).where(mine & later).execute()


def _window(row: Sequence[Any]) -> Window:
    """From MAINTENANCE_COLUMNS."""
    name, selector, starts_at, duration, rule, timezone, description, ended_at = row
    read = json.loads(selector)
    return Window(
        name=name,
        selector=Selector(
            tags=tuple(read["tags"]),
            groups=tuple(read["groups"]),
            labels=tuple((key, glob) for key, glob in read["labels"]),
        ),
        starts_at=starts_at,
        duration=duration,
        rule=rule,
        timezone=timezone,
        description=description,
        ended_at=ended_at,
    )


def _written(selector: Selector) -> str:
    return json.dumps({"tags": selector.tags, "groups": selector.groups, "labels": selector.labels})
