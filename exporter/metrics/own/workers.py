"""The metrics of several workers of one machine, which answer scrapes as one: each of them reports all.

prometheus_client keeps the values in files that the workers share; it decides for that when it is imported, by an
environment variable that the supervisor sets (`server`). What it has no such mode for is here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from exporter.core.heartbeat import Kind
from exporter.metrics.own.heartbeats import HELP as HEARTBEATS_HELP
from exporter.metrics.own.requests import COUNT_HELP, TIME_HELP

_SUMMED = {"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_cpu_seconds", "process_open_fds"}


def collect_from_all(registry: CollectorRegistry) -> CollectorRegistry:
    """Makes `registry` report all workers; returns the registry on which instruments are to be made."""
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CollectorRegistry()


class Processes:
    """A collector of `process_*` over the supervisor and its workers: sums, and the supervisor's start."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor

    def describe(self) -> Iterator[Metric]:
        for metric in ProcessCollector(registry=None).collect():
            metric.samples = []
            yield metric

    def collect(self) -> Iterator[Metric]:
        whole = list(ProcessCollector(pid=lambda: self._supervisor, registry=None).collect())
        for child in self._workers():
            parts = {item.name: item for item in ProcessCollector(pid=lambda pid=child: pid, registry=None).collect()}  # type: ignore[misc]
            for metric in whole:
                part = parts.get(metric.name)
                if part is not None and metric.name in _SUMMED:
                    (mine,), (its,) = metric.samples, part.samples
                    metric.samples = [mine._replace(value=mine.value + its.value)]
        yield from whole

    def _workers(self) -> list[int]:
        pid = self._supervisor
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []


class SharedHeartbeats:
    """As `heartbeats.Heartbeats`, by prometheus_client's own counter."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._counts = Counter(f"{prefix}heartbeats", HEARTBEATS_HELP, ["dialect", "kind"], registry=registry)

    def expect(self, dialects: Iterable[str]) -> None:
        """The series of these dialects exist from now on, at 0."""
        for dialect in dialects:
            for kind in Kind:
                self._counts.labels(dialect, kind.value)

    def recorded(self, dialect: str, kind: Kind) -> None:
        self._counts.labels(dialect, kind._value_).inc()


class SharedRequests:
    """As `requests.Requests`, by prometheus_client's own instruments: dearer, and shared."""

    def __init__(self, prefix: str, bounds: tuple[float, ...], registry: CollectorRegistry) -> None:
        self._counts = Counter(f"{prefix}http_requests", COUNT_HELP, ["handler", "method", "code"], registry=registry)
        self._times = Histogram(
            f"{prefix}http_request_duration_seconds",
            TIME_HELP,
            ["handler"],
            buckets=bounds,
            registry=registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def served(self, handler: str, method: str, code: int, seconds: float) -> None:
        key = (handler, method, code)
        children = self._known.get(key)
        if children is None:
            children = self._known[key] = (
                self._counts.labels(handler, method, str(code)),
                self._times.labels(handler),
            )
        children[0].inc()
        children[1].observe(seconds)
