"""One notifier's queue, on a thread of its own: a slow or unreachable service does not delay the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random

from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.notification import Backoff, Hold, hold_of
from exporter.core.clock import MINUTE, SECOND, Clock
from exporter.core.errors import StorageUnavailable
from exporter.core.process.repeats import Repeats
from exporter.core.process.threads import SupervisedThread, Threads
from exporter.core.telemetry import Telemetry
from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.patient_clock import UnhurriedClock
from exporter.presentation.events import EventLog, LogEvent, some
from exporter.presentation.message import AlertSnapshot, Event, Message, Site
from exporter.presentation.moments import humanize_duration
from exporter.storage.delivery.deliveries import Contents, Deliveries
from exporter.storage.delivery.notifications import Notification
from exporter.storage.repositories.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

RESOLVED_SHOWN = 5 * MINUTE
"""How long resolved alerts are included when a service's alerts are refreshed."""
_MAX_WAIT = 0.5
"""Seconds between two looks at the outbox: other processes do not wake us."""
MAX_ATTEMPT = 10 * MINUTE
"""A notifier that has not come back by then hangs: each of its requests ends far sooner."""
_SEVERITIES = tuple(Severity)


class DeliveryWorker:
    """`work` does all that is due, on the caller's thread; `start` runs it on one of its own."""

    def __init__(
        self,
        name: str,
        notifier: Notifier,
        deliveries: Deliveries,
        lease: Lease,
        clock: Clock,
        telemetry: Telemetry,
        site: Callable[[], Site],
        changed: bool = False,
        threads: Threads | None = None,
        events: EventLog | None = None,
    ) -> None:
        """`changed`: it takes the place of one with other settings, whose hold is not this one's."""
        self.name = name
        self._events = events or EventLog(clock)
        self._notifier = notifier
        self._deliveries = deliveries
        self._lease = lease
        self._clock = clock
        self._telemetry = telemetry
        self._site = site
        self._backoff = Backoff(Random())  # noqa: S311 - it only has to keep attempts out of step
        self._unhurried = UnhurriedClock(clock)
        self._not_before = 0
        """By the steady clock: the other side asked us to wait until then."""
        self._changed = changed
        self._before: Sequence[DeliveryWorker] = ()
        """Channels of the same name whose last attempts may still be under way."""
        self._led = False
        """Whether this process held the lease at the last look."""
        self._taken: tuple[int, Sequence[int], int] | None = None
        """What was delivered and is not noted yet: notification, alerts, moment."""
        self._refreshed_at: int | None = None
        self._template_failures = Repeats(clock)
        self._thread = SupervisedThread(
            f"notifier {name}",
            self._turn,
            threads or Threads(),
            end=self._end,
            hanging_after=MAX_ATTEMPT,
            discreet=True,
        )

    def start(self, before: "Sequence[DeliveryWorker]" = ()) -> None:
        """Begins when the channels that it replaces have ended: the message that one of them is delivering would be
        sent twice. `before` are those.
        """
        self._before = before
        self._thread.start()

    def wake(self) -> None:
        """A new message was enqueued. Called from any thread."""
        self._thread.wake()

    def stop(self) -> None:
        """Asks the thread to end; an attempt that is under way goes on until it has an answer."""
        self._thread.ask_to_stop()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        return self._thread.alive

    def work(self) -> None:
        """Raises StorageUnavailable, and LeaseLost when another process took over."""
        if not self._takes_over():
            return
        unhurried = self._unhurried.now()
        if self._lease.held:
            if not self._led:
                self._recall_hold()
            self._note()
        self._led = self._lease.held
        while self._works() and (notification := self._next(unhurried)) is not None:
            last = notification.expires_at <= unhurried
            # The reader of an earlier alert's end would believe that all is well if it came last.
            for pending in (*self._deliveries.ends_before(notification), notification):
                if self._works() and (last or not self._held()):
                    self._attempt(pending)
        if self._works():
            self._refresh()

    def _takes_over(self) -> bool:
        """Whether the channels before this one have ended. What they could not note is noted here."""
        while self._before:
            before = self._before[0]
            if before.alive:
                return False
            if self._lease.held:
                self._note()
            self._taken, before._taken = self._taken or before._taken, None
            self._before = self._before[1:]
        return True

    def _works(self) -> bool:
        return self._lease.held and not self._thread.stopping

    def _held(self) -> bool:
        return self._clock.monotonic() < self._not_before

    def _next(self, unhurried: int) -> Notification | None:
        """The message whose turn it is. During a hold, only what has no turn after it."""
        return self._deliveries.due(self.name, self._clock.now(), unhurried if self._held() else None)

    def _recall_hold(self) -> None:
        """Obeys the hold that another process, or this one before a restart, was asked for."""
        if self._changed:
            self._lift_hold()
            self._changed = False
            return
        now = self._clock.now()
        hold = self._deliveries.current_hold(self.name, now)
        if hold is not None:
            self._not_before = max(self._not_before, self._clock.monotonic() + hold.left(now))

    def _attempt(self, notification: Notification) -> None:
        self._thread.progress()
        contents = self._deliveries.seal(notification.id)
        if contents is None:
            return  # everything in it was over before its turn came
        message: Message | None = None
        try:
            message = read_message(notification, contents, self._site())
            answer = self._notifier.deliver(message)
        except DeliveryFailed as error:
            self._failed(notification, message, error)
        except Exception as error:  # noqa: BLE001 - a defect of one notifier is that notifier's alone
            self._failed(notification, message, _broke(error))
        else:
            now = self._clock.now()
            self._telemetry.notification_delivered(self.name, max(0, now - notification.created_at) / SECOND)
            fields = _fields(notification, message, notification.attempts + 1)
            self._events.record(LogEvent.NOTIFICATION_DELIVERED, **fields, answer=answer)
            self._taken = (notification.id, contents.alert_ids, now)
            self._note()
            if self._held():
                self._lift_hold()
        finally:
            self._count_failed_templates()

    def _count_failed_templates(self) -> None:
        failed = self._notifier.failed_templates()
        for _ in failed:
            self._telemetry.notification_failed(self.name, Failure.TEMPLATE.value)
        if failed and self._template_failures.is_due(self.name):
            which = ", ".join(f"{option}: {text}" for option, text in failed.items())
            log.warning(
                "notifier %s sends the default text because a template cannot be rendered: %s", self.name, which
            )

    def _lift_hold(self) -> None:
        self._deliveries.lift_hold(self.name)
        self._not_before = 0

    def _note(self) -> None:
        """Notes what was delivered; a database that is away is asked again, and the message is not sent again."""
        if self._taken is not None:
            id, alert_ids, at = self._taken
            self._deliveries.delivered(id, alert_ids, at)
            self._taken = None

    def _failed(self, notification: Notification, message: Message | None, error: DeliveryFailed) -> None:
        self._telemetry.notification_failed(self.name, error.failure.value)
        now, attempts, wait = self._clock.now(), notification.attempts + 1, hold_of(error.retry_after)
        hold = Hold(self.name, now, now + wait, str(error)) if wait else None
        if hold is not None:
            self._not_before = self._clock.monotonic() + wait
            log.warning(
                "notifier %s is held for %s, as its receiver asked: %s", self.name, humanize_duration(wait), error
            )
        ended = (error.failure.value, str(error), hold)
        if not error.retry or self._unhurried.now() >= notification.expires_at:
            self._deliveries.give_up(notification.id, now, *ended)
            event = LogEvent.NOTIFICATION_GIVEN_UP
        else:
            again = now + self._backoff.wait(attempts, wait)
            # The last attempt is made when its time ends, however long the other side asks us to wait.
            again = min(again, notification.expires_at) if now < notification.expires_at else again
            self._deliveries.try_again(notification.id, again, *ended)
            event = LogEvent.NOTIFICATION_FAILED
        fields = _fields(notification, message, attempts)
        self._events.record(event, **fields, reason=error.failure, error=str(error))

    def _refresh(self) -> None:
        every, now = self._notifier.refresh_every, self._clock.monotonic()
        if every is None or (self._refreshed_at is not None and now - self._refreshed_at < every * SECOND):
            return
        self._refreshed_at = now
        firing, resolved = self._deliveries.known_to(self.name, self._clock.now() - RESOLVED_SHOWN)
        if not firing and not resolved:
            return
        try:
            self._notifier.refresh(
                [AlertSnapshot.from_json(text) for text in firing],
                [AlertSnapshot.from_json(text) for text in resolved],
                self._site(),
            )
        except DeliveryFailed as error:
            self._not_refreshed(error)
        except Exception as error:  # noqa: BLE001 - as with `deliver`; pending messages are still sent
            self._not_refreshed(_broke(error))

    def _not_refreshed(self, error: DeliveryFailed) -> None:
        self._telemetry.notification_failed(self.name, error.failure.value)
        log.warning("alerts not refreshed at %s: %s", self.name, error)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> float:
        try:
            self.work()
            return self._until_next()
        except LeaseLost:
            return _MAX_WAIT
        except StorageUnavailable as error:
            log.debug("notifier %s waits for the database: %s", self.name, error)
            return _MAX_WAIT
        except Exception:  # counted for this notifier; the supervised thread logs it and goes on
            self._telemetry.notification_failed(self.name, Failure.INTERNAL.value)
            raise

    def _end(self) -> None:
        """Notes what was delivered last: the channel that follows, or the next process, would send it again."""
        try:
            self._note()
        except LeaseLost:
            log.warning("notifier %s stops and cannot record a delivery: another process took over", self.name)
        except StorageUnavailable as error:
            log.warning("notifier %s stops and cannot record a delivery: %s", self.name, error)
        finally:
            self._deliveries.close()

    def _until_next(self) -> float:
        if not self._lease.held or self._held() or self._before:
            return _MAX_WAIT
        due = self._deliveries.next_due(self.name)
        if due is None:
            return _MAX_WAIT
        return min(_MAX_WAIT, max(0.0, (due - self._clock.now()) / SECOND))


