"""Alerting on the status page: open incidents, firing alerts, and messages that could not be delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.core.clock import DAY
from exporter.core.fleet import FleetMonitor
from exporter.presentation.statuses import held, undelivered
from exporter.web.context import WebContext
from exporter.web.pages.incident_rows import IncidentRow, incident_rows, worst_first

if TYPE_CHECKING:
    from exporter.storage.repositories.alerts import Alert

SHOWN = 5
"""Incidents shown there; the others are a click away."""
MAX_READ = 500
REMEMBERED = 7 * DAY
"""How long the page shows dead messages; `notification list` shows older ones."""


@dataclass(frozen=True, slots=True)
class AlertSummary:
    incidents: tuple[IncidentRow, ...] = ()
    """The worst of those that are open."""
    open_count: int = 0
    firing: Mapping[int, Sequence["Alert"]] = field(default_factory=dict)
    """By monitor id."""
    undelivered: str = ""
    """A sentence; empty when everything was."""
    held: str = ""
    """A sentence; empty when no notifier waits."""


def alarms(parts: WebContext, watched: Sequence[FleetMonitor], now: int) -> AlertSummary:
    """Raises StorageUnavailable."""
    incidents = worst_first(parts.incidents.recent(open=True, limit=MAX_READ))
    return AlertSummary(
        incidents=incident_rows(incidents[:SHOWN], parts.incidents, parts.fleet, now),
        open_count=len(incidents) if len(incidents) < MAX_READ else parts.incidents.count_open(),
        firing=parts.alerts.firing([each.id for each in watched]),
        undelivered=undelivered(parts.notifications.dead_since(now - REMEMBERED)),
        held=held(parts.notifications.holds(now), now),
    )
