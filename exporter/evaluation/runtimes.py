"""The tracker of runtimes: keeps the quantiles of every monitor's kept runs, apart from heartbeats and scrapes.

The process that holds the lease computes them from the log of those monitors whose fleet entry shows new heartbeats,
and writes them; every process reads what was written, so all show the same, after a restart too. What is most out of
date comes first, and the work takes no more than a small share of the time.
"""

import time
from collections.abc import Callable, Sequence

from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import Fleet, FleetMonitor, Writer
from exporter.core.process.pause import Pause
from exporter.core.process.threads import SupervisedThread, Threads
from exporter.core.runtimes import Runtimes, runtimes_of
from exporter.storage.database import Database
from exporter.storage.repositories.leases import Lease
from exporter.storage.runtimes import RuntimeTable

EVERY = 2.0
"""Seconds between two turns, at least."""
MAX_SHARE = 0.02
"""Of one processor, what the turns take together."""
MAX_TURN = 0.1
"""Seconds of computing in one turn; one group of monitors is always computed."""
AT_ONCE = 20
"""Monitors whose logs are read between two looks at the clock."""


class RuntimeTracker:
    """`update` does the work, on the caller's thread; `start` runs it on one of its own."""

    def __init__(
        self, database: Database, fleet: Fleet, lease: Lease, kept: Callable[[], int], threads: Threads | None = None
    ) -> None:
        """`kept`: how many heartbeats of each monitor the log keeps."""
        self._db = database
        self._fleet = fleet
        self._lease = lease
        self._kept = kept
        self._table = RuntimeTable(database)
        self._seen: int | None = None
        """The last number of the table that the fleet shows."""
        self._thread = SupervisedThread(
            "runtimes", self._work, threads or Threads(), begin=self._begin, end=self._end, delay=EVERY
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        self._thread.stop(timeout)

    def update(self, max_turn: float = MAX_TURN) -> int:
        """Computes what is out of date, if this process holds the lease and as far as the time allows, and shows what
        any process computed; returns for how many monitors it computed. Raises StorageUnavailable.
        """
        computed = self._compute(max_turn) if self._lease.held else {}
        if computed:
            with self._db.write("write runtimes") as transaction:
                self._table.put(transaction, computed)
        self._show()
        return len(computed)

    def _begin(self) -> None:
        self._fleet.claim(Writer.RUNTIMES)

    def _end(self) -> None:
        self._fleet.release(Writer.RUNTIMES)
        self._db.close()

    def _work(self) -> float:
        began = time.perf_counter()
        try:
            self.update()
        except StorageUnavailable:
            return EVERY  # the database's trouble is reported by those that serve heartbeats
        return max(EVERY, (time.perf_counter() - began) / MAX_SHARE)

    def _compute(self, max_turn: float) -> dict[int, Runtimes]:
        kept = self._kept()
        computed: dict[int, Runtimes] = {}
        until = time.perf_counter() + max_turn
        pause = Pause()
        stale = self._stale(kept, pause)
        for start in range(0, len(stale), AT_ONCE):
            some = stale[start : start + AT_ONCE]
            with self._db.read("read runtimes") as reader:
                # Before the logs: what comes between the two is computed again, and never left out.
                received = self._table.received([watched.id for watched in some])
                for watched in some:
                    if watched.id in received:
                        beats = self._table.log(reader, watched.id, kept)
                        runtimes = runtimes_of(beats, received[watched.id], watched.monitor.max_runtime)
                        computed[watched.id] = runtimes
                    pause.when_due()
            self._thread.progress()
            if time.perf_counter() > until:
                break
        return computed

    def _stale(self, kept: int, pause: Pause) -> Sequence[FleetMonitor]:
        """Those with runs that received heartbeats since they were computed: those first of whose log they are the
        largest share.
        """
        stale: list[tuple[float, FleetMonitor]] = []
        for watched in self._fleet:
            pause.when_due()
            state, runtimes = watched.state, watched.runtimes
            if state.last_duration is None:
                continue
            if runtimes is None:
                stale.append((1.0, watched))
            elif runtimes.received != state.received:
                stale.append((abs(state.received - runtimes.received) / min(kept, state.received or 1), watched))
        stale.sort(key=lambda one: -one[0])
        return [watched for _, watched in stale]

    def _show(self) -> None:
        with self._db.read("read runtimes"):
            newest = self._table.newest()
        if newest == self._seen:
            return
        # Under the writer's lock, so that no reading of whole monitors by the recorder falls between the two.
        with self._db.write("show runtimes"):
            # The first time all: the fleet was read before this, and another process may have written meanwhile.
            written = self._table.since(self._seen or 0)
            self._fleet.show_runtimes(written)
        self._seen = newest
