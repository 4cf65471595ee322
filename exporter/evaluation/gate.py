"""The gate: whether this process may evaluate now, and the transactions in which it writes what it finds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.core.clock import SECOND, Clock
from exporter.core.errors import StorageUnavailable
from exporter.evaluation.arrivals import Arrivals, NothingArrives
from exporter.storage.database import Transaction
from exporter.storage.repositories.leases import Lease

MAX_WAIT_TO_WRITE = SECOND
"""An evaluation that waited longer for the database was not the only one: other processes commit their heartbeats
first.
"""
GRACE = SECOND
"""How long the evaluation waits for other processes' heartbeats after the database was away."""
MAX_GRACE = 5 * SECOND
"""A database that is slow for longer than this, and never away, is evaluated all the same."""


class HeldBack(StorageUnavailable):
    """Heartbeats that were received are perhaps not in the database yet: no monitor is evaluated without them."""


class EvaluationGate:
    """Belongs to the evaluator's thread. Moments here are by the steady clock, in milliseconds."""

    def __init__(self, lease: Lease, clock: Clock, held_back: Callable[[], bool]) -> None:
        """`held_back` returns whether heartbeats of this process wait outside the database, or the wall clock cannot be
        trusted yet.
        """
        self.arrivals: Arrivals = NothingArrives()
        """The heartbeats of this process that wait for their commit."""
        self._lease = lease
        self._clock = clock
        self._held_back = held_back
        self._absences = 0
        self._disturbed_at: int | None = None
        """When the database was last noticed to have been away."""
        self._held_since: int | None = None
        """Since when the evaluation waits for other processes' heartbeats."""

    @contextmanager
    def transaction(
        self, operation: str, within: float | None = None, *, queues: bool = False
    ) -> Iterator[Transaction]:
        """As `Lease.transaction`; also raises HeldBack, which undoes everything, when another process may know more.

        `queues`: a transaction that had to wait for the database counts as a sign that others had to wait, too.
        """
        queued_at = self._clock.monotonic()
        with self._lease.transaction(operation, within) as transaction:
            self.require_heartbeats()
            if queues and self._clock.monotonic() - queued_at > MAX_WAIT_TO_WRITE:
                self._disturbed_at = self._clock.monotonic()
            self.wait_for_others()
            yield transaction

    def require_heartbeats(self) -> None:
        """Raises HeldBack while heartbeats of this process wait outside the database."""
        if self._held_back():
            raise HeldBack("heartbeats wait in the spool, or the wall clock cannot be trusted yet")

    def wait_for_others(self) -> None:
        """Raises HeldBack for a moment after the database was away, so that other processes commit what they received
        meanwhile.
        """
        now, absences = self._clock.monotonic(), self.arrivals.absences()
        if absences != self._absences:
            self._absences, self._disturbed_at = absences, now
        if self._disturbed_at is None or now - self._disturbed_at >= GRACE:
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since < MAX_GRACE:
            raise HeldBack("the database was away: heartbeats of other processes may wait")

    def restart_grace(self) -> None:
        """The next wait for other processes may last for MAX_GRACE again."""
        self._held_since = None
