"""Blackouts: spans in which nobody could take heartbeats, told by gaps in a stamp that every replica moves forward.

A process that was stopped or killed, paused (SIGSTOP), asleep with its machine, or cut off from the database leaves the
same gap; so does a database that was away, since then nothing could be committed.
"""

import threading

from exporter.core.clock import SECOND, Clock
from exporter.core.spans import Span, merged
from exporter.storage.database import Database

EVERY = 2 * SECOND
"""How old the stamp may get while somebody is there."""
LONGEST_GAP = 5 * SECOND
"""A longer gap is a blackout. Shorter ones are a restart: a stamp may be two seconds old when its process ends, the
next process takes one or two to start, and `curl --retry` carries heartbeats over them.
"""
AHEAD = 10 * SECOND
"""The clocks of replicas may differ by this much. A stamp further ahead was made before a clock was set back."""
PAUSED = 10 * SECOND
"""A process that does nothing for so long was paused. Its own calls into a database that is away are shorter."""
_NAME = "exporter"


class Blackouts:
    """Any thread may call it, every second or so; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._stamping = threading.Lock()
        self._seen_at: int | None = None
        """When this process last knew the stamp to be fresh, by the steady clock; None before the first time."""
        self._alive_at: int | None = None
        """When it last did anything at all, by the steady clock."""
        self._resumed_at: int | None = None
        """When it was paused last, and went on."""

    def stamp(self, taking_since: int | None = None, *, now: bool = False) -> Span | None:
        """Moves the stamp forward when that is due, or in any case if `now`; returns the blackout that this recorded.

        `taking_since`: from that moment on this process took every heartbeat that came, wherever it put it, unless it
        was paused. When this returns, whatever blackout there was before the call is in the database.
        """
        with self._stamping:
            self._notice_pause()
            try:
                return self._stamp(taking_since, now)
            finally:
                self._notice_pause()

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
        blackouts = self._db.tables.blackouts
        with self._db.read("read blackouts"):
            return merged(Span(*row) for row in blackouts.select(blackouts.started_at, blackouts.ended_at).tuples())

    def _stamp(self, taking_since: int | None, at_once: bool) -> Span | None:
        steady = self._clock.monotonic()
        if not at_once and self._seen_at is not None and steady - self._seen_at < EVERY:
            return None
        while True:
            at = self._read()
            age = None if at is None else self._clock.now() - at
            if age is not None and -AHEAD <= age < (1 if at_once else EVERY):
                self._seen_at = steady
                return None  # somebody else did it
            done, found = self._move(at, taking_since)
            if done:
                return found

    def _read(self) -> int | None:
        stamps = self._db.tables.stamps
        with self._db.read("read stamp"):
            at = next(iter(stamps.select(stamps.at).where(stamps.name == _NAME).tuples()))[0]
        return None if at is None else int(at)

    def _move(self, at: int | None, taking_since: int | None) -> tuple[bool, Span | None]:
        """From `at` to now, with the blackout between; False if somebody else moved it first."""
        stamps, blackouts = self._db.tables.stamps, self._db.tables.blackouts
        with self._db.write("stamp"):
            now, steady = self._clock.now(), self._clock.monotonic()  # it may have waited for the database
            found = self._gap(at, now, steady, taking_since)
            change = {"at": now}
            if found is not None:
                change["blackout_total"] = stamps.blackout_total + found.length
            seen = stamps.at.is_null() if at is None else stamps.at == at
            if not stamps.update(**change).where((stamps.name == _NAME) & seen).execute():
                return False, None
            if found is not None:
                blackouts.insert(**{"started_at": found.start, "ended_at": found.end}).execute()
        self._seen_at = steady
        return True, found

    def _gap(self, at: int | None, now: int, steady: int, taking_since: int | None) -> Span | None:
        """The blackout between a stamp and now, if there is one."""
        if at is None:
            return None
        start, end = at, now
        if self._seen_at is not None:
            # While a process lives, its steady clock tells an absence from a wall clock that was set forward.
            start = max(start, now - (steady - self._seen_at))
        if taking_since is not None:
            self._notice_pause()  # it may have been just now
            end = min(end, max(taking_since, self._resumed_at or taking_since))
        return Span(start, end) if end - start > LONGEST_GAP else None

    def _notice_pause(self) -> None:
        steady = self._clock.monotonic()
        if self._alive_at is not None and steady - self._alive_at > PAUSED:
            self._resumed_at = self._clock.now()
        self._alive_at = steady
