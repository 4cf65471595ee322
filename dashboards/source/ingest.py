"""Panels about ingest: requests and storage."""

from dashboards.source.panels import Field, Panel, Query, lines, now, painted, stat, steps
from dashboards.source.promql import RANGE, or_zero, own, quantile
from dashboards.source.replica import NOT_SCRAPED, PREFIX, rate, yes_or_no
from dashboards.source.statuses import BAD, GOOD, WARNING


def requests() -> Panel:
    return lines(
        "Requests by kind",
        "Requests to all replicas: heartbeats, scrapes, pages and the API.",
        Query(f"sum by (handler) ({rate(PREFIX + 'http_requests_total')})", "{{handler}}"),
        field=Field("reqps", NOT_SCRAPED, steps(), min=0, palette=True),
        stacked=True,
        legend=("mean", "max"),
    )


def answers() -> Panel:
    return lines(
        "Responses by code",
        "200: the heartbeat is committed. 404: unknown tag or wrong secret. 503: the database did not accept the "
        "heartbeat and the client should retry. The next panel shows the reasons.",
        Query(f"sum by (code) ({rate(PREFIX + 'http_requests_total')})", "{{code}}"),
        field=Field("reqps", NOT_SCRAPED, steps(), min=0, palette=True),
        stacked=True,
        legend=("mean", "max"),
        overrides=(painted("200", GOOD), painted("404", WARNING), painted("503", BAD), painted("500", BAD)),
    )


def rejected() -> Panel:
    return lines(
        "Rejected heartbeats",
        "Per minute, by reason. unknown_tag: the monitor does not exist. wrong_secret: an outdated secret or a guess. "
        "unknown_suffix: the end of the URL is not a valid kind. storage and overloaded: answered 503; the heartbeat "
        "is lost unless the job retries.",
        Query(f"60 * sum by (reason) ({rate(PREFIX + 'heartbeats_rejected_total')})", "{{reason}}"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0, palette=True),
        stacked=True,
        legend=("mean", "max"),
        overrides=(painted("storage", BAD), painted("overloaded", BAD)),
    )


def latency() -> Panel:
    times = PREFIX + "http_request_duration_seconds"
    heartbeats = rate(f"{times}_bucket", 'handler="heartbeat"')
    return lines(
        "Response time",
        "Median for heartbeats, including the commit, and 99th percentile for all kinds of requests. Above the red "
        "line, jobs with a short timeout may give up: see the commit time.",
        Query(f"histogram_quantile(0.5, sum by (le) ({heartbeats}))", "heartbeat, median"),
        Query(quantile(0.99, times, "handler"), "{{handler}}, 99 %"),
        field=Field("s", "No requests in this range", steps(GOOD, (1, BAD)), min=0, palette=True),
        zones=True,
    )


def blackouts() -> Panel:
    total = own(PREFIX + "blackout_seconds_total")
    return stat(
        "Blackouts",
        "Time in this range during which the exporter accepted no heartbeats, because no process ran or the database "
        "was unavailable. This time does not count against any monitor unless after_outage is strict; jobs that gave "
        "up during it must run again. The status page shows when it was.",
        now(f"sum(max by (job) (increase({total}[{RANGE}])))", "outage"),
        field=Field("s", NOT_SCRAPED, steps(GOOD, (1, WARNING), (600, BAD)), decimals=0),
    )


def arriving() -> Panel:
    return stat(
        "Heartbeats arrive",
        "Suspect: so many monitors became late at once, and so few send anything, that the fault may be between the "
        "jobs and the exporter. Alerts for silence are held until heartbeats return or the hold of ingest_guard ends.",
        now(f"1 - max({own(PREFIX + 'ingest_suspect')})", "heartbeats"),
        field=Field("none", NOT_SCRAPED, steps(BAD, (1, GOOD)), mappings=yes_or_no("arrive", "suspect")),
    )


def commits() -> Panel:
    times = PREFIX + "commit_duration_seconds"
    return lines(
        "Commit time",
        "Time taken to write a group of heartbeats to the disk, including fsync. Every heartbeat waits for a commit. "
        "Rising values indicate a slow or busy disk.",
        Query(quantile(0.5, times), "median"),
        Query(quantile(0.95, times), "95 %"),
        Query(quantile(0.99, times), "99 %"),
        field=Field("s", "No heartbeats in this range", steps(GOOD, (1, BAD)), min=0),
        zones=True,
        overrides=(
            painted("median", GOOD),
            painted("95 %", WARNING),
            painted("99 %", BAD),
        ),
    )


def batches() -> Panel:
    sizes = PREFIX + "commit_batch_size"
    mean = f"sum({rate(sizes + '_sum')}) / (sum({rate(sizes + '_count')}) > 0)"
    return lines(
        "Heartbeats per commit",
        "The recorder collects the next group while it writes one, so groups grow with the load. At 1 the load is low; "
        "in the hundreds the disk is the bottleneck.",
        Query(mean, "mean"),
        Query(quantile(0.99, sizes), "99 %"),
        field=Field("short", "No heartbeats in this range", steps(GOOD, (512, WARNING)), min=0),
        overrides=(painted("mean", GOOD), painted("99 %", WARNING)),
    )


def spool() -> Panel:
    return lines(
        "Spool",
        "Heartbeats waiting in files because the database does not accept them, and the rates at which they enter and "
        "leave the spool. They are acknowledged and safe on disk, but statuses do not change until the database has "
        "recorded them. Empty without storage.spool.",
        Query(f"sum({own(PREFIX + 'spooled_heartbeats')})", "waiting"),
        Query(f"60 * sum({rate(PREFIX + 'spooled_total')})", "in per minute"),
        Query(f"60 * sum({rate(PREFIX + 'replayed_total')})", "out per minute"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, WARNING)), min=0),
        overrides=(painted("waiting", BAD), painted("in per minute", WARNING), painted("out per minute", GOOD)),
    )


def storage_outages() -> Panel:
    total = own(PREFIX + "storage_outages_total")
    return stat(
        "Database outages",
        "Number of times the database became unavailable in this range, regardless of how long each outage lasted.",
        now(f"sum(increase({total}[{RANGE}]))", "outages"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (0.5, BAD)), decimals=0),
    )


def storage_errors() -> Panel:
    errors = f"60 * sum by (operation) ({rate(PREFIX + 'storage_errors_total')})"
    return lines(
        "Storage errors",
        "Failed database transactions per minute, by operation. Check the log for each: the disk may be full, another "
        "program may hold a lock, or the database may be unreachable.",
        Query(or_zero(errors, "operation"), "{{operation}}"),
        field=Field("cpm", NOT_SCRAPED, steps(GOOD, (0.001, BAD)), min=0, palette=True),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
    )
