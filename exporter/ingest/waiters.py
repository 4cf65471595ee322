"""Requests that wait for their heartbeats to be committed."""

import asyncio
from collections import deque
from collections.abc import Sequence

from exporter.core.clock import SECOND, Clock
from exporter.recording.statements import Pending

PATIENCE = 4 * SECOND
"""How long a heartbeat may wait for its commit before the sender is asked to send it again."""
_SWEEP = 0.25


class Waiters:
    """Lives on the event loop; only `settled` is called from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._order: deque[tuple[int, Pending]] = deque()
        self._timer = loop.call_later(_SWEEP, self._sweep)

    def wait_for(self, pending: Pending) -> asyncio.Future[bool]:
        """Resolves to whether the heartbeat was committed; False at the latest after PATIENCE."""
        future: asyncio.Future[bool] = self._loop.create_future()
        pending.waiter = future
        self._order.append((self._clock.monotonic() + PATIENCE, pending))
        return future

    def settled(self, batch: Sequence[Pending]) -> None:
        """The recorder's word on a group; one wake-up of the loop for all of it."""
        self._loop.call_soon_threadsafe(self._resolve, batch)

    def close(self) -> None:
        self._timer.cancel()

    @staticmethod
    def _resolve(batch: Sequence[Pending]) -> None:
        for pending in batch:
            waiter = pending.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(pending.error is None)

    def _sweep(self) -> None:
        # One timer for all requests: a timeout of its own for each would cost a third of the hot path. It is set again
        # first: an error here must not be the end of all patience.
        self._timer = self._loop.call_later(_SWEEP, self._sweep)
        now = self._clock.monotonic()
        while self._order:
            until, pending = self._order[0]
            waiter = pending.waiter
            waits = waiter is not None and not waiter.done()
            if waits and until > now:
                break
            self._order.popleft()
            if waiter is not None and waits:
                pending.abandoned = True
                waiter.set_result(False)
