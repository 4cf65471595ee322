"""A check of the doctor, and its findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.doctor.context import DoctorContext

_MAX_LISTED = 10


class Result(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but should be changed."""
    PROBLEM = "problem"
    """It does not work, or will soon fail."""
    SKIPPED = "skipped"
    """The check did not run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check. Its texts contain no secret."""

    result: Result
    text: str
    """What the check observed."""
    advice: str = ""
    """What the operator should do; empty when nothing."""


@dataclass(frozen=True, slots=True)
class Check:
    """A named check; `run` yields its findings."""

    name: str
    run: Callable[[DoctorContext], Iterable[Finding]]
    """May raise HeartbeatExporterError, which becomes a problem."""
    needs: tuple[str, ...] = ()
    """Names of the checks that must pass before this one runs."""
    online: bool = False
    """Whether it connects to anything but the database."""


def ok(text: str) -> Finding:
    return Finding(Result.OK, text)


def warning(text: str, advice: str) -> Finding:
    return Finding(Result.WARNING, text, advice)


def problem(text: str, advice: str) -> Finding:
    return Finding(Result.PROBLEM, text, advice)


def skipped(reason: str) -> Finding:
    return Finding(Result.SKIPPED, reason)


def counted(count: int, noun: str) -> str:
    """Returns `1 monitor` or `2 monitors`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Returns the first ten names in order, and the number of the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return f"{', '.join(ordered[:_MAX_LISTED])}{more}"
