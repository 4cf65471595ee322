"""What every layer reports moves the metric that it should, and nothing is listed that nobody moves."""

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Kind
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.core.telemetry import Dropped, Fault, PushOutcome, RejectReason, Silent, Telemetry
from exporter.core.timeline import CurrentStatus
from exporter.metrics.own.telemetry import PREFIX, ExporterTelemetry


@dataclass
class Watching:
    """Telemetry on a registry of its own."""

    fleet: Fleet = field(default_factory=Fleet)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.telemetry = ExporterTelemetry(self.registry, self.fleet, "1.2.3")

    def families(self) -> dict[str, Metric]:
        """By the name in the documentation, which for a counter is its sample's."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): family for family in self.registry.collect()
        }

    def values(self) -> dict[str, float]:
        """By name without the prefix, and labels as Prometheus writes them."""
        found = {}
        for family in self.families().values():
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sample.labels.items())
                found[sample.name.removeprefix(PREFIX) + (f"{{{labels}}}" if labels else "")] = sample.value
        return found


Report = Callable[[ExporterTelemetry], None]
REPORTS: dict[str, tuple[Report, dict[str, float]]] = {
    "request_served": (
        lambda telemetry: telemetry.request_served("heartbeat", "GET", 200, 0.003),
        {
            "http_requests_total{handler=heartbeat,method=GET,code=200}": 1,
            "http_request_duration_seconds_bucket{handler=heartbeat,le=0.0025}": 0,
            "http_request_duration_seconds_bucket{handler=heartbeat,le=0.005}": 1,
            "http_request_duration_seconds_bucket{handler=heartbeat,le=+Inf}": 1,
            "http_request_duration_seconds_count{handler=heartbeat}": 1,
            "http_request_duration_seconds_sum{handler=heartbeat}": 0.003,
        },
    ),
    "refusal_delayed": (lambda telemetry: telemetry.refusal_delayed(), {"refusals_delayed_total": 1}),
    "heartbeat_rejected": (
        lambda telemetry: telemetry.heartbeat_rejected("native", RejectReason.WRONG_SECRET),
        {"heartbeats_rejected_total{dialect=native,reason=wrong_secret}": 1},
    ),
    "pushed": (
        lambda telemetry: telemetry.pushed(PushOutcome.REFUSED),
        {"job_metric_pushes_total{outcome=refused}": 1},
    ),
    "heartbeat_recorded": (
        lambda telemetry: telemetry.heartbeat_recorded("native", Kind.START),
        {"heartbeats_total{dialect=native,kind=start}": 1},
    ),
    "expect_dialects": (
        lambda telemetry: telemetry.expect_dialects(["pulse"]),
        {
            "heartbeats_total{dialect=pulse,kind=start}": 0,
            "heartbeats_rejected_total{dialect=pulse,reason=unknown_token}": 0,
        },
    ),
    "request_refused": (
        lambda telemetry: telemetry.request_refused(Fault.FRAMING),
        {"requests_refused_total{reason=framing}": 1, "requests_refused_total{reason=header}": 0},
    ),
    "connection_dropped": (
        lambda telemetry: telemetry.connection_dropped(Dropped.LIMIT),
        {"connections_dropped_total{reason=limit}": 1, "connections_dropped_total{reason=descriptors}": 0},
    ),
    "connections_open": (lambda telemetry: telemetry.connections_open(3), {"connections": 3}),
    "batch_committed": (
        lambda telemetry: telemetry.batch_committed(3, 0.02),
        {
            "commit_duration_seconds_count": 1,
            "commit_duration_seconds_sum": 0.02,
            "commit_batch_size_bucket{le=2.0}": 0,
            "commit_batch_size_bucket{le=4.0}": 1,
            "commit_batch_size_sum": 3,
        },
    ),
    "spooled": (lambda telemetry: telemetry.spooled(3), {"spooled_total": 3}),
    "replayed": (lambda telemetry: telemetry.replayed(2), {"replayed_total": 2}),
    "spool_holds": (lambda telemetry: telemetry.spool_holds(5), {"spooled_heartbeats": 5}),
    "storage_failed": (
        lambda telemetry: telemetry.storage_failed("commit"),
        {"storage_errors_total{operation=commit}": 1},
    ),
    "storage_up": (
        lambda telemetry: (telemetry.storage_up(False), telemetry.storage_up(True)),
        {"storage_up": 1, "storage_outages_total": 1},
    ),
    "evaluated": (
        lambda telemetry: telemetry.evaluated(7, 0.5),
        {"evaluations_total": 7, "evaluation_lag_seconds_count": 1, "evaluation_lag_seconds_sum": 0.5},
    ),
    "evaluated_until": (
        lambda telemetry: telemetry.evaluated_until(1234.5),
        {"evaluated_until_timestamp_seconds": 1234.5},
    ),
    "thread_failed": (lambda telemetry: telemetry.thread_failed("pruner"), {"thread_errors_total{thread=pruner}": 1}),
    "evaluation_failed": (lambda telemetry: telemetry.evaluation_failed(), {"evaluation_failures_total": 1}),
    "transition": (
        lambda telemetry: telemetry.transition("DOWN"),
        {"transitions_total{status=DOWN}": 1, "transitions_total{status=UP}": 0},
    ),
    "lease_held": (lambda telemetry: telemetry.lease_held(True), {"lease_held": 1}),
    "config_reloaded": (
        lambda telemetry: telemetry.config_reloaded(True, 5.0),
        {"config_last_reload_successful": 1, "config_last_reload_success_timestamp_seconds": 5.0},
    ),
    "expect_notifiers": (
        lambda telemetry: telemetry.expect_notifiers(["boss"]),
        {"notifications_sent_total{notifier=boss}": 0, "notification_delivery_seconds_count{notifier=boss}": 0},
    ),
    "alerts_changed": (
        lambda telemetry: telemetry.alerts_changed(2, 1),
        {"alerts_total{step=TRIGGERED}": 2, "alerts_total{step=RESOLVED}": 1},
    ),
    "notification_delivered": (
        lambda telemetry: telemetry.notification_delivered("ops", 3.0),
        {
            "notifications_sent_total{notifier=ops}": 1,
            "notification_delivery_seconds_bucket{notifier=ops,le=2.0}": 0,
            "notification_delivery_seconds_count{notifier=ops}": 1,
            "notification_delivery_seconds_sum{notifier=ops}": 3,
        },
    ),
    "notification_failed": (
        lambda telemetry: telemetry.notification_failed("ops", "timeout"),
        {"notifications_failed_total{notifier=ops,reason=timeout}": 1},
    ),
    "scraped": (
        lambda telemetry: telemetry.scraped(0.2),
        {"scrape_duration_seconds_count": 1, "scrape_duration_seconds_sum": 0.2},
    ),
}
UNREPORTED = {"build_info", "monitors"}
"""They are read when scraped."""


def exercised() -> Watching:
    """Everything reported once, so that every series is there."""
    watching = Watching()
    for report, _ in REPORTS.values():
        report(watching.telemetry)
    return watching


@pytest.mark.parametrize("method", REPORTS)
def test_a_report_moves_its_metrics_and_no_other(method: str) -> None:
    watching = Watching()
    report, expected = REPORTS[method]
    before = watching.values()
    report(watching.telemetry)
    after = watching.values()
    assert {key: after.get(key) for key in expected} == expected
    families = {key.partition("{")[0] for key in expected}
    stems = {
        family.rsplit("_", 1)[0] if family.endswith(("_bucket", "_count", "_sum")) else family for family in families
    }
    for key, value in after.items():
        if value != before.get(key, 0) and not key.startswith("process_"):
            assert any(key.startswith(stem) for stem in stems), key


def test_every_method_is_tried_and_every_metric_moved_by_one() -> None:
    public = {name for name, _ in inspect.getmembers(Watching().telemetry, callable) if not name.startswith("_")}
    assert public == set(REPORTS)
    moved = {key.partition("{")[0] for _, expected in REPORTS.values() for key, value in expected.items() if value}
    for name, family in exercised().families().items():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in UNREPORTED:
            assert moved & {sample.name.removeprefix(PREFIX) for sample in family.samples}, name


def test_metrics_are_made_of_everything_that_layers_report() -> None:
    wanted = {name for name in vars(Telemetry) if not name.startswith("_")}
    assert wanted <= set(vars(ExporterTelemetry)), "a report that no metric is made of"
    for name in wanted:
        theirs, ours = inspect.signature(getattr(Telemetry, name)), inspect.signature(getattr(ExporterTelemetry, name))
        assert list(theirs.parameters) == list(ours.parameters), name
        silence = inspect.getsource(getattr(Silent, name)).rstrip()
        assert silence.endswith(": ..."), name


def test_what_goes_down_again() -> None:
    watching = exercised()
    watching.telemetry.storage_up(False)
    watching.telemetry.lease_held(False)
    watching.telemetry.config_reloaded(False, 9.0)
    values = watching.values()
    assert (values["storage_up"], values["lease_held"], values["config_last_reload_successful"]) == (0, 0, 0)
    assert values["config_last_reload_success_timestamp_seconds"] == 5.0


def test_labels_with_known_values_are_there_from_the_start() -> None:
    watching = Watching()
    watching.telemetry.expect_dialects(["native"])
    values = watching.values()
    for reason in RejectReason:
        assert values[f"heartbeats_rejected_total{{dialect=native,reason={reason.value}}}"] == 0
    for kind in Kind:
        assert values[f"heartbeats_total{{dialect=native,kind={kind.value}}}"] == 0
    for status in Status:
        assert values[f"transitions_total{{status={status.value}}}"] == 0
        assert values[f"monitors{{status={status.value}}}"] == 0
    assert [key for key in values if key.startswith("build_info{version=1.2.3,python_version=3.")]


def test_monitors_are_counted_when_scraped() -> None:
    watching = Watching()
    for id, status in enumerate([Status.UP, Status.UP, Status.DOWN]):
        watching.fleet.update([FleetMonitor(id, Monitor(tag=f"t{id}"), b"", CurrentStatus(status, Reason.ON_TIME, 1))])
    values = watching.values()
    assert (values["monitors{status=UP}"], values["monitors{status=DOWN}"]) == (2, 1)
    assert values["monitors{status=PAUSED}"] == 0


def test_no_series_tells_when_another_was_created() -> None:
    assert b"_created" not in generate_latest(exercised().registry)


def test_two_exporters_in_one_process_do_not_meet() -> None:
    one, other = exercised(), Watching()
    assert one.values()["evaluations_total"] == 7
    assert other.values()["evaluations_total"] == 0


def test_scraped_while_requests_are_served() -> None:
    """The buckets of a histogram add up in every scrape, whatever is counted meanwhile."""
    watching, stop = Watching(), threading.Event()

    def serve() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            watching.telemetry.request_served(f"handler{turn % 50}", "GET", turn % 500, turn % 7)

    server = threading.Thread(target=serve)
    server.start()
    try:
        for _ in range(20):
            family = watching.families()[f"{PREFIX}http_request_duration_seconds"]
            values = {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}
            for (name, *labels), value in values.items():
                if name.endswith("_count"):
                    assert values[name.replace("_count", "_bucket"), *labels, "+Inf"] == value
    finally:
        stop.set()
        server.join(30)
