"""What opens monitors besides their secrets: tokens, which name one monitor by themselves, and ping keys, which open
every monitor that their selector matches. Only keyed digests of them are kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from exporter.core.alerts.alert_rule import Selector
from exporter.core.errors import InvalidValue
from exporter.core.secret import MAX_LENGTH, check_secret

MIN_TOKEN = 10
"""Characters. A token needs more of them than a secret does: no tag has to be guessed with it."""
MAX_MONITORS = 1000
"""Monitors that a ping key may create unless it says otherwise."""
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_BUILT_IN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MAC_BITS, _NUMBER_BITS = 80, 42
_MAC_PURPOSE, _MASK_PURPOSE = b"ping token", b"ping token mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class PingKey:
    """One key for many monitors."""

    name: str
    digest: bytes
    """Keyed digest of the key."""
    selector: Selector
    """Which monitors it opens, and which tags it may create."""
    defaults: Mapping[str, Any] | None = None
    """Settings of the monitors that it creates, as the configuration writes them; None: it creates none."""
    max_monitors: int = MAX_MONITORS
    """How many monitors that it created may exist."""
    provisioned: bool = False
    """Whether it comes from the configuration file."""


def check_token(token: str) -> str:
    """`token` as it is compared: a UUID in lower case. Raises InvalidValue, which does not quote it."""
    if len(token) < MIN_TOKEN:
        raise InvalidValue(f"a token needs {MIN_TOKEN} characters: make one with `uuidgen`")
    if len(token) > MAX_LENGTH:
        raise InvalidValue(f"a token has at most {MAX_LENGTH} characters")
    if not all("!" <= character <= "~" and character != "/" for character in token):
        raise InvalidValue("a token may hold printable ASCII characters only, without spaces and '/'")
    return comparable(token)


def check_key(key: str) -> str:
    """`key` itself; raises InvalidValue, which does not quote it, when it cannot be a ping key."""
    if len(key) < MIN_TOKEN:
        raise InvalidValue(f"a ping key needs {MIN_TOKEN} characters: make one with `openssl rand -hex 24`")
    return check_secret(key)


def comparable(token: str) -> str:
    """UUIDs are the same in any case; every other token is compared as it is."""
    return token.lower() if len(token) == 36 and _UUID.fullmatch(token) else token


class BuiltInTokens:
    """The token that every monitor has without one being configured: a UUID of version 8.

    Its 122 free bits are a message authentication code of the monitor's number and generation (80 bits), and the number
    itself (42 bits), masked by the code. So a token is verified without an index and without being stored, and can be
    shown at any time to authorized users.
    """

    def __init__(self, key: bytes) -> None:
        """`key` is the one that secrets are digested with; both purposes have their own variation of it."""
        self._key = key

    def of(self, number: int, generation: int) -> str:
        """The token of the monitor `number`."""
        code = self._code(number, generation)
        return _uuid(((number ^ self._mask(code)) << _MAC_BITS) | int.from_bytes(code))

    def claimed(self, token: str) -> int | None:
        """The number of the monitor that `token` may be of; None if it is of none. Only `is_of` verifies it."""
        if not _BUILT_IN.fullmatch(token):
            return None
        payload = _payload(token)
        code = (payload & ((1 << _MAC_BITS) - 1)).to_bytes(_MAC_BITS // 8)
        return (payload >> _MAC_BITS) ^ self._mask(code)

    def is_of(self, token: str, number: int, generation: int) -> bool:
        """Compares in constant time."""
        return compare_digest(token, self.of(number, generation))

    def _code(self, number: int, generation: int) -> bytes:
        text = number.to_bytes(8) + generation.to_bytes(8)
        return blake2b(text, key=self._key, person=_MAC_PURPOSE, digest_size=_MAC_BITS // 8).digest()

    def _mask(self, code: bytes) -> int:
        mask = blake2b(code, key=self._key, person=_MASK_PURPOSE, digest_size=6).digest()
        return int.from_bytes(mask) & ((1 << _NUMBER_BITS) - 1)


def _uuid(payload: int) -> str:
    """122 bits as a UUID of version 8 (RFC 9562, section 5.8)."""
    a, b, c = payload >> 74, (payload >> 62) & 0xFFF, payload & ((1 << 62) - 1)
    text = f"{(a << 80) | (8 << 76) | (b << 64) | (2 << 62) | c:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _payload(token: str) -> int:
    whole = int(token.replace("-", ""), 16)
    return ((whole >> 80) << 74) | (((whole >> 64) & 0xFFF) << 62) | (whole & ((1 << 62) - 1))
