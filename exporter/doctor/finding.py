"""What a check is, and what it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.doctor.context import DoctorContext


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
    """Holds no secret."""

    result: Result
    found: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    look: Callable[[DoctorContext], Iterable[Finding]]
    """May raise StorageError, which is a problem."""
    needs: tuple[str, ...] = ()
    """Names of checks that have to pass before."""
    online: bool = False
    """Whether it connects to anybody but the database."""


def ok(found: str) -> Finding:
    return Finding(Result.OK, found)


def warning(found: str, advice: str) -> Finding:
    return Finding(Result.WARNING, found, advice)


def problem(found: str, advice: str) -> Finding:
    return Finding(Result.PROBLEM, found, advice)


def skipped(why: str) -> Finding:
    return Finding(Result.SKIPPED, why)


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """The first ten."""
    known = sorted(names)
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return f"{', '.join(known[:10])}{more}"
