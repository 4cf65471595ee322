"""Writes the monitors and ping keys of a takeover into the database."""

from dataclasses import dataclass

from exporter.config.credential_models import PingKeyEntry
from exporter.config.monitor_models import MonitorEntry
from exporter.core.clock import Clock
from exporter.core.credentials import PingKey, comparable
from exporter.core.secret import digest
from exporter.importing.takeover import Takeover
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import MonitorCredentials, OwnTokens, PingKeys
from exporter.storage.repositories.monitors import Monitors


@dataclass(frozen=True, slots=True)
class Applied:
    added: int
    changed: int
    unchanged: int
    keys: int
    """Ping keys that were added or changed."""


def apply(takeover: Takeover, database: Database, monitors: Monitors, clock: Clock, key: bytes) -> Applied:
    """Can be repeated: what is there already is left alone. `key` is that of the digests.

    Raises Conflict, and then no monitor has changed; and StorageUnavailable.
    """
    entries = [MonitorEntry.model_validate(entry).settings() for entry in takeover.monitors]
    tokens = {
        entry.monitor.tag: [digest(comparable(token.reveal()), key) for token in entry.tokens] for entry in entries
    }
    added, changed = monitors.take_over(
        [(entry.monitor, digest(entry.secret.reveal(), key)) for entry in entries],
        OwnTokens(MonitorCredentials(database, clock), tokens),
    )
    keys, repository = 0, PingKeys(database, clock)
    present = {stored.name: stored for stored in repository.all()}
    for values in takeover.ping_keys:
        settings = PingKeyEntry.model_validate(values).settings()
        new = PingKey(
            name=settings.name,
            digest=digest(settings.key.reveal(), key),
            selector=settings.selector,
            defaults=settings.defaults,
            max_monitors=settings.max_monitors,
        )
        stored = present.get(new.name)
        if stored is not None and (stored.digest, stored.selector) == (new.digest, new.selector):
            continue
        if stored is not None:
            repository.remove(new.name)
        repository.add(new)
        keys += 1
    return Applied(added, changed, len(entries) - added - changed, keys)
