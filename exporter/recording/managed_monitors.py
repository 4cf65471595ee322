"""Changes that people make to monitors through the API: this process sees each of them before the call returns."""

from collections.abc import Callable
from typing import Any

from exporter.core.fleet import Fleet
from exporter.core.monitor import Monitor
from exporter.core.secret import digest, make_secret
from exporter.recording.recorder import Recorder
from exporter.storage.repositories.monitors import Make, Monitors

READ_BACK = 5.0
"""Seconds that a change waits to be seen by this process; other processes see it within a second."""


class ManagedMonitors:
    """All methods block and raise StorageUnavailable."""

    def __init__(
        self,
        monitors: Monitors,
        fleet: Fleet,
        recorder: Recorder,
        key: Callable[[], bytes],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`key` returns the key that secrets are digested with; the database has it. `on_change` is called after a
        change that may change a status at once.
        """
        self._monitors = monitors
        self._fleet = fleet
        self._recorder = recorder
        self._key = key
        self._on_change = on_change

    def add(self, monitor: Monitor, secret: str) -> None:
        """Raises Conflict when the tag is taken."""
        self._monitors.add(monitor, digest(secret, self._key()))
        self.show(self._monitors.find(monitor.tag))

    def put(self, make: Make, **which: Any) -> tuple[int, bool]:
        """As `Monitors.put`, with a secret for a new monitor that nobody knows: its token opens it."""
        number, added = self._monitors.put(make, digest(make_secret(), self._key()), **which)
        self.show(number)
        self._on_change()
        return number, added

    def set_paused(self, tag: str, paused: bool) -> None:
        """Raises NotFound, or Conflict when the configuration file pauses it."""
        self._monitors.set_paused(tag, paused)
        self.show(self._monitors.find(tag))
        self._on_change()

    def remove(self, tag: str) -> None:
        """Raises NotFound, or Conflict for a monitor of the configuration file."""
        watched = self._fleet.get(tag)
        self._monitors.remove(tag)
        if watched is not None:
            self.show(watched.id)

    def show(self, id: int) -> None:
        """Until the fleet has the monitor of this number as the database has it."""
        self._recorder.reload([id]).wait(READ_BACK)
