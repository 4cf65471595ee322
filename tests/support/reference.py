"""The same samples by prometheus_client's own means: what the fast renderer has to equal, byte for byte."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.core.dependencies.suppression import HELD
from exporter.core.fleet import Fleet
from exporter.core.status import Status, due_at
from exporter.core.uptime import WINDOWS, uptime
from exporter.metrics.exposition.families import FAMILIES

_KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "summary": SummaryMetricFamily}


class Reference:
    """A collector for prometheus_client; values are worked out here once more, from the design's table."""

    def __init__(self, fleet: Fleet, now: int) -> None:
        self._fleet = fleet
        self._now = now

    def collect(self) -> Iterator[Metric]:
        help_of = {family.name: family.help for family in FAMILIES}
        found: dict[str, Metric] = {}
        for family in FAMILIES:
            found[family.name] = _KINDS[family.type](family.name, help_of[family.name])
        for watched in self._fleet:
            monitor, state, current = watched.monitor, watched.state, watched.current
            tag = {"tag": monitor.tag}

            def add(name: str, value: float | None, tag: dict[str, str] = tag) -> None:
                if value is not None:
                    suffix = "_total" if found[name].type == "counter" else ""
                    found[name].add_sample(name + suffix, tag, value)

            info = {
                **tag,
                "name": monitor.name or monitor.tag,
                "group": monitor.group,
                "schedule": monitor.schedule or "",
                "timezone": monitor.timezone,
                **{f"label_{key}": value for key, value in monitor.labels},
            }
            found["heartbeat_info"].add_sample("heartbeat_info", info, 1)
            for status in Status:
                labels = {**tag, "status": status.value}
                found["heartbeat_status"].add_sample("heartbeat_status", labels, int(current.status is status))
            ratios = uptime(watched.past, current.status, self._now, self._fleet.calendar.blackouts)
            for window, ratio in zip(WINDOWS, ratios, strict=True):
                if ratio is not None:
                    labels = {**tag, "window": window}
                    found["heartbeat_uptime_ratio"].add_sample("heartbeat_uptime_ratio", labels, ratio)
            why = {**tag, "reason": current.reason.value}
            found["heartbeat_status_reason"].add_sample("heartbeat_status_reason", why, 1)
            add("heartbeat_status_since_timestamp_seconds", current.since / 1000)
            if state.last_success_at is not None:
                add("heartbeat_age_seconds", max(0, self._now - state.last_success_at) / 1000)
            for name, moment in (
                ("heartbeat_last_success_timestamp_seconds", state.last_success_at),
                ("heartbeat_last_failure_timestamp_seconds", state.last_failure_at),
                ("heartbeat_last_start_timestamp_seconds", state.last_start_at),
                ("heartbeat_due_timestamp_seconds", due_at(monitor, state, watched.exclusions)),
                ("heartbeat_degraded_after_seconds", monitor.degraded_after),
                ("heartbeat_down_after_seconds", monitor.down_after),
                ("heartbeat_every_seconds", monitor.every),
                ("heartbeat_last_duration_seconds", state.last_duration),
            ):
                add(name, None if moment is None else moment / 1000)
            runtimes = watched.runtimes
            if runtimes is not None and runtimes.runs >= 10:
                for quantile, value in (("0.5", runtimes.median), ("0.95", runtimes.p95)):
                    labels = {**tag, "quantile": quantile}
                    found["heartbeat_duration_seconds"].add_sample("heartbeat_duration_seconds", labels, value / 1000)
            add("heartbeat_received", state.received)
            add("heartbeat_failures", state.failures)
            add("heartbeat_starts", state.starts)
            add("heartbeat_last_exit_code", state.last_exit_code)
            if state.consecutive_failures > 0 or monitor.failure_tolerance > 0:
                add("heartbeat_consecutive_failures", state.consecutive_failures)
        for tag, parent in sorted(
            (watched.monitor.tag, parent)
            for watched in self._fleet
            for parent in self._fleet.dependencies.parents(watched.monitor.tag)
        ):
            labels = {"tag": tag, "parent": parent}
            found["heartbeat_dependency_info"].add_sample("heartbeat_dependency_info", labels, 1)
        suppressions = self._fleet.suppressions.by_monitor
        for watched in self._fleet:
            suppression = suppressions.get(watched.id)
            if suppression is not None and not suppression.released and watched.current.reason in HELD:
                labels = {"tag": watched.monitor.tag}
                found["heartbeat_suppressed"].add_sample("heartbeat_suppressed", labels, 1)
        yield from found.values()
