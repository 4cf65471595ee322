"""Incidents: what people follow while something is wrong."""

import unicodedata
from enum import StrEnum

from exporter.core.errors import InvalidValue

MAX_TEXT = 2000
MAX_AUTHOR = 100
_JOINERS = "\u200c\u200d"
"""They hold scripts and emoji together."""


class IncidentState(StrEnum):
    """In the order in which an incident usually goes through them."""

    INVESTIGATING = "INVESTIGATING"
    IDENTIFIED = "IDENTIFIED"
    MONITORING = "MONITORING"
    RESOLVED = "RESOLVED"


def clean_text(text: str) -> str:
    """What a person writes into a timeline, fit to be shown: lines, and no control characters.

    Raises InvalidValue when nothing is left of it, or too much.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    clean = "\n".join(_printable(line).rstrip() for line in lines).strip()
    return _bounded(text, clean, MAX_TEXT, "the text")


def clean_author(name: str) -> str:
    """The same for the author, on one line."""
    return _bounded(name, " ".join(_printable(name.replace("\n", " ")).split()), MAX_AUTHOR, "the author")


def _printable(line: str) -> str:
    return "".join(
        c if c.isprintable() or c in _JOINERS else " " if c == "\t" or unicodedata.category(c) == "Zs" else ""
        for c in line
    )


def _bounded(given: str, clean: str, longest: int, what: str) -> str:
    """`clean`. The length is that of what was `given`, as the API describes it: what a schema refuses is refused."""
    if not clean:
        raise InvalidValue(f"{what} is empty")
    if len(given) > longest:
        raise InvalidValue(f"{what} has {len(given):,} characters: at most {longest:,} are kept")
    return clean
