"""Texts that others wrote, jobs above all, made fit to be shown: readable, and short enough for where they go."""

import re
from collections.abc import Callable, Sequence

CUT = "…"
NAMED = 3
"""Of many names, those that are shown."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""What colours a terminal, moves its cursor or names its window."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
"""Control characters but tab and newline, what turns the direction of text, and halves of surrogate pairs."""

Measure = Callable[[str], int]


def utf16(text: str) -> int:
    """How long `text` is where characters are counted in UTF-16 units: an emoji is two."""
    return len(text) + sum(c > "\uffff" for c in text)


def utf8(text: str) -> int:
    """How long `text` is in bytes."""
    return len(text.encode("utf-8", "replace"))


def readable(text: str) -> str:
    """`text` as a terminal would have left it, without invisible characters; halves of surrogate pairs show as �."""
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text).replace("\u2028", "\n").replace("\u2029", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _UNPRINTABLE.sub(_replaced, text)


def one_line(text: str) -> str:
    """`text` readable and without a newline in it."""
    return " ".join(readable(text).split())


def shorten(text: str, limit: int, measure: Measure = len) -> str:
    """The beginning of `text`, at most `limit` long; a cut shows as …."""
    if measure(text) <= limit:
        return text
    return text[: _fitting(text, limit - measure(CUT), measure)].rstrip() + CUT if limit >= measure(CUT) else ""


def tail(text: str, limit: int, measure: Measure = len, lines: int | None = None) -> str:
    """The end of `text`, at most `limit` long and `lines` high, from the beginning of a line where that can be."""
    text = text.strip("\n")
    kept = text
    if lines is not None and kept.count("\n") >= lines:
        kept = "\n".join(kept.split("\n")[-lines:])
    room = limit if kept == text else limit - measure(CUT) - 1
    if measure(kept) > room:
        room = limit - measure(CUT) - 1
        if room <= 0:
            return ""
        backwards = kept[::-1]
        kept = backwards[: _fitting(backwards, room, measure)][::-1]
        start = kept.find("\n")
        if 0 <= start < len(kept) // 2:
            kept = kept[start + 1 :]
    return kept if kept == text else f"{CUT}\n{kept}"


def _replaced(match: re.Match[str]) -> str:
    return "\ufffd" if "\ud800" <= match.group() <= "\udfff" else ""


def _fitting(text: str, limit: int, measure: Measure) -> int:
    """How many characters of `text` fit."""
    low, high = 0, min(len(text), max(0, limit))
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def enumerate_tags(tags: Sequence[str]) -> str:
    """`a`; `a and b`; `a, b, c and 27 more`."""
    named, beyond = tags[:NAMED], len(tags) - NAMED
    if beyond > 0:
        return f"{', '.join(named)} and {beyond:,} more"
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""
