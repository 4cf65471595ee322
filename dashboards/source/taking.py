"""Panels about taking heartbeats: requests and storage."""

from dashboards.source.panels import Field, Panel, Query, lines, now, painted, stat, steps
from dashboards.source.promql import RANGE, or_zero, own, quantile
from dashboards.source.replica import NOT_SCRAPED, PREFIX, rate
from dashboards.source.statuses import BAD, GOOD, WARNING


def requests() -> Panel:
    return lines(
        "Requests by kind",
        "Of all replicas: heartbeats, scrapes, the page and the API.",
        Query(f"sum by (handler) ({rate(PREFIX + 'http_requests_total')})", "{{handler}}"),
        field=Field("reqps", NOT_SCRAPED, steps(), min=0, palette=True),
        stacked=True,
        legend=("mean", "max"),
    )


def answers() -> Panel:
    return lines(
        "Answers by code",
        "200 is a heartbeat committed. 404 is an unknown tag or a wrong secret; 503 is a database that did not take "
        "it, to be tried again. What was refused and why is beside.",
        Query(f"sum by (code) ({rate(PREFIX + 'http_requests_total')})", "{{code}}"),
        field=Field("reqps", NOT_SCRAPED, steps(), min=0, palette=True),
        stacked=True,
        legend=("mean", "max"),
        overrides=(painted("200", GOOD), painted("404", WARNING), painted("503", BAD), painted("500", BAD)),
    )


def rejected() -> Panel:
    return lines(
        "Heartbeats not taken",
        "By reason. unknown_tag: a job calls for a monitor that is not there. wrong_secret: an old secret, or somebody "
        "guesses. unknown_suffix: the URL's end is no kind. storage and overloaded: answered 503; lost unless the job "
        "tries again.",
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
        "Time to the answer",
        "Of heartbeats, commit included, and the slowest 1 % of every other kind. Beyond the red line jobs with a "
        "short timeout begin to give up: see the commits.",
        Query(f"histogram_quantile(0.5, sum by (le) ({heartbeats}))", "heartbeat, half"),
        Query(quantile(0.99, times, "handler"), "{{handler}}, 99 %"),
        field=Field("s", "No requests in this range", steps(GOOD, (1, BAD)), min=0, palette=True),
        zones=True,
    )


def blackouts() -> Panel:
    total = own(PREFIX + "blackout_seconds_total")
    return stat(
        "Blackouts",
        "For how long in this range nobody could take heartbeats: no process ran, or the database was away. That time "
        "counts against no monitor, unless after_outage is strict; jobs that ran in it and gave up have to run again. "
        "The status page says when it was.",
        now(f"sum(max by (job) (increase({total}[{RANGE}])))", "away"),
        field=Field("s", NOT_SCRAPED, steps(GOOD, (1, WARNING), (600, BAD)), decimals=0),
    )


def commits() -> Panel:
    times = PREFIX + "commit_duration_seconds"
    return lines(
        "Commit time",
        "To write a group of heartbeats to the disk, fsync included. Every heartbeat waits for one. A rise is a "
        "slow or busy disk.",
        Query(quantile(0.5, times), "half"),
        Query(quantile(0.95, times), "95 %"),
        Query(quantile(0.99, times), "99 %"),
        field=Field("s", "No heartbeats in this range", steps(GOOD, (1, BAD)), min=0),
        zones=True,
        overrides=(
            painted("half", GOOD),
            painted("95 %", WARNING),
            painted("99 %", BAD),
        ),
    )


def batches() -> Panel:
    sizes = PREFIX + "commit_batch_size"
    mean = f"sum({rate(sizes + '_sum')}) / (sum({rate(sizes + '_count')}) > 0)"
    return lines(
        "Heartbeats in a commit",
        "While one group is written the next gathers, so groups grow with the load: at 1 there is none to speak of, "
        "in the hundreds the disk is the limit.",
        Query(mean, "mean"),
        Query(quantile(0.99, sizes), "99 %"),
        field=Field("short", "No heartbeats in this range", steps(GOOD, (512, WARNING)), min=0),
        overrides=(painted("mean", GOOD), painted("99 %", WARNING)),
    )


def spool() -> Panel:
    return lines(
        "Spool",
        "Heartbeats that wait in files because the database does not take them, and how fast they come and go. They "
        "are acknowledged and safe on that disk, but no status follows until they are recorded. Empty without "
        "storage.spool.",
        Query(f"sum({own(PREFIX + 'spooled_heartbeats')})", "waiting"),
        Query(f"60 * sum({rate(PREFIX + 'spooled_total')})", "in, a minute"),
        Query(f"60 * sum({rate(PREFIX + 'replayed_total')})", "out, a minute"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (1, WARNING)), min=0),
        overrides=(painted("waiting", BAD), painted("in, a minute", WARNING), painted("out, a minute", GOOD)),
    )


def storage_outages() -> Panel:
    total = own(PREFIX + "storage_outages_total")
    return stat(
        "Outages of the database",
        "How often in this range a database began to refuse transactions, however long each of them lasted.",
        now(f"sum(increase({total}[{RANGE}]))", "outages"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (0.5, BAD)), decimals=0),
    )


def storage_errors() -> Panel:
    errors = f"60 * sum by (operation) ({rate(PREFIX + 'storage_errors_total')})"
    return lines(
        "Storage errors",
        "Transactions that the database refused, by what they were for. Any is worth a look at the log: a full disk, a "
        "lock held by another program, a database out of reach.",
        Query(or_zero(errors, "operation"), "{{operation}}"),
        field=Field("cpm", NOT_SCRAPED, steps(GOOD, (0.001, BAD)), min=0, palette=True),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
    )
