"""What is expected of monitors, for the ingest guard: which deadlines passed unmet lately, and which were met."""

import heapq
from collections.abc import Iterator

from exporter.core.calendar.schedule import next_tick
from exporter.core.errors import InvalidValue
from exporter.core.fleet import FleetMonitor
from exporter.core.ingest_guard import LateMonitor
from exporter.core.status import Reason

MAX_TICKS = 10
"""Ticks of one schedule looked at to find the last one whose deadline has passed."""


class LateMonitors:
    """Monitors whose deadline passed unmet, in the order of their deadlines, so that nothing goes through the fleet."""

    def __init__(self) -> None:
        self._by_id: dict[int, LateMonitor] = {}
        self._by_deadline: list[tuple[int, int]] = []
        """A heap of (deadline, id); may hold entries that `_by_id` does not any more."""
        self.changed = False
        """Whether one was added since this was last reset."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LateMonitor]:
        return iter(self._by_id.values())

    def add(self, watched: FleetMonitor, after: int, now: int) -> None:
        """Adds a monitor that is late, if its deadline passed between these moments and it is not there."""
        if watched.id in self._by_id:
            return
        due = watched.due_at
        if due is None:
            return
        deadline = watched.exclusions.deadline(due, watched.monitor.degraded_after + 1, now)
        if after < deadline <= now:
            self._by_id[watched.id] = LateMonitor(deadline, watched.id, watched.monitor.group)
            heapq.heappush(self._by_deadline, (deadline, watched.id))
            self.changed = True

    def discard(self, id: int) -> bool:
        """Whether it was there."""
        return self._by_id.pop(id, None) is not None

    def forget_until(self, moment: int) -> None:
        """Those whose deadline passed by that moment are of no interest any more."""
        while self._by_deadline and self._by_deadline[0][0] <= moment:
            deadline, id = heapq.heappop(self._by_deadline)
            late = self._by_id.get(id)
            if late is not None and late.deadline == deadline:
                del self._by_id[id]


class MetDeadlines:
    """The latest deadlines that monitors with a schedule met between two moments; each schedule is looked at once."""

    def __init__(self, since: int, now: int) -> None:
        self._since = since
        self._now = now
        self._known: dict[tuple[str, str, int], int | None] = {}

    def of(self, watched: FleetMonitor) -> int | None:
        """Of a monitor that is not late, so that it met all that have passed. None without a schedule, and if there was
        none.
        """
        monitor = watched.monitor
        if monitor.schedule is None or watched.current.reason is Reason.FAILED:
            return None
        key = (monitor.schedule, monitor.timezone, monitor.degraded_after)
        if key not in self._known:
            self._known[key] = self._latest(*key)
        return self._known[key]

    def _latest(self, schedule: str, timezone: str, degraded_after: int) -> int | None:
        latest: int | None = None
        at = self._since - degraded_after - 2
        try:
            for _ in range(MAX_TICKS):
                at = next_tick(schedule, timezone, at)
                if at + degraded_after + 1 > self._now:
                    break
                latest = at + degraded_after + 1
        except InvalidValue:
            return None
        return latest
