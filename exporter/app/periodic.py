"""Something done every so often, on a thread of its own."""

import logging
from collections.abc import Callable
from typing import Any

from exporter.core.errors import StorageUnavailable
from exporter.core.process.threads import SupervisedThread, Threads

log = logging.getLogger(__name__)

HANGING_AFTER = 600_000
"""Milliseconds: the pruner may have much to delete, and a fleet of 100,000 monitors takes a while to read."""


class Periodic:
    """Calls `actions` every so often on a thread of its own; a database that is away is waited for."""

    def __init__(
        self, threads: Threads, name: str, seconds: float, *actions: Callable[[], Any], vital: bool = False
    ) -> None:
        self._seconds = seconds
        self._actions = actions
        self._thread = SupervisedThread(
            name, self._work, threads, delay=seconds, vital=vital, hanging_after=HANGING_AFTER
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop(5.0)

    def _work(self) -> float:
        """Every action, whatever becomes of the others; then the first unexpected error of them, if there was one."""
        failed: Exception | None = None
        for action in self._actions:
            self._thread.progress()
            try:
                action()
            except StorageUnavailable as error:
                log.debug("%s waits for the database: %s", self._thread.name, error)
            except Exception as error:  # noqa: BLE001 - raised below, or logged and counted
                if failed is not None:
                    self._thread.survived(error)
                failed = failed or error
        if failed is not None:
            raise failed
        return self._seconds
