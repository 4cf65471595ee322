"""What the evaluator requires of alerting. Without it no alerts are made of its outcomes."""

from collections.abc import Sequence
from typing import Protocol

from exporter.evaluation.gate import EvaluationGate
from exporter.evaluation.outcomes import Outcome
from exporter.storage.database import Transaction
from exporter.storage.ingest_suspicions import StoredSuspicion


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

    def ingest_suspect(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        """The ingest guard has found that heartbeats may not arrive; the suspicion is written in this transaction."""
        ...

    def ingest_over(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None:
        """That suspicion has ended, as it says: nothing is held by it any more."""
        ...

    def next_due(self) -> int | None:
        """The moment at which `advance` has something to do next; None if never."""
        ...


class NoAlertSink:
    def took_over(self) -> None: ...
    def clock_set_back(self, transaction: Transaction, by: int, now: int) -> None: ...
    def observe(self, transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> None: ...
    def advance(self, now: int, gate: EvaluationGate) -> None: ...
    def ingest_suspect(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None: ...
    def ingest_over(self, transaction: Transaction, stored: StoredSuspicion, now: int) -> None: ...
    def next_due(self) -> int | None:
        return None
