"""Query parameters that look like bad news, on a URL that takes every request for a success.

Senders that come from other systems write `?status=down`. Nothing reads that here; so the answer says so. The heartbeat
counts all the same: a parameter never makes it fail.
"""

import re
from urllib.parse import unquote_plus

from exporter.core.heartbeat import Kind

_STATES = frozenset(
    [
        "status",
        "state",
        "result",
        "outcome",
        "health",
        "health_status",
        "job_status",
        "event",
        "type",
        "kind",
        "conclusion",
        "severity",
        "level",
    ]
)
_GOOD_STATES = frozenset(
    [
        "up",
        "ok",
        "okay",
        "success",
        "succeeded",
        "successful",
        "pass",
        "passed",
        "passing",
        "complete",
        "completed",
        "done",
        "finished",
        "healthy",
        "good",
        "green",
        "online",
        "alive",
        "active",
        "true",
        "yes",
        "on",
        "1xx",
        "2xx",
        "info",
        "information",
        "notice",
        "debug",
        "none",
        "normal",
        "resolved",
        "start",
        "started",
        "starting",
        "run",
        "running",
        "begin",
        "began",
        "in_progress",
        "progress",
        "log",
        "ping",
        "heartbeat",
        "beat",
        "ready",
    ]
)
_WORDED = frozenset(["event", "type", "kind", "severity", "level"])
"""These say much else: only what is certainly bad counts."""
_BAD_STATES = frozenset(
    [
        "down",
        "fail",
        "failed",
        "failing",
        "failure",
        "error",
        "errored",
        "err",
        "ko",
        "nok",
        "not_ok",
        "bad",
        "broken",
        "critical",
        "crit",
        "fatal",
        "emergency",
        "alert",
        "dead",
        "crashed",
        "aborted",
        "killed",
        "timeout",
        "timed_out",
        "unhealthy",
        "offline",
        "red",
        "exception",
        "panic",
    ]
)
_AFFIRMATIVE = frozenset(
    ["success", "succeeded", "successful", "ok", "okay", "passed", "pass", "healthy", "up", "alive", "completed"]
)
_NEGATIVE = frozenset(
    [
        "fail",
        "failed",
        "failing",
        "failure",
        "failures",
        "down",
        "dead",
        "crashed",
        "timed_out",
        "timeout",
        "aborted",
        "killed",
    ]
)
_ERRORS = frozenset(["error", "errors", "err", "exception", "error_message", "error_msg", "errmsg", "stderr"])
_CODES = frozenset(
    [
        "exit",
        "exit_code",
        "exitcode",
        "exit_status",
        "exitstatus",
        "code",
        "rc",
        "ret",
        "retval",
        "return_code",
        "returncode",
        "status_code",
        "statuscode",
        "errorlevel",
        "error_code",
    ]
)
_YES = frozenset(("", "true", "1", "yes", "y", "on", "t", "ok", "success", "up", "passed"))
_NO = frozenset(("false", "0", "no", "n", "off", "f", "none", "null", "nil", "-", "[]", "{}"))
_INTEGER = re.compile(r"[+-]?\d{1,300}")
_PARTS = re.compile("[&;]")
_SHOWN = 40


def bad_news(query: str, kind: Kind) -> str | None:
    """A warning that names the first parameter of `query` that looks like bad news; None when none does.

    `kind` is what the heartbeat was taken for: a failure has reported its bad news.
    """
    if kind is Kind.FAILURE:
        return None
    for part in _PARTS.split(query):
        name, equals, value = part.partition("=")
        if name == "rid":  # what most queries are; the others cost some microseconds
            continue
        if _is_bad(_plain(name), _plain(value) if equals else None):
            shown = unquote_plus(part, errors="replace")
            shown = shown if len(shown) <= _SHOWN and shown.isprintable() else ascii(shown[:_SHOWN])
            taken = "a success" if kind is Kind.SUCCESS else f"a {kind.value}"
            return (
                f"the parameter {shown} is not read: this heartbeat is {taken}; for a failure append /fail or the "
                "exit code to the path"
            )
    return None


def _is_bad(name: str, value: str | None) -> bool:
    """`value` is None without an equals sign."""
    if name in _CODES:
        return value is not None and _is_bad_code(name, value)
    if name in _STATES:
        return value is not None and _is_bad_state(name, value)
    if name in _NEGATIVE:
        return value is None or value not in _NO
    if name in _ERRORS:
        return value is None or (value != "" and value not in _NO)
    return name in _AFFIRMATIVE and value is not None and value not in _YES


def _is_bad_code(name: str, value: str) -> bool:
    if _INTEGER.fullmatch(value):
        number = int(value)
        return number != 0 and not (name in ("code", "status_code", "statuscode") and 200 <= number < 400)
    return bool(value) and name.startswith("exit")


def _is_bad_state(name: str, value: str) -> bool:
    if _INTEGER.fullmatch(value):
        return int(value) != 0 and not 200 <= int(value) < 400 and name not in _WORDED
    if name in _WORDED:
        return value in _BAD_STATES
    return value != "" and value not in _GOOD_STATES


def _plain(text: str) -> str:
    """As names and values are compared: `Exit-Code` is exit_code."""
    return unquote_plus(text[:200], errors="replace").strip().strip("\"'").lower().replace("-", "_").replace(" ", "_")
