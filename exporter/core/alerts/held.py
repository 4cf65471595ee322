"""Holds of alerts: an alert is firing, and its messages wait until it is clear whether they would be true."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.core.status import Reason

HOLDABLE = frozenset({Reason.LATE, Reason.MISSED, Reason.OVERRUN})
"""The reasons of alerts that rest on silence. What a job reported itself is never held."""


class HoldKind(StrEnum):
    """What holds an alert."""

    INGEST_GUARD = "ingest_guard"
    """So many monitors are silent at once that heartbeats may not reach the exporter."""
    DEPENDENCY = "dependency"
    """A monitor that this one depends on is in trouble."""


@dataclass(frozen=True, slots=True)
class AlertHold:
    """One thing that holds an alert. Moments are Unix time in milliseconds."""

    kind: HoldKind
    since: int
    until: int | None
    """The deadline, at which the hold ends. None when it has passed while the monitor was not in the condition of the
    alert: the hold ends when the monitor is in it again, and with the alert.
    """
    notifier: str = ""
    """The only notifier whose message waits; empty when those of all do."""
    parent_id: int | None = None
    """Of the monitor because of which the alert is held."""
    parent_alert_id: int | None = None
    """Of that monitor's alert."""

    def concerns(self, notifier: str) -> bool:
        return self.notifier in ("", notifier)


def held_until(holds: Iterable[AlertHold]) -> int | None:
    """When the last of these that has a deadline ends."""
    return max((hold.until for hold in holds if hold.until is not None), default=None)
