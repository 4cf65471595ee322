"""Follows what other processes on the same database wrote: definitions, heartbeats and transitions.

The logs are the feed: a row with another process's replica name and a new number names a monitor to read again.
This process's own rows are not read twice, and the hot path pays for no extra index.
"""

import threading
from collections.abc import Callable, Sequence

from exporter.core.clock import Clock
from exporter.core.fleet import Fleet
from exporter.fleet.log_feed import LogFeed
from exporter.storage.database import Database
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.repositories.suppressions import SuppressionTable
from exporter.storage.rows import chunks

AT_ONCE = 2_000
"""Monitors that are read while heartbeats wait: a reload may change a hundred thousand."""


class Follower:
    """One thread polls, and others may catch up meanwhile."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        monitors: Monitors,
        reload: Callable[[Sequence[int]], threading.Event],
        clock: Clock,
        replica: str,
    ) -> None:
        self._db = database
        self._fleet = fleet
        self._monitors = monitors
        self._suppressions = SuppressionTable(database)
        self._reload = reload
        self._clock = clock
        self._revision = 0
        self._logs = [LogFeed(database, name, replica) for name in ("heartbeats", "transitions")]
        self._doubts = database.doubts
        self._looking = threading.Lock()

    def start_here(self) -> None:
        """Everything up to now is known; call it before the fleet is loaded, so that nothing falls between."""
        self._revision, _ = self._monitors.changed_since(0)
        self._show_suppressions()
        with self._db.read("follow"):
            for log in self._logs:
                log.start_here()

    def poll(self) -> int:
        """Has the recorder read what others changed since the last call; how many monitors that is."""
        with self._looking:
            ids = self._changed()
            # First: a monitor that is late must not be shown so before it is shown to be suppressed.
            self._show_suppressions()
            if ids:
                self._reload_in_parts(ids)
            self._settle_doubts()
        return len(ids)

    def catch_up(self, seconds: float) -> None:
        """Returns when the fleet knows whatever is in the database now, or that many seconds later."""
        with self._looking:
            # Even with nothing to read: what an earlier call found may still be on its way.
            done = self._reload_in_parts(self._changed())
        done.wait(seconds)

    def _show_suppressions(self) -> None:
        suppressions = self._suppressions.read(self._fleet.suppressions.revision)
        if suppressions is not None:
            self._fleet.show_suppressions(suppressions)

    def _reload_in_parts(self, ids: Sequence[int]) -> threading.Event:
        """In parts, between which heartbeats are recorded; the event is that of the last part."""
        for start in range(0, len(ids) - AT_ONCE, AT_ONCE):
            self._reload(ids[start : start + AT_ONCE])
        return self._reload(ids[(len(ids) - 1) // AT_ONCE * AT_ONCE :] if ids else ids)

    def _changed(self) -> list[int]:
        revision, changed = self._monitors.changed_since(self._revision)
        ids, now = set(changed), self._clock.monotonic()
        with self._db.read("follow"):
            for log in self._logs:
                ids |= log.fresh(now)
        # Only now: what a failed query kept from us has to be asked for again.
        self._revision = revision
        for log in self._logs:
            log.keep()
        return sorted(ids)

    def _settle_doubts(self) -> None:
        """A commit of this process that got no answer may have succeeded: then the fleet is behind, and the feed leaves
        its rows out. So all monitors are read again, in pieces between which heartbeats are recorded.
        """
        doubts = self._db.doubts
        if doubts != self._doubts and self._db.trouble is None:  # while it lasts, there may be a new one every second
            self._doubts = doubts
            for some in chunks([watched.id for watched in self._fleet]):
                self._reload(some)
