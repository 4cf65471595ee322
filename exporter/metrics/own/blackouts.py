"""Total length of all blackouts, read from the database: the same on every replica."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.clock import SECOND


class BlackoutSeconds:
    """A collector."""

    def __init__(self, total: Callable[[], int], prefix: str) -> None:
        """`total` is in milliseconds."""
        self._total = total
        self._prefix = prefix

    def describe(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            f"{self._prefix}blackout_seconds", "Total time during which the exporter could not accept heartbeats."
        )

    def collect(self) -> Iterator[Metric]:
        for family in self.describe():
            family.add_metric([], self._total() / SECOND)  # type: ignore[attr-defined]
            yield family
