"""Writes the monitors of the configuration into the database, with their secrets and tokens as keyed digests."""

from collections.abc import Sequence

from exporter.config.settings import ProvisionedMonitor, Secret
from exporter.core.clock import Clock
from exporter.core.credentials import comparable
from exporter.core.errors import ConfigError, Conflict, Problem
from exporter.core.secret import digest
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import Digests, FileCredentials, MonitorCredentials
from exporter.storage.repositories.monitors import Monitors


def provision(
    database: Database,
    monitors: Monitors,
    clock: Clock,
    entries: Sequence[ProvisionedMonitor],
    key: bytes,
    remember: str = "",
) -> tuple[int, int, int]:
    """Makes the provisioned monitors exactly `wanted`; returns how many were added, changed and removed.

    `remember` is what `Monitors.provisioned` returns from then on. Raises StorageUnavailable, and ConfigError when a
    token is in use elsewhere; then nothing has changed, and what was remembered before stays.
    """

    def digests(secrets: tuple[Secret, ...]) -> tuple[bytes, ...]:
        return tuple(digest(comparable(secret.reveal()), key) for secret in secrets)

    of_monitors = {
        entry.monitor.tag: Digests(tuple(digest(each.reveal(), key) for each in entry.secrets), digests(entry.tokens))
        for entry in entries
        if entry.secrets or entry.tokens
    }
    further = FileCredentials(MonitorCredentials(database, clock), of_monitors)
    try:
        return monitors.provision(
            [(entry.monitor, digest(entry.secret.reveal(), key)) for entry in entries], remember, further
        )
    except Conflict as error:
        raise ConfigError([Problem(str(error))]) from None
