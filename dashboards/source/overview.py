"""*Heartbeats overview*: the whole fleet. What is wrong now, since when, and how it went."""

from dataclasses import replace
from typing import Any

from dashboards.source import alerts, links
from dashboards.source.board import Layout, dashboard, scope, variable
from dashboards.source.panels import (
    FILLED,
    INK,
    Column,
    Field,
    Panel,
    Query,
    bars,
    lines,
    now,
    override,
    painted,
    rows,
    stat,
    steps,
    table,
    timeline,
)
from dashboards.source.promql import FLEET, MONITOR, STEP, or_zero, own
from dashboards.source.statuses import (
    BAD,
    CODES,
    COLOURS,
    GOOD,
    IN_ORDER,
    PLAIN,
    QUIET,
    UPTIME,
    WARNING,
    WRONG,
    mappings,
)
from exporter.core.status import Status

NO_MONITORS = "No monitors: is the exporter scraped?"
MAX_BARS = 12
MAX_LINES = 10
PAGE = 20
"""Rows of the state timeline on one page."""


def variables() -> list[dict[str, Any]]:
    return [
        *scope("heartbeat_info"),
        variable(
            "group",
            "Groups of monitors. All includes monitors without a group.",
            'label_values(heartbeat_info{job=~"$job", instance=~"$instance"}, group)',
            everything=".*",
        ),
        variable(
            "tag",
            "Monitors.",
            'label_values(heartbeat_info{job=~"$job", instance=~"$instance", group=~"$group"}, tag)',
        ),
    ]


def by_status() -> Panel:
    def count(status: Status) -> Query:
        monitors = FLEET.one("heartbeat_status", f'status="{status.value}"')
        return now(f"sum({FLEET.chosen(monitors)})", status.value)

    return stat(
        "Monitors by status",
        "Number of monitors with each status. DOWN and DEGRADED need attention. NO_DATA means that the exporter has "
        "received no heartbeat yet: the job was never set up, or its tag or secret is wrong. PAUSED and MAINTENANCE "
        "are silenced on purpose.",
        *(count(status) for status in IN_ORDER),
        field=Field("short", NO_MONITORS, steps(QUIET, (1, GOOD)), decimals=0),
        names=True,
        overrides=tuple(
            override(status.value, thresholds=steps(QUIET, (1, COLOURS[status])))
            for status in IN_ORDER
            if status is not Status.UP
        ),
    )


def alerts_firing() -> Panel:
    return stat(
        "Alerts firing",
        "Firing alerts of the exporter's own rules; 0 also if no rules are configured. Alerts of Prometheus rules are "
        "in Alertmanager, not here.",
        now(or_zero(f"sum({FLEET.chosen(alerts.firing(FLEET))})"), "firing"),
        field=Field("short", NO_MONITORS, steps(GOOD, (1, BAD)), decimals=0),
    )


def open_incidents() -> Panel:
    return stat(
        "Open incidents",
        "Unresolved incidents of all monitors; the variables group and tag do not filter them.",
        now(or_zero(f"sum(max by (job) ({own('heartbeat_exporter_incidents_open')}))"), "open"),
        field=Field("short", NO_MONITORS, steps(GOOD, (1, WARNING)), decimals=0),
    )


def fleet_uptime() -> Panel:
    return stat(
        "Uptime",
        "Share of the time range in which the selected monitors were not DOWN. DEGRADED means late and counts as up. "
        "Time in NO_DATA, PAUSED and MAINTENANCE is excluded.",
        now(FLEET.fleet_uptime(), "uptime"),
        field=Field("percentunit", "No evaluated time in this range", steps(BAD, *UPTIME), decimals=2, max=1),
    )


def whats_wrong() -> Panel:
    wrong = FLEET.chosen(FLEET.having(*WRONG))

    def of_wrong(query: str) -> Query:
        return rows(f"{query} and on ({MONITOR}) ({wrong})")

    return table(
        "What is wrong now",
        "Every monitor that is DOWN, DEGRADED or NO_DATA, the latest first, with its reason. missed and late: too "
        "long past due. failed: the job reported a failure; see the exit code, and the output on the exporter's page. "
        "failing: it failed, but no more often in a row than tolerated. overrun: a run takes too long. too_short: a "
        "run ended too soon. never_received: no heartbeat received yet. Suppressed: one that it depends on is in "
        "trouble, so alerts of its lateness are held. Click a monitor for its details.",
        rows(FLEET.described(f"{FLEET.code()} >= {CODES[Status.NO_DATA]}", "name", "group")),
        of_wrong(FLEET.lateness()),
        of_wrong(f"time() - {FLEET.one('heartbeat_status_since_timestamp_seconds')}"),
        of_wrong(FLEET.age()),
        of_wrong(FLEET.one("heartbeat_last_exit_code")),
        of_wrong(FLEET.reason()),
        of_wrong(f"({FLEET.one('heartbeat_suppressed')} or on ({MONITOR}) 0 * ({FLEET.having(*WRONG)}))"),
        field=Field("none", "All monitors are on time, paused or in maintenance", steps()),
        columns=(
            Column("Value #A", "Status", 130, mappings=tuple(mappings()), cell=FILLED),
            Column("reason", "Reason", 140),
            Column("tag", "Monitor", links=(links.ROW,)),
            Column("name", "Name"),
            Column("group", "Group", 150),
            Column("Value #B", "Late by", 130, unit="s", decimals=1),
            Column("Value #C", "In this status for", 150, unit="s", decimals=1),
            Column("Value #D", "Last success ago", 150, unit="s", decimals=1),
            Column("Value #E", "Exit code", 100, cell=INK, thresholds=steps(QUIET, (1, BAD)), decimals=0),
            Column("Value #G", "Suppressed", 110, decimals=0),
            Column("job", "Job", 130),
        ),
        hidden=("Value #F",),
        sort=(("Late by", True), ("Status", True)),
    )


