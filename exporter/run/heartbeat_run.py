#!/usr/bin/env python3
"""Runs a job and reports its start, end, exit code and output to Heartbeat Exporter.

One file of standard-library Python 3.8 or newer, for POSIX systems: it is copied to hosts as it is. What is needed
before the job's first instruction is imported here, and everything else while the job runs.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, NoReturn

VERSION = "0.1.0"
MAX_BODY = 10_000
"""Bytes of a report's body: as many as the service keeps."""
KEPT_FIRST = 1_000
"""Bytes of the beginning of a longer output that are sent; the rest of MAX_BODY is its end and the last line."""
ATTEMPT = 10.0
"""Seconds for one attempt to deliver a report, however slowly the service answers."""
GRACE = 0.5
"""Seconds that processes which the job leaves behind get to close its output before the report is sent without it."""
STOPPED_BUDGET = 5.0
"""Seconds for the reports of a job that ended after the wrapper was asked to end."""
LAST_WORD = 1.0
"""Seconds for the reports that are left when the wrapper is asked to end while it reports."""
LONG_AGO = 5.0
"""Seconds after which a report says when it happened, because it did not happen now."""
MAX_SPOOLED = 1_000
"""Reports of one monitor that wait in a spool; the oldest are dropped."""
MAX_AGE = 7 * 86_400.0
"""Seconds that a report waits in a spool: the service takes older ones as of this age."""
MAX_DURATION = 3_650 * 86_400.0
TIMED_OUT, SKIPPED, USAGE = 124, 75, 2
"""Exit codes of our own: as timeout(1), EX_TEMPFAIL of sysexits.h, and wrong usage."""
CANNOT_RUN, NOT_FOUND = 126, 127
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

USAGE_TEXT = """\
Usage: {program} [OPTIONS] TAG [--] COMMAND [ARGUMENT]...

  Runs COMMAND at once and reports its start, end, exit code and output as
  heartbeats of the monitor TAG. The command always runs and its exit code is
  passed through, whether or not the service answers.
"""
OPTIONS = (
    ("--spool", "DIR", "Keep reports that could not be sent, and send them with the next run."),
    ("--timeout", "D", "Send TERM to the job after this time, then KILL; exit with 124."),
    ("--kill-after", "D", "Time from TERM to KILL of --timeout. Default: 10s."),
    ("--retries", "N", "Run a job that failed again, up to N times; report the last run only."),
    ("--retry-delay", "D", "Pause before each of these runs. Default: 0s."),
    ("--lock", "", "Skip the run while the one before still runs; exit with 75."),
    ("--min-runtime", "D", "Report a success that took less time as a failure."),
    ("--every", "D", "Run again and again, one start every D, until TERM or INT."),
    ("--schedule", "CRON", "With a ping key: create or change the monitor with this schedule."),
    ("--timezone", "ZONE", "With a ping key: timezone of the schedule."),
    ("--down-after", "D", "With a ping key: lateness at which the monitor is DOWN."),
    ("--quiet", "", "Print the output only if the job fails, for cron's mail."),
    ("--no-output", "", "Send no output; the job inherits the descriptors as they are."),
    ("--budget", "D", "Time that reporting may delay the exit. Default: 30s."),
    ("--config", "FILE", "Read HEARTBEAT_URL and HEARTBEAT_SECRET from this file."),
    ("--help", "", "Print this text."),
    ("--version", "", "Print the version."),
)
"""Name, name of its value, and what it does."""
DURATIONS = ("timeout", "kill_after", "retry_delay", "min_runtime", "every", "down_after", "budget")
HELP_END = """
Times are written as 90s, 5m, 1h30m or 2d.

URL and secret, the first that is set:
  --config FILE, or the file that HEARTBEAT_CONFIG names
  HEARTBEAT_URL, HEARTBEAT_SECRET or HEARTBEAT_SECRET_FILE in the environment
  heartbeat-url and heartbeat-secret in $CREDENTIALS_DIRECTORY (systemd)
  TAG.env or run.env in ~/.config/heartbeat or /etc/heartbeat
Files hold lines like HEARTBEAT_URL=https://heartbeats.example.org. The secret is
the monitor's own or a ping key. HEARTBEAT_URL may be the monitor's whole ping
URL. Neither is accepted on the command line, where every user can read it.

Exit codes:
  that of the job, 128 + N if signal N killed it
  75   skipped, because the run before has not ended (--lock)
  124  the job ran longer than --timeout
  126  the command cannot be executed
  127  the command was not found
  2    wrong usage; the command was not run

Examples:
  {program} nightly-backup -- /usr/local/bin/backup --full
  {program} --quiet --lock --timeout 2h nightly-backup -- sh -c 'dump | gzip > /backup/dump.gz'
  {program} --schedule '0 3 * * *' --timezone Europe/Rome nightly-backup -- backup
"""


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


