"""Every error that this program raises on purpose.

    HeartbeatExporterError
    ├── InvalidValue                 an invalid value: a duration, a cron expression, a tag
    ├── ConfigError                  an invalid configuration, with every problem in it
    ├── NotFound                     an object does not exist, such as a monitor with that tag
    ├── Conflict                     the state forbids the change: the tag is used, or the file owns the monitor
    └── StorageError                 a failure of the database
        ├── StorageUnavailable       temporary: retry later
        │   └── StorageConflict      temporary: retry at once, another transaction interfered
        └── SchemaTooNew             permanent: a newer version wrote the database

No text of an error contains a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HeartbeatExporterError(Exception):
    """Base class of all errors of this program."""


class InvalidValue(HeartbeatExporterError, ValueError):
    """An invalid value; the text says what is valid."""


class NotFound(HeartbeatExporterError):
    """The object does not exist."""


class Conflict(HeartbeatExporterError):
    """The current state forbids the change."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a configuration file."""

    message: str
    path: str = ""
    """Path in the document, such as `monitors[0].schedule`."""
    file: str = ""
    line: int = 0
    """Line number from 1; 0 when the problem has no line."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigError(HeartbeatExporterError):
    """An invalid configuration; `problems` has all its problems, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Problem, ...]]]:
        """For another process."""
        return ConfigError, (self.problems,)


class StorageError(HeartbeatExporterError):
    """The database failed or refused an operation."""


class StorageUnavailable(StorageError):
    """The database is unavailable: locked, full, read-only or unreachable. A retry may succeed."""


class StorageConflict(StorageUnavailable):
    """Another transaction interfered, and the database rolled this one back."""


class SchemaTooNew(StorageError):
    """A newer version of this program wrote the database."""
