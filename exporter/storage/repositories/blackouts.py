"""Blackouts: spans in which no process could accept heartbeats, found as gaps in a stamp that each replica moves on.

A process that was stopped or killed, paused (SIGSTOP), asleep with its machine, or cut off from the database leaves the
same gap; so does a database that was away, since then nothing could be committed.

The stamp also shows wrong clocks: one in the future was made by a clock that was ahead. The process that moves it back
moves every other moment in the database with it, in the same transaction, so that is done once.
"""

import logging
import threading

from exporter.core.clock import SECOND, Clock
from exporter.core.errors import StorageUnavailable
from exporter.core.spans import Span, merged
from exporter.presentation.moments import humanize_duration
from exporter.storage.database import Database
from exporter.storage.future_moments import FutureMoments, shift_plans
from exporter.storage.repositories.maintenances import REVISION as CALENDAR_REVISION
from exporter.storage.repositories.revisions import next_revision

log = logging.getLogger(__name__)

EVERY = 2 * SECOND
"""How old the stamp may get while a process is there."""
MAX_GAP = 5 * SECOND
"""A longer gap is a blackout. Shorter ones are a restart: a stamp may be two seconds old when its process ends, the
next process takes one or two to start, and `curl --retry` carries heartbeats over them.
"""
AHEAD = 10 * SECOND
"""The clocks of replicas may differ by this much. A stamp further ahead was made before a clock was set back."""
PAUSED = 10 * SECOND
"""A process that does nothing for so long was paused. Its own calls into a database that is away are shorter."""
AFTERWARDS = 10 * SECOND
"""For so long after a clock was set back, what was under way with moments of the future is looked for."""
COURTESY = 3 * SECOND
"""How long a process that did not accept heartbeats, while others may have spooled them, leaves the stamp to those.
They look twice a second.
"""
SKIPPED = "clock"
"""The kind of a span that a clock was set forward over."""
UNREACHABLE = "unreachable"
"""The kind of a span in which heartbeats did not reach a process that was there."""
_NAME = "exporter"


