"""A service to be fuzzed, and what has to hold whatever it is sent."""

import contextlib
import os
import re
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live.conftest import SECRET, Service, eventually, monitors

SECONDS = float(os.environ.get("FUZZ_SECONDS", "40"))
"""For all campaigns together."""
CAMPAIGNS = 7
MANY = 2_000
MEMORY = 150_000
"""kB by which the worker may grow."""
fuzz_settings = settings(
    max_examples=max(100, int(100 * SECONDS)),
    deadline=None,
    derandomize=SECONDS <= 40,  # in the gate; a longer campaign draws others each time
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""More examples than the time allows: `Target.run` ends a campaign."""


class Over(BaseException):
    """The time is over. No Exception, so that Hypothesis does not take it for a failure."""


class Target:
    """The service, and what it has recorded."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._until = time.monotonic() + SECONDS / CAMPAIGNS
        self.answered: Counter[int] = Counter()
        """Status codes of this campaign."""
        self._memory = self._resident()
        self._logged = 0

    def run(self, attempt: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> bool:
        """Tries examples while there is time; what has failed is made small, however long that takes. Returns whether
        there were so many that they must have reached everything.
        """
        failed, examples = False, 0

        def within(*arguments: Any) -> None:
            nonlocal failed, examples
            if time.monotonic() > self._until and not failed:
                raise Over
            examples += 1
            try:
                attempt(*arguments)
                if examples % 100 == 0:
                    self.check_health()
            except Exception:
                failed = True
                raise

        with contextlib.suppress(Over):
            fuzz_settings(given(st.tuples(*strategies))(lambda arguments: within(*arguments)))()
        assert examples > 30
        print(f"{examples} examples, answers: {dict(self.answered)}")
        return examples > MANY

    def again(self) -> None:
        self._until = time.monotonic() + SECONDS / CAMPAIGNS
        self.answered.clear()

    def recorded(self, tag: str = "job") -> int:
        with closing(sqlite3.connect(self.service.storage.removeprefix("sqlite:///"))) as database:
            found = database.execute(
                "SELECT received FROM states s JOIN monitors m ON m.id = s.monitor_id WHERE tag = ?", (tag,)
            ).fetchone()
        return int(found[0])

    def kinds(self) -> set[str]:
        """Of heartbeats that are in the log."""
        with closing(sqlite3.connect(self.service.storage.removeprefix("sqlite:///"))) as database:
            return {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM heartbeats")}

    def send(self, pieces: list[bytes]) -> bytes:
        """All that is answered, when the client has half-closed."""
        with socket.create_connection(("127.0.0.1", self.service.port), timeout=20) as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        self.answered.update(statuses(answer))
        return answer

    def check(self, answer: bytes, before: int, tag: str = "job") -> None:
        """Every 200 is recorded once, nothing else is, and no status comes that is not documented."""
        codes = statuses(answer)
        assert all(code < 500 or code == 503 for code in codes), codes
        assert self.recorded(tag) - before == codes.count(200)
        assert SECRET.encode() not in answer

    def check_health(self) -> None:
        """A plain heartbeat is answered soon, nothing is logged that must not be, and memory is bounded."""
        began, before = time.monotonic(), self.recorded("plain")
        answer = self.send([b"GET /ext/heartbeat/plain:%b HTTP/1.1\r\nHost: x\r\n\r\n" % SECRET.encode()])
        assert statuses(answer) == [200]
        assert self.recorded("plain") == before + 1
        assert time.monotonic() - began < 5
        log = self.service.output()[self._logged :]
        self._logged += len(log)
        assert "Traceback" not in log, log
        assert SECRET not in log, log
        assert self._resident() - self._memory < MEMORY

    def _resident(self) -> int:
        status = Path(f"/proc/{self.service.worker()}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


def statuses(answer: bytes) -> list[int]:
    """Of every answer in what came back, without the interim ones; a body of ours never holds such a line."""
    found = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", answer)]
    return [code for code in found if code != 100]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    service = Service(tmp_path_factory.mktemp("fuzz"), monitors("job", "plain", "am")).ready()
    eventually(lambda: service.workers())
    yield Target(service)
    service.kill()


@pytest.fixture
def campaign(target: Target) -> Iterator[Target]:
    """`target`, with its time anew; its health is looked at in the end."""
    target.again()
    yield target
    target.check_health()
