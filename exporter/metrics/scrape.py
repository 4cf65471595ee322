"""One scrape: the fleet's series and our own, filtered, in the format and encoding asked for."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as text_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_1_0_0

from exporter.core.telemetry import Telemetry
from exporter.metrics.exposition.negotiation import Format, accepts_gzip, negotiate
from exporter.metrics.exposition.renderer import Exposition

GZIP_LEVEL = 1
"""Nine times as fast as the default, and a scrape stays as small as the network needs it."""
_GATHER = 256 * 1024


@dataclass(frozen=True, slots=True)
class ScrapeResponse:
    """Pulling a chunk renders it, so pull off the event loop."""

    content_type: str
    content_encoding: str | None
    chunks: Iterator[bytes]


class Scrape:
    """Answers scrapes from the fleet and from a registry of our own metrics."""

    def __init__(self, exposition: Exposition, registry: CollectorRegistry, telemetry: Telemetry) -> None:
        self._exposition = exposition
        self._registry = registry
        self._telemetry = telemetry

    def answer(self, accept: str | None, accept_encoding: str | None, names: frozenset[str] | None) -> ScrapeResponse:
        """`names` are families or samples, as in `?name[]=`; None is everything."""
        format = negotiate(accept)
        chunks = gathered(self._timed(format, names))
        if accepts_gzip(accept_encoding):
            return ScrapeResponse(format.value, "gzip", compressed(chunks))
        return ScrapeResponse(format.value, None, chunks)

    def _timed(self, format: Format, names: frozenset[str] | None) -> Iterator[bytes]:
        began = time.perf_counter()
        yield from self._exposition.render(format, names)
        own = Own(self._registry, names)
        if format is Format.OPENMETRICS:
            yield openmetrics_1_0_0(own)  # type: ignore[no-untyped-call]
        else:
            yield text_0_0_4(own)
        self._telemetry.scraped(time.perf_counter() - began)


class Own:
    """Our own metrics, whole families at a time: what is asked for by one sample's name comes with its family."""

    def __init__(self, registry: CollectorRegistry, names: frozenset[str] | None) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            if self._names is None or self._names & {metric.name, *(sample.name for sample in metric.samples)}:
                yield metric


def gathered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Fewer, larger chunks: each costs a trip to the event loop."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _GATHER:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()
