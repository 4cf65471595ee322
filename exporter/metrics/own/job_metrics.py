"""How much of jobs' own metrics this process exposes."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.fleet.job_metrics import JobMetricsView
from exporter.metrics.own.instruments import PREFIX


class JobMetricsCollector:
    """Counts when it is scraped."""

    def __init__(self, view: JobMetricsView) -> None:
        self._view = view

    def describe(self) -> Iterator[Metric]:
        yield from self._families(0, 0)

    def collect(self) -> Iterator[Metric]:
        yield from self._families(self._view.groups, self._view.samples)

    def _families(self, groups: int, samples: int) -> Iterator[Metric]:
        yield GaugeMetricFamily(f"{PREFIX}job_metric_groups", "Number of groups of metrics that jobs pushed.", groups)
        yield GaugeMetricFamily(f"{PREFIX}job_metric_samples", "Number of samples that jobs pushed.", samples)
