"""Long computations beside an event loop: they let other threads run every so often."""

import time

_SLICE = 0.0007
"""Seconds of computing between two pauses. A thread that wants the interpreter waits for it five milliseconds, and
several times for one request.
"""
_PAUSE = 0.0001


class Pause:
    """Belongs to one thread, whose computation asks it at every step."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def when_due(self) -> None:
        """Gives the interpreter away for a moment, if that was not done lately."""
        if time.perf_counter() - self._since > _SLICE:
            time.sleep(_PAUSE)
            self._since = time.perf_counter()
