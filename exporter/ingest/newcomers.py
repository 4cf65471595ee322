"""A monitor's first second: before a heartbeat is refused, what other processes changed is read once.

`monitor add` writes into the database; a running service looks there twice a second. curl does not retry a 404, so a
heartbeat in between would be lost.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from exporter.core.clock import SECOND, Clock
from exporter.core.errors import StorageUnavailable

INTERVAL = 200
"""Milliseconds between the beginnings of two looks: five a second at most, however many heartbeats are refused."""
PATIENCE = 2 * SECOND
"""How long a look may take; the sender is answered within five seconds."""


class Newcomers:
    """Lives on the event loop. Everybody who waits shares the next look, so guesses cannot load the database."""

    def __init__(self, catch_up: Callable[[float], None], clock: Clock, executor: ThreadPoolExecutor) -> None:
        """`catch_up` blocks until the fleet knows what is in the database, or for so many seconds; raises
        StorageUnavailable.
        """
        self._catch_up = catch_up
        self._clock = clock
        self._executor = executor
        self._next: asyncio.Task[bool] | None = None
        """The look that has not begun, and so sees whatever was written before now."""
        self._running: asyncio.Task[bool] | None = None
        self._began: int | None = None

    async def arrive(self) -> bool:
        """Returns once the fleet knows every monitor that was there before the call; False if that is not known."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._look(self._running))
        try:
            # Shielded: others wait for the same look when this sender leaves.
            return await asyncio.wait_for(asyncio.shield(self._next), (PATIENCE + 2 * INTERVAL) / SECOND)
        except TimeoutError:
            return False

    async def _look(self, before: "asyncio.Task[bool] | None") -> bool:
        if before is not None:
            await asyncio.wait([before])
        if self._began is not None:
            await asyncio.sleep(max(0, self._began + INTERVAL - self._clock.monotonic()) / SECOND)
        self._running, self._next = self._next, None
        self._began = self._clock.monotonic()
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._catch_up, PATIENCE / SECOND)
        except (StorageUnavailable, RuntimeError):  # RuntimeError: the service stops
            return False
        return True
