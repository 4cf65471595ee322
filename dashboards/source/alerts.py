"""The exporter's own alerts, as both dashboards of monitors show them."""

from typing import Any

from dashboards.source.promql import MONITOR, Monitors
from dashboards.source.statuses import BAD, PLAIN, WARNING

LABELS = f"{MONITOR}, alert, severity"
SEVERITIES: tuple[dict[str, Any], ...] = (
    {
        "type": "value",
        "options": {
            "critical": {"text": "critical", "color": BAD, "index": 0},
            "warning": {"text": "warning", "color": WARNING, "index": 1},
            "info": {"text": "info", "color": PLAIN, "index": 2},
        },
    },
)


def firing(monitors: Monitors) -> str:
    """One series, 1, for each firing alert."""
    return monitors.one("heartbeat_alert_firing", by=LABELS)
