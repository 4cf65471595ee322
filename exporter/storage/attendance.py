"""Whether a process evaluates this database now: else what is in it was true once."""

from exporter.core.clock import SECOND, Clock
from exporter.storage.database import Database
from exporter.storage.repositories.blackouts import MAX_GAP

LATE = 10 * SECOND
"""How far behind evaluation may be, for a moment, when thousands of monitors come due at once."""


class Attendance:
    """For commands that show what a service wrote. All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def absent_since(self) -> int | None:
        """The moment since which nothing is evaluated, 0 if nothing ever was; None while a process keeps up.

        That is the last stamp when no process is there; the end of the lease when none evaluates; and what has been due
        for longest when one holds the lease and does not get on.
        """
        tables, now = self._db.tables, self._clock.now()
        stamps, leases, states = tables.stamps, tables.leases, tables.states
        with self._db.read("read attendance"):
            stamped_at = next((row[0] for row in stamps.select(stamps.at).tuples()), None)
            lease = next(
                (row[0] for row in leases.select(leases.expires_at).where(leases.name == "evaluation").tuples()), None
            )
            waiting = (
                states.select(states.next_evaluation_at)
                .where(states.next_evaluation_at.is_null(False))
                .order_by(states.next_evaluation_at)
                .limit(1)
            )
            due = next((row[0] for row in waiting.tuples()), None)
        if stamped_at is None:
            return 0
        if now - stamped_at > MAX_GAP:
            return int(stamped_at)
        if lease is not None and lease and now - lease > LATE:
            return int(lease)
        return int(due) if due is not None and now - due > LATE else None
