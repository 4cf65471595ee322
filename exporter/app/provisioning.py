"""Writes the monitors of the configuration into the database, with their secrets and tokens as keyed digests."""

from collections.abc import Sequence

from exporter.config.settings import ProvisionedMonitor, Secret
from exporter.core.clock import Clock
from exporter.core.credentials import comparable
from exporter.core.dependencies.patterns import is_glob
from exporter.core.errors import ConfigError, Conflict, Problem
from exporter.core.secret import digest
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import Digests, FileCredentials, MonitorCredentials
from exporter.storage.repositories.dependencies import unknown_parents
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
    token is in use elsewhere or a monitor depends on one that does not exist; then nothing has changed, and what was
    remembered before stays.
    """

    def digests(secrets: tuple[Secret, ...]) -> tuple[bytes, ...]:
        return tuple(digest(comparable(secret.reveal()), key) for secret in secrets)

    of_monitors = {
        entry.monitor.tag: Digests(tuple(digest(each.reveal(), key) for each in entry.secrets), digests(entry.tokens))
        for entry in entries
        if entry.secrets or entry.tokens
    }
    _check_parents(database, entries)
    further = FileCredentials(MonitorCredentials(database, clock), of_monitors)
    try:
        return monitors.provision(
            [(entry.monitor, digest(entry.secret.reveal(), key)) for entry in entries], remember, further
        )
    except Conflict as error:
        raise ConfigError([Problem(str(error))]) from None


def unresolved_problems(database: Database, unresolved: Sequence[tuple[str, Problem]]) -> list[Problem]:
    """The problems of parents that the configuration does not have, where the database does not have them either.
    Raises StorageUnavailable.
    """
    missing = unknown_parents(database, (tag for tag, _ in unresolved)) if unresolved else set()
    return [problem for tag, problem in unresolved if tag in missing]


def _check_parents(database: Database, entries: Sequence[ProvisionedMonitor]) -> None:
    named: dict[str, str] = {}
    for entry in entries:
        for pattern in entry.monitor.depends_on:
            if not is_glob(pattern):
                named.setdefault(pattern, entry.monitor.tag)
    unknown = named.keys() - {entry.monitor.tag for entry in entries} if named else set()
    missing = unknown_parents(database, unknown) if unknown else set()
    if missing:
        raise ConfigError(
            [
                Problem(f"the monitor {named[tag]!r} depends on {tag!r}, but there is no such monitor")
                for tag in sorted(missing)
            ]
        )
