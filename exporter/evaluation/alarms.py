"""What the evaluator asks of whoever makes alerts out of its findings. Without it nothing is made of them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from exporter.evaluation.outcomes import Outcome
from exporter.storage.database import Transaction


class AlertSink(Protocol):
    """Called on the evaluator's thread, while this process holds the lease."""

    def took_over(self) -> None:
        """This process is the one that evaluates from now on."""
        ...

    def clock_set_back(self, by: int, now: int, check: Callable[[], None]) -> None:
        """The wall clock was set back by so many milliseconds, to `now`; nothing is to wait for longer."""
        ...

    def observe(self, transaction: Transaction, settled: Sequence[Outcome], now: int) -> None:
        """Writes the alerts that follow from these evaluations, in their transaction."""
        ...

    def advance(self, now: int, check: Callable[[], None]) -> None:
        """Does what is due by the clock alone. `check` is called in every transaction, and raises to undo it."""
        ...

    def next_due(self) -> int | None:
        """When `advance` has something to do next; None if never."""
        ...


class NoAlertSink:
    def took_over(self) -> None: ...
    def clock_set_back(self, by: int, now: int, check: Callable[[], None]) -> None: ...
    def observe(self, transaction: Transaction, settled: Sequence[Outcome], now: int) -> None: ...
    def advance(self, now: int, check: Callable[[], None]) -> None: ...
    def next_due(self) -> int | None:
        return None
