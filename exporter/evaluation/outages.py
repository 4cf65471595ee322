"""What one replica knows of outages of our own, and of what does not count."""

import logging
import threading
from collections.abc import Callable, Sequence

from exporter.core.clock import Clock
from exporter.core.errors import StorageUnavailable
from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet
from exporter.core.maintenance import Window
from exporter.core.trusted_clock import TrustedClock
from exporter.evaluation.clock_watch import ClockWatch
from exporter.fleet.calendars import FleetExclusions
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.storage.database import Database
from exporter.storage.repositories.blackouts import Blackouts
from exporter.storage.repositories.maintenances import Maintenances
from exporter.storage.server_clock import ServerClock

log = logging.getLogger(__name__)


class OutageTracker:
    """Implements evaluation.Calendars. Methods block and, but for `end`, raise StorageUnavailable."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        clock: Clock,
        taking_since: Callable[[], int | None] = lambda: None,
        replica: str = "",
        synchronised: Callable[[], bool | None] = lambda: None,
        set_back: Callable[[int], None] = lambda now: None,
        spools: bool = False,
    ) -> None:
        """`taking_since` returns since when this process has taken every heartbeat, whatever the database did;
        `synchronised` what the kernel says about the clock. `set_back` is called when a clock that was ahead is right
        again. A clock that is not a TrustedClock is taken as it is. `spools`: the processes on this database spool
        heartbeats while it is away.
        """
        self._clock = clock
        self._taking_since = taking_since
        self._after_outage: str | None = None
        self._blackouts = Blackouts(database, clock, courteous=spools)
        self._watching = threading.Lock()
        self._watch: ClockWatch | None = None
        if isinstance(clock, TrustedClock):
            server = ServerClock(database, clock)
            self._watch = ClockWatch(clock, self._blackouts, server, replica, synchronised, set_back)
        self._maintenances = Maintenances(database, clock)
        self._calendars = FleetExclusions(database, fleet, self._blackouts, self._maintenances)

    def begin(self, after_outage: str, maintenances: Sequence[Window] = ()) -> int | None:
        """Once the database is open, before any monitor is judged: records the outage that ends here.

        Returns the moment of the database's last stamp: no heartbeat that is received from now on may be older. A
        stamp of a clock that was ahead has been moved to now by then.
        """
        if self._watch is not None:
            self._watch.begin()
        # What a first start takes before it accepts anything is no outage: there was nothing before it.
        if self._blackouts.stamped_at() is not None:
            self.record_liveness()
        self.use(after_outage, maintenances)
        return self._blackouts.stamped_at()

    def use(self, after_outage: str, maintenances: Sequence[Window] = ()) -> None:
        """`forgive` or `strict`, and the windows of the configuration file, from now on."""
        began, ended = self._maintenances.provision(maintenances)
        if began or ended:
            log.info("provisioned maintenance: %d added, %d ended", began, ended)
        if after_outage != self._after_outage:
            self._calendars.forgive(after_outage == "forgive", self._clock.now())
            self._after_outage = after_outage
        else:
            self._calendars.refresh()

    def record_liveness(self) -> None:
        """This process is there."""
        if self._watch is not None:
            with self._watching:
                self._watch.look()
            if self._watch.waits:
                return
        found = self._blackouts.record_liveness(self._taking_since())
        if found is not None:
            log.warning(
                "heartbeats could not be taken for %s, from %s to %s: a blackout",
                humanize_duration(found.length),
                rfc3339(found.start),
                rfc3339(found.end),
            )

    @property
    def total(self) -> int:
        """Milliseconds in which no process accepted heartbeats, since the database was made."""
        return self._calendars.blackout_total

    def waits(self) -> bool:
        """Whether no monitor can be evaluated yet: the clock is behind the database, or another process is to say first
        whether it accepted heartbeats while this one did not.
        """
        return self._blackouts.waits or (self._watch is not None and self._watch.waits)

    def notice(self) -> str | None:
        """What people should know about the clock now."""
        return self._watch.notice() if self._watch is not None else None

    def refresh(self) -> Calendar:
        """Also called every so often: stamping has its own pace."""
        self.record_liveness()
        return self._calendars.refresh()

    def end(self) -> None:
        """The last heartbeat is taken: from here on this process is not there."""
        if self._watch is not None and self._watch.waits:
            return
        try:
            self._blackouts.record_liveness(self._taking_since(), now=True)
        except StorageUnavailable as error:
            log.warning("the end is not stamped: %s", error)
