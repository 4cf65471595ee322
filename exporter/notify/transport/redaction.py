"""Removes secrets from texts that a receiver returned, in all the spellings in which it may echo them."""

import html
import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from exporter.presentation.text import one_line, shorten

MIN_SECRET, MIN_PIECE = 4, 6
"""Characters: replacing shorter texts would damage words. A piece is part of a URL that is secret as a whole."""
HIDDEN = "<secret>"
MAX_SHOWN = 200
"""Characters of a receiver's text that are shown."""


class Redaction:
    """The secrets of one notifier."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """`secrets` are redacted in every spelling; of a URL among them, so is every part."""
        hidden: set[str] = set()
        for secret in secrets:
            hidden |= {spelling for spelling in _spellings(secret) if len(spelling) >= MIN_SECRET}
            hidden |= {piece for piece in _pieces(secret) if len(piece) >= MIN_PIECE}
        self._hidden = sorted(hidden, key=lambda text: (-len(text), text))

    def shown(self, text: str) -> str:
        """Returns `text` in one line, short, printable and without secrets."""
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN)
        return shorten(one_line(text), MAX_SHOWN)


def basic_credentials(parts: SplitResult) -> str | None:
    """Returns the value of the `Authorization` header for the user of a URL, None if it has none."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _spellings(secret: str) -> set[str]:
    """The secret as it is, and as a URL, JSON, HTML or an `Authorization` header would contain it."""
    return {
        secret,
        quote(secret, errors="replace"),
        quote(secret, safe="", errors="replace"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        b64encode(secret.encode("utf-8", "replace")).decode(),
    }


def _pieces(secret: str) -> set[str]:
    """What is secret of a secret URL: its path as a whole, and every part that a receiver may echo alone."""
    try:
        parts = urlsplit(secret)
    except ValueError:
        return set()
    if parts.scheme not in ("http", "https"):
        return set()
    pieces = {f"{parts.path}?{parts.query}" if parts.query else parts.path, parts.query}
    pieces |= {*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))}
    pieces |= {parts.username or "", parts.password or "", basic_credentials(parts) or ""}
    return pieces | {unquote(piece) for piece in pieces}
