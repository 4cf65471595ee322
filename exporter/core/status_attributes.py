"""What each status means for uptime, for alerts and for display: the one table that all others are read from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.core.status import Status


@dataclass(frozen=True, slots=True)
class StatusAttributes:
    """The attributes of one status."""

    label: str
    color: str
    """On pages and in messages, as `#rrggbb`."""
    chart_color: str
    """In charts, as `#rrggbb`: colour-blind people can distinguish these."""
    icon: str
    """In messages."""
    is_trouble: bool = False
    """Whether the monitor needs attention."""
    alerts: bool = False
    """Whether a rule may select the status in `when`."""
    counts: bool = False
    """Whether the time spent in it counts towards uptime."""
    is_up: bool = False
    """Whether that time counts as up."""
    freezes_alerts: bool = False
    """Whether the state of every alert of the monitor stays as it is."""


STATUS_ATTRIBUTES: Mapping[Status, StatusAttributes] = {
    Status.DOWN: StatusAttributes("Down", "#d1242f", "#df2e33", "🔴", is_trouble=True, alerts=True, counts=True),
    Status.DEGRADED: StatusAttributes(
        "Degraded", "#d4820a", "#f19e27", "🟠", is_trouble=True, alerts=True, counts=True, is_up=True
    ),
    Status.NO_DATA: StatusAttributes("No data", "#6e7781", "#a3abba", "⚪", alerts=True),
    Status.UP: StatusAttributes("Up", "#2da44e", "#2cc980", "🟢", counts=True, is_up=True),
    Status.MAINTENANCE: StatusAttributes("Maintenance", "#8250df", "#a942d2", "⚪", freezes_alerts=True),
    Status.PAUSED: StatusAttributes("Paused", "#6e7781", "#557491", "⚪", freezes_alerts=True),
}
"""The most urgent first: the order in which pages and dashboards list statuses."""


def statuses_where(condition: Callable[[StatusAttributes], bool]) -> tuple[Status, ...]:
    """Returns the statuses whose attributes fulfil `condition`, the most urgent first."""
    return tuple(status for status, attributes in STATUS_ATTRIBUTES.items() if condition(attributes))
