"""Metrics of our own, declared at the method that changes them: name, help, labels and what happens in one place.

    @counter("spooled", "Heartbeats that went into the spool.")
    def spooled(self, metric: Counter, heartbeats: int) -> None:
        metric.inc(heartbeats)

makes a method `spooled(heartbeats)`. A method that changes several metrics has several declarations: the lowest one is
its first parameter.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

_P = ParamSpec("_P")
_DECLARED = "declared_metrics"
PREFIX = "heartbeat_exporter_"
Workers = Literal["livemin", "livemax", "livesum"]
"""What several workers of one machine answer together."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One metric."""

    kind: type[MetricWrapperBase]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    """Values of its one label whose series begin at 0."""

    def make(self, registry: CollectorRegistry) -> Any:
        metric: Any = self.kind(PREFIX + self.name, self.help, self.labels, registry=registry, **self.options)
        for value in self.known:
            metric.labels(value)
        return metric


class Instruments:
    """Base of a class with declared metrics; `_make_instruments` makes them on a registry."""

    _instruments: dict[str, Any]

    def _make_instruments(self, registry: CollectorRegistry) -> None:
        self._instruments = {declared.name: declared.make(registry) for declared in declarations(type(self))}


def declarations(kind: type) -> Iterator[Declaration]:
    """Of all methods of a class, in their order."""
    for method in vars(kind).values():
        yield from getattr(method, _DECLARED, ())


def counter(
    name: str, help: str, *labels: str, known: Iterable[str] = ()
) -> Callable[[Callable[Concatenate[Any, Counter, _P], None]], Callable[Concatenate[Any, _P], None]]:
    """`known` values of the one label have series from the start."""
    return _declare(Declaration(Counter, name, help, labels, known=tuple(map(str, known))))


def gauge(
    name: str, help: str, of_workers: Workers
) -> Callable[[Callable[Concatenate[Any, Gauge, _P], None]], Callable[Concatenate[Any, _P], None]]:
    return _declare(Declaration(Gauge, name, help, options={"multiprocess_mode": of_workers}))


def histogram(
    name: str, help: str, buckets: tuple[float, ...], *labels: str
) -> Callable[[Callable[Concatenate[Any, Histogram, _P], None]], Callable[Concatenate[Any, _P], None]]:
    return _declare(Declaration(Histogram, name, help, labels, options={"buckets": buckets}))


def _declare(declaration: Declaration) -> Callable[[Any], Any]:
    name = declaration.name

    def declare(method: Any) -> Any:
        @wraps(method)
        def report(self: Any, *arguments: Any, **named: Any) -> None:
            method(self, self._instruments[name], *arguments, **named)

        signature = inspect.signature(method)
        itself, _, *others = signature.parameters.values()
        setattr(report, "__signature__", signature.replace(parameters=[itself, *others]))  # noqa: B010 - for mypy
        setattr(report, _DECLARED, (declaration, *getattr(method, _DECLARED, ())))
        return report

    return declare
