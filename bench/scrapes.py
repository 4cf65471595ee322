"""The scrape of many monitors: rendered in this process, and whole, from the real server, while heartbeats arrive."""

import subprocess
import threading
import time
from collections.abc import Iterator
from statistics import median

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from bench.open_loop import open_loop
from bench.processes import exporter
from bench.row import Row
from exporter.core.clock import SystemClock
from exporter.core.fleet import Fleet
from exporter.core.heartbeat import Heartbeat, Kind, apply
from exporter.fleet.loader import load
from exporter.metrics.exposition.negotiation import Format
from exporter.metrics.exposition.renderer import Exposition
from exporter.storage.database import Database
from tests.support.reference import Reference

SAMPLE = 10_000


def rendering(url: str) -> Iterator[Row]:
    clock, fleet = SystemClock(), Fleet()
    opened = Database(url)
    fleet.update(load(opened))
    opened.close()
    exposition = Exposition(fleet, clock)

    def render() -> float:
        began = time.perf_counter()
        for _ in exposition.render(Format.TEXT):
            pass
        return time.perf_counter() - began

    cold = render()
    times = []
    for turn in range(5):
        for watched in fleet.all()[turn % 4 :: 4]:
            watched.state = apply(watched.state, [Heartbeat(Kind.SUCCESS, clock.now())])
        times.append(render())
    small = Fleet()
    small.update(fleet.all()[:SAMPLE])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Reference(small, clock.now()))  # type: ignore[arg-type]
    began = time.perf_counter()
    generate_latest(registry)
    theirs = (time.perf_counter() - began) * len(fleet) / SAMPLE
    yield Row(
        f"scrape of {len(fleet):,} monitors, rendered, a quarter changed",
        median(times),
        "s",
        0.5,
        note=f"cold {cold:.2f} s",
    )
    note = f"theirs {theirs:.1f} s, from {SAMPLE:,} monitors"
    yield Row("… generate_latest ÷ ours", theirs / median(times), "×", 30, at_least=True, note=note)


def serving(url: str, monitors: int) -> Iterator[Row]:
    with exporter(url) as service:
        yield Row(f"start to ready, {monitors:,} monitors", service.seconds_to_ready, "s", 10)
        times, size = [], 0
        for _ in range(4):
            began = time.perf_counter()
            size = len(_scrape(service.url))
            times.append(time.perf_counter() - began)
        yield Row("… whole gzipped GET", median(times), "s", 2, note=f"{size / 1e6:.1f} MB gzipped")
        pages = []
        for query in ("", "?status=UP", "?q=job0999"):
            began = time.perf_counter()
            _get(f"{service.url}/{query}")
            pages.append(time.perf_counter() - began)
        yield Row("… status page, whole or filtered, longest", max(pages), "s")
        stop, scraped = threading.Event(), 0

        def scrape() -> None:
            nonlocal scraped
            while not stop.is_set():
                began = time.perf_counter()
                _scrape(service.url)
                scraped += 1
                stop.wait(max(0.0, began + 1 - time.perf_counter()))

        scraper = threading.Thread(target=scrape)
        scraper.start()
        rate = monitors / 60
        meanwhile = open_loop(service.url, rate, 12)
        stop.set()
        scraper.join(60)
        note = f"{rate:,.0f}/s, {scraped} scrapes, one a second or as fast as they come"
        yield Row("… 99th percentile of heartbeats meanwhile", meanwhile.p99, "ms", 30, note=note)
        yield Row(
            "memory of each monitor, after scrapes",
            service.rss() / monitors / 1000,
            "kB",
            4,
            note="of the whole process",
        )


def _scrape(url: str) -> bytes:
    return _get(f"{url}/metrics")


def _get(url: str) -> bytes:
    command = ["curl", "-sSf", "-m", "60", "-H", "Accept-Encoding: gzip", url]
    return subprocess.run(command, capture_output=True, check=True).stdout
