"""What the evaluator asks of whoever knows what does not count. Without it everything does."""

from typing import Protocol

from exporter.core.exclusions import Calendar


class ExclusionSource(Protocol):
    """Called on the evaluator's thread."""

    def refresh(self) -> Calendar:
        """What does not count, with every outage of our own that ended before the call. Raises StorageUnavailable."""
        ...


class NoExclusions:
    def refresh(self) -> Calendar:
        return Calendar()
