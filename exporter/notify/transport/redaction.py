"""Takes secrets out of what the other side said, in the spellings in which it may echo them."""

import html
import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote

SHORTEST = 4
"""Characters: what is shorter is no secret, and would be found in every text."""
HIDDEN = "<secret>"
_SHOWN = 200
"""Characters of a foreign text that are shown."""


def spellings(*secrets: str) -> tuple[str, ...]:
    """Each secret as it is, and as a URL, JSON, HTML or an `Authorization` header would hold it; longest first."""
    found: set[str] = set()
    for secret in secrets:
        found |= {
            secret,
            quote(secret),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            html.escape(secret),
            b64encode(secret.encode()).decode(),
        }
    return tuple(sorted((one for one in found if len(one) >= SHORTEST), key=lambda one: (-len(one), one)))


class Redaction:
    """Knows the secrets of one notifier."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._spellings = spellings(*secrets)

    def shown(self, text: str) -> str:
        """`text` in one line, short, printable, and without what is secret."""
        for secret in self._spellings:
            text = text.replace(secret, HIDDEN)
        return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:_SHOWN]
