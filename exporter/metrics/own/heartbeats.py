"""Heartbeats by dialect and kind, as cheap to count as a number in a dictionary."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.heartbeat import Kind

HELP = "Heartbeats recorded, by dialect and kind."


class Heartbeats:
    """A collector of `<prefix>heartbeats_total`. Only the event loop counts."""

    def __init__(self, prefix: str) -> None:
        self._name = f"{prefix}heartbeats"
        self._counts: dict[tuple[str, str], int] = {}

    def expect(self, dialects: Iterable[str]) -> None:
        """The series of these dialects exist from now on, at 0."""
        for dialect in dialects:
            for kind in Kind:
                self._counts.setdefault((dialect, kind.value), 0)

    def recorded(self, dialect: str, kind: Kind) -> None:
        key = (dialect, kind._value_)  # the enumeration's own hash is a function of Python's
        self._counts[key] = self._counts.get(key, 0) + 1

    def describe(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, HELP, labels=["dialect", "kind"])

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, HELP, labels=["dialect", "kind"])
        for (dialect, kind), count in list(self._counts.items()):
            family.add_metric([dialect, kind], count)
        yield family