class UsageProblem(Exception):
    """The command line cannot be understood."""


class RunOptions:
    """The command line, read by hand: argparse alone would take a fifth of the time that a start may take."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Raises UsageProblem."""
        self.tag = ""
        self.command: list[str] = []
        self.given: dict[str, str] = {}
        names = {name: value for name, value, _ in OPTIONS}
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            if word == "--" and self.tag:
                self.command = rest
                break
            if word == "-h":
                word = "--help"
            name, equals, value = word.partition("=")
            if name in names and (not equals or names[name]):
                if names[name] and not equals:
                    if not rest:
                        raise UsageProblem(f"{name} needs a value")
                    value = rest.pop(0)
                self.given[name[2:].replace("-", "_")] = value
            elif word.startswith("-") and word != "-":
                raise UsageProblem(f"there is no option {word}")
            elif not self.tag:
                self.tag = word
            else:
                self.command = [word, *rest]
                break
        self._read()

    def _read(self) -> None:
        times: dict[str, float] = {"kill_after": 10.0, "retry_delay": 0.0, "budget": 30.0}
        for name in DURATIONS:
            if name in self.given:
                times[name] = seconds_of(self.given[name], f"--{name.replace('_', '-')}")
        self.timeout = times.get("timeout")
        self.kill_after = times["kill_after"]
        self.retry_delay = times["retry_delay"]
        self.min_runtime = times.get("min_runtime")
        self.every = times.get("every")
        self.budget = times["budget"]
        if self.every == 0 or self.timeout == 0:
            raise UsageProblem("--every and --timeout are longer than 0s")
        retries = self.given.get("retries", "0")
        if not (retries.isascii() and retries.isdigit() and len(retries) < 10):
            raise UsageProblem(f"--retries: {retries!r} is not a number")
        self.retries = int(retries)
        self.spool = self.given.get("spool")
        self.lock = "lock" in self.given
        self.quiet = "quiet" in self.given
        self.no_output = "no_output" in self.given
        self.config = self.given.get("config")
        if self.wants("help") or self.wants("version"):
            return
        if not self.tag:
            raise UsageProblem("the TAG of the monitor is missing")
        if not self.command or not self.command[0]:
            raise UsageProblem("the COMMAND is missing")

    def wants(self, name: str) -> bool:
        return name in self.given

    def settings(self) -> dict[str, str]:
        """Settings of the monitor that the service is asked to create or change; without any it is not asked."""
        names: tuple[str, ...] = ("schedule", "timezone", "down_after")
        settings = {name: self.given[name] for name in names if name in self.given}
        if settings and self.every is not None and "schedule" not in settings:
            settings["every"] = self.given["every"]
        return settings


def seconds_of(text: str, name: str) -> float:
    """Reads a duration as the service's configuration does. Raises UsageProblem."""
    units = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    order, total, rest = list(units), 0.0, text.strip()
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        rest = rest[len(unit) :]
        if not number or len(number) > 15 or unit not in order:
            order = []
            break
        order = order[order.index(unit) + 1 :]
        total += int(number) * units[unit]
    else:
        if text.strip() and total <= MAX_DURATION:
            return total
    raise UsageProblem(f"{name}: {text!r} is not a duration: write it as 90s, 5m, 1h30m or 2d")


def help_text(program: str) -> str:
    lines = [USAGE_TEXT.format(program=program), "Options:"]
    lines += [f"  {f'{name} {value}':<20}  {text}" for name, value, text in OPTIONS]
    return "\n".join(lines) + "\n" + HELP_END.format(program=program)


def notice(text: str) -> None:
    """Prints a line about the wrapper itself on standard error, which never fails."""
    try:
        os.write(2, f"heartbeat-run: {text}\n".encode("utf-8", "replace"))
    except OSError:
        pass


# ── where reports go ─────────────────────────────────────────────────────────────────────────────────────────────────


class Misconfigured(Exception):
    """URL or secret are missing or cannot be used."""