def _fields(notification: Notification, message: Message | None, attempts: int) -> Mapping[str, object]:
    """For the log: which message this is, and the alerts in it; the first of many."""
    alerts = message.alerts if message is not None else ()
    return {
        "notifier": notification.notifier,
        "key": notification.key,
        "notification": notification.id,
        "attempts": attempts,
        "alerts": len(alerts),
        "monitor": some([alert.tag for alert in alerts]),
        "alert": some([alert.alert_id for alert in alerts]),
        "rule": some([alert.rule for alert in alerts]),
    }


def _broke(error: Exception) -> DeliveryFailed:
    """Without its text and its traceback, which may hold the notifier's secrets."""
    return DeliveryFailed(Failure.INTERNAL, f"the notifier raised {type(error).__name__}", retry=True)


def read_message(notification: Notification, contents: Contents, site: Site) -> Message:
    """What the outbox kept, as the notifier takes it; the most severe alert first."""
    facts = [AlertSnapshot.from_json(text) for text in contents.facts]
    unannounced = {
        alert.alert_id for id, alert in zip(contents.alert_ids, facts, strict=True) if id in contents.unannounced
    }
    facts.sort(key=lambda alert: _SEVERITIES.index(alert.severity))
    return Message(
        key=notification.key,
        event=Event(notification.event),
        alerts=tuple(facts),
        site=site,
        enqueued_at=notification.created_at,
        unannounced=frozenset(unannounced),
        answers=tuple(contents.answers),
    )
