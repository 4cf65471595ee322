"""Heartbeats at a constant arrival rate, whatever the service does: latencies without coordinated omission.

A closed loop like wrk's sends the next request when the last one was answered, so a stall costs it one slow answer
instead of the hundred that clients would have seen. Here every request has a moment at which it is due, and its latency
counts from that moment, also when no connection was free for it.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
from collections import deque
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from bench.processes import MONITORS, ROOT, SECRET

TICK = 0.001
"""Seconds between two looks at what is due."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds from the moment at which a request was due to its answer."""

    median: float
    p99: float
    p999: float
    longest: float
    requests: int
    failed: int
    """Answers other than 200, connections that broke, and requests without an answer in the end."""


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._due = 0.0
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self.busy, self._due = True, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(b"}"):  # the end of every answer's body
            ok, self._answer, self.busy = self._answer.startswith(b"HTTP/1.1 200"), b"", False
            self._load.answered(self, self._due, ok)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)


class Load:
    """So many requests a second, over so many connections."""

    def __init__(self, netloc: str, rate: float, seconds: float) -> None:
        host, _, port = netloc.partition(":")
        self._address = (host, int(port))
        self._rate = rate
        self._total = round(rate * seconds)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._requests = [
            f"GET /ext/heartbeat/job{number:06}:{SECRET} HTTP/1.1\r\nHost: {netloc}\r\n\r\n".encode()
            for number in range(MONITORS)
        ]
        self._sent = 0
        self._failed = 0
        self._latencies: list[float] = []
        self._loop = asyncio.get_running_loop()

    async def run(self, connections: int, patience: float = 30.0) -> Latencies:
        for _ in range(connections):
            _, protocol = await self._loop.create_connection(lambda: Connection(self), *self._address)
            self._idle.append(protocol)
        gc.disable()
        began, due = self._loop.time(), 0
        while due < self._total:
            now = self._loop.time()
            while due < self._total and began + due / self._rate <= now:
                self._waiting.append(began + due / self._rate)
                due += 1
            self._send()
            await asyncio.sleep(TICK)
        until = self._loop.time() + patience
        while self._done < self._total and self._loop.time() < until:
            self._send()
            await asyncio.sleep(TICK)
        milliseconds = sorted(1000 * seconds for seconds in self._latencies)
        at = lambda share: milliseconds[min(len(milliseconds) - 1, int(share * len(milliseconds)))]  # noqa: E731
        unanswered = self._total - self._done
        return Latencies(at(0.5), at(0.99), at(0.999), milliseconds[-1], self._total, self._failed + unanswered)

    @property
    def _done(self) -> int:
        return len(self._latencies)

    def _send(self) -> None:
        while self._waiting and self._idle:
            request = self._requests[self._sent * 7 % MONITORS]
            self._sent += 1
            self._idle.popleft().send(request, self._waiting.popleft())

    def answered(self, connection: Connection, due: float, ok: bool) -> None:
        self._latencies.append(self._loop.time() - due)
        self._failed += not ok
        self._idle.append(connection)
        self._send()

    def lost(self, connection: Connection) -> None:
        self._failed += 1
        if connection in self._idle:
            self._idle.remove(connection)


def open_loop(url: str, rate: float, seconds: float, connections: int = 64) -> Latencies:
    """Runs the load in a process of its own, so that it does not wait for this one."""
    command = [sys.executable, "-m", "bench.open_loop", url, str(rate), str(seconds), str(connections)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=seconds + 90)
    return Latencies(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.open_loop", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("rate", type=float, help="requests a second")
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", type=int)
    options = parser.parse_args()

    async def load() -> Latencies:
        return await Load(urlsplit(options.url).netloc, options.rate, options.seconds).run(options.connections)

    print(json.dumps(asdict(asyncio.run(load()))))


if __name__ == "__main__":
    main()
