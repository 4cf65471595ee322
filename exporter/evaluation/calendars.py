"""What the evaluator has to know of time that is excluded from evaluation. By default all time counts."""

from typing import Protocol

from exporter.core.exclusions import Calendar


class ExclusionSource(Protocol):
    """Called on the evaluator's thread."""

    def refresh(self) -> Calendar:
        """The excluded time, with every outage of the exporter that ended before the call. Raises
        StorageUnavailable.
        """
        ...


class NoExclusions:
    def refresh(self) -> Calendar:
        return Calendar()
