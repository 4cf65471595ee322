"""The spooler: puts groups that the database does not take into the spool, and replays them when it does again.

While anything waits there, every later group goes there too, so the order stays; between two groups more is replayed
than was put, so it catches up however many come.
"""

import logging
from collections.abc import Sequence

from exporter.core.clock import Clock, PastMoment
from exporter.core.errors import StorageUnavailable
from exporter.core.telemetry import Telemetry
from exporter.presentation.moments import exact
from exporter.recording.group import Changes, GroupCommit, unwritten
from exporter.recording.late import ClaimKey, LatePending, late_last, late_of, mark_repeated
from exporter.recording.spool.backlog import Backlog
from exporter.recording.spool.file import Record, SpoolUnusable
from exporter.recording.spool.replay import Replay
from exporter.recording.statements import Pending
from exporter.storage.database import Database, Transaction

log = logging.getLogger(__name__)

MAX_CLAIMS = 100_000
"""Late heartbeats of the spool that are remembered, so that one that is sent again is not shown as another. Of more the
replay finds those that are repeated.
"""


class Spooler:
    """Belongs to the recorder's thread; `look_around`, and what only returns something, may be called on any."""

    def __init__(self, database: Database, backlog: Backlog, clock: Clock, telemetry: Telemetry, replica: str) -> None:
        self._db = database
        self._backlog = backlog
        self._clock = clock
        self._telemetry = telemetry
        self._replay = Replay(database, backlog, GroupCommit(database, replica), telemetry, clock)
        self._number = 0
        """Of the last group that the database was to take."""
        self._unsure: set[int] = set()
        """Monitors of which the fleet knows more than the database, until the spool is empty."""
        self._claims: set[ClaimKey] = set()
        """Of late heartbeats in the spool."""
        self._taking_since: PastMoment | None = None

    # ── on any thread ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def behind(self) -> bool:
        """Whether acknowledged heartbeats are not in the database yet: no monitor may be evaluated without them."""
        return self._backlog.holding

    @property
    def taking_since(self) -> int | None:
        """The moment from which every heartbeat that came was taken, whatever the database did; None when the spool did
        not take what it was given last.
        """
        since = self._taking_since
        return None if since is None else since.at

    def notice(self) -> str | None:
        """For people: what waits in the spool."""
        if not self._backlog.holding:
            return None
        since, count = self._backlog.since or self._clock.now(), self._backlog.waiting
        waiting = f"{count:,} heartbeat{' waits' if count == 1 else 's wait'} in the spool"
        if self._db.trouble is None:
            verb = "is" if count == 1 else "are"
            return f"{waiting}, and {verb} being recorded. Only heartbeats change a status until then."
        return (
            f"The database does not answer since {exact(since, 'UTC')}. {waiting}; "
            "heartbeats are taken, and only they change a status until it is back."
        )

    def look_around(self) -> None:
        """Called twice a second: adopts spool files whose processes are gone, and asks the database whether it is back,
        so that no heartbeat waits while that is tried. Raises StorageUnavailable.
        """
        self._backlog.adopt()
        self._telemetry.spool_holds(self._backlog.waiting)
        self._replay.attempt()

    # ── for the recorder ─────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Begins with what the spool holds. Until it is recorded, `behind` is true."""
        try:
            self._backlog.open()
            self._taking_since = PastMoment(self._clock)
        except SpoolUnusable as error:
            log.error("%s; trying again when it is needed", error)

    def close(self) -> None:
        """The next process adopts what waits."""
        self._backlog.close()

    @property
    def steps_in(self) -> bool:
        """Whether the next group has to go into the spool."""
        return self._backlog.holding or self._db.trouble is not None

    def next_group(self) -> None:
        """The database is to take another group, or the same one again."""
        self._number += 1

    def mark(self, transaction: Transaction) -> None:
        """Notes the group's number in its own transaction: if the answer to that is lost, the number shows at the
        replay whether the group was committed.
        """
        self._replay.mark(transaction, self._number)

    def missed(self) -> None:
        """A heartbeat was refused: it waited for too long, or too many did."""
        if self._taking_since is not None:
            self._taking_since = PastMoment(self._clock)

    def put(self, batch: Sequence[Pending], tried: bool) -> Changes:
        """Writes a group to the spool: durable when it returns. Returns how the fleet has to change. Raises
        SpoolUnusable.

        `tried`: it is the last group, and its commit may have succeeded.
        """
        if not self._backlog.holding:
            log.warning("writing heartbeats to the spool: %s", self._db.trouble)
        group = self._number if tried else 0
        late = late_of(batch)
        if late:
            late = mark_repeated(late_of(late_last(batch)), set(self._claims))
            batch = [pending for pending in batch if not pending.repeated]
        try:
            self._backlog.put([_record(pending, group) for pending in batch])
        except SpoolUnusable:
            self._taking_since = None
            raise
        if self._db.trouble is not None:
            self._replay.ready = False
        if self._taking_since is None:
            self._taking_since = PastMoment(self._clock)
        if len(self._claims) + len(late) <= MAX_CLAIMS:
            self._claims.update(pending.key for pending in late)
        changes = unwritten(batch)
        self._unsure.update(changes.watched)
        self._telemetry.spooled(len(batch))
        self._telemetry.spool_holds(self._backlog.waiting)
        return changes

    @property
    def can_replay(self) -> bool:
        return self._replay.ready and self._backlog.holding

    def catch_up(self, heartbeats: int) -> set[int]:
        """Replays at least that many, or all there are. Returns the monitors to read again, once the spool is empty."""
        replayed = 0
        try:
            while self._backlog.holding and replayed <= heartbeats:
                lines, touched = self._replay.some()
                replayed += lines
                self._unsure |= touched
        except StorageUnavailable as error:
            log.warning("the spool waits for the database: %s", error)
        self._telemetry.spool_holds(self._backlog.waiting)
        if self._backlog.holding:
            return set()
        log.info("the spool is empty: all its heartbeats are in the database")
        self._claims.clear()
        touched, self._unsure = self._unsure, set()
        return touched


def _record(pending: Pending, group: int) -> Record:
    claim = pending.claim if isinstance(pending, LatePending) else None
    return Record(pending.watched.monitor.tag, pending.beat, group, claim)
