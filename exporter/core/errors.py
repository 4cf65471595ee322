"""Every error that this program raises on purpose.

    HeartbeatExporterError
    ├── InvalidValue                 a value that cannot be: a duration, a cron expression, a tag
    ├── ConfigError                  the configuration, with every problem in it
    ├── NotFound                     no monitor has that tag
    ├── Conflict                     the tag is taken, or the monitor belongs to the configuration file
    └── StorageError                 the database said no
        ├── StorageUnavailable       …for now: try again
        │   └── StorageConflict      …and at once: another process was in the way
        └── SchemaTooNew             …for ever: the database was written by a newer version

No text of an error holds a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HeartbeatExporterError(Exception):
    """Base of all."""


class InvalidValue(HeartbeatExporterError, ValueError):
    """A value that cannot be; the text says what would be right."""


class NotFound(HeartbeatExporterError):
    """There is no such thing."""


class Conflict(HeartbeatExporterError):
    """It cannot be done as things are."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration file."""

    message: str
    path: str = ""
    """Where in the document, as `monitors[0].schedule`."""
    file: str = ""
    line: int = 0
    """1-based; 0 when no line can be named."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigError(HeartbeatExporterError):
    """A configuration that cannot be used; `problems` holds all that is wrong with it, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Problem, ...]]]:
        """For another process."""
        return ConfigError, (self.problems,)


class StorageError(HeartbeatExporterError):
    """The database refused."""


class StorageUnavailable(StorageError):
    """The database cannot take this now: locked, full, read-only or away. Trying again may help."""


class StorageConflict(StorageUnavailable):
    """Another transaction was in the way, and this one was undone for it."""


class SchemaTooNew(StorageError):
    """The database was written by a newer version of this program."""
