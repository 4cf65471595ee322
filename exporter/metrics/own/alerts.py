"""Series of alerts, incidents and pending messages, computed when they are scraped."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.clock import SECOND, Clock
from exporter.storage.repositories.alert_board import AlertBoard


class AlertCollector:
    """A collector."""

    def __init__(self, board: AlertBoard, clock: Clock, prefix: str) -> None:
        self._board = board
        self._clock = clock
        self._prefix = prefix
        self.notifiers: tuple[str, ...] = ()
        """Configured notifiers: their numbers of pending messages are shown even when they are 0."""

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "heartbeat_alert_firing",
            "Whether the alert is firing; absent while it is not.",
            labels=["tag", "alert", "severity"],
        )
        yield GaugeMetricFamily(
            "heartbeat_alert_held",
            "Whether the notifications of the firing alert are held; absent while they are not.",
            labels=["tag", "alert", "severity", "held_by"],
        )
        yield GaugeMetricFamily(
            f"{self._prefix}ingest_suspect",
            "Whether so many monitors are silent that heartbeats may not reach the exporter, and alerts are held.",
        )
        yield GaugeMetricFamily(f"{self._prefix}incidents_open", "Number of unresolved incidents.")
        for name, help in (
            ("notifications_pending", "Number of notifications waiting for delivery."),
            ("notifications_dead", "Number of undelivered notifications that are no longer retried."),
            (
                "notifications_oldest_pending_age_seconds",
                "Age of the oldest notification waiting for delivery; 0 if none waits.",
            ),
            (
                "notifier_hold_seconds",
                "Remaining time for which the receiver asked the notifier to wait; 0 if it does not wait.",
            ),
        ):
            yield GaugeMetricFamily(f"{self._prefix}{name}", help, labels=["notifier"])

    def collect(self) -> Iterator[Metric]:
        firing, held, suspect, incidents, pending, dead, oldest, hold = self.describe()
        of_monitors = [alert for alert in self._board.firing.values() if alert.tag]
        for alert in sorted(of_monitors, key=lambda alert: (alert.tag, alert.rule)):
            labels = [alert.tag, alert.rule, alert.severity.value]
            firing.add_metric(labels, 1)  # type: ignore[attr-defined]
            for kind in sorted({hold.kind for hold in alert.holds}):
                held.add_metric([*labels, kind.value], 1)  # type: ignore[attr-defined]
        suspect.add_metric([], int(self._board.suspicion is not None))  # type: ignore[attr-defined]
        incidents.add_metric([], self._board.incidents_open)  # type: ignore[attr-defined]
        now = self._clock.now()
        queues = {queue.notifier: queue for queue in self._board.queues}
        holds = self._board.holds
        for name in sorted({*queues, *self.notifiers, *holds}):
            queue = queues.get(name)
            since = queue.oldest_pending_at if queue is not None else None
            pending.add_metric([name], queue.pending if queue is not None else 0)  # type: ignore[attr-defined]
            dead.add_metric([name], queue.dead if queue is not None else 0)  # type: ignore[attr-defined]
            oldest.add_metric([name], max(0, now - since) / SECOND if since is not None else 0)  # type: ignore[attr-defined]
            left = holds[name].left(now) if name in holds else 0
            hold.add_metric([name], left / SECOND)  # type: ignore[attr-defined]
        yield from (firing, held, suspect, incidents, pending, dead, oldest, hold)
