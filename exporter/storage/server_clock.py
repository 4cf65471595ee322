"""The clock of the database's server, where it is not this machine's: with several replicas, it decides."""

from typing import NamedTuple

from exporter.core.clock import HOUR, SECOND, Clock
from exporter.storage.database import Database

SLOW = SECOND
"""An answer that takes longer says too little."""
REMEMBERED = HOUR
"""What a replica measured is forgotten after that."""


class Measurement(NamedTuple):
    """How far a replica's clock is from the server's."""

    replica: str
    measured_at: int
    ahead: int
    """Milliseconds; negative is behind."""


class ServerClock:
    """Any thread may call it; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def behind(self) -> int | None:
        """By how much `clock` is behind the server's; None where there is no other clock, or the answer was slow."""
        with self._db.read("read the server's clock"):
            before = self._clock.monotonic()
            theirs = self._db.engine.now()
            took, ours = self._clock.monotonic() - before, self._clock.now()
        return None if theirs is None or took > SLOW else theirs - (ours - took // 2)

    def keep(self, replica: str, ahead: int) -> None:
        """For `doctor`: how far this machine's own clock is from the server's."""
        clocks, now = self._db.tables.clocks, self._clock.now()
        with self._db.write("keep clock"):
            clocks.insert(**{"replica": replica, "measured_at": now, "ahead": ahead}).on_conflict(
                conflict_target=[clocks.replica], update={clocks.measured_at: now, clocks.ahead: ahead}
            ).execute()
            clocks.delete().where(clocks.measured_at < now - REMEMBERED).execute()

    def kept(self, since: int) -> list[Measurement]:
        """What every replica measured last, if that was after that moment."""
        clocks = self._db.tables.clocks
        query = clocks.select(clocks.replica, clocks.measured_at, clocks.ahead).where(clocks.measured_at > since)
        with self._db.read("read clocks"):
            return [Measurement(*row) for row in query.order_by(clocks.replica).tuples()]
