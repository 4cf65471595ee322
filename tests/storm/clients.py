"""The clients of a storm: what each sent, when, and what was acknowledged."""

import http.client
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.live.conftest import SECRET
from tests.storm.monitors import Plan

PATIENCE = 5.0
"""Seconds for an answer: ours comes within four, and a paused replica gives none."""


class Sent(NamedTuple):
    """One request. Moments are Unix time in milliseconds."""

    tag: str
    kind: str
    rid: str
    sent_at: int
    answered_at: int
    status: int
    """0 when there was no answer."""


@dataclass
class Ledger:
    """All requests; each thread has a list of its own."""

    lists: list[list[Sent]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)

    def page(self) -> list[Sent]:
        self.lists.append([])
        return self.lists[-1]

    def all(self) -> list[Sent]:
        return [sent for page in list(self.lists) for sent in list(page)]

    def acknowledged(self) -> int:
        return sum(1 for sent in self.all() if sent.status == 200)

    def by_tag(self) -> dict[str, list[Sent]]:
        pages: defaultdict[str, list[Sent]] = defaultdict(list)
        for sent in self.all():
            pages[sent.tag].append(sent)
        return pages


SUFFIX = {"success": "", "failure": "/fail", "start": "/start", "log": "/log"}


class Client:
    """One sender, as `curl --retry` behind a load balancer: what gets no 200 is sent again, to another replica."""

    def __init__(self, ports: Callable[[], Sequence[int]], ledger: Ledger, seed: str) -> None:
        self._ports = ports
        self._page = ledger.page()
        self.dice = random.Random(seed)
        self._port = 0
        self._kept: http.client.HTTPConnection | None = None
        self.waiting = False
        """Whether a request has been sent and no answer read."""

    def once(self, tag: str, kind: str, rid: str, *, port: int | None = None, patience: float = PATIENCE) -> bool:
        """One request on a connection of its own."""
        if port is None:
            others = [one for one in self._ports() if one != self._port] or list(self._ports())
            port = self.dice.choice(others)
        self._port = port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        try:
            return self._request(connection, tag, kind, rid) == 200
        finally:
            connection.close()

    def stream(self, tag: str, kind: str, rid: str) -> int:
        """One request on a connection that is kept."""
        if self._kept is None:
            self._kept = http.client.HTTPConnection("127.0.0.1", self.dice.choice(self._ports()), timeout=20)
        status = self._request(self._kept, tag, kind, rid)
        if status == 0 or self.dice.random() < 0.05:
            self.close()
        return status

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _request(self, connection: http.client.HTTPConnection, tag: str, kind: str, rid: str) -> int:
        began, status = _now(), 0
        try:
            connection.request("POST", f"/ext/heartbeat/{tag}:{SECRET}{SUFFIX[kind]}?rid={rid}")
            self.waiting = True
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            status = 0
        self.waiting = False
        self._page.append(Sent(tag, kind, rid, began, _now(), status))
        return status


