"""Panels about evaluation: its delay, status changes and the lease."""

from dashboards.source.panels import Field, Panel, Query, lines, painted, steps, timeline
from dashboards.source.promql import own, quantile
from dashboards.source.replica import LEASE, NOT_SCRAPED, PREFIX, REPLICA, rate
from dashboards.source.statuses import BAD, COLOURS, GOOD, IN_ORDER, QUIET, WARNING


def lag() -> Panel:
    times = PREFIX + "evaluation_lag_seconds"
    return lines(
        "Evaluation lag",
        "Delay between the time at which a status was due to change and its evaluation. It should stay below 2 s; "
        "above, alerts are late, but the history remains exact.",
        Query(quantile(0.5, times), "median"),
        Query(quantile(0.99, times), "99 %"),
        field=Field("s", "Nothing was evaluated in this range", steps(GOOD, (2, WARNING), (30, BAD)), min=0),
        zones=True,
        overrides=(painted("median", GOOD), painted("99 %", WARNING)),
    )


def evaluations() -> Panel:
    return lines(
        "Evaluations",
        "Monitors evaluated per minute, and monitors skipped for an hour because their evaluation failed, for example "
        "because of an invalid schedule or a bug. The log names the monitor. Unexpected errors in any thread of the "
        "process are counted too; the log has their tracebacks.",
        Query(f"60 * sum({rate(PREFIX + 'evaluations_total')})", "evaluated"),
        Query(f"60 * sum({rate(PREFIX + 'evaluation_failures_total')})", "skipped"),
        Query(f"60 * sum({rate(PREFIX + 'thread_errors_total')})", "thread errors"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0),
        legend=("mean", "max"),
        overrides=(painted("evaluated", GOOD), painted("skipped", BAD), painted("thread errors", BAD)),
    )


def transitions() -> Panel:
    return lines(
        "Status changes",
        "Status changes of all monitors per minute, by new status. Many at once indicate the failure of a network or a "
        "shared machine. A few that recur indicate flapping monitors with thresholds that are too tight.",
        Query(f"60 * sum by (status) ({rate(PREFIX + 'transitions_total')})", "{{status}}"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
        overrides=tuple(painted(status.value, COLOURS[status]) for status in IN_ORDER),
    )


def lease_over_time() -> Panel:
    return timeline(
        "Evaluating replica",
        "One row for each replica. The lease passes to another replica when its holder stops or stalls. While no "
        "replica evaluates, no status changes and no alert starts.",
        Query(f"max by ({REPLICA}) ({own(PREFIX + 'lease_held')})", "{{instance}}"),
        field=Field("none", NOT_SCRAPED, steps(QUIET, (1, GOOD)), mappings=LEASE),
        per_page=10,
    )
