"""A crontab: a monitor for each line, and the same lines with `heartbeat-run` before their commands."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.core.calendar.schedule import check_cron, check_timezone, next_tick
from exporter.core.clock import HOUR
from exporter.core.errors import InvalidValue
from exporter.importing.takeover import Takeover, monitor, secret_of

RUNNER = "/usr/local/bin/heartbeat-run"
"""Cron's PATH is short."""
_NAME = "heartbeat-run"
CONFIG_VARIABLE = "HEARTBEAT_CONFIG"
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ASSIGNMENT = re.compile(r"""\s*(?P<name>[A-Za-z_]\w*|"[^"]+"|'[^']+')\s*=\s*(?P<value>.*?)\s*$""")
_JOB = re.compile(r"\s*(?P<when>@\w+|(?:\S+\s+){4}\S+)\s+(?P<rest>\S.*)$")
_USER = re.compile(r"(?P<user>\S+)\s+(?P<rest>\S.*)$")
_CHANGE_FOLDER = re.compile(r"cd\s+\S+\s*(?:&&|;)\s*")
_SET = re.compile(r"\w+=\S*$")
_BEFORE_COMMANDS = frozenset(
    ("sudo", "nice", "ionice", "chronic", "exec", "env", "time", "nohup", "command", "test", "[")
)
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "python", "python3", "perl", "php", "node", "ruby"))
_LOCALTIME = Path("/etc/localtime")
_ZONES = "/zoneinfo/"


@dataclass(frozen=True, slots=True)
class CrontabOptions:
    key: str
    """The ping key of all its monitors."""
    key_name: str
    timezone: str
    """Of the machine; CRON_TZ in the crontab goes before it."""
    config: str
    """Path, on the machine of the crontab, of the file that `heartbeat-run` reads."""
    runner: str = RUNNER
    """Path of `heartbeat-run` there."""
    prefix: str = ""
    """Of each tag."""
    system: bool = False
    """Whether a line names its user, as /etc/crontab and /etc/cron.d do."""


def from_crontab(text: str, options: CrontabOptions, takeover: Takeover) -> str:
    """Returns the crontab with wrapped lines. Lines that cannot be taken over stay as they are."""
    rewritten, timezone, tags = [], options.timezone, []
    for number, line in enumerate(text.splitlines(), 1):
        new = line
        if line.strip() and not line.lstrip().startswith("#"):
            subject = f"line {number}"
            assignment = _ASSIGNMENT.match(line)
            if assignment is not None:
                if assignment["name"] == "CRON_TZ":
                    timezone = assignment["value"].strip("\"'") or options.timezone
                elif assignment["name"] == "TZ":
                    takeover.remark(subject, "TZ is the job's; most crons schedule by the machine's time all the same")
            else:
                job = _job(line, subject, options, timezone, takeover)
                if job is not None:
                    new = job.line
                    tags.append(job.tag)
        rewritten.append(new)
    if tags:
        takeover.add_ping_key({"name": options.key_name, "key": options.key, "monitors": tags}, "the ping key")
        line = f"{CONFIG_VARIABLE}={options.config}"
        rewritten = [line, *(each for each in rewritten if each != line)]
    return "".join(f"{line}\n" for line in rewritten)


def machine_timezone() -> str:
    """The IANA name of this machine's timezone; UTC where it cannot be found out."""
    try:
        name = str(_LOCALTIME.resolve(strict=True)).partition(_ZONES)[2]
        return check_timezone(name) if name else "UTC"
    except (OSError, InvalidValue):
        return "UTC"


@dataclass(frozen=True, slots=True)
class _Job:
    tag: str
    line: str


def _job(line: str, subject: str, options: CrontabOptions, timezone: str, takeover: Takeover) -> _Job | None:
    match = _JOB.match(line)
    when, rest = (match["when"], match["rest"]) if match is not None else ("", "")
    if options.system and rest:
        with_user = _USER.match(rest)
        rest = with_user["rest"] if with_user is not None else ""
    if not rest:
        takeover.remark(subject, "not taken over: it is no line of a crontab" + " with a user" * options.system)
        return None
    schedule = _NICKNAMES.get(when.lower(), when)
    if schedule.startswith("@"):
        takeover.remark(subject, f"not taken over: {when} is no schedule by the clock")
        return None
    try:
        schedule = check_cron(" ".join(schedule.split()))
        timezone = check_timezone(timezone)
    except InvalidValue as error:
        takeover.remark(subject, f"not taken over: {error}")
        return None
    command, percent, stdin = _at_percent(rest)
    if re.search(rf"(^|[\s/]){_NAME}\s", command):
        takeover.remark(subject, f"not taken over: it calls {_NAME} already")
        return None
    tag = takeover.tag(f"{options.prefix}{_name(command)}", f"{options.prefix}job")
    seldom = (
        next_tick(schedule, timezone, next_tick(schedule, timezone, 0)) - next_tick(schedule, timezone, 0) > 6 * HOUR
    )
    entry = monitor(
        tag,
        secret_of(f"{options.key}/{tag}"),
        schedule=schedule,
        timezone=timezone if timezone != "UTC" else None,
        # A run that takes a while is not late; `suggest` finds better ones after ten runs.
        degraded_after="30m" if seldom else None,
        down_after="1h" if seldom else None,
    )
    if not takeover.add_monitor(entry, subject):
        return None
    head = line[: line.index(rest)]
    wrapped = f'{options.runner} {tag} -- "${{SHELL:-/bin/sh}}" -c {_quoted(command)}'
    return _Job(tag, f"{head}{wrapped}{percent}{stdin}")


def _at_percent(text: str) -> tuple[str, str, str]:
    """The command, and what cron gives it to read: cron cuts at the first `%` without a backslash before it."""
    match = re.search(r"(?<!\\)%", text)
    return (text, "", "") if match is None else (text[: match.start()], "%", text[match.end() :])


def _quoted(command: str) -> str:
    """For the shell that cron starts. `\\%` stays: cron takes its backslash away before."""
    return "'" + command.replace("'", "'\\''") + "'"


def _name(command: str) -> str:
    """What the command is about: the program's name without its folder and ending."""
    return next(_candidates(_CHANGE_FOLDER.sub("", command.strip(), count=1)), "job")


def _candidates(command: str) -> Iterator[str]:
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    first = ""
    for word in words:
        name = Path(word).name
        if word.startswith("-") or _SET.match(word) or name in _BEFORE_COMMANDS or name.isdecimal():
            continue
        stem = name.rpartition(".")[0] or name
        if name in _SHELLS:
            first = first or stem
            continue
        if first and word == words[-1] and " " in word:  # sh -c 'command'
            yield from _candidates(word)
        yield stem
    if first:
        yield first
