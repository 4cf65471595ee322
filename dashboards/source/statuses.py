"""The six statuses as Grafana shows them: a number for each, its colour and its name."""

from typing import Any

from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES, statuses_where

COLOURS = {status: attributes.chart_color for status, attributes in STATUS_ATTRIBUTES.items()}
"""Chosen to stay apart for the colour-blind too; a test measures it. The name is always shown beside."""
GOOD, WARNING, BAD = COLOURS[Status.UP], COLOURS[Status.DEGRADED], COLOURS[Status.DOWN]
PLAIN = "#5794f2"
"""Of lines that are neither good nor bad."""
QUIET = "text"
"""Grafana's name for the theme's ink: nothing to see here."""

CODES = {
    Status.UP: 1,
    Status.MAINTENANCE: 2,
    Status.PAUSED: 3,
    Status.NO_DATA: 4,
    Status.DEGRADED: 5,
    Status.DOWN: 6,
}
"""In order of urgency, so that the worst of a time step or of two replicas is the greatest."""
WRONG = statuses_where(lambda attributes: attributes.alerts)
"""What needs attention."""
IN_ORDER = tuple(STATUS_ATTRIBUTES)
"""The order in which the status page lists them."""
UPTIME = ((0.99, WARNING), (0.999, GOOD))
"""Below 99 % it is bad."""
EXEMPT = statuses_where(lambda attributes: not attributes.counts)
"""Neither up nor down, so no part of uptime."""


def mappings() -> list[dict[str, Any]]:
    """From a code to its name and colour."""
    return [
        {
            "type": "value",
            "options": {
                str(code): {"text": status.value, "color": COLOURS[status], "index": index}
                for index, (status, code) in enumerate(CODES.items())
            },
        }
    ]


def matching(statuses: tuple[Status, ...]) -> str:
    """These statuses as a label matcher."""
    return f'status=~"{"|".join(status.value for status in statuses)}"'
