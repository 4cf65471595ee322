"""The exporter's own metrics, `heartbeat_exporter_*`: what every layer reports through core.telemetry ends here."""

import os
import platform
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from typing import Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.alert import AlertState
from exporter.core.fleet import Fleet
from exporter.core.status import Status
from exporter.core.telemetry import Dropped, Fault, RejectReason
from exporter.metrics.heartbeats import Heartbeats
from exporter.metrics.own.requests import Requests

PREFIX = "heartbeat_exporter_"
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAGS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_DELIVERIES = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)
THREADS = ("recorder", "evaluator", "follower", "board", "notifier", "pruner", "spool", "self-heartbeat", "boot")
"""Kinds of threads; their counters begin at 0."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


class MonitorCollector:
    """Counts the fleet by status when it is scraped."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(f"{PREFIX}monitors", "Number of monitors, by status.", labels=["status"])
        tally = Tally(watched.shown.status for watched in self._fleet)
        for status in Status:
            family.add_metric([status.value], tally[status])
        yield family

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(f"{PREFIX}monitors", "Number of monitors, by status.", labels=["status"])


class ExporterTelemetry:
    """Implements core.telemetry.Telemetry on a registry. All methods may be called from any thread."""

    def __init__(self, registry: CollectorRegistry, fleet: Fleet, version: str, workers: int = 1) -> None:
        """`registry` is what is scraped. One of several workers tells of all."""
        # A creation time beside each counter doubles the series and tells nothing that process_start_time does not.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        registry.register(MonitorCollector(fleet))
        if workers > 1:
            from exporter.metrics.own.workers import (  # it takes memory
                Processes,
                SharedHeartbeats,
                SharedRequests,
                collect_from_all,
            )

            registry.register(Processes(os.getppid()))
            registry = collect_from_all(registry)
            self.request_served = SharedRequests(PREFIX, _FAST, registry).served
            self._heartbeats: Heartbeats | SharedHeartbeats = SharedHeartbeats(PREFIX, registry)
        else:
            prometheus_client.ProcessCollector(registry=registry)
            requests = Requests(PREFIX, _FAST)
            registry.register(requests)
            self.request_served = requests.served
            self._heartbeats = Heartbeats(PREFIX)
            registry.register(self._heartbeats)
        self.heartbeat_recorded = self._heartbeats.recorded
        info = Gauge(
            f"{PREFIX}build_info",
            "Version of the exporter and of Python; always 1.",
            ["version", "python_version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        info.labels(version, platform.python_version()).set(1)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, help, labels, registry=registry)

        def gauge(name: str, help: str, of_workers: Literal["livemin", "livemax", "livesum"]) -> Gauge:
            return Gauge(PREFIX + name, help, registry=registry, multiprocess_mode=of_workers)

        def histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(PREFIX + name, help, labels, buckets=buckets, registry=registry)

        self._rejected = counter(
            "heartbeats_rejected", "Number of heartbeats rejected, by dialect and reason.", "dialect", "reason"
        )
        self._delayed = counter("refusals_delayed", "Number of delayed responses to wrong credentials.")
        self._refused = counter("requests_refused", "Number of requests refused before routing, by reason.", "reason")
        for fault in Fault:
            self._refused.labels(fault.value)
        self._dropped = counter(
            "connections_dropped", "Number of connections closed to protect the server, by reason.", "reason"
        )
        for dropped in Dropped:
            self._dropped.labels(dropped.value)
        self._connections = gauge("connections", "Number of open client connections.", "livesum")
        self._commit = histogram("commit_duration_seconds", "Time taken to commit a group of heartbeats.", _FAST)
        self._batch = histogram("commit_batch_size", "Number of heartbeats in a committed group.", _SIZES)
        self._spooled = counter("spooled", "Number of heartbeats written to the spool.")
        self._replayed = counter("replayed", "Number of spooled heartbeats recorded in the database.")
        self._spool = gauge("spooled_heartbeats", "Number of heartbeats waiting in the spool.", "livesum")
        self._storage_up = gauge("storage_up", "Whether the database accepts transactions.", "livemin")
        self._storage_errors = counter(
            "storage_errors", "Number of failed database transactions, by operation.", "operation"
        )
        self._storage_outages = counter("storage_outages", "Number of times the database became unavailable.")
        self._evaluations = counter("evaluations", "Number of monitor evaluations.")
        self._evaluation_failures = counter("evaluation_failures", "Number of failed monitor evaluations.")
        self._thread_errors = counter(
            "thread_errors", "Number of unexpected errors in the threads of the process, by thread.", "thread"
        )
        for kind in THREADS:
            self._thread_errors.labels(kind)
        self._until = gauge(
            "evaluated_until_timestamp_seconds",
            "Time up to which this process has completed all due evaluations, in Unix time; 0 before the first.",
            "livemax",
        )
        self._lag = histogram(
            "evaluation_lag_seconds",
            "Delay between the time at which a status was due to change and its evaluation.",
            _LAGS,
        )
        self._transitions = counter("transitions", "Number of recorded status changes, by new status.", "status")
        for status in Status:
            self._transitions.labels(status.value)
        self._lease = gauge("lease_held", "Whether this process holds the lease and evaluates monitors.", "livesum")
        self._reload_ok = gauge(
            "config_last_reload_successful", "Whether the last configuration reload succeeded.", "livemin"
        )
        self._reload_at = gauge(
            "config_last_reload_success_timestamp_seconds",
            "Time of the last successful configuration reload, in Unix time.",
            "livemin",
        )
        self._alerts = counter("alerts", "Number of alerts triggered and resolved, by step.", "step")
        self._sent = counter("notifications_sent", "Number of notifications delivered.", "notifier")
        self._failed = counter(
            "notifications_failed", "Number of failed delivery attempts, by reason.", "notifier", "reason"
        )
        self._delivery = histogram(
            "notification_delivery_seconds",
            "Time between the creation of a notification and its delivery.",
            _DELIVERIES,
            "notifier",
        )
        self._scrape = histogram("scrape_duration_seconds", "Time taken to render a scrape.", _FAST)

    def expect_dialects(self, names: Iterable[str]) -> None:
        """Has the counters of these begin at 0, so that the first heartbeat and the first rejection are increases."""
        names = list(names)
        self._heartbeats.expect(names)
        for name in names:
            for reason in RejectReason:
                self._rejected.labels(name, reason.value)

    def expect_notifiers(self, names: Iterable[str]) -> None:
        """Has the counters of these begin at 0, so that the first failure is an increase."""
        for name in names:
            self._sent.labels(name)
            self._delivery.labels(name)

    def alerts_changed(self, triggered: int, resolved: int) -> None:
        self._alerts.labels(AlertState.TRIGGERED.value).inc(triggered)
        self._alerts.labels(AlertState.RESOLVED.value).inc(resolved)

    def notification_delivered(self, notifier: str, seconds: float) -> None:
        self._sent.labels(notifier).inc()
        self._delivery.labels(notifier).observe(seconds)

    def notification_failed(self, notifier: str, reason: str) -> None:
        self._failed.labels(notifier, reason).inc()

    def scraped(self, seconds: float) -> None:
        self._scrape.observe(seconds)

    def heartbeat_rejected(self, dialect: str, reason: RejectReason) -> None:
        self._rejected.labels(dialect, reason.value).inc()

    def refusal_delayed(self) -> None:
        self._delayed.inc()

    def request_refused(self, fault: Fault) -> None:
        self._refused.labels(fault.value).inc()

    def connection_dropped(self, reason: Dropped) -> None:
        self._dropped.labels(reason.value).inc()

    def connections_open(self, connections: int) -> None:
        self._connections.set(connections)

    def batch_committed(self, heartbeats: int, seconds: float) -> None:
        self._commit.observe(seconds)
        self._batch.observe(heartbeats)

    def spooled(self, heartbeats: int) -> None:
        self._spooled.inc(heartbeats)

    def replayed(self, heartbeats: int) -> None:
        self._replayed.inc(heartbeats)

    def spool_holds(self, heartbeats: int) -> None:
        self._spool.set(heartbeats)

    def storage_failed(self, operation: str) -> None:
        self._storage_errors.labels(operation).inc()

    def storage_up(self, up: bool) -> None:
        self._storage_up.set(up)
        if not up:
            self._storage_outages.inc()

    def evaluated(self, monitors: int, lag: float) -> None:
        self._evaluations.inc(monitors)
        self._lag.observe(lag)

    def evaluation_failed(self) -> None:
        self._evaluation_failures.inc()

    def thread_failed(self, kind: str) -> None:
        self._thread_errors.labels(kind).inc()

    def evaluated_until(self, at: float) -> None:
        self._until.set(at)

    def transition(self, status: str) -> None:
        self._transitions.labels(status).inc()

    def lease_held(self, held: bool) -> None:
        self._lease.set(held)

    def config_reloaded(self, successful: bool, at: float) -> None:
        self._reload_ok.set(successful)
        if successful:
            self._reload_at.set(at)
