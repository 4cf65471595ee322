"""gunicorn's log, and a limit for log lines that clients can cause."""

import logging
from collections import Counter
from typing import Any

from exporter.server.borrowed import Logger

EVERY = 60.0
"""Seconds between two lines of one kind."""


class PlainLogger(Logger):  # type: ignore[misc]
    """Sends gunicorn's log to this program's. There is no access log: its lines would contain secrets."""

    def setup(self, cfg: Any) -> None:
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)
        self.access_log.handlers = []
        self.access_log.propagate = False
        self._access_log_enabled = False  # read for every request, and slow to compute


class Occasionally:
    """Logs the first event at once, and later events as a total, at most one line a minute."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._next = 0.0
        self._more: Counter[str] = Counter()
        self._last = ""

    def note(self, kind: str, detail: str, now: float) -> None:
        """Counts an event. The log shows the `detail` of the first and the last event; `now` is in seconds."""
        if now >= self._next and not self._more:
            self._log.warning("%s: %s, %s", self._what, kind, detail)
            self._next = now + EVERY
            return
        self._more[kind] += 1
        self._last = detail

    def flush(self, now: float) -> None:
        """Writes the total when it is due; called regularly."""
        if self._more and now >= self._next:
            kinds = ", ".join(f"{count} × {kind}" for kind, count in self._more.most_common())
            self._log.warning("%s, %d more: %s; last: %s", self._what, self._more.total(), kinds, self._last)
            self._more.clear()
            self._next = now + EVERY
