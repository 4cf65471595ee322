"""What the evaluator has to know of this process's heartbeats that are not committed yet. By default there are none."""

from collections.abc import Mapping
from typing import Protocol


class Arrivals(Protocol):
    """Called on the evaluator's thread."""

    def waiting(self) -> Mapping[int, int]:
        """By monitor id, the earliest moment of receipt of its heartbeats that are not committed yet."""
        ...

    def announce(self) -> None:
        """Has the evaluator woken when the next group of heartbeats is committed or refused."""
        ...

    def absences(self) -> int:
        """A number that grows whenever the database was away, for as long as it is and when it is back."""
        ...


class NothingArrives:
    def waiting(self) -> Mapping[int, int]:
        return {}

    def announce(self) -> None: ...
    def absences(self) -> int:
        return 0
