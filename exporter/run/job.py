"""The job: its process, its process group and its end."""

from __future__ import annotations

import os
import signal
import sys
import time

from exporter.run.daemons import leave_reader
from exporter.run.notices import reason_of, signal_name
from exporter.run.options import CANNOT_RUN, NOT_FOUND, TIMED_OUT
from exporter.run.output import GRACE, HeldOutput, KeptOutput, OutputPump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class JobEnd:
    """How a run ended."""

    def __init__(self, code: int, seconds: float) -> None:
        self.code = code
        self.seconds = seconds
        self.signal = 0
        """The signal that killed the job, or 0."""
        self.usage: Any = None
        """Resources that the job and its children used; None if it did not start."""
        self.own_peak = 0
        """Peak memory of the wrapper when it started the job: the kernel shows no less for the job."""
        self.timed_out = False
        self.problem = ""
        """Why the job could not be started."""

    def describe(self, more: Sequence[str]) -> str:
        """The last line of a report's output."""
        if self.problem:
            how = f"exit code {self.code}: {self.problem}"
        elif self.signal:
            how = f"killed by signal {self.signal} ({signal_name(self.signal)}) after {self.seconds:.2f} s"
        else:
            how = f"exit code {self.code} after {self.seconds:.2f} s"
        parts = [how]
        if self.usage is not None:
            megabytes = self.usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)
            peak = f"{'less than ' if self.usage.ru_maxrss <= self.own_peak else ''}{megabytes:.1f} MB at peak"
            parts.append(f"{self.usage.ru_utime + self.usage.ru_stime:.2f} s of CPU, {peak}")
        return f"[{'; '.join([*parts, *more, f'on {os.uname().nodename}'])}]\n"


class JobProcess:
    """The job's process, from its start to its end; used once."""

    def __init__(self, command: Sequence[str], held: HeldOutput | None, pipes: bool) -> None:
        self.kept = KeptOutput()
        self.pid = 0
        """0 before the start and after the end."""
        self.started = time.monotonic()
        self.end: JobEnd | None = None
        self._pumps: list[OutputPump] = []
        self._ended_group = 0
        # In the foreground of a terminal the job stays in the terminal's own process group, or it could not read.
        self._own_group = not in_foreground()
        self._spawn(command, held, pipes)
        import resource

        self._own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def _spawn(self, command: Sequence[str], held: HeldOutput | None, pipes: bool) -> None:
        actions: list[Any] = []
        ends: list[tuple[int, int, int]] = []
        if pipes:
            one, two = os.fstat(1), os.fstat(2)
            same = (one.st_dev, one.st_ino, one.st_rdev) == (two.st_dev, two.st_ino, two.st_rdev)
            for target in (1,) if same else (1, 2):  # one pipe keeps the order of lines that end in one place
                source, into = os.pipe()
                ends.append((source, into, target))
                actions.append((os.POSIX_SPAWN_DUP2, into, target))
                if same:
                    actions.append((os.POSIX_SPAWN_DUP2, into, 2))
        try:
            self.pid = self._execute(list(command), actions)
        except (OSError, ValueError) as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            self.end = JobEnd(NOT_FOUND if missing else CANNOT_RUN, 0.0)
            self.end.problem = f"{command[0]}: {reason_of(error)}"
            if missing and len(command) == 1 and " " in command[0]:
                self.end.problem += " (for the shell's syntax: -- sh -c 'COMMAND')"
        for _, into, _ in ends:
            os.close(into)
        if self.end is not None:
            for source, _, _ in ends:
                os.close(source)
            return
        if ends:
            import threading

            lock = threading.Lock()
            self._pumps = [OutputPump(source, target, self.kept, held, lock) for source, _, target in ends]
            for pump in self._pumps:
                pump.start()

    def _execute(self, command: list[str], actions: list[Any]) -> int:
        def spawn(arguments: list[str]) -> int:
            options: dict[str, Any] = {"setpgroup": 0} if self._own_group else {}
            # Python ignores these two; a job expects the defaults.
            return os.posix_spawnp(
                arguments[0],
                arguments,
                os.environ,
                file_actions=actions,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
                **options,
            )

        try:
            return spawn(command)
        except OSError as error:
            import errno
            import shutil

            # A script without #! is the shell's, as it is for cron's.
            script = shutil.which(command[0]) if error.errno == errno.ENOEXEC else None
            if script is None:
                raise
            return spawn(["/bin/sh", script, *command[1:]])

    def forward(self, number: int) -> None:
        """Sends a signal of the wrapper on to the job's process group."""
        if self._own_group or number not in (signal.SIGINT, signal.SIGQUIT):
            self.kill(number)  # a terminal has sent these two to the job as well

    def kill(self, number: int) -> None:
        if self.pid:
            try:
                if self._own_group:
                    os.killpg(self.pid, number)
                else:
                    os.kill(self.pid, number)
            except (ProcessLookupError, PermissionError):
                pass

    def wait(self, wake: int, timeout: float | None, kill_after: float) -> JobEnd:
        """Waits for the job's end; `wake` is readable after each signal."""
        import select

        poll = select.poll()
        poll.register(wake, select.POLLIN)
        deadline = None if timeout is None else self.started + timeout
        timed_out = False
        while self.end is None:
            if self._reap():
                break
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                self.kill(signal.SIGKILL if timed_out else signal.SIGTERM)
                deadline = None if timed_out else now + kill_after
                timed_out = True
            pause = None if deadline is None else max(1, int((deadline - now) * 1000) + 1)
            poll.poll(pause if pause is None else min(pause, 86_400_000))
            drain(wake)
        assert self.end is not None
        if timed_out:
            self.end.timed_out = True
            self.end.code = TIMED_OUT
        return self.end

    def _reap(self) -> bool:
        """Whether the job has ended. Others are reaped too: as process 1 of a container the wrapper inherits them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return False
            if pid == self.pid:
                break
        group = self.pid
        self.pid = 0
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.end = JobEnd(128 + killed if killed else os.WEXITSTATUS(status), time.monotonic() - self.started)
        self.end.signal = killed
        self.end.usage = usage
        self.end.own_peak = self._own_peak
        self._ended_group = group
        return True

    def end_group(self) -> None:
        """Kills what is left of a run that timed out."""
        if self._own_group and self._ended_group:
            try:
                os.killpg(self._ended_group, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def wait_for_output(self) -> None:
        """Waits for the end of the output, but not for a daemon that the job left behind."""
        deadline = time.monotonic() + GRACE
        for pump in self._pumps:
            pump.wait(max(0.0, deadline - time.monotonic()))

    def leave(self, hurried: Callable[[], object]) -> None:
        """Lets go of the output. A daemon that still has it gets a reader that lives as long as it does."""
        for pump in self._pumps:
            pump.stop(hurried)
        open_ones = [pump for pump in self._pumps if not pump.ended]
        if open_ones:
            leave_reader([(pump.source, pump.target) for pump in open_ones])
            for pump in open_ones:
                os.close(pump.source)
        self._pumps = []


def in_foreground() -> bool:
    """Whether the wrapper is in the foreground process group of a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 512):
            pass
    except BlockingIOError:
        pass
