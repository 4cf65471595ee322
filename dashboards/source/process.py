"""Panels about the process: memory, CPU, files, scrapes."""

from dashboards.source.panels import Field, Panel, Query, lines, painted, steps
from dashboards.source.promql import ANSWERING, own, quantile
from dashboards.source.replica import NOT_SCRAPED, PREFIX, REPLICA, of_replicas, rate
from dashboards.source.statuses import BAD, GOOD, WARNING


def memory() -> Panel:
    return lines(
        "Memory",
        "Resident memory, by replica: less than 100 MB without monitors, up to 4 kB for each monitor in the database, "
        "and up to 20 kB for each monitor in a configuration file. Steady growth indicates a leak: please report it.",
        Query(of_replicas("process_resident_memory_bytes"), "{{instance}}"),
        field=Field("bytes", NOT_SCRAPED, steps(), min=0, palette=True),
    )


def cpu() -> Panel:
    seconds = f"sum by ({REPLICA}) ({rate('process_cpu_seconds_total')}) and on ({REPLICA}) {ANSWERING}"
    return lines(
        "CPU",
        "CPU cores in use, by replica. Near 1 the process is at its limit, because it runs one event loop: add a "
        "replica.",
        Query(seconds, "{{instance}}"),
        field=Field("short", NOT_SCRAPED, steps(GOOD, (0.9, WARNING)), min=0, palette=True),
        zones=True,
    )


def files() -> Panel:
    share = f"max by ({REPLICA}) ({own('process_open_fds')}) / max by ({REPLICA}) ({own('process_max_fds')})"
    return lines(
        "Open files",
        "Share of the allowed file descriptors in use, by replica. At 100 % the replica accepts no new connections: "
        "raise LimitNOFILE.",
        Query(f"{share} and on ({REPLICA}) {ANSWERING}", "{{instance}}"),
        field=Field("percentunit", NOT_SCRAPED, steps(GOOD, (0.8, WARNING), (0.95, BAD)), min=0, palette=True),
        zones=True,
    )


def scrapes() -> Panel:
    return lines(
        "Scrape duration",
        "Median and 99th percentile of the time taken to render a scrape. It grows with the number of monitors; above "
        "Prometheus's `scrape_timeout` of 10 s, scrapes fail.",
        Query(quantile(0.5, PREFIX + "scrape_duration_seconds"), "median"),
        Query(quantile(0.99, PREFIX + "scrape_duration_seconds"), "99 %"),
        field=Field("s", "No scrapes in this range", steps(GOOD, (5, WARNING), (10, BAD)), min=0),
        overrides=(painted("median", GOOD), painted("99 %", WARNING)),
    )


def connections() -> Panel:
    return lines(
        "Connections",
        "Open client connections, by replica. A replica without a free file descriptor closes the idlest connections.",
        Query(of_replicas(PREFIX + "connections"), "{{instance}}"),
        field=Field("short", NOT_SCRAPED, steps(), min=0, palette=True),
    )


def refused() -> Panel:
    return lines(
        "Refused requests and dropped connections",
        "Per minute, by reason: requests that are malformed or too large, and connections that the exporter closed to "
        "protect the others.",
        Query(f"60 * sum by (reason) ({rate(PREFIX + 'requests_refused_total')})", "refused: {{reason}}"),
        Query(f"60 * sum by (reason) ({rate(PREFIX + 'connections_dropped_total')})", "dropped: {{reason}}"),
        field=Field("cpm", NOT_SCRAPED, steps(), min=0, palette=True),
    )
