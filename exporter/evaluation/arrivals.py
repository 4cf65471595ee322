"""What the evaluator asks about heartbeats of this process that are not committed yet. Without it there are none."""

from collections.abc import Mapping
from typing import Protocol


class Arrivals(Protocol):
    """Called on the evaluator's thread."""

    def waiting(self) -> Mapping[int, int]:
        """By monitor id, the earliest moment of receipt of its heartbeats that are not committed yet."""
        ...

    def announce(self) -> None:
        """Has the evaluator woken when the next group of heartbeats is settled."""
        ...

    def absences(self) -> int:
        """Grows whenever the database was away, for as long as it is and when it is back."""
        ...


class NothingArrives:
    def waiting(self) -> Mapping[int, int]:
        return {}

    def announce(self) -> None: ...
    def absences(self) -> int:
        return 0
