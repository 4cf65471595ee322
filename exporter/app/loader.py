"""Has the configuration read by a process of its own: its libraries and its memory end with it.

A file of 100,000 monitors takes seconds of processor time and hundreds of megabytes. In the worker that would hold up
heartbeats, and the memory would never come back.
"""

import logging
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.core.clock import SECOND, Clock
from exporter.core.errors import ConfigError, HeartbeatExporterError, Problem

if TYPE_CHECKING:
    from exporter.config.settings import Settings
    from exporter.storage.database import Database
    from exporter.storage.repositories.monitors import Monitors

log = logging.getLogger(__name__)

REPORT_EVERY = 3 * SECOND
"""How often the log says that the configuration is still being loaded."""
_LEAVE = 2.0
"""Seconds that the process has to end, once it has been asked for all."""
Counts = tuple[int, int, int]
"""Monitors added, changed and removed."""
Say = Callable[[str], None]


class LoadProgress:
    """Logs what takes long, every `REPORT_EVERY`. Lives on one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._reported = clock.monotonic()

    def report(self, stage: str) -> None:
        """Called as often as one likes."""
        now = self._clock.monotonic()
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            log.info("loading configuration for %d s: %s", (now - self._began) // SECOND, stage)


class NoProgress(LoadProgress):
    """Logs nothing."""

    def __init__(self) -> None:
        """Needs no clock."""

    def report(self, stage: str) -> None:
        return


@dataclass(frozen=True, slots=True)
class StartSettings:
    """What the supervisor needs of the configuration, and the rest of it for the workers."""

    listen_address: str
    trusted_proxies: str
    keepalive: float
    """Seconds."""
    log_level: str
    log_format: str
    settings: bytes
    """Pickled, because the supervisor has none of the classes in it."""
    complete: bool
    """Whether the monitors are among the settings, or still have to be read."""
    migrated: tuple[str, ...] = ()
    """What was changed in the database's schema."""


class Reading:
    """A configuration that was read and is good; its monitors are not in the database yet."""

    unchanged = False
    """Whether its monitors were not even read, because they are in the database as they should be."""

    def __init__(self, settings: "Settings", warnings: Sequence[str] = ()) -> None:
        self.settings = settings
        self.warnings = warnings
        """Of secrets that are too short."""

    def provision(self, database: "Database", monitors: "Monitors", clock: Clock, key: bytes) -> Counts:
        """Puts its monitors into the database, with their secrets and tokens as digests. Raises StorageUnavailable and
        ConfigError; then none has changed.
        """
        from exporter.app.provisioning import provision

        return provision(database, monitors, clock, self.settings.monitors, key)

    def close(self) -> None:
        """Has to be called in the end."""


class Unchanged(Reading):
    """Settings without monitors: those of the database stay."""

    unchanged = True

    def provision(self, database: "Database", monitors: "Monitors", clock: Clock, key: bytes) -> Counts:
        return 0, 0, 0


class RetainedSettings(Unchanged):
    """Settings of earlier, because the configuration cannot be used now."""

    unchanged = False


class _Elsewhere(Reading):
    """The monitors are in the other process, which writes them."""

    def __init__(
        self,
        conversation: "_Conversation",
        settings: "Settings",
        warnings: Sequence[str],
        url: str,
        end: Callable[["_Conversation"], None],
    ) -> None:
        super().__init__(settings, warnings)
        self._url = url
        self._conversation = conversation
        self._end = end

    def provision(self, database: "Database", monitors: "Monitors", clock: Clock, key: bytes) -> Counts:
        self._conversation.send({"url": self._url, "key": key, "now": clock.now()})
        counts: Counts = self._conversation.receive("provisioned")
        return counts

    def close(self) -> None:
        self._end(self._conversation)


class _Conversation:
    """With one process that runs `exporter.cli._loading`."""

    def __init__(self, request: Mapping[str, Any], progress: LoadProgress, say: Say, *, inherits: bool = False) -> None:
        """The process `inherits` descriptors: a configuration may be a pipe that the shell made, /dev/fd/63."""
        self._killed = False
        self._progress = progress
        self._say = say
        self._stage = "starting"
        # Its modules are found where ours were, and not in the working directory.
        program = f"import sys; sys.path[:] = {sys.path!r}; from exporter.cli._loading import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=not inherits
        )
        self.send(request)

    def send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def receive(self, kind: str) -> Any:
        """The next message of that kind. Raises what the other process raised."""
        while True:
            received, content = self._message()
            if received == kind:
                return content
            if received == "error":
                raise content
            if received == "stage":
                self._stage = content
            elif received == "say":
                self._say(content)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        try:
            self._process.wait(_LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        self._killed = True
        self._process.kill()

    def _message(self) -> tuple[str, Any]:
        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], 1.0)[0]:
            self._progress.report(self._stage)
        self._progress.report(self._stage)
        try:
            kind, content = pickle.load(self._process.stdout)  # noqa: S301 - of our own process
        except EOFError:
            self._fail()
        return kind, content

    def _fail(self) -> None:
        code = self._process.wait()
        if self._killed:
            raise ConfigError([Problem("not read to its end: the service stops")])
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        hint = ": is there enough memory?" if code == -signal.SIGKILL else ""
        raise ConfigError([Problem(f"the process that reads the configuration {how}{hint}")])


class Loader:
    """Knows what was given on the command line."""

    def __init__(self, config_file: Path | None, options: Mapping[str, str | None], workers: int = 1) -> None:
        self._request = {
            "file": os.fspath(config_file) if config_file is not None else None,
            "options": dict(options),
            "workers": workers,
        }
        self._active: set[_Conversation] = set()
        self._guard = threading.Lock()
        self._cancelled = False

    def prepare(self, say: Say, meanwhile: Callable[[], object] = lambda: None) -> StartSettings:
        """For the supervisor: reads, and sees to the database. Raises HeartbeatExporterError."""
        conversation = _Conversation({**self._request, "do": "prepare"}, NoProgress(), say, inherits=True)
        try:
            meanwhile()
            prepared: StartSettings = conversation.receive("prepared")
            return prepared
        finally:
            conversation.close()

    def read(self, url: str, key: bytes, replica: str, progress: LoadProgress) -> Reading:
        """For a worker: reads all of it again. Raises ConfigError.

        Monitors that the database at `url` holds already, by a digest with `key` of every file, are not read again.
        """
        request = {**self._request, "do": "read", "url": url, "key": key, "replica": replica}
        conversation = _Conversation(request, progress, log.warning)
        with self._guard:
            self._active.add(conversation)
            if self._cancelled:
                conversation.kill()
        try:
            unchanged, settings, warnings = conversation.receive("read")
        except HeartbeatExporterError:
            self._forget(conversation)
            raise
        if unchanged:
            self._forget(conversation)
            return Unchanged(settings, warnings)
        return _Elsewhere(conversation, settings, warnings, url, self._forget)

    def cancel(self) -> None:
        """Ends what is under way, for good: the service stops."""
        with self._guard:
            self._cancelled = True
            for conversation in self._active:
                conversation.kill()

    def _forget(self, conversation: _Conversation) -> None:
        with self._guard:
            self._active.discard(conversation)
        conversation.close()
