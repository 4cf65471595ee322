"""The repositories of one database, each made when it is first asked for: a command needs one or two of them."""

from functools import cached_property

from exporter.core.clock import Clock
from exporter.presentation.events import EventLog
from exporter.storage.database import Database
from exporter.storage.delivery.deliveries import Deliveries
from exporter.storage.delivery.held_alerts import HeldAlerts
from exporter.storage.delivery.notifications import Notifications
from exporter.storage.delivery.outbox import Outbox
from exporter.storage.ingest_suspicions import IngestSuspicions
from exporter.storage.repositories.alert_progress import AlertProgress
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.blackouts import Blackouts
from exporter.storage.repositories.history import History
from exporter.storage.repositories.incidents import Incidents
from exporter.storage.repositories.leases import Lease
from exporter.storage.repositories.maintenances import Maintenances
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.repositories.suppressions import SuppressionTable


class Repositories:
    """Light to import, so that the command line and the doctor can use it too."""

    def __init__(self, database: Database, clock: Clock, replica: str = "", events: EventLog | None = None) -> None:
        """`replica` names this process in what it writes; commands that only read need none. `events` logs what
        changes.
        """
        self.database = database
        self.events = events or EventLog(clock)
        self._clock = clock
        self._replica = replica

    @cached_property
    def lease(self) -> Lease:
        """Of the one process that evaluates and delivers."""
        return Lease(self.database, self._clock, "evaluation", self._replica)

    @cached_property
    def monitors(self) -> Monitors:
        return Monitors(self.database, self._clock, self._replica, self.events)

    @cached_property
    def history(self) -> History:
        return History(self.database)

    @cached_property
    def alerts(self) -> Alerts:
        return Alerts(self.database)

    @cached_property
    def alert_progress(self) -> AlertProgress:
        return AlertProgress(self.database)

    @cached_property
    def suppressions(self) -> SuppressionTable:
        return SuppressionTable(self.database)

    @cached_property
    def held_alerts(self) -> HeldAlerts:
        return HeldAlerts(self.database)

    @cached_property
    def ingest_suspicions(self) -> IngestSuspicions:
        return IngestSuspicions(self.database)

    @cached_property
    def incidents(self) -> Incidents:
        return Incidents(self.database, self._clock, self.events)

    @cached_property
    def notifications(self) -> Notifications:
        return Notifications(self.database)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.database)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.database, self.lease)

    @cached_property
    def maintenances(self) -> Maintenances:
        return Maintenances(self.database, self._clock)

    @cached_property
    def blackouts(self) -> Blackouts:
        """For reading. The process that records its own outages has one of its own, in `outages`."""
        return Blackouts(self.database, self._clock)
