"""Clients that send numbered heartbeats and remember which were acknowledged."""

import http.client
import threading

from tests.live.conftest import SECRET, Service

MAX_AT_FULL_SPEED = 6_000
"""Heartbeats after which the clients slow down: a log keeps 10,000, and what it no longer keeps would look lost."""

UNHURRIED = 30.0
"""Heartbeats a second that all clients of a load send together when they are slow: two minutes until a log is full."""


class Load:
    """`clients` threads that ping until told to stop; each heartbeat's rid is its number."""

    def __init__(self, service: Service, tag: str = "job", clients: int = 8) -> None:
        self._service = service
        self._tag = tag
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(clients)]
        self.acknowledged: set[str] = set()
        self.refused: dict[int, int] = {}
        self.cut: list[str] = []
        """Requests that were sent and got neither an answer nor a refusal to connect."""

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _send(self, client: int) -> None:
        number = 0
        pause = threading.Event()
        connection: http.client.HTTPConnection | None = None
        fresh = True
        while not self._stop.is_set():
            rid = f"{client}-{number}"
            number += 1
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=20)
                fresh = True
                try:
                    connection.connect()
                except OSError:
                    connection = None
                    pause.wait(0.02)
                    continue
            answer = None
            try:
                connection.request("POST", f"/ext/heartbeat/{self._tag}:{SECRET}/log?rid={rid}")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                # A kept connection may be closed between two requests; only a fresh one owes us an answer.
                if fresh:
                    self.cut.append(rid)
                if answer is not None:
                    answer.close()
                connection.close()
                connection = None
                continue
            fresh = False
            if answer.status == 200:
                self.acknowledged.add(rid)
                if len(self.acknowledged) > MAX_AT_FULL_SPEED:
                    self._stop.wait(len(self._threads) / UNHURRIED)
            else:
                self.refused[answer.status] = self.refused.get(answer.status, 0) + 1
            if answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
