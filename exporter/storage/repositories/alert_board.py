"""What is wrong now, in memory: for scrapes, which have to be answered while the database is away."""

from collections.abc import Mapping, Sequence

from exporter.core.alerts.alert import AlertState
from exporter.core.alerts.notification import Hold
from exporter.core.clock import Clock
from exporter.core.ingest_guard import Suspicion
from exporter.storage.delivery.notifications import Notifications, Queue
from exporter.storage.ingest_suspicions import IngestSuspicions
from exporter.storage.repositories.alerts import Alert, Alerts
from exporter.storage.repositories.incidents import Incidents


class AlertBoard:
    """One thread polls; any thread reads, and sees whole values."""

    def __init__(
        self,
        alerts: Alerts,
        incidents: Incidents,
        notifications: Notifications,
        clock: Clock,
        suspicions: IngestSuspicions | None = None,
    ) -> None:
        self._alerts = alerts
        self._incidents = incidents
        self._notifications = notifications
        self._clock = clock
        self._suspicions = suspicions
        self.suspicion: Suspicion | None = None
        """Why heartbeats may not arrive; None while nothing is held because of that."""
        self._revision = 0
        self.firing: dict[int, Alert] = {}
        """By id; replaced, never changed."""
        self.incidents_open = 0
        self.queues: Sequence[Queue] = ()
        self.holds: Mapping[str, Hold] = {}
        """By notifier; some may be over by now."""

    def poll(self) -> None:
        """Raises StorageUnavailable, and then everything stays as it was."""
        revision, changed = self._alerts.changed_since(self._revision)
        if changed:
            firing = dict(self.firing)
            for alert in changed:
                if alert.step is AlertState.TRIGGERED:
                    firing[alert.id] = alert
                else:
                    firing.pop(alert.id, None)
            self.firing = firing
        self._revision = revision
        if self._suspicions is not None:
            self.suspicion = self._suspicions.current()
        self.incidents_open = self._incidents.count_open()
        self.queues = self._notifications.queues()
        self.holds = self._notifications.holds(self._clock.now())
