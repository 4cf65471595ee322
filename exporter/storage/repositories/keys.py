"""The key with which secrets are digested."""

import secrets

from exporter.core.errors import InvalidValue
from exporter.storage.database import Database

_NAME = "secret_key"
MAX_BYTES = 64


def secret_key(database: Database, configured: str | None) -> bytes:
    """The configured key, or else the one in the database, made at the first call.

    Raises InvalidValue for a key that BLAKE2b cannot take, and StorageUnavailable.
    """
    if configured is not None:
        key = configured.encode()
        if not 16 <= len(key) <= MAX_BYTES:
            raise InvalidValue(f"secret_key: use 16 to {MAX_BYTES} bytes, for example from `openssl rand -hex 32`")
        return key
    settings = database.tables.settings
    with database.write("read secret key"):
        # Two processes may make one at once: the first that is written is the one.
        settings.insert(**{"key": _NAME, "value": secrets.token_hex(32)}).on_conflict(
            conflict_target=[settings.key], action="IGNORE"
        ).execute()
        rows = settings.select(settings.value).where(settings.key == _NAME).tuples()
        return str(next(iter(rows))[0]).encode()
