"""All connections of a worker: counts them, closes idle ones when there are too many, accepts new ones."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from exporter.core.telemetry import Dropped, Fault, Telemetry
from exporter.server.connection import HttpConnection
from exporter.server.limits import MAX_CONNECTIONS
from exporter.server.logging import Occasionally

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Connections accepted in one turn of the event loop."""
PAUSE = 0.1
"""Seconds without accepting when there is no free descriptor."""
_OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class HttpConnections:
    """The connections of a worker, and their `ConnectionOwner`."""

    def __init__(
        self,
        app: Any,
        loop: asyncio.AbstractEventLoop,
        telemetry: Telemetry,
        keepalive: float,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        """`keepalive` is in seconds."""
        self.app = app
        self.loop = loop
        self.draining = False
        self.date = b""
        self.keepalive = keepalive
        self._telemetry = telemetry
        self._most = most
        self._open: set[HttpConnection] = set()
        self._starting: set[asyncio.Task[Any]] = set()
        self._refusals = Occasionally(log, "refused a malformed request")
        self._drops = Occasionally(log, "closed a connection")
        self._set_date()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: HttpConnection) -> None:
        self._open.add(connection)

    def start(self, accepted: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Creates a connection for an accepted socket. It counts at once, although the loop needs turns to start it."""
        task = self.loop.create_task(self.loop.connect_accepted_socket(protocol, accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def discard(self, connection: HttpConnection) -> None:
        self._open.discard(connection)

    def refused(self, fault: Fault, address: str) -> None:
        self._telemetry.request_refused(fault)
        self._refusals.note(fault.value, f"from {address}", self.loop.time())

    def dropped(self, reason: Dropped) -> None:
        self._telemetry.connection_dropped(reason)
        detail = f"{len(self._open)} open, limit {self._most}"
        self._drops.note(reason.value.replace("_", " "), detail, self.loop.time())

    def check_timeouts(self) -> None:
        """Checks each connection, writes due log lines and updates metrics; called once a second."""
        now = self.loop.time()
        for connection in list(self._open):
            connection.check_timeouts(now)
        self._refusals.flush(now)
        self._drops.flush(now)
        self._set_date()
        self._telemetry.connections_open(len(self._open))

    def make_room(self, reason: Dropped | None = None) -> bool:
        """Closes the longest idle connections if there are too many, or for `reason`. Returns whether there is room.

        Connections with a request in progress stay; of the others, those that wait for the rest of a body close last.
        """
        if reason is None and len(self._open) + len(self._starting) < self._most:
            return True
        closable = [connection for connection in self._open if connection.idle or connection.waits_for_body]
        closable.sort(key=lambda connection: (not connection.idle, connection.active_at))
        going = closable[: max(AT_ONCE, self._most // 32)]
        for connection in going:
            self.dropped(reason or Dropped.LIMIT)
            if connection.idle:
                connection.close()
            else:
                connection.abort()
        return bool(going)

    def close_idle(self) -> None:
        for connection in [connection for connection in self._open if connection.idle]:
            connection.close()

    def _set_date(self) -> None:
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()


class Listener:
    """Accepts the connections of one listening socket. gunicorn's class would call listen() with another backlog."""

    def __init__(
        self, listening: socket.socket, connections: HttpConnections, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._socket = listening
        self._connections = connections
        self._protocol = protocol
        self._loop = connections.loop
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def stop(self) -> None:
        """Stops accepting. Connections that only the kernel has accepted stay in its queue."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._connections.make_room():
                self._pause()
                return
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF:
                    raise
                self._connections.make_room(Dropped.DESCRIPTORS)
                self._pause()
                return
            accepted.setblocking(False)
            self._connections.start(accepted, self._protocol)

    def _pause(self) -> None:
        """Stops accepting for PAUSE seconds; clients wait in the kernel's queue."""
        self._loop.remove_reader(self._socket.fileno())
        self._again = self._loop.call_later(PAUSE, self.start)
