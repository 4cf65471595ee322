"""Something done every so often, on a thread of its own."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from exporter.core.errors import StorageUnavailable

log = logging.getLogger(__name__)


class Periodic:
    """Calls `actions` every so often on a thread of its own; a database that is away is waited for."""

    def __init__(self, name: str, seconds: float, *actions: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._actions = actions
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            for action in self._actions:
                self._do(action)

    def _do(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except StorageUnavailable as error:
            log.debug("%s waits for the database: %s", self._thread.name, error)
        except Exception:  # one failure must not be the last call
            log.exception("%s goes on after an error", self._thread.name)
