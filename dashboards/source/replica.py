"""What the panels about the exporter itself share."""

from typing import Any

from dashboards.source.promql import ANSWERING, STEP, own
from dashboards.source.statuses import BAD, COLOURS, GOOD
from exporter.core.status import Status

PREFIX = "heartbeat_exporter_"
REPLICA = "job, instance"
NOT_SCRAPED = "No replica answers Prometheus"


def of_replicas(metric: str) -> str:
    """A metric that other programs have too: only of our replicas."""
    return f"max by ({REPLICA}) ({own(metric)}) and on ({REPLICA}) {ANSWERING}"


def rate(metric: str, *matchers: str) -> str:
    return f"rate({own(metric, *matchers)}[{STEP}])"


def yes_or_no(yes: str, no: str) -> tuple[dict[str, Any], ...]:
    options = {
        "0": {"text": no, "color": BAD, "index": 1},
        "1": {"text": yes, "color": GOOD, "index": 0},
    }
    return ({"type": "value", "options": options},)


LEASE: tuple[dict[str, Any], ...] = (
    {
        "type": "value",
        "options": {
            "0": {"text": "standby", "color": COLOURS[Status.NO_DATA], "index": 1},
            "1": {"text": "evaluates", "color": GOOD, "index": 0},
        },
    },
)
