"""*Heartbeat exporter*: the service itself. Is it taking heartbeats, judging them in time and telling people?"""

from typing import Any

from dashboards.source import judging, links, process, taking, telling
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
        "How many processes of the exporter Prometheus reaches. None: nobody watches the heartbeats, or Prometheus "
        "cannot reach them; everything else on this page is then silent.",
        now(f"count({ANSWERING}) or vector(0)", "replicas"),
        field=Field("short", NOT_SCRAPED, steps(BAD, (1, GOOD)), decimals=0),
    )


def lease() -> Panel:
    return stat(
        "Evaluating",
        "How many replicas hold the lease and so evaluate. Exactly one should, for each database. 0 for longer than a "
        "minute: no status changes any more, and no alert will start.",
        now(f"sum({own(PREFIX + 'lease_held')})", "evaluating"),
        field=Field("short", NOT_SCRAPED, steps(BAD, (1, GOOD)), decimals=0),
    )


def behind() -> Panel:
    until = own(PREFIX + "evaluated_until_timestamp_seconds")
    return stat(
        "Judged until",
        "How long ago the evaluator last had nothing left that was due. Under a few seconds is well; a number that "
        "grows means that statuses stand still and alarms are late, whatever the page says: see its log.",
        now(f"max(clamp_min(time() - max by (job) ({until}), 0))", "ago"),
        field=Field("s", NOT_SCRAPED, steps(GOOD, (60, WARNING), (180, BAD)), decimals=0),
    )


def storage() -> Panel:
    return stat(
        "Storage",
        "Whether the database takes every replica's transactions. If not, heartbeats are answered 503 and curl's "
        "retries have to carry them: look at the disk and the exporter's log.",
        now(f"min({own(PREFIX + 'storage_up')})", "storage"),
        field=Field("none", NOT_SCRAPED, steps(BAD, (1, GOOD)), mappings=yes_or_no("up", "refuses")),
    )


def configuration() -> Panel:
    return stat(
        "Configuration",
        "Whether the configuration was read well the last time. If not, the exporter goes on with the one before; its "
        "log names file, line and reason, and so does `heartbeat-exporter check-config`.",
        now(f"min({own(PREFIX + 'config_last_reload_successful')})", "configuration"),
        field=Field("none", NOT_SCRAPED, steps(BAD, (1, GOOD)), mappings=yes_or_no("good", "refused")),
    )


def waiting() -> Panel:
    pending = f"sum(max by (job, notifier) ({own(PREFIX + 'notifications_pending')}))"
    return stat(
        "Notifications waiting",
        "Messages that are owed and not delivered yet. A few for some seconds are normal; a number that stays means "
        "that a notifier does not take them.",
        now(or_zero(pending), "waiting"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, WARNING), (10, BAD)), decimals=0),
    )


def dead() -> Panel:
    letters = f"sum(max by (job, notifier) ({own(PREFIX + 'notifications_dead')}))"
    return stat(
        "Notifications given up",
        "Messages that were never delivered and are not tried any more: somebody was not told. Mend the notifier, "
        "then `heartbeat-exporter notification retry` has them tried again.",
        now(or_zero(letters), "given up"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, BAD)), decimals=0),
    )


def of_each() -> Panel:
    return table(
        "Replicas in detail",
        "A line for each process. Unequal versions: an update is under way, or was forgotten on one. A young "
        "process that nobody restarted: it crashed; see its log.",
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
            Column("Value #D", "Storage", mappings=yes_or_no("up", "refuses"), width=130, cell=FILLED),
            Column("Value #E", "Configuration", mappings=yes_or_no("good", "refused"), width=130, cell=FILLED),
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
    layout.heading("Does it take heartbeats?")
    layout.line(9, (8, taking.requests()), (8, taking.answers()), (8, taking.rejected()))
    layout.line(9, (18, taking.latency()), (6, taking.blackouts()))
    layout.heading("Does it keep them?")
    layout.line(8, (8, taking.commits()), (8, taking.batches()), (8, taking.storage_errors()))
    layout.line(8, (18, taking.spool()), (6, taking.storage_outages()))
    layout.heading("Does it judge them in time?")
    layout.line(8, (8, judging.lag()), (8, judging.evaluations()), (8, judging.transitions()))
    layout.line(5, (24, judging.lease_over_time()))
    layout.heading("Does it tell people?")
    layout.line(8, (8, telling.alerts()), (8, telling.delivered()), (8, telling.failed()))
    layout.line(8, (8, telling.pending()), (8, telling.oldest()), (8, telling.delivery()))
    layout.heading("Is the process well?")
    layout.line(8, (6, process.memory()), (6, process.cpu()), (6, process.files()), (6, process.scrapes()))
    layout.line(8, (12, process.connections()), (12, process.refused()))
    return dashboard(
        links.SERVICE,
        "Heartbeat exporter",
        "The exporter itself: does it take heartbeats, judge them in time and tell people?",
        scope(PREFIX + "build_info"),
        layout,
    )
