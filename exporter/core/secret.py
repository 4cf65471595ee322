"""A monitor's secret: how it is made, what it may look like, and the digest that is kept instead of it."""

import hmac
import secrets
from hashlib import blake2b

from exporter.core.errors import InvalidValue

DIGEST_BYTES = 32
MAX_LENGTH = 128


def make_secret() -> str:
    """A new secret of 192 random bits, in letters that a URL needs no escaping for."""
    return secrets.token_urlsafe(24)


def check_secret(secret: str) -> str:
    """`secret` itself; raises InvalidValue, which does not quote it, when it cannot stand in a URL's path."""
    if not secret:
        raise InvalidValue("the secret is empty: make one with `openssl rand -hex 24`")
    if len(secret) > MAX_LENGTH:
        raise InvalidValue(f"the secret is longer than {MAX_LENGTH} characters")
    if not all("!" <= c <= "~" and c != "/" for c in secret):
        raise InvalidValue("the secret may hold printable ASCII characters only, without spaces and '/'")
    return secret


def digest(secret: str, key: bytes) -> bytes:
    """BLAKE2b of `secret`, keyed with `key` (1 to 64 bytes)."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=DIGEST_BYTES).digest()


def same_digest(a: bytes, b: bytes) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(a, b)
