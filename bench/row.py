"""One line of the table: what was measured, and the bar."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    measured: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    """Whether the bar is a least value, not a largest."""
    note: str = ""

    @property
    def met(self) -> bool:
        if self.bar is None:
            return True
        return self.measured >= self.bar if self.at_least else self.measured <= self.bar

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        bar = f"{sign} {self.bar:g} {self.unit}" if self.bar is not None else "–"
        verdict = "" if self.bar is None else "yes" if self.met else "NO"
        return f"| {self.what} | {_short(self.measured)} {self.unit} | {bar} | {verdict} | {self.note} |"


HEAD = "| what | measured | bar | met | note |\n| --- | --- | --- | --- | --- |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
