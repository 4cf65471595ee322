"""The recorder: ONE thread that commits heartbeats in groups, and only then lets them be acknowledged.

Requests queue heartbeats; the thread commits all that wait in one transaction, and hands them back. While it waits for
the disk, the next group gathers. That is what makes an fsync per acknowledgement cheap.

With a spool, heartbeats that the database does not take go there instead.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from exporter.core.errors import StorageConflict, StorageUnavailable
from exporter.core.fleet import Fleet, Writer
from exporter.core.process.repeats import Repeats
from exporter.core.process.threads import SupervisedThread, Threads
from exporter.core.telemetry import Telemetry
from exporter.fleet.loader import load
from exporter.recording.group import Changes, GroupCommit
from exporter.recording.statements import Pending
from exporter.storage.database import MAX_TRANSACTION_SECONDS, Database
from exporter.storage.job_metrics import GroupChange

if TYPE_CHECKING:
    from exporter.recording.spool.spooler import Spooler

log = logging.getLogger(__name__)

MAX_BATCH = 1000
MAX_WAITING = 20_000
"""Heartbeats that may wait for their commit; more are answered 503."""
TRIES = 3
"""Attempts to commit a group that conflicts with another process's transaction."""
_AWAY = "the database does not answer: the metrics are not kept"
_RETRY_PAUSE = 0.5
"""Seconds to wait when the database has refused a group, before the next is tried."""


