"""What the doctor is given to look at."""

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
    """One installation, as it is configured."""

    config_file: Path | None
    settings: Settings | None
    """None when the configuration cannot be used; `problems` then says why."""
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    url: str | None = None
    """Where the service answers, when not where its settings say."""
    offline: bool = False
    clock: Clock = field(default_factory=SystemClock)
    mounts: Path = Path("/proc/self/mounts")
    opened: Database | None = None

    @property
    def configured(self) -> Settings:
        """The settings, for a check that needs them."""
        if self.settings is None:
            raise ConfigError([])
        return self.settings

    @property
    def database(self) -> Database:
        """Raises InvalidValue when its URL cannot be one."""
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
