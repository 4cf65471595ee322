"""What the evaluator asks of whoever knows what does not count. Without it everything does."""

from typing import Protocol

from exporter.core.exclusions import Calendar


class Calendars(Protocol):
    """Called on the evaluator's thread."""

    def refresh(self) -> Calendar:
        """What does not count, with every outage of our own that ended before the call. Raises StorageUnavailable."""
        ...


class EverythingCounts:
    def refresh(self) -> Calendar:
        return Calendar()
