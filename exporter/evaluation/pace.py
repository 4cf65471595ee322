"""How many monitors one transaction evaluates: heartbeats wait for their commit meanwhile."""

MAX_BATCH = 500
MIN_BATCH = 25
FIRST_BATCH = 100
TARGET = 40
"""Milliseconds that a transaction may take. Heartbeats that arrive meanwhile are answered after it."""


class Pace:
    """Grows while transactions are short and shrinks when one was long, so that a slow machine or disk, or many alerts
    at once, do not make heartbeats wait. Belongs to the evaluator's thread.
    """

    def __init__(self) -> None:
        self.batch = FIRST_BATCH
        """Monitors of the next transaction."""

    def took(self, monitors: int, milliseconds: int) -> None:
        """Learns from a transaction that evaluated so many monitors."""
        if milliseconds > TARGET:
            self.batch = max(MIN_BATCH, min(self.batch, monitors * TARGET // milliseconds))
        elif milliseconds <= TARGET // 2 and monitors >= self.batch:
            self.batch = min(MAX_BATCH, 2 * self.batch)
