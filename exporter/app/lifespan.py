"""The life of one process: from the start of the event loop to its end, in order or not."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from exporter.core.process.threads import Threads

log = logging.getLogger(__name__)

WATCH_EVERY = 1.0
"""Seconds between two looks at the threads."""
ORDERLY_END = 45.0
"""Seconds that a process which has to be replaced may take to end; more than stopping everything takes."""


class Lifespan:
    """Falcon's middleware hooks for the start and the end of the event loop."""

    def __init__(self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._stop = stop

    async def process_startup(self, scope: Any, event: Any) -> None:
        await self._start()

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        await self._stop()


class SingleProcess:
    """Stands for a supervisor where there is none: what this worker reports goes nowhere."""

    was_ready = False
    """Whether any worker ever was ready."""

    def ready(self) -> None: ...

    def reloading(self) -> None: ...

    def give_up(self) -> None: ...


class Replacement:
    """Notices what only a new process can mend, and ends this one: the supervisor then starts another."""

    def __init__(self, threads: Callable[[], Threads]) -> None:
        self._threads = threads
        self.reason: str | None = None
        """Why this process ends; None while it can go on."""
        self._next_look: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks at the threads once a second, on the event loop, which gunicorn's supervisor watches in its turn."""
        self._next_look = loop.call_later(WATCH_EVERY, self.watch, loop)
        trouble = self._threads().look()
        if trouble is not None:
            self.begin(trouble)

    def stop_watching(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()

    def begin(self, reason: str = "the database was removed or replaced") -> None:
        """Any thread may call it, more than once."""
        if self.reason is None:
            self.reason = f"{reason}: starting over"
            log.critical(self.reason)
            # A thread that hangs may keep this process from ending in an orderly way.
            last_resort = threading.Timer(ORDERLY_END, os._exit, (1,))
            last_resort.daemon = True
            last_resort.start()
            os.kill(os.getpid(), signal.SIGTERM)