class Destination:
    """The service's URL and the monitor's secret."""

    def __init__(self, tag: str, config: str | None) -> None:
        """Raises Misconfigured."""
        from urllib.parse import quote, unquote, urlsplit

        url = secret = ""
        for values in self._sources(tag, config):
            url = url or values.get("HEARTBEAT_URL", "").strip()
            if not secret:
                secret = values.get("HEARTBEAT_SECRET", "").strip()
                if not secret and values.get("HEARTBEAT_SECRET_FILE"):
                    secret = self._read(values["HEARTBEAT_SECRET_FILE"]).strip()
        if not url:
            raise Misconfigured("no URL is known: set HEARTBEAT_URL, or see --help for the files")
        base, whole, rest = url.partition("/ext/heartbeat/")
        if whole:  # a ping URL: TAG:SECRET, TAG/SECRET or TAG
            named, _, own = unquote(rest.strip("/")).replace("/", ":", 1).partition(":")
            if named != tag:
                raise Misconfigured("HEARTBEAT_URL is the ping URL of another monitor")
            secret = own or secret
        try:
            parts = urlsplit(base)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            valid = valid and "@" not in parts.netloc and not parts.query and not parts.fragment
        except ValueError:
            valid = False
        if not valid or not base.isascii() or any(ord(character) <= 32 for character in base):
            raise Misconfigured("HEARTBEAT_URL is not a URL like https://heartbeats.example.org")
        if not secret:
            raise Misconfigured("no secret is known: set HEARTBEAT_SECRET, or see --help for the files")
        if any(not 32 < ord(character) < 127 for character in secret):
            raise Misconfigured("the secret has characters that cannot be sent")
        self.url = f"{base.rstrip('/')}/ext/heartbeat/{quote(tag, safe='')}"
        self.host = parts.hostname
        self.secret = secret

    def _sources(self, tag: str, config: str | None) -> Iterator[Mapping[str, str]]:
        named = config or os.environ.get("HEARTBEAT_CONFIG")
        if named:
            yield self._file(named)
        yield os.environ
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials:
            yield {
                variable: self._read(os.path.join(credentials, name))
                for variable, name in (("HEARTBEAT_URL", "heartbeat-url"), ("HEARTBEAT_SECRET", "heartbeat-secret"))
                if os.path.exists(os.path.join(credentials, name))
            }
        names = ("run.env",) if "/" in tag else (f"{tag}.env", "run.env")
        for folder in (os.path.expanduser("~/.config/heartbeat"), "/etc/heartbeat"):
            for path in (os.path.join(folder, name) for name in names):
                if os.path.exists(path):
                    yield self._file(path)

    def _file(self, path: str) -> Mapping[str, str]:
        """Reads lines `NAME=value` as systemd's EnvironmentFile= has them."""
        values = {}
        for line in self._read(path).splitlines():
            line = line.strip()
            if line.startswith("export "):
                line = line[len("export ") :]
            name, equals, value = line.partition("=")
            if equals and not line.startswith(("#", ";")):
                value = value.strip()
                if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                    value = value[1:-1]
                values[name.strip()] = value
        return values

    def _read(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(65_536)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{path} cannot be read: {reason_of(error)}") from None


def file_name(tag: str) -> str:
    """A name for a file or folder of the monitor, whatever its tag."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in tag.encode("utf-8", "replace"))[:150]


def reason_of(error: BaseException) -> str:
    """Describes an error in a few words, without addresses and secrets."""
    inner = getattr(error, "reason", error)
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text)


# ── the job ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class KeptOutput:
    """The beginning and the end of what the job wrote, in bounded memory."""

    def __init__(self) -> None:
        self._beginning = bytearray()
        self._end = bytearray()
        self._length = 0

    def add(self, data: bytes) -> None:
        self._length += len(data)
        room = MAX_BODY - len(self._beginning)
        if room > 0:
            self._beginning += data[:room]
            data = data[room:]
        if data:
            self._end += data[-MAX_BODY:]
            if len(self._end) > 4 * MAX_BODY:
                del self._end[:-MAX_BODY]

    def body(self, last_line: str) -> bytes:
        """The output with `last_line` after it, in MAX_BODY bytes; no character of UTF-8 is cut in two."""
        line = last_line.encode("utf-8", "replace")
        if len(line) > MAX_BODY // 2:
            line = line[: MAX_BODY // 2].decode("utf-8", "ignore").encode()
        whole = bytes(self._beginning) + bytes(self._end)
        separator = b"" if not whole or whole.endswith(b"\n") else b"\n"
        if self._length + len(separator) + len(line) <= MAX_BODY:
            return whole + separator + line
        first = whole[:KEPT_FIRST]
        last = whole[-(MAX_BODY - KEPT_FIRST - len(line) - len(separator) - 60) :]
        while first and 0x80 <= first[-1] < 0xC0:
            first = first[:-1]
        if first and first[-1] >= 0xC0:
            first = first[:-1]
        for _ in range(3):
            if last and 0x80 <= last[0] < 0xC0:
                last = last[1:]
        missing = self._length - len(first) - len(last)
        return first + f"\n[… {missing:,} bytes are missing here …]\n".encode() + last + separator + line


class HeldOutput:
    """Output that is printed only if the job fails: in a file without a name, so that it takes no memory."""

    def __init__(self) -> None:
        self._file: Any = None
        self._printed = False

    def write(self, target: int, data: bytes) -> None:
        """Stores `data` for the descriptor `target`; if that fails, everything is printed after all."""
        if not self._printed:
            try:
                if self._file is None:
                    import tempfile

                    self._file = tempfile.TemporaryFile(buffering=0)
                frame = memoryview(b"%d %d\n" % (target, len(data)) + data)
                while frame:
                    frame = frame[self._file.write(frame) :]
                return
            except OSError as error:
                notice(f"--quiet: the output is not held back: {reason_of(error)}")
                self.print()
        write_all(target, data)

    def print(self) -> None:
        """Prints what is held, and everything that comes later at once."""
        self._printed = True
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with open(os.dup(file.fileno()), "rb") as reader:
                reader.seek(0)
                while True:
                    target, _, size = reader.readline().partition(b" ")
                    left = int(size)
                    while left:
                        data = reader.read(min(left, 65_536))
                        if not data:
                            return
                        left -= len(data)
                        write_all(int(target), data)
        except (OSError, ValueError):
            return  # the end, or a frame that is not whole, or nobody reads


def write_all(target: int, data: bytes) -> None:
    """Writes all of `data`, also to a descriptor that does not block. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            import select

            poll = select.poll()
            poll.register(target, select.POLLOUT)
            poll.poll(1_000)


class OutputPump:
    """Copies one stream of the job to the wrapper's own, on a thread, and keeps its ends."""

    def __init__(self, source: int, target: int, kept: KeptOutput, held: HeldOutput | None, lock: Any) -> None:
        self.source = source
        self.target = target
        self.ended = False
        """Whether every process has closed the stream."""
        self._kept = kept
        self._held = held
        self._lock = lock
        self._stop, self._stopper = os.pipe()
        self._until = 0.0
        """When to end at the latest after `stop`, however much there is to read; 0 before."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        import threading

        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Waits at most so long for the end of the stream."""
        assert self._thread is not None
        self._thread.join(seconds)

    def stop(self, hurried: Callable[[], object]) -> None:
        """Ends the copying once everything that was read is written.

        What a slow reader delays is waited for, unless `hurried` says that the wrapper itself has to end.
        """
        self._until = time.monotonic() + GRACE
        os.close(self._stopper)
        assert self._thread is not None
        self._thread.join(0.01)
        while self._thread.is_alive() and not hurried():
            self._thread.join(0.1)

    def _run(self) -> None:
        import select

        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        writable = True
        while True:
            if all(descriptor != self.source for descriptor, _ in poll.poll()):
                return
            if self._until and time.monotonic() > self._until:
                return
            data = os.read(self.source, 65_536)
            if not data:
                break
            try:
                with self._lock:
                    self._kept.add(data)
                    if self._held is not None:
                        self._held.write(self.target, data)
                if self._held is None and writable:
                    write_all(self.target, data)
            except BrokenPipeError:
                break  # the job gets SIGPIPE, as it would without the wrapper
            except OSError as error:
                writable = False
                notice(f"output is not written any longer: {reason_of(error)}")
        self.ended = True
        os.close(self.source)


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


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


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


def leave_reader(streams: Sequence[tuple[int, int]]) -> None:
    """Forks a process that reads what daemons write after the job's end, so that no write fails.

    What goes to a file, a terminal or a socket (systemd's journal) is copied there. What goes to a pipe is dropped: the
    reader of that pipe, cron for example, would wait for the daemon's end.
    """
    import select
    import stat
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads: the child uses nothing that they may hold
        try:
            if os.fork():
                return
        except OSError:
            return
    try:
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        targets = {}
        for source, target in streams:
            targets[source] = None if stat.S_ISFIFO(os.fstat(target).st_mode) else target
        for descriptor in (1, 2):
            if descriptor not in targets.values():
                os.dup2(null, descriptor)
        for descriptor in range(3, 1_024):
            if descriptor not in targets:
                try:
                    os.close(descriptor)
                except OSError:
                    pass
        poll = select.poll()
        for source in targets:
            poll.register(source, select.POLLIN)
        while targets:
            for source, _ in poll.poll():
                data = os.read(source, 65_536)
                target_now = targets[source]
                if not data:
                    poll.unregister(source)
                    del targets[source]
                elif target_now is not None:
                    write_all(target_now, data)
    finally:
        os._exit(0)


# ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class RunReport:
    """One heartbeat: what its URL says, and its body."""

    def __init__(
        self, suffix: str, rid: str, body: bytes, settings: Mapping[str, str], at: float | None = None
    ) -> None:
        self.suffix = suffix
        """`start`, `log`, `fail` or an exit code."""
        self.rid = rid
        self.body = body
        self.settings = dict(settings)
        self.at = time.time() if at is None else at
        """Unix time at which it happened."""
        self.dated = False
        """Whether the service is told when it happened, whatever the delay: so that it counts twice in no case."""
        self.path = ""
        """Its file in the spool."""

    def query(self) -> dict[str, str]:
        query = {"rid": self.rid}
        if self.dated or not -LONG_AGO < time.time() - self.at < LONG_AGO:
            moment = round(self.at * 1000)
            clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
            query["at"] = f"{clock}.{moment % 1000:03d}Z"
        if self.settings:
            query.update(self.settings, create="1")
        return query


class ReportSpool:
    """A monitor's reports that could not be sent yet, a file each."""

    def __init__(self, folder: str, tag: str) -> None:
        """Raises OSError."""
        self._folder = os.path.join(folder, file_name(tag))
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def add(self, report: RunReport) -> None:
        """Returns once the report is on disk. Raises OSError."""
        import base64
        import json

        content = {
            "suffix": report.suffix,
            "rid": report.rid,
            "at": report.at,
            "settings": report.settings,
            "body": base64.b64encode(report.body).decode(),
        }
        name = f"{round(report.at * 1000):015d}-{report.rid}-{report.suffix}.json"
        path = os.path.join(self._folder, name)
        temporary = os.path.join(self._folder, f".{name}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        report.path = path
        report.dated = True

    def remove(self, report: RunReport) -> None:
        if report.path:
            try:
                os.unlink(report.path)
            except OSError:
                pass

    def waiting(self, but: str) -> list[RunReport]:
        """The reports of other runs than `but`, oldest first. What is too old, too much or unreadable is dropped."""
        names = sorted(name for name in os.listdir(self._folder) if name.endswith(".json") and name[0] != ".")
        names = [name for name in names if f"-{but}-" not in name]
        reports = []
        for number, name in enumerate(names):
            path = os.path.join(self._folder, name)
            report = self._read(path)
            if report is None or report.at < time.time() - MAX_AGE or number < len(names) - MAX_SPOOLED:
                notice(f"{path} is dropped: it is too old, beyond {MAX_SPOOLED} reports, or damaged")
                try:
                    os.unlink(path)
                except OSError:
                    pass
                continue
            report.path = path
            report.dated = True
            reports.append(report)
        return reports

    def _read(self, path: str) -> RunReport | None:
        import base64
        import json

        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            body = base64.b64decode(content["body"])
            settings = {str(name): str(value) for name, value in content["settings"].items()}
            return RunReport(str(content["suffix"]), str(content["rid"]), body, settings, float(content["at"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


class Delivery:
    """What became of one attempt to deliver a report."""

    def __init__(
        self,
        delivered: bool = False,
        final: bool = False,
        lost: bool = False,
        reason: str = "",
        pause: float = 0.0,
    ) -> None:
        self.delivered = delivered
        self.final = final
        """Whether another attempt would not help."""
        self.lost = lost
        """Whether no later run could deliver it either."""
        self.reason = reason
        self.pause = pause
        """Seconds that the service asked to wait."""


class ReportSender:
    """Delivers the reports of one run in their order, on a thread, while the job runs and for a while after."""

    def __init__(self, options: RunOptions, rid: str) -> None:
        import threading

        self._tag = options.tag
        self._config = options.config
        self._rid = rid
        self._folder = options.spool
        self._spool: ReportSpool | None = None
        self._condition = threading.Condition()
        self._queue: list[RunReport] = []
        self._backlog: list[RunReport] | None = None
        self._deadline: float | None = None
        """When to give up; None while the job runs."""
        self._not_before = 0.0
        self._destination: Destination | None = None
        self._opener: Any = None
        self._done = threading.Event()
        self.problem = ""
        """Why the last report was not delivered."""
        self.final = False
        """Whether that needs a person's hand: a wrong secret, for example."""
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, report: RunReport) -> None:
        """Adds a report. It is in the spool, if there is one, before it is sent."""
        with self._condition:
            self._queue.append(report)
            self._condition.notify_all()

    def finish(self, report: RunReport, budget: float) -> None:
        """Adds the last report, and gives up `budget` seconds from now."""
        with self._condition:
            self._queue.append(report)
            self._deadline = time.monotonic() + budget
            self._condition.notify_all()

    def hurry(self) -> None:
        """Leaves a second for what is left; for handlers of signals, so it takes no lock."""
        if self._deadline is not None:
            self._deadline = min(self._deadline, time.monotonic() + LAST_WORD)

    def wait(self) -> list[RunReport]:
        """Returns after the deadline at the latest, with what was not delivered."""
        while not self._done.wait(min(0.1, max(0.001, self._left()))):
            if self._left() <= 0:
                break
        with self._condition:
            return list(self._queue)

    def spooled(self, reports: Sequence[RunReport]) -> bool:
        """Puts reports into the spool if they are not there yet, and returns whether all of them are."""
        for report in reports:
            if not report.path and not self._save(report):
                return False
        return bool(self._folder)

    def _left(self) -> float:
        return ATTEMPT if self._deadline is None else self._deadline - time.monotonic()

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    while not self._queue and not self._backlog and self._backlog is not None:
                        if self._deadline is not None:
                            return
                        self._condition.wait()
                if not self._step():
                    return
        finally:
            self._done.set()

    def _step(self) -> bool:
        """Delivers one report; returns whether to go on."""
        with self._condition:
            queued = list(self._queue)
        for report in queued:
            if not report.path:
                self._save(report)
        if self._backlog is None:
            self._backlog = self._read_backlog()
        # Older reports first, so that the last state is the last word; but not in the way of a run that has ended.
        if self._backlog and not (queued and self._deadline is not None):
            report, source = self._backlog[0], self._backlog
        elif queued:
            report, source = queued[0], self._queue
        else:
            return True
        delivery = self._deliver(report)
        if delivery.delivered or (delivery.lost and source is self._backlog):
            with self._condition:
                source.remove(report)
            if self._spool is not None:
                self._spool.remove(report)
            return True
        if self._gives_way(report):
            with self._condition:
                if source is self._queue:
                    self._queue.remove(report)
                    if report.path:
                        self._backlog.append(report)
            return True
        if delivery.final and self._deadline is None:
            with self._condition:
                while self._running():
                    self._condition.wait()  # nothing helps for now; the run's end is tried once
            return True
        return not delivery.final and self._left() > 0

    def _running(self) -> bool:
        return self._deadline is None

    def _gives_way(self, report: RunReport) -> bool:
        """Whether the run's end goes first, once it is there: neither its start nor older reports hold it up."""
        return self._deadline is not None and bool(self._queue) and report is not self._queue[-1]

    def _read_backlog(self) -> list[RunReport]:
        if self._folder is None:
            return []
        try:
            if self._spool is None:
                self._spool = ReportSpool(self._folder, self._tag)
            return self._spool.waiting(self._rid)
        except OSError as error:
            notice(f"--spool: {self._folder}: {reason_of(error)}")
            return []

    def _save(self, report: RunReport) -> bool:
        if self._folder is None:
            return False
        try:
            if self._spool is None:
                self._spool = ReportSpool(self._folder, self._tag)
            self._spool.add(report)
        except OSError as error:
            notice(f"--spool: {self._folder}: {reason_of(error)}")
            self._folder = None
            return False
        return True

    def _deliver(self, report: RunReport) -> Delivery:
        """Tries until the report is delivered, will never be, or time is over."""
        import random

        pause = 0.5
        ended = self._deadline is not None
        while True:
            wait = self._not_before - time.monotonic()
            if self._left() <= 0 or (self._deadline is not None and wait >= self._left()):
                return Delivery(reason=self.problem)
            if wait > 0:
                with self._condition:
                    self._condition.wait(min(wait, max(0.01, self._left())))
                continue
            delivery = self._attempt(report, min(ATTEMPT, self._left()))
            if delivery.delivered:
                return delivery
            self.problem, self.final = delivery.reason, delivery.final
            if delivery.pause:
                self._not_before = time.monotonic() + delivery.pause
            if delivery.final or self._gives_way(report):
                return delivery
            if delivery.pause:
                continue
            with self._condition:
                if ended or self._deadline is None:
                    left = 60.0 if self._deadline is None else max(0.0, self._left())
                    self._condition.wait(min(pause * (0.5 + random.random() / 2), left))  # noqa: S311
            if not ended and self._deadline is not None:
                ended, pause = True, 0.5  # the job has ended: a new beginning
                continue
            pause = min(pause * 2, 8.0 if ended else 30.0)

    def _attempt(self, report: RunReport, seconds: float) -> Delivery:
        """One request, on a thread of its own: a name server, a connection and an answer may each take forever."""
        import threading

        answers: list[Delivery] = []

        def work() -> None:
            try:
                answers.append(self._request(report, seconds))
            except Exception as error:  # noqa: BLE001 - it ends a thread, and is told as what went wrong
                answers.append(Delivery(reason=f"{type(error).__name__}: {reason_of(error)}"))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        end = time.monotonic() + seconds
        while thread.is_alive() and time.monotonic() < min(end, self._deadline or end):
            thread.join(min(0.1, max(0.001, end - time.monotonic())))
        return answers[0] if answers else Delivery(reason="the service did not answer in time")

    def _request(self, report: RunReport, seconds: float) -> Delivery:
        import http.client
        import ssl
        import urllib.error
        import urllib.parse
        import urllib.request

        if self._destination is None:
            try:
                self._destination = Destination(self._tag, self._config)
            except Misconfigured as error:
                return Delivery(final=True, reason=str(error))
        destination = self._destination
        if self._opener is None:
            self._opener = urllib.request.build_opener(redirects(destination.host))
        query = urllib.parse.urlencode(report.query())
        suffix = f"/{report.suffix}" if report.suffix else ""
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{destination.url}{suffix}?{query}",
            data=report.body,
            headers={
                "Authorization": f"Bearer {destination.secret}",
                "Content-Type": "text/plain; charset=utf-8",
                "User-Agent": f"heartbeat-run/{VERSION}",
            },
        )
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                warning = warning_of(answer.read(65_536))
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            inner = getattr(error, "reason", error)
            final = isinstance(inner, ssl.SSLCertVerificationError) or isinstance(error, ValueError)
            return Delivery(final=final, reason=reason_of(error))
        if warning:
            notice(f"{self._tag}: the service warns: {warning}")
        return Delivery(delivered=True)

    def _refused(self, error: Any) -> Delivery:
        reason = f"the service answered {error.code}"
        if error.code >= 500 or error.code in (408, 425, 429):
            return Delivery(reason=reason, pause=seconds_until(error.headers.get("Retry-After")))
        if error.code == 404:
            reason += " (unknown monitor or wrong secret)"
        elif 300 <= error.code < 400:
            reason += " (a redirection that would send the secret elsewhere)"
        # Credentials may be put right before the next run; what is malformed never will.
        lost = 400 <= error.code < 500 and error.code not in (401, 403, 404, 407)
        return Delivery(final=True, lost=lost, reason=reason)


def redirects(host: str | None) -> Any:
    """Makes a handler that follows redirects of the same host with method and body, as from http to https."""
    import urllib.request
    from urllib.parse import urlsplit

    class SameHostRedirects(urllib.request.HTTPRedirectHandler):
        """Never sends the secret to another host, nor from https to http."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            target = urlsplit(newurl)
            if target.hostname != host or (req.type == "https" and target.scheme != "https"):
                return None
            return urllib.request.Request(newurl, data=req.data, headers=req.headers)  # noqa: S310

        http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    return SameHostRedirects


def warning_of(answer: bytes) -> str:
    import json

    if b'"warning"' not in answer:
        return ""
    try:
        warning = json.loads(answer)["warning"]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(warning).split())[:500]


def seconds_until(retry_after: str | None) -> float:
    """Reads Retry-After: seconds or a moment; 0 is no request to wait."""
    from email.utils import parsedate_to_datetime

    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_AGE)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - time.time()), MAX_AGE)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0


# ── the wrapper ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RunLock:
    """Held while the wrapper, or a job that outlived it, runs."""

    def __init__(self, tag: str) -> None:
        self._descriptor = -1
        self.holder = ""
        """Who holds the lock, if another run does."""
        name = f"heartbeat-run.{os.getuid()}.{file_name(tag)}.lock"
        folders = ["/run/lock", os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"]  # noqa: S108
        if os.environ.get("HEARTBEAT_LOCK_DIR"):
            folders = [os.environ["HEARTBEAT_LOCK_DIR"]]
        problem = "no folder for it"
        for folder in folders:
            if not os.path.isdir(folder):
                continue
            try:
                self._take(os.path.join(folder, name))
            except OSError as error:
                problem = f"{folder}: {reason_of(error)}"
                continue
            return
        notice(f"--lock: {problem}: the job runs without a lock")

    def _take(self, path: str) -> None:
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        if os.fstat(descriptor).st_uid != os.getuid():
            os.close(descriptor)
            raise PermissionError(1, "the lock file is another user's")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.holder = self._read(descriptor) or "another run"
            os.close(descriptor)
            return
        pid, _, start = self._read(descriptor).partition(" ")
        if pid.isdigit() and start and start == started_at(int(pid)):  # its wrapper was killed, the job was not
            self.holder = f"process {pid}, whose wrapper has ended"
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def _read(self, descriptor: int) -> str:
        return os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()

    def name_holder(self, pid: int) -> None:
        """Notes the job's process."""
        if self._descriptor >= 0 and pid:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{pid} {started_at(pid)}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def started_at(pid: int) -> str:
    """When a process started, in the kernel's own unit; empty where there is no /proc, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(4_096).rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, ValueError):
        return ""


class Wrapper:
    """Runs the job as the options say."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._job: JobProcess | None = None
        self._sender: ReportSender | None = None
        self._signals: list[int] = []
        """Signals received so far, apart from SIGCHLD."""
        self.started = False
        """Whether a job has been started."""
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is this one
        self._wake, waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup: the job ignores it as well
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals.append(number)
        if self._job is not None and self._job.pid:
            self._job.forward(number)
        elif self._sender is not None:
            self._sender.hurry()

    def run(self) -> int:
        """Runs the job once, or every so often; returns the exit code of the last run."""
        while True:
            begun = time.monotonic()
            code = self._run_once()
            if self._options.every is None or self._signals:
                return code
            if not self._pause(begun + self._options.every - time.monotonic()):
                return 0

    def _pause(self, seconds: float) -> bool:
        """Returns whether the time passed without a signal to end."""
        import select

        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        end = time.monotonic() + seconds
        while not self._signals and time.monotonic() < end:
            poll.poll(min(86_400_000, max(1, int((end - time.monotonic()) * 1000) + 1)))
            drain(self._wake)
            self._reap_others()
        return not self._signals

    def _reap_others(self) -> None:
        try:
            while os.wait4(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def _run_once(self) -> int:
        options = self._options
        rid = os.urandom(16).hex()
        lock = RunLock(options.tag) if options.lock else None
        if lock is not None and lock.holder:
            text = f"[skipped: the run before has not ended ({lock.holder}); on {os.uname().nodename}]\n"
            notice(f"{options.tag}: skipped: the run before has not ended ({lock.holder})")
            self._report("log", rid, text.encode(), SKIPPED)
            return SKIPPED
        held = HeldOutput() if options.quiet else None
        pipes = not options.no_output or options.quiet
        attempt = 0
        while True:
            attempt += 1
            job = self._job = JobProcess(options.command, held, pipes)
            self.started = True
            if self._signals:
                job.forward(self._signals[-1])  # it came before the job was there
            if lock is not None:
                lock.name_holder(job.pid)
            if self._sender is None:
                self._sender = ReportSender(options, rid)
                if job.end is None:
                    self._sender.put(RunReport("start", rid, b"", options.settings()))
            end = job.wait(self._wake, options.timeout, options.kill_after)
            if end.timed_out:
                job.end_group()
            if end.code == 0 or end.problem or attempt > options.retries or self._signals:
                break
            job.leave(lambda: self._signals)
            if not self._pause(options.retry_delay):
                break
        if lock is not None:
            lock.release()
        if end.problem:
            notice(f"{options.tag}: {end.problem}")
        job.wait_for_output()
        short = options.min_runtime is not None and end.code == 0 and end.seconds < options.min_runtime
        failed = end.code != 0 or short
        if held is not None and failed:
            held.print()
        line = end.describe(self._remarks(end, short, attempt))
        body = line.encode() if options.no_output else job.kept.body(line)
        self._report("fail" if short else str(end.code), rid, body, end.code, failed)
        job.leave(lambda: self._signals)
        self._job = None
        return end.code

    def _remarks(self, end: JobEnd, short: bool, attempt: int) -> list[str]:
        options = self._options
        remarks = []
        if end.timed_out:
            remarks.append(f"it ran longer than --timeout {options.given['timeout']}")
        if short:
            remarks.append(f"shorter than --min-runtime {options.given['min_runtime']}: reported as a failure")
        if attempt > 1:
            remarks.append(f"run {attempt} of {options.retries + 1} at most")
        return remarks

    def _report(self, suffix: str, rid: str, body: bytes, code: int, failed: bool = True) -> None:
        """Sends the last report of a run, for as long as the budget allows."""
        options = self._options
        if self._sender is None:
            self._sender = ReportSender(options, rid)
        sender = self._sender
        settings = {} if suffix == "log" else options.settings()
        budget = min(options.budget, STOPPED_BUDGET) if self._signals else options.budget
        sender.finish(RunReport(suffix, rid, body, settings), budget)
        left = sender.wait()
        self._sender = None
        if not left:
            return
        kept = sender.spooled(left)
        # With --quiet cron mails failures only; what a person has to put right is one.
        if not options.quiet or failed or sender.final:
            more = f"; kept in {options.spool}" if kept else ""
            notice(f"{options.tag}: not reported: {sender.problem or 'the service did not answer in time'}{more}")


def main(arguments: Sequence[str], program: str = "heartbeat-run") -> int:
    """Runs the wrapper and returns its exit code."""
    try:
        options = RunOptions(arguments)
    except UsageProblem as problem:
        notice(f"{problem} (see {program} --help); nothing was run")
        return USAGE
    if options.wants("help") or options.wants("version"):
        sys.stdout.write(f"heartbeat-run {VERSION}\n" if options.wants("version") else help_text(program))
        sys.stdout.flush()
        return 0
    wrapper = None
    try:
        wrapper = Wrapper(options)
        return wrapper.run()
    except Exception:  # noqa: BLE001 - a defect of the wrapper keeps no job from running
        import traceback

        traceback.print_exc()
        if wrapper is None or not wrapper.started:
            os.execvp(options.command[0], options.command)  # noqa: S606 - the job runs, whatever is wrong here
        return 1


def command(arguments: Sequence[str] | None = None, program: str = "heartbeat-run") -> NoReturn:
    """The program: ends with the job's exit code, whatever its threads still wait for."""
    code = 1
    try:
        code = main(sys.argv[1:] if arguments is None else arguments, program)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    command()
