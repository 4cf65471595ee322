"""The calendar of a process: excluded time, as the database has it."""

import logging
import threading

from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet
from exporter.storage.database import Database
from exporter.storage.repositories.blackouts import Blackouts
from exporter.storage.repositories.maintenances import Maintenances

log = logging.getLogger(__name__)
_AFTER_OUTAGE = "after_outage"


class FleetExclusions:
    """Any thread may call it; all methods block and raise StorageUnavailable, and then everything stays as it was."""

    def __init__(self, database: Database, fleet: Fleet, blackouts: Blackouts, maintenances: Maintenances) -> None:
        self._db = database
        self._fleet = fleet
        self._blackouts = blackouts
        self._maintenances = maintenances
        self._refreshing = threading.Lock()
        self._forgives = True
        self._known: object = None
        """What the fleet's calendar was made of; equal as long as that has not changed."""
        self.blackout_total = 0
        """Milliseconds, as of the last call."""

    def refresh(self) -> Calendar:
        """The calendar as it is now; the fleet uses it from now on. Two rows are read unless something changed."""
        with self._refreshing:
            return self._refresh()

    def forgive(self, blackouts: bool, now: int) -> None:
        """Whether blackouts are forgiven, those of the past too. If they were not before, or were, every monitor is
        re-evaluated: the planned moments follow from the old setting.
        """
        settings, states = self._db.tables.settings, self._db.tables.states
        value = "forgive" if blackouts else "strict"
        with self._refreshing:  # what is woken here is not evaluated by the old calendar
            with self._db.write("apply after_outage"):
                query = settings.select(settings.value).where(settings.key == _AFTER_OUTAGE)
                if next((row[0] for row in query.tuples()), "forgive") != value:
                    settings.insert(**{"key": _AFTER_OUTAGE, "value": value}).on_conflict(
                        conflict_target=[settings.key], update={settings.value: value}
                    ).execute()
                    later = states.next_evaluation_at.is_null() | (states.next_evaluation_at > now)
                    self._db.lock(states.select(states.monitor_id).where(later).order_by(states.monitor_id))
                    states.update(**{"next_evaluation_at": now}).where(later).execute()
            self._forgives = blackouts
            self._refresh()

    def _refresh(self) -> Calendar:
        total = self._blackouts.total()
        sources = (total, self._forgives, self._maintenances.revision())
        if sources != self._known:
            windows = tuple(maintenance.window for maintenance in self._maintenances.all())
            for window in windows:
                if window.trouble is not None:
                    log.error("maintenance %r never begins, its rule cannot be used: %s", window.name, window.trouble)
            blackouts = self._blackouts
            calendar = Calendar(blackouts.all(), windows, self._forgives, blackouts.skipped(), blackouts.unreachable())
            self._fleet.use(calendar)
            self._known, self.blackout_total = sources, total
        return self._fleet.calendar
