"""Links between the dashboards. They go by uid, keep the data source and the time, and name the monitor."""

from typing import Any

OVERVIEW = "heartbeats-overview"
DETAIL = "heartbeat-detail"
SERVICE = "heartbeat-exporter"
TAG = "heartbeat-exporter"
"""The tag of all three, by which each finds the others."""


def to_monitor(job: str, tag: str) -> dict[str, Any]:
    """To the detail of the monitor that a row or series is about; `job` and `tag` are how Grafana names its labels."""
    parts = (
        "${datasource:queryparam}",
        f"var-job=${{{job}:percentencode}}",
        "${instance:queryparam}",
        f"var-tag=${{{tag}:percentencode}}",
        "${__url_time_range}",
    )
    return {"title": "Open this monitor", "url": f"/d/{DETAIL}?{'&'.join(parts)}", "targetBlank": False}


SERIES = to_monitor("__field.labels.job", "__field.labels.tag")
"""From a line, a bar or a span."""
ROW = to_monitor("__data.fields.Job", "__data.fields.Monitor")
"""From a table with columns of these names."""


def between() -> list[dict[str, Any]]:
    """The list of dashboards above the panels."""
    return [
        {
            "type": "dashboards",
            "title": "Heartbeats",
            "tags": [TAG],
            "asDropdown": False,
            "includeVars": True,
            "keepTime": True,
            "targetBlank": False,
            "icon": "external link",
            "tooltip": "",
            "url": "",
        }
    ]
