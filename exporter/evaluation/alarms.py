"""What the evaluator requires of alerting. Without it no alerts are made of its outcomes."""

from collections.abc import Sequence
from typing import Protocol

from exporter.evaluation.gate import EvaluationGate
from exporter.evaluation.outcomes import Outcome
from exporter.storage.database import Transaction


class AlertSink(Protocol):
    """Called on the evaluator's thread, while this process holds the lease."""

    def took_over(self) -> None:
        """This process evaluates from now on."""
        ...

    def clock_set_back(self, transaction: Transaction, by: int, now: int) -> None:
        """The wall clock was set back by so many milliseconds, to `now`; nothing is to wait for longer."""
        ...

    def observe(self, transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> None:
        """Writes the alerts that follow from these evaluations, in their transaction."""
        ...

    def advance(self, now: int, gate: EvaluationGate) -> None:
        """Does what is due by the clock alone, in transactions of `gate`."""
        ...

    def next_due(self) -> int | None:
        """The moment at which `advance` has something to do next; None if never."""
        ...


class NoAlertSink:
    def took_over(self) -> None: ...
    def clock_set_back(self, transaction: Transaction, by: int, now: int) -> None: ...
    def observe(self, transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> None: ...
    def advance(self, now: int, gate: EvaluationGate) -> None: ...
    def next_due(self) -> int | None:
        return None
