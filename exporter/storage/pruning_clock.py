"""The clock that history is pruned by: the wall clock, but never by a jump of it."""

from exporter.core.clock import MINUTE, Clock
from exporter.core.trusted_clock import pruned_by
from exporter.storage.database import Database

KEEP_EVERY = MINUTE
_KEY = "pruned_by"


class PruningClock:
    """Not thread-safe: the pruner's thread calls it. `now` blocks and raises StorageUnavailable.

    Its moment lives in the database: a process that starts with a wrong clock goes on from where the last one was. A
    database that has none yet begins with its last transition, or now.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._last: tuple[int, int] | None = None
        """The moment, and when that was by the steady clock."""
        self._kept_at: int | None = None

    def now(self) -> int:
        steady = self._clock.monotonic()
        before, since = self._last or (self._read(), steady)
        moment = pruned_by(before, steady - since, self._clock.now())
        self._last = moment, steady
        if self._kept_at is None or steady - self._kept_at >= KEEP_EVERY:
            self._keep(moment)
            self._kept_at = steady
        return moment

    def monotonic(self) -> int:
        return self._clock.monotonic()

    def forget(self) -> None:
        """Another process prunes now: what it has come to is read when this one prunes again."""
        self._last = self._kept_at = None

    def _read(self) -> int:
        settings, transitions = self._db.tables.settings, self._db.tables.transitions
        with self._db.read("read the pruned moment"):
            for (value,) in settings.select(settings.value).where(settings.key == _KEY).tuples():
                return int(value)
            newest = transitions.select(transitions.observed_at).order_by(transitions.id.desc()).limit(1)
            return next((int(row[0]) for row in newest.tuples()), self._clock.now())

    def _keep(self, moment: int) -> None:
        settings = self._db.tables.settings
        with self._db.write("keep the pruned moment"):
            settings.insert(**{"key": _KEY, "value": str(moment)}).on_conflict(
                conflict_target=[settings.key], update={settings.value: str(moment)}
            ).execute()
