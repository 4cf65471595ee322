"""Panels about alerts and the delivery of notifications."""

from dashboards.source.panels import Field, Panel, Query, lines, painted, steps
from dashboards.source.promql import or_zero, own, quantile
from dashboards.source.replica import NOT_SCRAPED, PREFIX, rate
from dashboards.source.statuses import BAD, GOOD, WARNING


def alerts() -> Panel:
    return lines(
        "Alerts triggered and resolved",
        "Alerts of all monitors per minute: TRIGGERED counts new alerts, RESOLVED those that ended. Alerts that start "
        "together share one notification.",
        Query(f"60 * sum by (step) ({rate(PREFIX + 'alerts_total')})", "{{step}}"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0),
        bars=True,
        legend=("mean", "max"),
        overrides=(painted("TRIGGERED", BAD), painted("RESOLVED", GOOD)),
    )


def delivered() -> Panel:
    return lines(
        "Delivered",
        "Notifications delivered per minute, by notifier.",
        Query(
            or_zero(f"60 * sum by (notifier) ({rate(PREFIX + 'notifications_sent_total')})", "notifier"), "{{notifier}}"
        ),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0, palette=True),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
    )


def failed() -> Panel:
    failures = f"60 * sum by (notifier, reason) ({rate(PREFIX + 'notifications_failed_total')})"
    return lines(
        "Failed attempts",
        "Failed delivery attempts per minute, by notifier and reason. The exporter retries with increasing pauses "
        "until the notification is delivered or expires.",
        Query(or_zero(failures, "notifier", "reason"), "{{notifier}} {{reason}}"),
        field=Field("cpm", NOT_SCRAPED, steps(GOOD, (0.001, BAD)), min=0, palette=True),
        bars=True,
        stacked=True,
        legend=("mean", "max"),
    )


def pending() -> Panel:
    return lines(
        "Waiting",
        "Notifications waiting for delivery, by notifier.",
        Query(or_zero(f"max by (job, notifier) ({own(PREFIX + 'notifications_pending')})", "notifier"), "{{notifier}}"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (10, WARNING)), decimals=0, min=0, palette=True),
        stepped=True,
    )


def oldest() -> Panel:
    age = f"max by (job, notifier) ({own(PREFIX + 'notifications_oldest_pending_age_seconds')})"
    hold = f"max by (job, notifier) ({own(PREFIX + 'notifier_hold_seconds')})"
    return lines(
        "Oldest waiting",
        "Age of the oldest notification waiting for delivery, by notifier. Above the red line it is more than five "
        "minutes late. *Held* is the remaining time for which the receiver asked the notifier to wait.",
        Query(or_zero(age, "notifier"), "{{notifier}}"),
        Query(or_zero(hold, "notifier"), "{{notifier}} held"),
        field=Field("s", NOT_SCRAPED, steps(GOOD, (60, WARNING), (300, BAD)), min=0, palette=True),
        zones=True,
    )


def delivery() -> Panel:
    times = PREFIX + "notification_delivery_seconds"
    return lines(
        "Delivery time",
        "Time between the creation of a notification and its delivery, by notifier, including the time it waits to be "
        "grouped with others (`group_wait`) and all attempts.",
        Query(quantile(0.5, times, "notifier"), "{{notifier}}, median"),
        Query(quantile(0.95, times, "notifier"), "{{notifier}}, 95 %"),
        field=Field(
            "s",
            "Nothing was delivered in this range",
            steps(GOOD, (60, WARNING), (300, BAD)),
            min=0,
            palette=True,
        ),
        zones=True,
    )