class Recorder:
    """`on_committed` is called on the recorder's thread with each group that was committed, spooled, or refused (then
    `Pending.error` is set); `wake` when a heartbeat may have changed a status.
    """

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        telemetry: Telemetry,
        replica: str,
        on_committed: Callable[[Sequence[Pending]], None],
        wake: Callable[[], None] = lambda: None,
        spooler: "Spooler | None" = None,
        threads: Threads | None = None,
        on_pushed: Callable[[Sequence[GroupChange]], None] = lambda changes: None,
    ) -> None:
        """`on_pushed` is called on the recorder's thread with the groups of job metrics that a commit changed."""
        self._db = database
        self._fleet = fleet
        self._telemetry = telemetry
        self._on_committed = on_committed
        self._on_pushed = on_pushed
        self._wake = wake
        self._queue: deque[Pending] = deque()
        self._under_way: list[Pending] = []
        """The group that is being committed or spooled."""
        self._announced = False
        """Whether the evaluator waits for the next group."""
        self._jobs: deque[tuple[Sequence[int], threading.Event]] = deque()
        self._unread: set[int] = set()
        """Monitors that another process or thread changed, and that the database did not let us read yet."""
        self._refusals = Repeats()
        self._refused = 0
        """Heartbeats refused since the last log line about that."""
        self._thread = SupervisedThread(
            "recorder",
            self._work,
            threads or Threads(),
            begin=self._begin,
            end=self._end,
            vital=True,
            drains=True,
        )
        self._group = GroupCommit(database, replica)
        self._spooler = spooler

    def start(self) -> None:
        if self._spooler is not None:
            self._spooler.open()
        self._thread.start()

    def look_around(self) -> None:
        """Maintains the spool; called on another thread, twice a second. Raises StorageUnavailable."""
        if self._spooler is not None:
            self._spooler.look_around()
            if self._spooler.behind:
                self._thread.wake()

    def stop(self, timeout: float = 30.0) -> None:
        """Commits what waits, then ends the thread."""
        self._thread.stop(timeout)

    def record(self, pending: Pending) -> bool:
        """Queues a heartbeat; False when too many wait already. Never blocks."""
        if len(self._queue) >= MAX_WAITING:
            if self._spooler is not None:
                self._spooler.missed()
            return False
        self._queue.append(pending)
        self._thread.wake()
        return True

    def waiting(self) -> Mapping[int, int]:
        """By monitor id, the earliest moment of receipt of its heartbeats that are neither in the database nor in the
        spool yet. A late one waits since it was received: what was evaluated until then stays. May be called on any
        thread.
        """
        first: dict[int, int] = {}
        # The queue before the group: a heartbeat that moves on is in both for a moment, and never in neither.
        queue = [pending for pending in self._queue.copy() if not pending.abandoned]
        for pending in (*queue, *self._under_way):
            if pending.error is None:
                id, at = pending.watched.id, pending.arrived_at
                first[id] = min(at, first.get(id, at))
        return first

    def announce(self) -> None:
        """Has `wake` called after the next group. May be called on any thread."""
        self._announced = True
        if not self._queue and not self._under_way:  # it is done meanwhile
            self._wake_if_announced()

    def absences(self) -> int:
        """Grows whenever the database was away, for as long as it is and when it is back."""
        return self._db.absences

    def reload(self, ids: Sequence[int]) -> threading.Event:
        """Has the recorder read these monitors from the database again, between two groups: another process or thread
        changed them.

        The event is set when that is done, or has failed: then the recorder tries again until it is done.
        """
        done = threading.Event()
        self._jobs.append((ids, done))
        self._thread.wake()
        return done

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> float | None:
        self._read_again()
        while self._queue or self._jobs or self._can_replay():
            self._thread.progress()
            # Heartbeats first: they are recorded whatever goes wrong with the rest.
            recorded = self._take() if self._queue else 0
            self._wake_if_announced()
            if self._jobs:
                ids, done = self._jobs.popleft()
                self._serve(ids, done)
            if self._can_replay():
                self._catch_up(2 * recorded)
        return _RETRY_PAUSE if self._unread else None

    def _begin(self) -> None:
        self._fleet.claim(Writer.RECORDER)

    def _end(self) -> None:
        self._fleet.release(Writer.RECORDER)
        if self._spooler is not None:
            self._spooler.close()
        self._db.close()

    def _wake_if_announced(self) -> None:
        if self._announced:
            self._announced = False
            self._wake()

    def _take(self) -> int:
        """Records the next group; returns how many heartbeats that were."""
        batch = self._under_way = []
        while self._queue and len(batch) < MAX_BATCH:
            pending = self._queue[0]
            if not pending.abandoned:
                batch.append(pending)
            elif self._spooler is not None:
                self._spooler.missed()
            self._queue.popleft()
        try:
            self._process(batch)
        finally:
            self._under_way = []
        return len(batch)

    def _process(self, batch: list[Pending]) -> None:
        if not batch:
            return
        if self._spooler is not None and self._spooler.steps_in:
            self._spool(self._spooler, batch)
            return
        started = time.perf_counter()
        try:
            self._commit_despite_conflicts(batch)
        except StorageUnavailable as error:
            if self._spooler is not None:
                self._spool(self._spooler, batch, tried=True)
            else:
                self._refuse(batch, error)
                self._thread.pause(_RETRY_PAUSE)
        except Exception as error:  # noqa: BLE001 - logged and counted there
            self._thread.survived(error)
            self._split(batch)
        else:
            self._on_committed(batch)
            self._telemetry.batch_committed(len(batch), time.perf_counter() - started)
            self._refusals.over()
            self._read_again()

    def _split(self, batch: Sequence[Pending]) -> None:
        """A group that cannot be written, although the database is there, holds something that cannot. It is halved
        until that heartbeat is alone, so that it costs none of the others; its sender is answered 503.
        """
        if len(batch) == 1:
            self._refuse(batch, StorageUnavailable("this heartbeat cannot be written"))
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            self._thread.progress()
            try:
                self._commit_despite_conflicts(half)
            except StorageUnavailable as error:
                self._refuse(half, error)
            except Exception as error:  # noqa: BLE001 - the same as of the whole group, which was logged
                log.debug("halving a group: %s", type(error).__name__)
                self._split(half)
            else:
                self._on_committed(half)

    def _commit_despite_conflicts(self, batch: Sequence[Pending]) -> None:
        for _ in range(TRIES - 1):
            try:
                self._commit(batch)
                return
            except StorageConflict as error:
                log.warning("recording heartbeats failed, trying again: %s", error)
        self._commit(batch)

    def _commit(self, batch: Sequence[Pending]) -> None:
        if self._spooler is not None:
            self._spooler.next_group()
        with self._db.write("record heartbeats", within=MAX_TRANSACTION_SECONDS) as transaction:
            if self._spooler is not None:
                self._spooler.mark(transaction)
            changes = self._group.write(transaction, batch)
            transaction.after_commit.append(lambda: self._fold(changes))

    def _fold(self, changes: Changes) -> None:
        """Updates the fleet after a commit. Whatever happens here, the group must not be written a second time."""
        try:
            if changes.fold(self._fleet):
                self._wake()
            if changes.groups:
                self._on_pushed(changes.groups)
        except Exception as error:  # noqa: BLE001 - logged and counted there
            self._thread.survived(error)
            self._unread.update(changes.watched)

    def _spool(self, spooler: "Spooler", batch: Sequence[Pending], tried: bool = False) -> None:
        if tried:  # and time has passed: some requests may have stopped waiting
            waiting = [pending for pending in batch if not pending.abandoned]
            if len(waiting) < len(batch):
                spooler.missed()
            batch = waiting
        batch = self._without_pushes(batch)
        if not batch:
            return
        try:
            changes = spooler.put(batch, tried)
        except StorageUnavailable as error:
            self._refuse(batch, error)
        else:
            changes.fold(self._fleet)
            self._on_committed(batch)

    def _without_pushes(self, batch: Sequence[Pending]) -> Sequence[Pending]:
        """What the spool can take of a group: metrics wait for the database, and so does what is nothing without."""
        if not any(pending.push for pending in batch):
            return batch
        spooled: list[Pending] = []
        refused: list[Pending] = []
        for pending in batch:
            push = pending.push
            if push is not None:
                push.refusal = _AWAY
            (spooled if push is None or push.brings_heartbeat else refused).append(pending)
        if refused:
            self._refuse(refused, StorageUnavailable(_AWAY))
        return spooled

    def _refuse(self, batch: Sequence[Pending], error: StorageUnavailable) -> None:
        self._refused += len(batch)
        if self._refusals.is_due(str(error)):
            log.error("%d heartbeats not recorded, answered 503: %s", self._refused, error)
            self._refused = 0
        for pending in batch:
            pending.error = error
        self._on_committed(batch)

    def _can_replay(self) -> bool:
        return self._spooler is not None and self._spooler.can_replay

    def _catch_up(self, heartbeats: int) -> None:
        assert self._spooler is not None
        self._unread |= self._spooler.catch_up(heartbeats)
        if not self._spooler.behind:
            self._read_again()
            self._wake()

    def _serve(self, ids: Sequence[int], done: threading.Event) -> None:
        try:
            self._reload(ids)
        except Exception:
            self._unread.update(ids)
            raise
        finally:
            done.set()

    def _reload(self, ids: Sequence[int]) -> None:
        if self._spooler is not None and self._spooler.behind:  # the fleet knows of more than the database does
            self._unread.update(ids)
            return
        try:
            # Under the writer's lock, so that no commit of this process falls between reading and updating.
            with self._db.write("reload monitors"):
                present = load(self._db, ids)
                self._fleet.update(present, removed=set(ids) - {watched.id for watched in present})
        except StorageUnavailable as error:
            self._unread.update(ids)
            log.warning("changes made by other processes cannot be read yet: %s", error)

    def _read_again(self) -> None:
        if self._unread and not self._thread.stopping:
            self._jobs.append((sorted(self._unread), threading.Event()))
            self._unread.clear()