class Clients:
    """All clients of a storm, a thread each. `calm` ends the load, and every job ends with a success."""

    def __init__(
        self, plan: Plan, ports: Callable[[], Sequence[int]], seed: int, senders: int, seconds: float, pace: float = 1.0
    ) -> None:
        """The dead die in the first `seconds`; `senders` write log entries, the slower the larger `pace` is."""
        self.ledger = Ledger()
        self._ports = ports
        self._seed = seed
        self._pace = pace
        self._over = threading.Event()
        self._began = time.monotonic()
        works: list[tuple[Callable[[Client, str], None], str]] = []
        works += [(self._bulk, f"bulk-{number % plan.bulk}") for number in range(senders)]
        works += [(self._steady, f"steady-{number}") for number in range(plan.steady)]
        works += [(self._quick, f"quick-{number}") for number in range(plan.quick)]
        works += [(self._run, f"run-{number}") for number in range(plan.runs)]
        works += [(self._flapping, f"flapping-{number}") for number in range(plan.flapping)]
        works += [(self._contested, f"contested-{number // 2}") for number in range(2 * plan.contested)]
        works += [(self._dead(number * seconds / plan.dead), f"dead-{number}") for number in range(plan.dead)]
        self._threads = [
            threading.Thread(target=self._work, args=(work, tag, number)) for number, (work, tag) in enumerate(works)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def calm(self, seconds: float = 120) -> None:
        """Raises when a client does not come to its end: something is not accepted any more."""
        self._over.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        assert not stuck, f"no success is accepted from {stuck}"

    def client(self, name: str) -> Client:
        """Another one, for a blow that sends something itself."""
        return Client(self._ports, self.ledger, f"{self._seed}-{name}")

    def _work(self, work: Callable[[Client, str], None], tag: str, number: int) -> None:
        threading.current_thread().name = f"{tag} ({number})"
        client = self.client(f"{tag}-{number}")
        try:
            work(client, tag)
        finally:
            client.close()

    def surely(
        self, client: Client, tag: str, kind: str, name: str, *, fresh: bool = True, patience: float = 0
    ) -> bool:
        """Until it is acknowledged; with a `fresh` run id for each attempt, unless it is a run's own."""
        for attempt in range(10_000):
            rid = f"{name}.{attempt}" if fresh else name
            if client.once(tag, kind, rid, patience=patience or PATIENCE):
                return True
            time.sleep(client.dice.uniform(0.1, 0.4))
            if attempt > 200 and self._over.is_set():
                break
        return False

    # ── what each kind does ──────────────────────────────────────────────────────────────────────────────────────

    def _bulk(self, client: Client, tag: str) -> None:
        sent, name = 0, threading.current_thread().name.partition("(")[2].rstrip(")")
        while not self._over.is_set():
            status = client.stream(tag, "log", f"{name}-{sent}")
            sent += 1
            time.sleep(client.dice.uniform(0.005, 0.03) * self._pace if status else 0.05)

    def _steady(self, client: Client, tag: str) -> None:
        number = 0
        while not self._over.is_set():
            self.surely(client, tag, "success", f"{tag}.{number}")
            number += 1
            self._over.wait(client.dice.uniform(0.4, 1.2))

    def _quick(self, client: Client, tag: str) -> None:
        number = 0
        while not self._over.is_set():
            self.surely(client, tag, "success", f"{tag}.{number}", patience=1.0)
            number += 1
            self._over.wait(0.2)

    def _run(self, client: Client, tag: str) -> None:
        number = 0
        while not self._over.is_set():
            rid = f"{tag}.{number}"
            self.surely(client, tag, "start", rid, fresh=False)
            self._over.wait(client.dice.uniform(0.1, 1.5))
            kind = "failure" if client.dice.random() < 1 / 6 else "success"
            self.surely(client, tag, kind, rid, fresh=False)
            number += 1
            self._over.wait(client.dice.uniform(0.2, 1.0))
        self.surely(client, tag, "success", f"{tag}.last")

    def _flapping(self, client: Client, tag: str) -> None:
        number = 0
        while not self._over.is_set():
            self.surely(client, tag, "success", f"{tag}.{number}")
            self._over.wait(client.dice.uniform(1, 4))
            self.surely(client, tag, "failure", f"{tag}.{number}f")
            self._over.wait(client.dice.uniform(1.5, 4))
            number += 1
        self.surely(client, tag, "success", f"{tag}.last")

    def _contested(self, client: Client, tag: str) -> None:
        number, name = 0, threading.current_thread().name.partition("(")[2].rstrip(")")
        while not self._over.is_set():
            kind = client.dice.choice(["success", "failure"])
            self.surely(client, tag, kind, f"{tag}.{name}.{number}")
            number += 1
            self._over.wait(client.dice.uniform(0.3, 2))

    def _dead(self, after: float) -> Callable[[Client, str], None]:
        def work(client: Client, tag: str) -> None:
            self._over.wait(max(0.0, self._began + after - time.monotonic()))
            self.surely(client, tag, "success", f"{tag}.only")

        return work


def _now() -> int:
    return time.time_ns() // 1_000_000
