"""The exporter's own metrics, `heartbeat_exporter_*`: what every layer reports through core.telemetry ends here."""

import os
import platform
from collections import Counter as Tally
from collections.abc import Iterable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.alerts.alert import AlertState
from exporter.core.fleet import Fleet
from exporter.core.status import Status
from exporter.core.telemetry import Dropped, Fault, PushOutcome, RejectReason, Telemetry
from exporter.metrics.own.heartbeats import Heartbeats
from exporter.metrics.own.instruments import PREFIX, Instruments, counter, gauge, histogram
from exporter.metrics.own.requests import Requests

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAGS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_DELIVERIES = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)
THREADS = (
    "recorder",
    "evaluator",
    "follower",
    "board",
    "notifier",
    "pruner",
    "spool",
    "self-heartbeat",
    "boot",
    "job-metrics",
)
"""Kinds of threads; their counters begin at 0."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


class MonitorCollector:
    """Counts the fleet by status when it is scraped."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(f"{PREFIX}monitors", "Number of monitors, by status.", labels=["status"])
        tally = Tally(watched.current.status for watched in self._fleet)
        for status in Status:
            family.add_metric([status.value], tally[status])
        yield family

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(f"{PREFIX}monitors", "Number of monitors, by status.", labels=["status"])


class ExporterTelemetry(Instruments, Telemetry):
    """Reports as metrics on a registry. All methods may be called from any thread."""

    def __init__(self, registry: CollectorRegistry, fleet: Fleet, version: str, workers: int = 1) -> None:
        """`registry` is what is scraped. One of several workers reports all of them."""
        # A creation time beside each counter doubles the series and adds nothing to process_start_time.
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

        self._make_instruments(registry)

    # ── heartbeats and requests ──────────────────────────────────────────────────────────────────────────────

    @counter("heartbeats_rejected", "Number of heartbeats rejected, by dialect and reason.", "dialect", "reason")
    def heartbeat_rejected(self, metric: Counter, dialect: str, reason: RejectReason) -> None:
        metric.labels(dialect, reason.value).inc()

    def expect_dialects(self, names: Iterable[str]) -> None:
        """Has the counters of these begin at 0, so that the first heartbeat and the first rejection are increases."""
        names = list(names)
        self._heartbeats.expect(names)
        for name in names:
            for reason in RejectReason:
                self._instruments["heartbeats_rejected"].labels(name, reason.value)

    @counter("job_metric_pushes", "Number of pushes of job metrics, by outcome.", "outcome", known=PushOutcome)
    def pushed(self, metric: Counter, outcome: PushOutcome) -> None:
        metric.labels(outcome.value).inc()

    @counter("refusals_delayed", "Number of delayed responses to wrong credentials.")
    def refusal_delayed(self, metric: Counter) -> None:
        metric.inc()

    @counter("requests_refused", "Number of requests refused before routing, by reason.", "reason", known=Fault)
    def request_refused(self, metric: Counter, fault: Fault) -> None:
        metric.labels(fault.value).inc()

    @counter(
        "connections_dropped", "Number of connections closed to protect the server, by reason.", "reason", known=Dropped
    )
    def connection_dropped(self, metric: Counter, reason: Dropped) -> None:
        metric.labels(reason.value).inc()

    @gauge("connections", "Number of open client connections.", "livesum")
    def connections_open(self, metric: Gauge, connections: int) -> None:
        metric.set(connections)

    # ── commits, spool and database ──────────────────────────────────────────────────────────────────────────

    @histogram("commit_duration_seconds", "Time taken to commit a group of heartbeats.", _FAST)
    @histogram("commit_batch_size", "Number of heartbeats in a committed group.", _SIZES)
    def batch_committed(self, size: Histogram, duration: Histogram, heartbeats: int, seconds: float) -> None:
        size.observe(heartbeats)
        duration.observe(seconds)

    @counter("spooled", "Number of heartbeats written to the spool.")
    def spooled(self, metric: Counter, heartbeats: int) -> None:
        metric.inc(heartbeats)

    @counter("replayed", "Number of spooled heartbeats recorded in the database.")
    def replayed(self, metric: Counter, heartbeats: int) -> None:
        metric.inc(heartbeats)

    @gauge("spooled_heartbeats", "Number of heartbeats waiting in the spool.", "livesum")
    def spool_holds(self, metric: Gauge, heartbeats: int) -> None:
        metric.set(heartbeats)

    @gauge("storage_up", "Whether the database accepts transactions.", "livemin")
    @counter("storage_outages", "Number of times the database became unavailable.")
    def storage_up(self, outages: Counter, is_up: Gauge, up: bool) -> None:
        is_up.set(up)
        if not up:
            outages.inc()

    @counter("storage_errors", "Number of failed database transactions, by operation.", "operation")
    def storage_failed(self, metric: Counter, operation: str) -> None:
        metric.labels(operation).inc()

    # ── evaluation ───────────────────────────────────────────────────────────────────────────────────────────

    @counter("evaluations", "Number of monitor evaluations.")
    @histogram(
        "evaluation_lag_seconds",
        "Delay between the time at which a status was due to change and its evaluation.",
        _LAGS,
    )
    def evaluated(self, lags: Histogram, evaluations: Counter, monitors: int, lag: float) -> None:
        evaluations.inc(monitors)
        lags.observe(lag)

    @counter("evaluation_failures", "Number of failed monitor evaluations.")
    def evaluation_failed(self, metric: Counter) -> None:
        metric.inc()

    @gauge(
        "evaluated_until_timestamp_seconds",
        "Time up to which this process has completed all due evaluations, in Unix time; 0 before the first.",
        "livemax",
    )
    def evaluated_until(self, metric: Gauge, at: float) -> None:
        metric.set(at)

    @counter("transitions", "Number of recorded status changes, by new status.", "status", known=Status)
    def transition(self, metric: Counter, status: str) -> None:
        metric.labels(status).inc()

    @gauge("lease_held", "Whether this process holds the lease and evaluates monitors.", "livesum")
    def lease_held(self, metric: Gauge, held: bool) -> None:
        metric.set(held)

    # ── the process ──────────────────────────────────────────────────────────────────────────────────────────

    @counter(
        "thread_errors",
        "Number of unexpected errors in the threads of the process, by thread.",
        "thread",
        known=THREADS,
    )
    def thread_failed(self, metric: Counter, kind: str) -> None:
        metric.labels(kind).inc()

    @gauge("config_last_reload_successful", "Whether the last configuration reload succeeded.", "livemin")
    @gauge(
        "config_last_reload_success_timestamp_seconds",
        "Time of the last successful configuration reload, in Unix time.",
        "livemin",
    )
    def config_reloaded(self, last_at: Gauge, last: Gauge, successful: bool, at: float) -> None:
        last.set(successful)
        if successful:
            last_at.set(at)

    @histogram("scrape_duration_seconds", "Time taken to render a scrape.", _FAST)
    def scraped(self, metric: Histogram, seconds: float) -> None:
        metric.observe(seconds)

    # ── alerts and notifications ─────────────────────────────────────────────────────────────────────────────

    @counter("alerts", "Number of alerts triggered and resolved, by step.", "step")
    def alerts_changed(self, metric: Counter, triggered: int, resolved: int) -> None:
        metric.labels(AlertState.TRIGGERED.value).inc(triggered)
        metric.labels(AlertState.RESOLVED.value).inc(resolved)

    @counter("notifications_sent", "Number of notifications delivered.", "notifier")
    @histogram(
        "notification_delivery_seconds",
        "Time between the creation of a notification and its delivery.",
        _DELIVERIES,
        "notifier",
    )
    def notification_delivered(self, delivery: Histogram, sent: Counter, notifier: str, seconds: float) -> None:
        sent.labels(notifier).inc()
        delivery.labels(notifier).observe(seconds)

    @counter("notifications_failed", "Number of failed delivery attempts, by reason.", "notifier", "reason")
    def notification_failed(self, metric: Counter, notifier: str, reason: str) -> None:
        metric.labels(notifier, reason).inc()

    def expect_notifiers(self, names: Iterable[str]) -> None:
        """Has the counters of these begin at 0, so that the first failure is an increase."""
        for name in names:
            self._instruments["notifications_sent"].labels(name)
            self._instruments["notification_delivery_seconds"].labels(name)