def over_time() -> Panel:
    return timeline(
        "Status of every monitor",
        f"One row for each monitor, {PAGE} per page. Each span shows the worst status within it, so that a short DOWN "
        "remains visible in a long range. Click a span to open the monitor. In a large fleet, select a group or tags "
        "first.",
        Query(FLEET.chosen(FLEET.code(STEP)), "{{tag}}"),
        field=Field(
            "none",
            NO_MONITORS,
            steps(COLOURS[Status.UP], (4, COLOURS[Status.NO_DATA]), (5, WARNING), (6, BAD)),
            mappings=tuple(mappings()),
            links=(links.SERIES,),
        ),
        per_page=PAGE,
    )


WAY = (
    "For every monitor, DEGRADED begins at 50 % and DOWN at 100 %, regardless of its thresholds. A monitor that failed "
    "or overran is DOWN without being late. Paused monitors and monitors in maintenance are omitted."
)


def way_field(most: float | None = None) -> Field:
    return Field(
        "percentunit",
        "No monitor is due: none has had a success yet, or all are paused",
        steps(GOOD, (0.5, WARNING), (1, BAD)),
        decimals=0,
        min=0,
        max=most,
        links=(links.SERIES,),
    )


def lateness() -> Panel:
    return lines(
        "Age against the thresholds",
        f"The {MAX_LINES} monitors closest to DOWN at each time, by lateness. {WAY}",
        Query(f"topk({MAX_LINES}, {FLEET.chosen(FLEET.way())})", "{{tag}}"),
        field=replace(way_field(1.05), palette=True),
        zones=True,
        beside=True,
    )


def closest() -> Panel:
    return bars(
        "Closest to DOWN now",
        f"The {MAX_BARS} monitors that are closest to DOWN now. {WAY}",
        now(f"topk({MAX_BARS}, {FLEET.chosen(FLEET.way())})", "{{tag}}"),
        field=way_field(1),
    )


def least_uptime() -> Panel:
    return bars(
        "Lowest uptime",
        f"The {MAX_BARS} monitors with the lowest uptime over the time range: the share of the time in which they "
        "were not DOWN. DEGRADED counts as up; NO_DATA, PAUSED and MAINTENANCE are excluded.",
        now(f"bottomk({MAX_BARS}, {FLEET.chosen(FLEET.uptime())})", "{{tag}}"),
        field=Field(
            "percentunit",
            "No evaluated time in this range",
            steps(BAD, *UPTIME),
            decimals=2,
            min=0,
            max=1,
            links=(links.SERIES,),
        ),
    )


def firing() -> Panel:
    return table(
        "Alerts",
        "Firing alerts of the exporter's own rules, with their monitors. An alert resolves only after its monitor has "
        "been UP for as long as the rule requires.",
        rows(FLEET.chosen(f"{alerts.firing(FLEET)} == 1")),
        field=Field("none", "No alert is firing", steps()),
        columns=(
            Column("severity", "Severity", 120, mappings=alerts.SEVERITIES, cell=FILLED),
            Column("alert", "Alert"),
            Column("tag", "Monitor", links=(links.ROW,)),
            Column("job", "Job", 130),
        ),
        hidden=("Value",),
        sort=(("Severity", False),),
    )


def received() -> Panel:
    def total(counter: str) -> str:
        return f"sum({FLEET.chosen(FLEET.per_minute(counter))})"

    return lines(
        "Heartbeats",
        "Heartbeats received per minute from all selected monitors: all kinds, and the starts and failures among "
        "them. A line at zero while monitors are still UP means that their deadlines have not passed yet.",
        Query(total("heartbeat_received_total"), "received"),
        Query(total("heartbeat_starts_total"), "starts"),
        Query(total("heartbeat_failures_total"), "failures"),
        field=Field("cpm", NO_MONITORS, steps(), min=0),
        legend=("mean", "max"),
        overrides=(
            painted("received", GOOD),
            painted("starts", PLAIN),
            painted("failures", BAD),
        ),
    )


def most_failures() -> Panel:
    failures = FLEET.chosen(FLEET.in_range("heartbeat_failures_total"))
    return bars(
        "Failures",
        f"The {MAX_BARS} monitors with the most failures over the time range: `/fail` or a non-zero exit code. One "
        "failure sets a monitor to DOWN until its next success.",
        now(f"topk({MAX_BARS}, ({failures}) > 0)", "{{tag}}"),
        field=Field("short", "No failures in this range", steps(WARNING), decimals=0, min=0, links=(links.SERIES,)),
    )


def board() -> dict[str, Any]:
    layout = Layout()
    layout.line(5, (12, by_status()), (4, alerts_firing()), (4, open_incidents()), (4, fleet_uptime()))
    layout.line(9, (24, whats_wrong()))
    layout.heading("Over time")
    layout.line(13, (24, over_time()))
    layout.line(10, (15, lateness()), (9, closest()))
    layout.heading("Uptime and alerts")
    layout.line(10, (12, least_uptime()), (12, firing()))
    layout.heading("Heartbeats received")
    layout.line(9, (15, received()), (9, most_failures()))
    return dashboard(
        links.OVERVIEW,
        "Heartbeats overview",
        "The monitors that need attention now, since when, and the history of the fleet.",
        variables(),
        layout,
    )
