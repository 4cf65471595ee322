"""The installation that the doctor checks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporter.app.repositories import Repositories
from exporter.config.settings import Settings
from exporter.core.clock import Clock, SystemClock
from exporter.core.errors import ConfigError
from exporter.storage.database import Database


@dataclass(slots=True)
class DoctorContext:
    """One configured installation, shared by all checks."""

    config_file: Path | None
    settings: Settings | None
    """None when the configuration is invalid; `problems` then lists the reasons."""
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    url: str | None = None
    """URL of the running service, if it differs from the settings."""
    offline: bool = False
    clock: Clock = field(default_factory=SystemClock)
    mounts: Path = Path("/proc/self/mounts")
    opened: Database | None = None

    @property
    def configured(self) -> Settings:
        """The settings; raises ConfigError when there are none."""
        if self.settings is None:
            raise ConfigError([])
        return self.settings

    @property
    def database(self) -> Database:
        """The database, opened on first use. Raises InvalidValue when its URL is invalid."""
        if self.opened is None:
            self.opened = Database(self.configured.storage.url)
        return self.opened

    @property
    def repositories(self) -> Repositories:
        """Those of the database. Raises InvalidValue as `database` does."""
        return Repositories(self.database, self.clock)

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
