"""*Heartbeat detail*: one monitor, with its thresholds, its runs and every change of its status."""

from typing import Any

from dashboards.source import alerts, links
from dashboards.source.board import Layout, annotation, dashboard, scope, variable
from dashboards.source.panels import (
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
from dashboards.source.promql import MONITOR, ONE, RANGE, STEP, or_zero
from dashboards.source.statuses import BAD, COLOURS, GOOD, IN_ORDER, PLAIN, QUIET, UPTIME, WARNING, mappings, matching
from exporter.core.status import Status

NEVER = "Not yet"
NO_MONITOR = "Monitor not found: is it still configured?"
DASHED: dict[str, Any] = {"custom__lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom__fillOpacity": 0}


def variables() -> list[dict[str, Any]]:
    return [
        *scope("heartbeat_info"),
        variable(
            "group",
            "Limits the list of monitors to these groups.",
            'label_values(heartbeat_info{job=~"$job", instance=~"$instance"}, group)',
            everything=".*",
        ),
        variable(
            "tag",
            "The monitor.",
            'label_values(heartbeat_info{job=~"$job", instance=~"$instance", group=~"$group"}, tag)',
            everything=None,
        ),
    ]


def status() -> Panel:
    return stat(
        "Status",
        "Current status. UP: on time. DEGRADED: late. DOWN: too late, failed, or running for too long. NO_DATA: no "
        "heartbeat received yet. PAUSED and MAINTENANCE: silenced on purpose.",
        now(ONE.code(), "status"),
        field=Field(
            "none",
            NO_MONITOR,
            steps(GOOD, (4, COLOURS[Status.NO_DATA]), (5, WARNING), (6, BAD)),
            mappings=tuple(mappings()),
        ),
        filled=True,
    )


def since() -> Panel:
    return stat(
        "In this status for",
        "Measured from the exact time at which the status changed, not from its evaluation.",
        now(f"time() - {ONE.one('heartbeat_status_since_timestamp_seconds')}", "for"),
        field=Field("s", NO_MONITOR, steps(), decimals=1),
    )


def last_success() -> Panel:
    return stat(
        "Last success",
        "Time since the exporter received the last success: the last proof that the job ran.",
        now(f"1000 * {ONE.one('heartbeat_last_success_timestamp_seconds')}", "last success"),
        field=Field("dateTimeFromNow", NEVER, steps()),
    )


def due() -> Panel:
    return stat(
        "Due",
        "Time from which lateness is measured: the first scheduled time after the last success, or that success "
        "itself if the monitor has no schedule. A time in the past is normal: the monitor becomes DEGRADED only after "
        "a further `degraded after`.",
        now(f"1000 * {ONE.one('heartbeat_due_timestamp_seconds')}", "due"),
        field=Field("dateTimeFromNow", NEVER, steps()),
    )


def uptime() -> Panel:
    return stat(
        "Uptime",
        "Share of the time range in which the monitor was not DOWN. DEGRADED counts as up; NO_DATA, PAUSED and "
        "MAINTENANCE are excluded.",
        now(ONE.uptime(), "uptime"),
        field=Field("percentunit", "No evaluated time in this range", steps(BAD, *UPTIME), decimals=2, max=1),
    )


def uptimes() -> Panel:
    return stat(
        "Uptime of the last 24 hours, 7, 30 and 90 days",
        "Computed by the exporter from every status change, so it is exact even for times at which Prometheus reached "
        "no replica. DEGRADED counts as up; NO_DATA, PAUSED, MAINTENANCE and outages of the exporter are excluded.",
        now(ONE.uptimes(), "{{window}}"),
        field=Field("percentunit", "No evaluated time yet", steps(BAD, *UPTIME), decimals=2, max=1),
    )


def exit_code() -> Panel:
    return stat(
        "Last exit code",
        "Exit code of the last run. 0 means success; any other code is a failure, which sets the monitor to DOWN "
        "unless its `failure_tolerance` allows it. Absent before the first "
        "run and after a failure without an exit code.",
        now(ONE.one("heartbeat_last_exit_code"), "exit code"),
        field=Field("none", "None reported", steps(BAD, (0, GOOD), (1, BAD)), decimals=0),
    )


def duration() -> Panel:
    return stat(
        "Last duration",
        "Time from the start to the end of the last run. Only jobs that report their start (`/start`) have a duration.",
        now(ONE.one("heartbeat_last_duration_seconds"), "duration"),
        field=Field("s", "No start reported", steps(), decimals=1),
    )


def alerts_firing() -> Panel:
    return stat(
        "Alerts firing",
        "Firing alerts of this monitor, by the exporter's own rules.",
        now(or_zero(f"sum({alerts.firing(ONE)})"), "firing"),
        field=Field("short", NO_MONITOR, steps(GOOD, (1, BAD)), decimals=0),
    )


def identity() -> Panel:
    described = "name, group, schedule, timezone"
    return table(
        "Monitor",
        "The reason for the current status, and the configuration of the monitor with its lateness thresholds. If the "
        "schedule is empty, lateness starts at the last success.",
        rows(f"topk by ({MONITOR}) (1, max by ({MONITOR}, {described}) ({ONE.select('heartbeat_info')}))"),
        rows(ONE.one("heartbeat_degraded_after_seconds")),
        rows(ONE.one("heartbeat_down_after_seconds")),
        rows(ONE.reason()),
        field=Field("none", NO_MONITOR, steps()),
        columns=(
            Column("reason", "Reason"),
            Column("tag", "Monitor"),
            Column("name", "Name"),
            Column("group", "Group"),
            Column("schedule", "Schedule"),
            Column("timezone", "Timezone"),
            Column("Value #B", "Degraded after", unit="s", cell=INK, thresholds=steps(WARNING)),
            Column("Value #C", "Down after", unit="s", cell=INK, thresholds=steps(BAD)),
            Column("job", "Job"),
        ),
        hidden=("Value #A", "Value #D"),
    )


def over_time() -> Panel:
    return timeline(
        "Status over time",
        "Each span shows the worst status within it. The annotations on the graphs below mark the exact times of "
        "change.",
        Query(ONE.code(STEP), "{{tag}}"),
        field=Field(
            "none",
            NO_MONITOR,
            steps(GOOD, (4, COLOURS[Status.NO_DATA]), (5, WARNING), (6, BAD)),
            mappings=tuple(mappings()),
        ),
    )


def age() -> Panel:
    allowed = f"{ONE.one('heartbeat_due_timestamp_seconds')} - {ONE.one('heartbeat_last_success_timestamp_seconds')}"

    def from_age(threshold: str) -> str:
        return f"{allowed} + {ONE.one(threshold)}"

    return lines(
        "Age against both thresholds",
        "Time since the last success, and the ages above which the monitor is DEGRADED and DOWN. With a schedule, the "
        "thresholds move with each success, because they start at the next scheduled time. The age drops to zero with "
        "every success; where it crosses a line, the status changes.",
        Query(ONE.age(), "age"),
        Query(from_age("heartbeat_degraded_after_seconds"), "DEGRADED above"),
        Query(from_age("heartbeat_down_after_seconds"), "DOWN above"),
        field=Field("s", "No success has been received yet", steps(), min=0),
        legend=("lastNotNull", "max"),
        overrides=(
            painted("age", PLAIN),
            painted("DEGRADED above", WARNING, custom__lineInterpolation="stepAfter", **DASHED),
            painted("DOWN above", BAD, custom__lineInterpolation="stepAfter", **DASHED),
        ),
    )


def durations() -> Panel:
    return lines(
        "Run duration",
        "Duration of the last finished run at each time, for jobs that report their start. A slow rise means that the "
        "job takes longer and longer; the monitor is DOWN (overrun) once a run exceeds its `max_runtime`, and "
        "DEGRADED (too_short) after a success whose run took less than its `min_runtime`.",
        Query(ONE.one("heartbeat_last_duration_seconds"), "duration"),
        Query(ONE.one("heartbeat_duration_seconds", 'quantile="0.5"'), "median of the kept runs"),
        Query(ONE.one("heartbeat_duration_seconds", 'quantile="0.95"'), "95 % of the kept runs"),
        field=Field("s", "No start reported in this range", steps(), min=0),
        stepped=True,
        legend=("lastNotNull", "mean", "max"),
        overrides=(painted("duration", PLAIN),),
    )


def exit_codes() -> Panel:
    return lines(
        "Exit codes",
        "Exit code of the last run at each time. 0 means success; every value above the line is a failure.",
        Query(ONE.one("heartbeat_last_exit_code"), "exit code"),
        field=Field("none", "No exit code reported in this range", steps(QUIET, (1, BAD)), decimals=0),
        stepped=True,
        zones=True,
        legend=("lastNotNull", "max"),
        overrides=(override("exit code", color={"mode": "thresholds"}),),
    )


def received() -> Panel:
    return lines(
        "Heartbeats and failures",
        "Heartbeats received per minute: all kinds, and the starts and failures among them. A job that runs rarely "
        "shows as humps, of which the number matters, not the height.",
        Query(ONE.per_minute("heartbeat_received_total"), "received"),
        Query(ONE.per_minute("heartbeat_starts_total"), "starts"),
        Query(ONE.per_minute("heartbeat_failures_total"), "failures"),
        field=Field("cpm", NO_MONITOR, steps(), min=0),
        legend=("mean", "max"),
        overrides=(
            painted("received", GOOD),
            painted("starts", PLAIN),
            painted("failures", BAD),
        ),
    )


def time_by_status() -> Panel:
    total = f"sum by ({MONITOR}) (sum_over_time({ONE.select('heartbeat_status')}[{RANGE}]))"

    def share(status: Status) -> Query:
        return now(f"{ONE.time_in((status,))} / ({total} > 0)", status.value)

    return bars(
        "Time in each status",
        "Share of the time range spent in each status, as far as Prometheus scraped the exporter.",
        *(share(status) for status in IN_ORDER),
        field=Field("percentunit", NO_MONITOR, steps(), decimals=2, min=0, max=1),
        overrides=tuple(
            painted(status.value, COLOURS[status], thresholds=steps(COLOURS[status])) for status in IN_ORDER
        ),
    )


def alerts_over_time() -> Panel:
    return timeline(
        "Alerts over time",
        "One row for each alert of this monitor by the exporter's own rules, while it is firing.",
        Query(f"{alerts.firing(ONE)} == 1", "{{alert}} ({{severity}})"),
        field=Field(
            "none",
            "No alert fired in this range",
            steps(BAD),
            mappings=({"type": "value", "options": {"1": {"text": "firing", "color": BAD, "index": 0}}},),
        ),
    )


def transitions(name: str, colour: str, *statuses: Status) -> dict[str, Any]:
    """Status and moment are of one replica each time: another's status may be a scrape older than its moment."""
    began = ONE.select("heartbeat_status_since_timestamp_seconds")
    having = f"{ONE.select('heartbeat_status', matching(statuses))} == 1"
    return annotation(
        name,
        colour,
        f"1000 * max by ({MONITOR}, status) ({began} * on ({MONITOR}, instance) group_right () ({having}))",
        "{{status}}",
        "{{tag}} became {{status}}",
        at_value=True,
    )


def annotations() -> list[dict[str, Any]]:
    return [
        transitions("became DOWN", BAD, Status.DOWN),
        transitions("became DEGRADED", WARNING, Status.DEGRADED),
        transitions("became UP", GOOD, Status.UP),
        transitions("became quiet", COLOURS[Status.NO_DATA], Status.NO_DATA, Status.PAUSED, Status.MAINTENANCE),
        annotation(
            "alerts",
            PLAIN,
            alerts.firing(ONE),
            "{{alert}}",
            "{{severity}}: {{alert}} of {{tag}} is firing",
            at_value=False,
        ),
    ]


def board() -> dict[str, Any]:
    layout = Layout()
    layout.line(
        4,
        (4, status()),
        (3, since()),
        (3, last_success()),
        (3, due()),
        (3, uptime()),
        (3, exit_code()),
        (3, duration()),
        (2, alerts_firing()),
    )
    layout.line(4, (14, identity()), (10, uptimes()))
    layout.line(5, (24, over_time()))
    layout.line(10, (24, age()))
    layout.line(8, (12, durations()), (12, exit_codes()))
    layout.line(8, (12, received()), (12, time_by_status()))
    layout.line(5, (24, alerts_over_time()))
    return dashboard(
        links.DETAIL,
        "Heartbeat detail",
        "One monitor: its status and thresholds, its runs, and every change of its status.",
        variables(),
        layout,
        annotations(),
    )
