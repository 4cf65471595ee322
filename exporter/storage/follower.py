"""Follows what other processes on the same database wrote: definitions, heartbeats and transitions.

The logs are the feed: a row with somebody else's replica name and a number we have not seen names a monitor to read
anew. Nothing of our own is read twice, and the hot path pays for no extra index.
"""

import threading

from peewee import fn

from exporter.storage.database import Database
from exporter.storage.monitors import Monitors
from exporter.storage.recorder import Recorder


class Follower:
    """One thread polls, and others may catch up meanwhile."""

    def __init__(self, database: Database, monitors: Monitors, recorder: Recorder, replica: str) -> None:
        self._db = database
        self._monitors = monitors
        self._recorder = recorder
        self._replica = replica
        self._revision = 0
        self._last = {"heartbeats": 0, "transitions": 0}
        self._looking = threading.Lock()

    def start_here(self) -> None:
        """Everything up to now is known; call it before the fleet is loaded, so that nothing falls between."""
        self._revision, _ = self._monitors.changed_since(0)
        with self._db.read("follow"):
            for name in self._last:
                self._last[name] = self._newest(name)

    def poll(self) -> int:
        """Has the recorder read what others changed since the last call; how many monitors that is."""
        with self._looking:
            ids = self._changed()
            if ids:
                self._recorder.reload(ids)
        return len(ids)

    def catch_up(self, seconds: float) -> None:
        """Returns when the fleet knows whatever is in the database now, or that many seconds later."""
        with self._looking:
            # Even with nothing to read: what an earlier call found may still be on its way.
            done = self._recorder.reload(self._changed())
        done.wait(seconds)

    def _changed(self) -> list[int]:
        revision, changed = self._monitors.changed_since(self._revision)
        ids, last = set(changed), dict(self._last)
        with self._db.read("follow"):
            for name, seen in self._last.items():
                table = getattr(self._db.tables, name)
                newest = self._newest(name)
                if newest > seen:
                    query = table.select(table.monitor_id).distinct()
                    fresh = (table.id > seen) & (table.id <= newest) & (table.replica != self._replica)
                    ids.update(row[0] for row in query.where(fresh).tuples())
                last[name] = newest
        # Only now: what a failed query kept from us has to be asked for again.
        self._revision, self._last = revision, last
        return sorted(ids)

    def _newest(self, name: str) -> int:
        table = getattr(self._db.tables, name)
        return int(next(iter(table.select(fn.MAX(table.id)).tuples()))[0] or 0)
