"""The recorder: ONE thread that commits heartbeats in groups, and only then lets them be acknowledged.

Requests put heartbeats in; the thread takes all that wait, commits them in one transaction, and hands them back
settled. While it waits for the disk, the next group gathers. That is what makes an fsync per acknowledgement cheap.
"""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

from exporter.core.errors import StorageConflict, StorageUnavailable
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Run, apply, merge
from exporter.core.status import Status
from exporter.core.telemetry import Telemetry
from exporter.storage.commit import CommitStatements, Pending
from exporter.storage.database import LONGEST, Database
from exporter.storage.fleet import Fleet, Watched
from exporter.storage.snapshot import load

log = logging.getLogger(__name__)

MAX_BATCH = 1000
MAX_WAITING = 20_000
"""Heartbeats that may wait; beyond it the sender is told to come again, before memory is."""
TRIES = 3
"""How often a group is tried at once that another process was in the way of."""
_RETRY_PAUSE = 0.5
"""Seconds to wait when the database has refused a group, before the next is tried."""


class Recorder:
    """`settled` is called on the recorder's thread with a group whose fate is known."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        telemetry: Telemetry,
        replica: str,
        settled: Callable[[Sequence[Pending]], None],
        attention: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = database
        self._fleet = fleet
        self._telemetry = telemetry
        self._replica = replica
        self._settled = settled
        self._attention = attention
        self._queue: deque[Pending] = deque()
        self._jobs: deque[tuple[Sequence[int], threading.Event]] = deque()
        self._unread: set[int] = set()
        """Monitors that somebody else changed and that the database would not let us read."""
        self._work = threading.Event()
        self._stopping = False
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._statements = CommitStatements(database)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Commits what waits, then ends the thread."""
        self._stopping = True
        self._pause.set()
        self._work.set()
        self._thread.join(timeout)

    def record(self, pending: Pending) -> bool:
        """Queues a heartbeat; False when too many wait already. Never blocks."""
        if len(self._queue) >= MAX_WAITING:
            return False
        self._queue.append(pending)
        if not self._work.is_set():
            self._work.set()
        return True

    def reload(self, ids: Sequence[int]) -> threading.Event:
        """Has these monitors read anew from the database, between two groups: somebody else changed them.

        The event is set when that is done, or has failed: then it is tried again until it is done.
        """
        done = threading.Event()
        self._jobs.append((ids, done))
        self._work.set()
        return done

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while True:
            self._work.wait(_RETRY_PAUSE if self._unread else None)
            self._work.clear()
            self._read_again()
            while self._queue or self._jobs:
                if self._jobs:
                    ids, done = self._jobs.popleft()
                    self._reload(ids)
                    done.set()
                if self._queue:
                    self._take()
            if self._stopping:
                self._db.close()
                return

    def _take(self) -> None:
        batch: list[Pending] = []
        while self._queue and len(batch) < MAX_BATCH:
            pending = self._queue.popleft()
            if not pending.abandoned:
                batch.append(pending)
        if not batch:
            return
        started = time.perf_counter()
        try:
            self._commit_whatever_is_in_the_way(batch)
        except StorageUnavailable as error:
            log.error("heartbeats not recorded: %s", error, extra={"heartbeats": len(batch)})
            for pending in batch:
                pending.error = error
            self._settled(batch)
            self._pause.wait(_RETRY_PAUSE)
        else:
            self._settled(batch)
            self._telemetry.batch_committed(len(batch), time.perf_counter() - started)
            self._read_again()

    def _commit_whatever_is_in_the_way(self, batch: Sequence[Pending]) -> None:
        for _ in range(TRIES - 1):
            try:
                self._commit(batch)
                return
            except StorageConflict as error:
                log.warning("heartbeats are recorded at the next try: %s", error)
        self._commit(batch)

    def _commit(self, batch: Sequence[Pending]) -> None:
        beats: defaultdict[int, list[Heartbeat]] = defaultdict(list)
        watched: dict[int, Watched] = {}
        for pending in batch:
            id = pending.watched.id
            watched[id] = pending.watched
            beats[id].append(pending.beat)
        deltas: dict[int, HeartbeatState] = {}
        ended: list[tuple[int, str]] = []
        started: list[tuple[int, Run]] = []
        with self._db.write("record heartbeats", within=LONGEST) as transaction:
            open_runs, not_up = self._statements.before(transaction, sorted(beats))
            for id, received in beats.items():
                before = open_runs.get(id, ())
                nothing = HeartbeatState(runs=before) if before else NO_HEARTBEATS
                delta = deltas[id] = apply(nothing, received, watched[id].monitor.max_runtime)
                if delta.runs != before:
                    # Rows keep the order of starts, so everything from the first difference on is written anew.
                    same = _same(before, delta.runs)
                    ended += [(id, run.rid) for run in before[same:]]
                    started += [(id, run) for run in delta.runs[same:]]
            self._statements.end_runs(transaction, ended)
            self._statements.add_runs(transaction, started)
            self._statements.add_heartbeats(transaction, batch, self._replica)
            self._statements.update_states(transaction, list(deltas.items()))
            due = [id for id, delta in deltas.items() if _due_at_once(watched[id], delta, id in not_up)]
            self._statements.bring_forward(transaction, [(id, beats[id][0].received_at) for id in due])
            transaction.after_commit.append(lambda: self._fold(watched, deltas))

    def _fold(self, watched: Mapping[int, Watched], deltas: Mapping[int, HeartbeatState]) -> None:
        attention = False
        for id, delta in deltas.items():
            one = watched[id]
            attention = attention or one.standing.status is not Status.UP or _due_at_once(one, delta, False)
            one.state = merge(one.state, delta)
        if attention:
            self._attention()

    def _reload(self, ids: Sequence[int]) -> None:
        try:
            # Under the writer's lock, so that no commit of ours falls between reading and putting.
            with self._db.write("reload monitors"):
                found = load(self._db, ids)
                self._fleet.update(found, removed=set(ids) - {one.id for one in found})
        except StorageUnavailable as error:
            self._unread.update(ids)
            log.warning("changes made elsewhere not read yet: %s", error)

    def _read_again(self) -> None:
        if self._unread and not self._stopping:
            self._jobs.append((sorted(self._unread), threading.Event()))
            self._unread.clear()


def _same(before: Sequence[Run], after: Sequence[Run]) -> int:
    """How many are the same from the start on."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    return same


def _due_at_once(watched: Watched, delta: HeartbeatState, not_up: bool) -> bool:
    """Whether what just arrived may change the status now, or bring a deadline nearer. A plain success cannot change
    that of a monitor that is UP: its deadline is worked out anew when it comes up, and the index stays untouched on the
    hot path.
    """
    monitor, before = watched.monitor, watched.state.last_received_at
    if before is not None and delta.last_received_at is not None and delta.last_received_at < before:
        return True  # the clock was set back: what was planned after the older heartbeat is too late by now
    if monitor.evaluation_cron is not None:
        return False
    return not_up or delta.failures > 0 or (delta.starts > 0 and monitor.max_runtime is not None)
