"""The command line, read by hand: argparse alone would take a fifth of the time that a start may take."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.1.0"
MAX_DURATION = 3_650 * 86_400.0
TIMED_OUT, SKIPPED, USAGE = 124, 75, 2
"""Exit codes of our own: as timeout(1), EX_TEMPFAIL of sysexits.h, and wrong usage."""
CANNOT_RUN, NOT_FOUND = 126, 127
USAGE_TEXT = """\
Usage: {program} [OPTIONS] TAG [--] COMMAND [ARGS]...

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

HEARTBEAT_METRICS may name a file that the job writes: its samples, as Prometheus
reads them, become the job's metrics.

Exit codes:
  that of the job, 128 + N if signal N killed it
  75   skipped, because the run before has not ended (--lock)
  124  the job ran longer than --timeout
  126  the command cannot be executed
  127  the command was not found
  2    wrong usage; the command was not run

Examples:
  {program} nightly-backup -- backup --full
  {program} --quiet --lock --timeout 2h nightly-dump -- sh -c 'dump | gzip > dump.gz'
  {program} --schedule '0 3 * * *' --timezone Europe/Rome nightly-backup -- backup
"""


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
