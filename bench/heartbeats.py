"""Heartbeats acknowledged after fsync, beside the same stack answering a constant; and kill -9 under load."""

import http.client
import threading
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlsplit

from bench.databases import Store, fill, rows
from bench.open_loop import open_loop
from bench.processes import MONITORS, SECRET, exporter, hello, wrk
from bench.row import Row

LEAST_RATIO = 0.46
"""The least of nine runs on quiet machines: see docs/bench.md."""


def throughput(store: Store, rounds: int, seconds: int, workers: int = 1, connections: int = 64) -> Iterator[Row]:
    """As fast as the connections send, in turns with the constant; then half as fast, at a constant arrival rate."""
    url = store.make("throughput")
    fill(url, MONITORS)
    with hello() as constant, exporter(url, workers=workers) as service:
        wrk(constant.url, 2, connections)
        warm = wrk(service.url, 2, connections)
        pairs = [
            (wrk(constant.url, seconds, connections), wrk(service.url, seconds, connections)) for _ in range(rounds)
        ]
        ours = [pair[1] for pair in pairs]
        fastest = median(load.per_second for load in ours)
        half = open_loop(service.url, fastest / 2, 2 * seconds, connections)
    acknowledged = warm.requests + sum(load.requests - load.bad for load in ours) + half.requests - half.failed
    stored = int(rows(url, f"SELECT sum(received) - {MONITORS} FROM states")[0][0])
    bars = store.bars and workers == 1 and connections == 64
    name = "heartbeats" if workers == 1 else f"{workers} workers: heartbeats"
    yield Row(
        f"{name} after fsync, {connections} connections, ÷ the stack answering a constant",
        median(load.per_second / constant.per_second for constant, load in pairs),
        "×",
        LEAST_RATIO if bars else None,
        at_least=True,
        note=f"constant: {median(pair[0].per_second for pair in pairs):,.0f}/s",
    )
    yield Row("… absolute", fastest, "/s")
    yield Row("… 99th percentile", median(load.p99_ms for load in ours), "ms", 20 if bars else None)
    note = f"{fastest / 2:,.0f}/s, {half.failed} failed; median {half.median:.1f} ms, longest {half.longest:.0f} ms"
    yield Row("… 99th percentile at half of that rate, each arriving when it is due", half.p99, "ms", note=note)
    yield Row("… acknowledged but not stored", max(0, acknowledged - stored), "", 0, note=f"{stored:,} stored")


def kill_9(store: Store, rounds: int) -> Iterator[Row]:
    url = store.make("kill")
    fill(url, 1)
    acknowledged: set[str] = set()
    for round_ in range(rounds):
        with exporter(url) as service:
            stop = threading.Event()
            clients = [
                threading.Thread(target=_ping, args=(service.url, f"{round_}-{client}", acknowledged, stop))
                for client in range(16)
            ]
            for client in clients:
                client.start()
            stop.wait(1.0 + 0.13 * round_)
            service.kill()
            stop.set()
            for client in clients:
                client.join(20)
    stored = {row[0] for row in rows(url, "SELECT rid FROM heartbeats")}
    lost = len(acknowledged - stored)
    yield Row(
        "acknowledged and lost by kill -9", lost, "", 0, note=f"{len(acknowledged):,} acknowledged, {rounds} kills"
    )


def _ping(url: str, name: str, acknowledged: set[str], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    number = 0
    while not stop.is_set():
        rid = f"{name}-{number}"
        number += 1
        try:
            connection.request("GET", f"/ext/heartbeat/job000000:{SECRET}/log?rid={rid}")
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            break
        if answer.status == 200:
            acknowledged.add(rid)
    connection.close()
