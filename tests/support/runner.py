"""`heartbeat-run` as hosts fetch it, under several Pythons, with a service that only listens."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exporter.run.bundle import bundle
from tests.support.receivers import Received

SECRET = "SESAME-of-the-runner"
OLDEST, NEWEST = "3.8", "3.13"


def python_of(version: str) -> str | None:
    """A Python of this version: on the PATH, or one that pyenv has."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


@pytest.fixture(params=[OLDEST, NEWEST])
def python(request: pytest.FixtureRequest) -> str:
    """The oldest Python that the wrapper promises to work with, and a new one.

    Not every machine can have the oldest: there test_bundle.py alone holds the promise, and that of the tests runs.
    """
    return python_of(request.param) or sys.executable


@dataclass
class Runner:
    """Runs the wrapper."""

    folder: Path
    python: str
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file = self.folder / "heartbeat-run"
        self.file.write_text(bundle())
        self.file.chmod(0o755)
        (self.folder / "locks").mkdir(exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        return [self.python, str(self.file), *arguments]

    def settings(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEARTBEAT_")}
        return {
            **kept,
            "HOME": str(self.folder),
            "HEARTBEAT_URL": self.url,
            "HEARTBEAT_SECRET": SECRET,
            "HEARTBEAT_LOCK_DIR": str(self.folder / "locks"),
            **self.environment,
        }

    def run(self, *arguments: str, input: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs to the end."""
        return subprocess.run(
            self.command(*arguments), input=input, capture_output=True, env=self.settings(), timeout=60, check=False
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Starts it, in a session of its own."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "start_new_session": True, **options}
        return subprocess.Popen(self.command(*arguments), env=self.settings(), **options)


@dataclass(frozen=True)
class Sent:
    """One heartbeat that arrived."""

    tag: str
    suffix: str
    query: dict[str, str]
    body: bytes

    @property
    def rid(self) -> str:
        return self.query["rid"]

    @property
    def text(self) -> str:
        return self.body.decode()


def sent(received: Received) -> Sent:
    parts = urlsplit(received.target)
    match = re.fullmatch(r"/ext/heartbeat/([^/]+)(?:/(.*))?", parts.path)
    assert match is not None, received.target
    assert received.method == "POST"
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return Sent(match[1], match[2] or "", {name: values[0] for name, values in query.items()}, received.body)


def suffixes(received: list[Received]) -> list[str]:
    return [sent(each).suffix for each in received]
