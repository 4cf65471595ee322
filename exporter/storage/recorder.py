"""The recorder: ONE thread that commits heartbeats in groups, and only then lets them be acknowledged.

Requests put heartbeats in; the thread takes all that wait, commits them in one transaction, and hands them back
settled. While it waits for the disk, the next group gathers. That is what makes an fsync per acknowledgement cheap.

With a spool, a group that the database does not take goes into a file instead, and so does every later one until all of
them have been replayed: the order stays. Between two groups the thread replays more than it has put there, so that it
catches up however many come.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from exporter.core.clock import Clock, SystemClock
from exporter.core.errors import StorageUnavailable
from exporter.core.moments import exact
from exporter.core.telemetry import Telemetry
from exporter.storage.backlog import Backlog
from exporter.storage.commit import Pending
from exporter.storage.database import Database
from exporter.storage.fleet import Fleet
from exporter.storage.group import Changes, GroupCommit, unwritten
from exporter.storage.replay import Replay
from exporter.storage.snapshot import load
from exporter.storage.spool import Record, SpoolUnusable

log = logging.getLogger(__name__)

MAX_BATCH = 1000
MAX_WAITING = 20_000
"""Heartbeats that may wait; beyond it the sender is told to come again, before memory is."""
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
        backlog: Backlog | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`backlog` is the spool, if there is to be one."""
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
        self._group = GroupCommit(database, replica)
        self._clock: Clock = clock or SystemClock()
        self._backlog = backlog
        self._replay: Replay | None = None
        if backlog is not None:
            self._replay = Replay(database, backlog, self._group, self._clock, telemetry, replica)
        self._number = 0
        """Of the last group that the database was to take."""
        self._unsure: set[int] = set()
        """Monitors of which the fleet knows more than the database, until the spool is empty."""
        self._taking_since: int | None = None

    @property
    def behind(self) -> bool:
        """Whether heartbeats that were acknowledged are not in the database yet: nobody may be judged without them."""
        return self._backlog is not None and self._backlog.holding

    @property
    def spools(self) -> bool:
        """Whether there is a spool that took what it was given last."""
        return self._backlog is not None and self._taking_since is not None

    def notice(self) -> str | None:
        """For people: what waits in the spool."""
        if self._backlog is None or not self._backlog.holding:
            return None
        since, count = self._backlog.since or self._clock.now(), self._backlog.waiting
        waiting = f"{count:,} heartbeat{' waits' if count == 1 else 's wait'} in the spool"
        if self._db.trouble is None:
            return f"{waiting}, and {'is' if count == 1 else 'are'} being recorded. Statuses stand still until then."
        return (
            f"The database does not answer since {exact(since, 'UTC')}. {waiting}; "
            "heartbeats are taken, statuses stand still until it is back."
        )

    def taking_since(self) -> int | None:
        """The moment from which every heartbeat that came was taken, whatever the database did; None if that is not
        known, as without a spool.
        """
        return self._taking_since

    def start(self) -> None:
        """Begins with what the spool holds. Until it is recorded, `behind` is true."""
        self._open_spool()
        self._thread.start()

    def look_around(self) -> None:
        """Called every so often, on another thread: adopts spool files whose processes are gone, and asks the database
        whether it is back, so that no heartbeat waits while that is tried. Raises StorageUnavailable.
        """
        if self._backlog is not None and self._replay is not None:
            self._backlog.adopt()
            self._telemetry.spool_holds(self._backlog.waiting)
            self._replay.attempt()
            if self._backlog.holding:
                self._work.set()

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
            while self._queue or self._jobs or self._can_replay():
                if self._jobs:
                    ids, done = self._jobs.popleft()
                    self._reload(ids)
                    done.set()
                taken = self._take() if self._queue else 0
                if self._can_replay():
                    self._catch_up(2 * taken)
            if self._stopping:
                if self._backlog is not None:
                    self._backlog.close()
                self._db.close()
                return

    def _take(self) -> int:
        """How many heartbeats that were."""
        batch: list[Pending] = []
        while self._queue and len(batch) < MAX_BATCH:
            pending = self._queue.popleft()
            if not pending.abandoned:
                batch.append(pending)
            elif self._taking_since is not None:
                self._taking_since = self._clock.now()
        if not batch:
            return 0
        if self._backlog is not None and (self._backlog.holding or self._db.trouble is not None):
            self._put_by(self._backlog, batch)
            return len(batch)
        started = time.perf_counter()
        try:
            self._commit(batch)
        except StorageUnavailable as error:
            if self._backlog is not None:
                # Time has passed, and it may have been the commit's answer that was lost.
                self._put_by(self._backlog, [one for one in batch if not one.abandoned], self._number)
            else:
                self._refuse(batch, error)
                self._pause.wait(_RETRY_PAUSE)
        else:
            self._settled(batch)
            self._telemetry.batch_committed(len(batch), time.perf_counter() - started)
            self._read_again()
        return len(batch)

    def _commit(self, batch: Sequence[Pending]) -> None:
        self._number += 1
        with self._db.write("record heartbeats") as transaction:
            if self._replay is not None:
                self._replay.mark(transaction, self._number)
            changes = self._group.write(transaction, batch)
            transaction.after_commit.append(lambda: self._fold(changes))

    def _fold(self, changes: Changes) -> None:
        if changes.fold():
            self._attention()

    def _refuse(self, batch: Sequence[Pending], error: StorageUnavailable) -> None:
        log.error("heartbeats not recorded: %s", error, extra={"heartbeats": len(batch)})
        for pending in batch:
            pending.error = error
        self._settled(batch)

    # ── the spool ────────────────────────────────────────────────────────────────────────────────────────────

    def _open_spool(self) -> None:
        if self._backlog is not None:
            try:
                self._backlog.open()
                self._taking_since = self._clock.now()
            except SpoolUnusable as error:
                log.error("%s; it is tried again when it is needed", error)
            self._work.set()

    def _put_by(self, backlog: Backlog, batch: Sequence[Pending], group: int = 0) -> None:
        """`group` is the number under which the database may have committed these all the same."""
        if not backlog.holding:
            log.warning("heartbeats go into the spool: %s", self._db.trouble)
        try:
            backlog.put([Record(one.watched.monitor.tag, one.beat, group) for one in batch])
        except SpoolUnusable as error:
            self._taking_since = None
            self._refuse(batch, error)
            return
        if self._replay is not None and self._db.trouble is not None:
            self._replay.ready = False
        if self._taking_since is None:
            self._taking_since = self._clock.now()
        changes = unwritten(batch)
        self._unsure.update(changes.watched)
        changes.fold()
        self._settled(batch)
        self._telemetry.spooled(len(batch))
        self._telemetry.spool_holds(backlog.waiting)

    def _can_replay(self) -> bool:
        return self._replay is not None and self._replay.ready and self.behind

    def _catch_up(self, heartbeats: int) -> None:
        """Replays at least that many, or all there are."""
        assert self._replay is not None
        assert self._backlog is not None
        replayed = 0
        try:
            while self._backlog.holding and replayed <= heartbeats:
                lines, touched = self._replay.some()
                replayed += lines
                self._unsure |= touched
        except StorageUnavailable as error:
            log.warning("the spool waits for the database: %s", error)
        self._telemetry.spool_holds(self._backlog.waiting)
        if not self._backlog.holding:
            log.info("the spool is empty: everything in it is recorded")
            self._unread |= self._unsure
            self._unsure.clear()
            self._read_again()
            self._attention()

    # ── what others changed ──────────────────────────────────────────────────────────────────────────────────

    def _reload(self, ids: Sequence[int]) -> None:
        if self.behind:  # the fleet knows of heartbeats that the database does not
            self._unread.update(ids)
            return
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
