"""The sender: one channel for each notifier that is configured."""

import logging
from collections.abc import Callable, Sequence

from exporter.config.settings import NotifierSettings
from exporter.core.clock import SECOND, Clock
from exporter.core.errors import ConfigError, InvalidValue, Problem
from exporter.core.process.threads import Threads
from exporter.core.telemetry import Telemetry
from exporter.notify.notifier import Failure
from exporter.notify.notifiers import notifier_class
from exporter.notify.patient_clock import UnhurriedClock
from exporter.notify.worker import DeliveryWorker
from exporter.presentation.events import EventLog, LogEvent
from exporter.presentation.message import Site
from exporter.storage.delivery.deliveries import Deliveries
from exporter.storage.delivery.notifications import Notifications
from exporter.storage.repositories.leases import Lease

log = logging.getLogger(__name__)


class Dispatcher:
    """Works while this process holds the lease."""

    def __init__(
        self,
        deliveries: Deliveries,
        notifications: Notifications,
        lease: Lease,
        clock: Clock,
        telemetry: Telemetry,
        site: Callable[[], Site],
        threads: Threads | None = None,
        events: EventLog | None = None,
    ) -> None:
        self._events = events or EventLog(clock)
        self._deliveries = deliveries
        self._notifications = notifications
        self._lease = lease
        self._clock = clock
        self._telemetry = telemetry
        self._site = site
        self._threads = threads or Threads()
        self._unhurried = UnhurriedClock(clock)
        self._strangers: set[str] = set()
        """Notifiers for which messages wait, and which are configured no longer."""
        self._channels: dict[str, DeliveryWorker] = {}
        self._leaving: list[DeliveryWorker] = []
        """Channels that were asked to end, and may not have ended yet."""
        self._settings: dict[str, NotifierSettings] = {}
        self._started = False

    def prepare(self, notifiers: Sequence[NotifierSettings]) -> Callable[[], None]:
        """Makes the channels that are new or changed, and returns what puts them in force; those whose settings stay
        are left alone. Raises ConfigError when one cannot be made.
        """
        chosen = {notifier.name: notifier for notifier in notifiers}
        made = {
            name: self._channel(notifier) for name, notifier in chosen.items() if self._settings.get(name) != notifier
        }

        def apply() -> None:
            for name in [name for name, settings in self._settings.items() if chosen.get(name) != settings]:
                channel = self._channels.pop(name)
                channel.stop()
                self._leaving.append(channel)
            self._leaving = [channel for channel in self._leaving if channel.alive]
            self._settings = chosen
            self._channels = {**self._channels, **made}
            if self._started:
                for name, channel in made.items():
                    channel.start([leaving for leaving in self._leaving if leaving.name == name])

        return apply

    def _channel(self, settings: NotifierSettings) -> DeliveryWorker:
        try:
            notifier = notifier_class(settings.type)(settings.options)
        except InvalidValue as error:
            raise ConfigError([Problem(str(error), f"notifiers: {settings.name}")]) from None
        return DeliveryWorker(
            settings.name,
            notifier,
            self._deliveries,
            self._lease,
            self._clock,
            self._telemetry,
            self._site,
            changed=settings.name in self._settings,
            threads=self._threads,
            events=self._events,
        )

    def start(self) -> None:
        self._started = True
        for channel in self._channels.values():
            channel.start()

    def stop(self, timeout: float = 5.0) -> None:
        """What is not delivered by then is delivered after the next start, under its key."""
        channels, deadline = list(self._channels.values()), self._clock.monotonic() + round(timeout * SECOND)
        for channel in channels:
            channel.stop()
        for channel in channels:
            channel.join(max(0, deadline - self._clock.monotonic()) / SECOND)

    def wake(self) -> None:
        """A new message was enqueued. Called from any thread."""
        for channel in list(self._channels.values()):
            channel.wake()

    @property
    def alive(self) -> bool:
        """Whether every channel's thread is there."""
        return all(channel.alive for channel in list(self._channels.values()))

    def expire_orphaned(self) -> None:
        """Gives up the expired messages for notifiers that are no longer configured."""
        if not self._lease.held:
            return
        now, unhurried = self._clock.now(), self._unhurried.now()
        strangers = set(self._notifications.owed_to(list(self._channels)))
        for name in strangers - self._strangers:
            log.warning("messages wait for notifier %s, which is not in the configuration: was it renamed?", name)
        self._strangers = strangers
        for name in sorted(strangers):
            for notification in self._notifications.expired(name, unhurried):
                text = "the configuration no longer has this notifier"
                self._deliveries.give_up(notification.id, now, Failure.REMOVED.value, text)
                self._telemetry.notification_failed(name, Failure.REMOVED.value)
                self._events.record(
                    LogEvent.NOTIFICATION_GIVEN_UP,
                    notifier=name,
                    key=notification.key,
                    notification=notification.id,
                    attempts=notification.attempts,
                    reason=Failure.REMOVED,
                    error=text,
                )
