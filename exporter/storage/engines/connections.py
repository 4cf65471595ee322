"""A few connections to a server, lent to threads."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

IDLE_SECONDS = 300.0
"""An unused connection is closed after this time: firewalls drop it silently."""


class PooledConnection(Protocol):
    def usable(self) -> bool:
        """Whether nothing speaks against it, without asking the server."""
        ...

    def close(self) -> None: ...


C = TypeVar("C", bound=PooledConnection)


class NoneFree(Exception):
    """All are lent, and none came back in time."""


class ConnectionPool(Generic[C]):
    """Connects on the thread that needs it, so that the waiting caller gets the error, and all others go on."""

    def __init__(self, connect: Callable[[], C], most: int) -> None:
        """`connect` returns a new one or raises. `most` are lent at once, beside those that `take` reserves."""
        self._connect = connect
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[tuple[C, float]] = []
        self._reserved: set[int] = set()

    def take(self, seconds: float, *, reserved: bool = False) -> C:
        """A connection that appears to work, or a new one. Raises NoneFree, and what `connect` raises.

        `reserved` ones are lent whatever the others do: a commit never waits for a page.
        """
        if not reserved and not self._free.acquire(timeout=seconds):
            raise NoneFree
        try:
            connection = self._reuse() or self._connect()
        except BaseException:  # re-raised; without this the slot would be lost
            if not reserved:
                self._free.release()
            raise
        if reserved:
            with self._lock:
                self._reserved.add(id(connection))
        return connection

    def give_back(self, connection: C) -> None:
        if connection.usable():
            with self._lock:
                self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        self._release(connection)

    def drop(self, connection: C) -> None:
        """It failed. Those that are idle may have lost the same server, and would each have to be waited for."""
        connection.close()
        self._release(connection)
        self.close_idle()

    def close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _reuse(self) -> C | None:
        """The one used last."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS and connection.usable():
                return connection
            connection.close()

    def _release(self, connection: C) -> None:
        with self._lock:
            reserved = id(connection) in self._reserved
            self._reserved.discard(id(connection))
        if not reserved:
            self._free.release()
