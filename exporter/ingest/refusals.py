"""The last heartbeats that were refused: for the log, a page, the API and the doctor. Never with a secret."""

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from exporter.core.clock import Clock, PastMoment
from exporter.core.monitor import TAG_PATTERN
from exporter.core.telemetry import RejectReason
from exporter.ingest.guesses import Guesses

KEPT = 200
_TAG = re.compile(TAG_PATTERN)
_UUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_LONG = 16
"""Characters from which on a text with capitals, small letters and digits looks random, and a word with digits."""


class Refusal(NamedTuple):
    at: int
    """Unix time in milliseconds."""
    address: str
    """The client's; empty for a local socket."""
    tag: str
    """As the client gave it; empty when it gave none, or one that could be a secret."""
    reason: RejectReason


class Refusals:
    """Lives on the event loop; `recent` may be called from any thread."""

    def __init__(self, clock: Clock, guesses: Guesses) -> None:
        self._clock = clock
        self._guesses = guesses
        self._kept: deque[tuple[PastMoment, str, str, RejectReason]] = deque(maxlen=KEPT)
        self._since = PastMoment(clock)

    @property
    def since(self) -> int:
        """When this process began to keep them, in Unix milliseconds."""
        return self._since.at

    def note(self, reason: RejectReason, address: str, tag: str) -> None:
        self._kept.append((PastMoment(self._clock), address, tag, reason))
        named = {"tag": tag} if tag else {}
        text = f"heartbeat refused: {reason.value.replace('_', ' ')}"
        self._guesses.tell(text, address, fields={"reason": reason.value, **named})

    def recent(self) -> Sequence[Refusal]:
        """The newest first."""
        kept = reversed(self._kept.copy())
        return [Refusal(moment.at, address, tag, reason) for moment, address, tag, reason in kept]


def looks_like_tag(text: str) -> bool:
    """Whether a text that a client sent as the tag of an unknown monitor can be shown: it has the form of a tag, and
    is not the kind of text that generators of secrets and tokens make.
    """
    if not _TAG.fullmatch(text) or _UUID.search(text):
        return False
    mixed = all(any(map(kind, text)) for kind in (str.isupper, str.islower, str.isdigit))
    if mixed and len(text) >= _LONG:
        return False
    return not any(_random(word) for word in _WORD.findall(text))


def _random(word: str) -> bool:
    digits = sum(character.isdigit() for character in word)
    return len(word) >= (_LONG if digits >= 3 else 2 * _LONG)
