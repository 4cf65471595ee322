"""Panels about judging monitors: evaluation, changes of status, the lease."""

from dashboards.source.panels import Field, Panel, Query, lines, painted, steps, timeline
from dashboards.source.promql import own, quantile
from dashboards.source.replica import LEASE, NOT_SCRAPED, PREFIX, REPLICA, rate
from dashboards.source.statuses import BAD, COLOURS, GOOD, IN_ORDER, QUIET, WARNING


def lag() -> Panel:
    times = PREFIX + "evaluation_lag_seconds"
    return lines(
        "Evaluation lag",
        "From the moment at which a status may have changed to the moment somebody looked. 2 s is the promise; beyond, "
        "alerts come late, though history stays exact.",
        Query(quantile(0.5, times), "half"),
        Query(quantile(0.99, times), "99 %"),
        field=Field("s", "Nothing was evaluated in this range", steps(GOOD, (2, WARNING), (30, BAD)), min=0),
        zones=True,
        overrides=(painted("half", GOOD), painted("99 %", WARNING)),
    )


def evaluations() -> Panel:
    return lines(
        "Evaluations",
        "Monitors evaluated in a minute, and those set aside for an hour because they could not be: a schedule that "
        "cannot be read any more, or a bug. The log names the monitor. Unexpected errors in any thread of the process "
        "are counted too; the log has their tracebacks.",
        Query(f"60 * sum({rate(PREFIX + 'evaluations_total')})", "judged"),
        Query(f"60 * sum({rate(PREFIX + 'evaluation_failures_total')})", "set aside"),
        Query(f"60 * sum({rate(PREFIX + 'thread_errors_total')})", "errors in threads"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0),
        legend=("mean", "max"),
        overrides=(painted("judged", GOOD), painted("set aside", BAD), painted("errors in threads", BAD)),
    )


def transitions() -> Panel:
    return lines(
        "Changes of status",
        "By the new status, in a minute, of the whole fleet. Many at once: a network or a shared machine is gone. "
        "The same few again and again: monitors that flap; their thresholds are too tight.",
        Query(f"60 * sum by (status) ({rate(PREFIX + 'transitions_total')})", "{{status}}"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
        overrides=tuple(painted(status.value, COLOURS[status]) for status in IN_ORDER),
    )


def lease_over_time() -> Panel:
    return timeline(
        "Who evaluates",
        "A row for each replica. The lease passes on when its holder stops or stalls; while no row "
        "says so, no status changes and no alert begins.",
        Query(f"max by ({REPLICA}) ({own(PREFIX + 'lease_held')})", "{{instance}}"),
        field=Field("none", NOT_SCRAPED, steps(QUIET, (1, GOOD)), mappings=LEASE),
        per_page=10,
    )
