"""Puts together the credentials that open more than one monitor, or one in more than one way, for `app.service`."""

import logging

from exporter.config.settings import Settings
from exporter.core.clock import Clock
from exporter.core.credentials import PingKey
from exporter.core.errors import ConfigError, Conflict, Problem
from exporter.core.secret import digest
from exporter.ingest.credentials import Credentials
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import PingKeys

log = logging.getLogger(__name__)


class KeyRing:
    """Keeps the ping keys that are in force those of the database. Methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._keys = PingKeys(database, clock)
        self._credentials: Credentials | None = None
        self._revision: int | None = None

    def follow(self, credentials: Credentials) -> None:
        """From now on these use the keys of the database."""
        self._credentials = credentials
        self._revision = None

    def refresh(self) -> None:
        """Reads the keys again if any process has changed them."""
        revision = self._keys.revision()
        if revision != self._revision and self._credentials is not None:
            self._credentials.use(self._keys.all())
            self._revision = revision

    def provision(self, settings: Settings, key: bytes) -> None:
        """Puts the ping keys of the configuration file into the database, as digests. Raises ConfigError."""
        keys = [
            PingKey(
                name=ping_key.name,
                digest=digest(ping_key.key.reveal(), key),
                selector=ping_key.selector,
                defaults=ping_key.defaults,
                max_monitors=ping_key.max_monitors,
                provisioned=True,
            )
            for ping_key in settings.ping_keys
        ]
        try:
            changed = self._keys.provision(keys)
        except Conflict as error:
            raise ConfigError([Problem(str(error))]) from None
        if changed:
            log.info("provisioned ping keys: %d changed", changed)
        self.refresh()