class Blackouts:
    """Any thread may call it, every second or so; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock, courteous: bool = False) -> None:
        """`courteous`: other processes may have accepted heartbeats while the database was away, as they have spools.
        One that did moves the stamp without a blackout, so this process waits for that before it records one.
        """
        self._courteous = courteous
        self._gap_seen_at: int | None = None
        """Since when this process leaves a gap to the others, by the steady clock; None while it does not."""
        self._db = database
        self._clock = clock
        self._future = FutureMoments(database)
        self._stamping = threading.Lock()
        self._seen_at: int | None = None
        """When this process last knew the stamp to be fresh, by the steady clock; None before the first time."""
        self._alive_at: int | None = None
        """When it last did anything at all, by the steady clock."""
        self._resumed_at: int | None = None
        """When it was paused last, and went on."""
        self._set_back_at: int | None = None
        """When the clock was set back last, by the steady clock."""

    def record_liveness(self, taking_since: int | None = None, *, now: bool = False) -> Span | None:
        """Moves the stamp forward when that is due, or in any case if `now`; returns the blackout that this recorded.

        `taking_since`: from that moment on this process took every heartbeat that came, wherever it put it, unless it
        was paused. When this returns, whatever blackout there was before the call is in the database, unless this
        process `waits`.
        """
        with self._stamping:
            self._notice_pause()
            try:
                return self._stamp(taking_since, now)
            except StorageUnavailable:
                self._gap_seen_at = None  # when the database is back, the others are waited for again
                raise
            finally:
                self._notice_pause()

    @property
    def waits(self) -> bool:
        """Whether it is not known yet if there was a blackout: then no monitor is evaluated."""
        return self._gap_seen_at is not None

    def set_back(self) -> None:
        """The clock was set back, however little: the next stamp moves the last one back, and all moments with it."""
        with self._stamping:
            self._seen_at, self._set_back_at = None, self._clock.monotonic()

    def settle_wait(self, floor: int, replica: str) -> int:
        """What `replica` received with the moment `floor`, behind which its clock was, becomes now; how many rows."""
        return self._future.settle_wait(floor, self._clock.now(), replica)

    def skip(self, by: int) -> bool:
        """The clock is about to be set forward by so much, and that time never was: it counts for no monitor, and no
        plan comes due by it. False when another process has recorded it.
        """
        with self._stamping:
            at, now = self._read(), self._clock.now()
            if at is not None and at > now + by - AHEAD:
                return False
            with self._db.write("skip time"):
                if not self._replace(at, {"at": now + by}):
                    return False
                self._record(Span(now, now + by), SKIPPED)
                shift_plans(self._db, by)
            self._seen_at = self._clock.monotonic()
            return True

    def stamped_at(self) -> int | None:
        """The moment of the last stamp of any process; None before the first."""
        return self._read()

    def total(self) -> int:
        """Milliseconds of all blackouts ever, also of those that are forgotten. It changes with every new one."""
        stamps = self._db.tables.stamps
        with self._db.read("read blackouts"):
            return int(next(iter(stamps.select(stamps.blackout_total).where(stamps.name == _NAME).tuples()))[0])

    def all(self) -> tuple[Span, ...]:
        """Those that are kept, merged."""
        return self._kept(self._db.tables.blackouts.kind.is_null())

    def skipped(self) -> tuple[Span, ...]:
        """The time that clocks were set forward over, as far as it is kept, merged."""
        return self._kept(self._db.tables.blackouts.kind == SKIPPED)

    def unreachable(self) -> tuple[Span, ...]:
        """The time in which heartbeats did not reach the exporter, as far as it is kept, merged."""
        return self._kept(self._db.tables.blackouts.kind == UNREACHABLE)

    def record_unreachable(self, span: Span) -> None:
        """Inside a transaction. Every process builds its calendar again."""
        self._record(span, UNREACHABLE)

    def _kept(self, condition: object) -> tuple[Span, ...]:
        blackouts = self._db.tables.blackouts
        query = blackouts.select(blackouts.started_at, blackouts.ended_at).where(condition)
        with self._db.read("read blackouts"):
            return merged(Span(*row) for row in query.tuples())

    def _stamp(self, taking_since: int | None, at_once: bool) -> Span | None:
        steady = self._clock.monotonic()
        if not at_once and self._seen_at is not None and steady - self._seen_at < EVERY:
            return None
        after_step = self._set_back_at is not None and steady - self._set_back_at < AFTERWARDS
        ahead = 0 if after_step else AHEAD
        while True:
            at = self._read()
            age = None if at is None else self._clock.now() - at
            if age is not None and -ahead <= age < (1 if at_once else EVERY):
                self._seen_at = steady
                self._gap_seen_at = None
                if after_step:
                    self._settle_again()
                return None  # another process did it
            done, gap = self._move(at, taking_since, ahead, at_once)
            if done:
                return gap

    def _read(self) -> int | None:
        stamps = self._db.tables.stamps
        with self._db.read("read stamp"):
            at = next(iter(stamps.select(stamps.at).where(stamps.name == _NAME).tuples()))[0]
        return None if at is None else int(at)

    def _move(
        self, at: int | None, taking_since: int | None, ahead: int = AHEAD, at_once: bool = False
    ) -> tuple[bool, Span | None]:
        """From `at` to now, with the blackout between; False if another process moved it first."""
        back = at is not None and at > self._clock.now() + ahead
        if back:
            self._future.settle_log(self._clock.now())
        with self._db.write("stamp"):
            now, steady = self._clock.now(), self._clock.monotonic()  # it may have waited for the database
            gap = self._gap(at, now, steady, taking_since)
            if gap is not None and not at_once and self._leaves_it_to_others(steady):
                return True, None
            if not self._replace(at, {"at": now}):
                return False, None
            if gap is not None:
                stamps = self._db.tables.stamps
                stamps.update(blackout_total=stamps.blackout_total + gap.length).where(stamps.name == _NAME).execute()
                self._record(gap)
            moved = self._future.settle(at - now, now) if back and at is not None else 0
        if back and at is not None:
            self._set_back_at = steady
            log.warning(
                "the clock was set back by %s: %d moments in the future have become now, re-evaluating all monitors",
                humanize_duration(at - now),
                moved,
            )
        elif self._set_back_at is not None and steady - self._set_back_at < AFTERWARDS:
            self._settle_again()
        self._seen_at = steady
        self._gap_seen_at = None
        return True, gap

    def _leaves_it_to_others(self, steady: int) -> bool:
        if self._courteous and self._gap_seen_at is None:
            self._gap_seen_at = steady
        return self._gap_seen_at is not None and steady - self._gap_seen_at < COURTESY

    def _settle_again(self) -> None:
        """What was received before the clock was set back may have been committed after it."""
        now = self._clock.now()
        moved = self._future.settle_log(now)
        with self._db.write("settle moments in the future"):
            moved += self._future.settle(0, now)
        if moved:
            log.warning("%d more moments in the future have become now", moved)

    def _replace(self, at: int | None, change: dict[str, object]) -> bool:
        """Whether the stamp was still `at`."""
        stamps = self._db.tables.stamps
        seen = stamps.at.is_null() if at is None else stamps.at == at
        return bool(stamps.update(**change).where((stamps.name == _NAME) & seen).execute())

    def _record(self, span: Span, kind: str | None = None) -> None:
        self._db.tables.blackouts.insert(**{"started_at": span.start, "ended_at": span.end, "kind": kind}).execute()
        if kind is not None:  # `total` does not include it
            next_revision(self._db, CALENDAR_REVISION)

    def _gap(self, at: int | None, now: int, steady: int, taking_since: int | None) -> Span | None:
        """The blackout between a stamp and now, if there is one."""
        if at is None:
            return None
        start, end = at, now
        if self._seen_at is not None:
            # While a process lives, its steady clock distinguishes an absence from a wall clock that was set forward.
            start = max(start, now - (steady - self._seen_at))
        if end - start > MAX_GAP:
            # A transition proves that a process was there after the stamp, and what it found then stays.
            start = max(start, self._last_observation(now))
        if taking_since is not None:
            self._notice_pause()  # it may have been just now
            end = min(end, max(taking_since, self._resumed_at or taking_since))
        return Span(start, end) if end - start > MAX_GAP else None

    def _last_observation(self, now: int) -> int:
        """The moment at which an evaluation wrote the newest transition; 0 if there is none until `now`."""
        transitions = self._db.tables.transitions
        newest = transitions.select(transitions.observed_at).order_by(transitions.id.desc()).limit(1)
        moment = next((int(row[0]) for row in newest.tuples()), 0)
        return moment if moment <= now else 0

    def _notice_pause(self) -> None:
        steady = self._clock.monotonic()
        if self._alive_at is not None and steady - self._alive_at > PAUSED:
            self._resumed_at = self._clock.now()
        self._alive_at = steady
