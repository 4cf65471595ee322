"""The lease: of all processes on one database, one evaluates. It expires, and its token fences out a late holder."""

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.core.clock import SECOND, Clock
from exporter.core.errors import StorageError
from exporter.storage.database import Database, Transaction

DURATION = 10 * SECOND
"""Another process takes the lease over this long after its holder died."""
_RENEW_AFTER = 3 * SECOND


class LeaseLost(StorageError):
    """Another process holds the lease by now; what this transaction would have written must not be."""


class Lease:
    """One name in the database, held by at most one process. Not thread-safe: one thread owns it."""

    def __init__(self, database: Database, clock: Clock, name: str, holder: str) -> None:
        self._db = database
        self._clock = clock
        self._name = name
        self._holder = holder
        self._token: int | None = None
        self._renewed_at = 0

    @property
    def held(self) -> bool:
        return self._token is not None

    def hold(self) -> bool:
        """Takes or renews the lease when that is due; returns whether it is held. Raises StorageUnavailable."""
        now = self._clock.monotonic()
        if self._token is not None and 0 <= now - self._renewed_at < _RENEW_AFTER:
            return True
        with self._db.write("renew lease"):
            self._token = self._take(self._clock.now())
            self._renewed_at = now
        return self.held

    @contextmanager
    def transaction(self, operation: str, within: float | None = None) -> Iterator[Transaction]:
        """As `Database.write`, for the holder alone: raises LeaseLost, and writes nothing, unless the lease is still
        this holder's. No process can take it over before the transaction ends.
        """
        with self._db.write(operation, within) as transaction:
            self._check()
            yield transaction

    def _check(self) -> None:
        """The update locks the row, so that a process that takes over waits for this transaction."""
        leases = self._db.tables.leases
        mine = (leases.name == self._name) & (leases.holder == self._holder) & (leases.token == self._token)
        if self._token is None or not leases.update(**{"token": self._token}).where(mine).execute():
            self._token = None
            raise LeaseLost(f"the lease {self._name!r} was taken over by another process")

    def release(self) -> None:
        """Lets another process take it at once. Raises StorageUnavailable."""
        leases = self._db.tables.leases
        if self._token is not None:
            with self._db.write("release lease"):
                mine = (leases.holder == self._holder) & (leases.token == self._token)
                leases.update(**{"expires_at": 0}).where((leases.name == self._name) & mine).execute()
            self._token = None

    def _take(self, now: int) -> int | None:
        leases = self._db.tables.leases
        row = leases.select(leases.holder, leases.token, leases.expires_at).where(leases.name == self._name)
        rows = list(row.tuples())
        if not rows:
            first = {"name": self._name, "holder": self._holder, "token": 1, "expires_at": now + DURATION}
            new = leases.insert(**first).on_conflict(conflict_target=[leases.name], action="IGNORE")
            new.execute()  # of several processes that are first, one inserts
            rows = list(row.tuples())
            if rows[0][0] == self._holder:
                return 1
        holder, token, expires_at = rows[0]
        mine = holder == self._holder and token == self._token
        # A clock that stepped back must not keep a dead holder's lease valid for the length of the step.
        if not mine and now < expires_at <= now + 2 * DURATION:
            return None
        new = token if mine else token + 1
        changed = (
            leases.update(**{"holder": self._holder, "token": new, "expires_at": now + DURATION})
            .where((leases.name == self._name) & (leases.token == token))
            .execute()
        )
        return new if changed else None
