"""*Heartbeat exporter*: the service itself. Does it accept heartbeats, evaluate on time and send notifications?"""

from typing import Any

from dashboards.source import evaluation, ingest, links, notifications, process
from dashboards.source.board import Layout, dashboard, scope
from dashboards.source.panels import (
    FILLED,
    Column,
    Field,
    Panel,
    now,
    rows,
    stat,
    steps,
    table,
)
from dashboards.source.promql import ANSWERING, or_zero, own
from dashboards.source.replica import LEASE, NOT_SCRAPED, PREFIX, REPLICA, of_replicas, yes_or_no
from dashboards.source.statuses import BAD, GOOD, WARNING


def replicas() -> Panel:
    return stat(
        "Replicas",
        "Number of exporter processes that Prometheus reaches. If there is none, either no exporter watches the "
        "heartbeats or Prometheus cannot reach it; all other panels are then empty.",
        now(f"count({ANSWERING}) or vector(0)", "replicas"),
        field=Field("short", NOT_SCRAPED, steps(BAD, (1, GOOD)), decimals=0),
    )


def lease() -> Panel:
    return stat(
        "Evaluating",
        "Number of replicas that hold the lease and evaluate monitors; it should be exactly one for each database. "
        "While it is 0, no status changes and no alert starts.",
        now(f"sum({own(PREFIX + 'lease_held')})", "evaluating"),
        field=Field("short", NOT_SCRAPED, steps(BAD, (1, GOOD)), decimals=0),
    )


def behind() -> Panel:
    until = own(PREFIX + "evaluated_until_timestamp_seconds")
    return stat(
        "Evaluation delay",
        "Time since the evaluator last completed all due evaluations. A few seconds are normal. If the value grows, "
        "statuses are outdated and alerts are late: see the exporter's log.",
        now(f"max(clamp_min(time() - max by (job) ({until}), 0))", "ago"),
        field=Field("s", NOT_SCRAPED, steps(GOOD, (60, WARNING), (180, BAD)), decimals=0),
    )


def storage() -> Panel:
    return stat(
        "Storage",
        "Whether the database accepts the transactions of all replicas. If it does not, the exporter spools heartbeats "
        "or answers 503, so that clients must retry: check the disk and the exporter's log.",
        now(f"min({own(PREFIX + 'storage_up')})", "storage"),
        field=Field("none", NOT_SCRAPED, steps(BAD, (1, GOOD)), mappings=yes_or_no("up", "down")),
    )


def configuration() -> Panel:
    return stat(
        "Configuration",
        "Whether the last configuration reload succeeded. If it did not, the exporter keeps the previous "
        "configuration; its log and `heartbeat-exporter check-config` name file, line and reason.",
        now(f"min({own(PREFIX + 'config_last_reload_successful')})", "configuration"),
        field=Field("none", NOT_SCRAPED, steps(BAD, (1, GOOD)), mappings=yes_or_no("valid", "invalid")),
    )


def waiting() -> Panel:
    pending = f"sum(max by (job, notifier) ({own(PREFIX + 'notifications_pending')}))"
    return stat(
        "Notifications waiting",
        "Notifications waiting for delivery. A few for some seconds are normal; if they remain, a receiver does not "
        "accept them.",
        now(or_zero(pending), "waiting"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, WARNING), (10, BAD)), decimals=0),
    )


def dead() -> Panel:
    letters = f"sum(max by (job, notifier) ({own(PREFIX + 'notifications_dead')}))"
    return stat(
        "Notifications given up",
        "Undelivered notifications that are no longer retried, so their recipients do not know about the alerts. Fix "
        "the notifier, then retry them with `heartbeat-exporter notification retry`.",
        now(or_zero(letters), "given up"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, BAD)), decimals=0),
    )


def of_each() -> Panel:
    return table(
        "Replicas in detail",
        "One row for each process. Different versions mean that an update is in progress or incomplete. A process that "
        "has restarted unexpectedly may have crashed: see its log.",
        rows(f"max by ({REPLICA}, version, python_version) ({ANSWERING})"),
        rows(f"time() - ({of_replicas('process_start_time_seconds')})"),
        rows(f"max by ({REPLICA}) ({own(PREFIX + 'lease_held')})"),
        rows(f"min by ({REPLICA}) ({own(PREFIX + 'storage_up')})"),
        rows(f"min by ({REPLICA}) ({own(PREFIX + 'config_last_reload_successful')})"),
        rows(f"time() - max by ({REPLICA}) ({own(PREFIX + 'config_last_reload_success_timestamp_seconds')})"),
        rows(f"sum by ({REPLICA}) ({own(PREFIX + 'monitors')})"),
        field=Field("none", NOT_SCRAPED, steps()),
        columns=(
            Column("instance", "Instance"),
            Column("version", "Version", 110),
            Column("python_version", "Python", 110),
            Column("Value #B", "Running for", 130, unit="s", decimals=1),
            Column(
                "Value #C",
                "Lease",
                mappings=LEASE,
                width=130,
                cell=FILLED,
            ),
            Column("Value #D", "Storage", mappings=yes_or_no("up", "down"), width=130, cell=FILLED),
            Column("Value #E", "Configuration", mappings=yes_or_no("valid", "invalid"), width=130, cell=FILLED),
            Column("Value #F", "Configuration read", 170, unit="s", decimals=1),
            Column("Value #G", "Monitors", 110, unit="short", decimals=0),
            Column("job", "Job", 140),
        ),
        hidden=("Value #A",),
        sort=(("Instance", False),),
    )


def board() -> dict[str, Any]:
    layout = Layout()
    layout.line(
        4,
        (3, replicas()),
        (3, lease()),
        (4, behind()),
        (3, storage()),
        (3, configuration()),
        (4, waiting()),
        (4, dead()),
    )
    layout.line(6, (24, of_each()))
    layout.heading("Ingest")
    layout.line(9, (8, ingest.requests()), (8, ingest.answers()), (8, ingest.rejected()))
    layout.line(9, (14, ingest.latency()), (5, ingest.arriving()), (5, ingest.blackouts()))
    layout.heading("Recording")
    layout.line(8, (8, ingest.commits()), (8, ingest.batches()), (8, ingest.storage_errors()))
    layout.line(8, (18, ingest.spool()), (6, ingest.storage_outages()))
    layout.heading("Evaluation")
    layout.line(8, (8, evaluation.lag()), (8, evaluation.evaluations()), (8, evaluation.transitions()))
    layout.line(5, (24, evaluation.lease_over_time()))
    layout.heading("Notifications")
    layout.line(8, (8, notifications.alerts()), (8, notifications.delivered()), (8, notifications.failed()))
    layout.line(8, (8, notifications.pending()), (8, notifications.oldest()), (8, notifications.delivery()))
    layout.heading("Process")
    layout.line(8, (6, process.memory()), (6, process.cpu()), (6, process.files()), (6, process.scrapes()))
    layout.line(8, (12, process.connections()), (12, process.refused()))
    return dashboard(
        links.SERVICE,
        "Heartbeat exporter",
        "The exporter itself: ingest, recording, evaluation, notifications and process.",
        scope(PREFIX + "build_info"),
        layout,
    )
