"""A log as a feed: what other processes have written to it since the last look.

Numbers are handed out before rows become visible: while one process commits number 7, another may still be about to
commit number 5. But one process commits in the order of its numbers, so each is followed by the last number seen of
it. Rows older than a mark are left out, which is the newest number as of so long ago that whatever was under way then
is there by now, or never will be (`Database.settles`, and `MAX_TRANSACTION_SECONDS` sees to it).
"""

from collections import deque
from functools import reduce
from operator import or_
from typing import Any

from peewee import fn

from exporter.storage.database import Database

BACKLOG = 100_000
"""Numbers before the newest one that may be under way when a process starts."""


class LogFeed:
    """Not thread-safe. Methods are called inside `Database.read`; what they find is forgotten again unless `keep` is
    called after it.
    """

    def __init__(self, database: Database, log: str, replica: str) -> None:
        """`log` is `heartbeats` or `transitions`; `replica` is this process's name."""
        self._log = getattr(database.tables, log)
        self._replica = replica
        self._settles = database.settles
        self._floor = 0
        """Rows up to this number are of no interest any more."""
        self._seen: dict[str, int] = {}
        """The last number seen of each process, if it is above the floor."""
        self._marks: deque[tuple[int, int]] = deque()
        """(moment, newest number at that moment), oldest first."""
        self._found: tuple[int, int, dict[str, int]] = (0, 0, {})

    def start_here(self) -> None:
        """Everything that is visible now is known."""
        newest = self._newest()
        self._floor = max(0, newest - BACKLOG) if self._settles else newest
        self._seen = self._last_numbers()

    def fresh(self, now: int) -> set[int]:
        """The monitors of new rows of other processes. `now` is by the steady clock."""
        newest, last = self._newest(), {}
        monitor_ids: set[int] = set()
        if newest > self._floor:
            last = self._last_numbers()
            log, floor = self._log, self._floor
            ranges = [
                (log.replica == replica) & (log.id > self._seen.get(replica, floor)) & (log.id <= number)
                for replica, number in last.items()
                if number > self._seen.get(replica, floor)
            ]
            if ranges:
                query = log.select(log.monitor_id).distinct().where((log.id > floor) & reduce(or_, ranges))
                monitor_ids.update(row[0] for row in query.tuples())
        self._found = now, newest, last
        return monitor_ids

    def keep(self) -> None:
        """What the last call of `fresh` found is dealt with."""
        now, newest, last = self._found
        self._marks.append((now, newest))
        while self._marks and self._marks[0][0] <= now - self._settles:
            self._floor = max(self._floor, self._marks.popleft()[1])
        self._seen = {replica: number for replica, number in last.items() if number > self._floor}

    def _newest(self) -> int:
        return int(next(iter(self._log.select(fn.MAX(self._log.id)).tuples()))[0] or 0)

    def _last_numbers(self) -> dict[str, int]:
        """Of every other process, if it is above the floor."""
        log: Any = self._log
        query = (
            log.select(log.replica, fn.MAX(log.id))
            .where((log.id > self._floor) & (log.replica != self._replica))
            .group_by(log.replica)
        )
        return dict(query.tuples())
