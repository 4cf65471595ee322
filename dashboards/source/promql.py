"""PromQL for the dashboards: selectors that every query has, and what is asked of monitors more than once.

Replicas of one exporter differ only in `instance`, so every query about a monitor yields one series for each
(job, tag). The job stays, because two exporters of their own may watch monitors of the same tag.
"""

from dataclasses import dataclass

from dashboards.source.statuses import CODES, EXEMPT, matching
from exporter.core.status import Status
from exporter.core.status_attributes import statuses_where

SCOPE = 'job=~"$job", instance=~"$instance"'
GROUP = 'group=~"$group"'
MONITOR = "job, tag"
STEP = "$__rate_interval"
RANGE = "$__range"
ANSWERING = f"heartbeat_exporter_build_info{{{SCOPE}}}"
"""A series for each replica that is scraped."""
UP_OR_LATE = statuses_where(lambda attributes: attributes.is_up)[::-1]
COUNTED = statuses_where(lambda attributes: attributes.counts)[::-1]


def own(metric: str, *matchers: str) -> str:
    """A metric of the exporter itself."""
    return f"{metric}{{{', '.join((SCOPE, *matchers))}}}"


def or_zero(query: str, *labels: str) -> str:
    """The query, or 0 as long as any replica answers: no series is good news only if the exporter is scraped.

    The zero has the query's labels too, for the legend.
    """
    zero = f"0 * sum({ANSWERING})"
    for label in labels:
        zero = f'label_replace({zero}, "{label}", "none", "", "")'
    return f"{query} or on () {zero}"


def quantile(share: float, histogram: str, *by: str) -> str:
    """Over all replicas."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({own(histogram + '_bucket')}[{STEP}])))"


@dataclass(frozen=True)
class Monitors:
    """Queries about the chosen monitors."""

    tag: str
    """The matcher of the tag."""
    grouped: bool
    """Whether the variable `group` narrows them down."""

    def select(self, metric: str, *matchers: str) -> str:
        return f"{metric}{{{', '.join((SCOPE, self.tag, *matchers))}}}"

    def one(self, metric: str, *matchers: str, by: str = MONITOR) -> str:
        """One series for each monitor (and further labels), whatever the number of replicas."""
        return f"max by ({by}) ({self.select(metric, *matchers)})"

    def chosen(self, query: str) -> str:
        """Those of the chosen groups. The group is a label of heartbeat_info alone."""
        if not self.grouped:
            return query
        return f"{query} and on ({MONITOR}) {self.select('heartbeat_info', GROUP)}"

    def described(self, query: str, *labels: str) -> str:
        """With labels of heartbeat_info beside. topk keeps one of it where replicas differ for a moment."""
        group = (GROUP,) if self.grouped else ()
        info = f"topk by ({MONITOR}) (1, {self.select('heartbeat_info', *group)})"
        return f"({query}) * on ({MONITOR}) group_left ({', '.join(labels)}) {info}"

    def reason(self) -> str:
        """1 for each monitor, with the label `reason`; one of them where replicas differ for a moment."""
        return f"topk by ({MONITOR}) (1, {self.one('heartbeat_status_reason', by=f'{MONITOR}, reason')})"

    def having(self, *statuses: Status) -> str:
        """1 for each monitor that has one of these statuses."""
        return f"{self.one('heartbeat_status', matching(statuses))} == 1"

    def code(self, window: str | None = None) -> str:
        """Each monitor's status as its code; the worst in `window` if there is one."""
        parts = []
        for status, code in CODES.items():
            selector = self.select("heartbeat_status", f'status="{status.value}"')
            parts.append(f"{code} * " + (f"max_over_time({selector}[{window}])" if window else selector))
        return f"max by ({MONITOR}) (\n  " + "\n  or ".join(parts) + "\n)"

    def age(self) -> str:
        """Of the replica that knows the latest success."""
        return f"min by ({MONITOR}) ({self.select('heartbeat_age_seconds')})"

    def lateness(self) -> str:
        """Seconds past due; 0 while it is not due yet."""
        return f"clamp_min(time() - {self.one('heartbeat_due_timestamp_seconds')}, 0)"

    def way(self) -> str:
        """How far lateness has come: 0.5 is where DEGRADED begins and 1 where DOWN does, whatever the thresholds."""
        late, degraded, down = (
            self.lateness(),
            self.one("heartbeat_degraded_after_seconds"),
            self.one("heartbeat_down_after_seconds"),
        )
        return (
            f"(\n  0.5 * clamp_max({late} / clamp_min({degraded}, 0.001), 1)\n"
            f"  + 0.5 * clamp(({late} - {degraded}) / ({down} - {degraded}), 0, 1)\n)\n"
            f"unless on ({MONITOR}) ({self.having(Status.PAUSED, Status.MAINTENANCE)})"
        )

    def time_in(self, statuses: tuple[Status, ...], by: str = MONITOR) -> str:
        """Samples in these statuses over the range. Those of all replicas count alike, however long each was there."""
        selector = self.select("heartbeat_status", matching(statuses))
        return f"sum by ({by}) (sum_over_time({selector}[{RANGE}]))"

    def uptime(self) -> str:
        """The share of the time in which each monitor was not DOWN, of that in which it was judged at all."""
        return f"{self.time_in(UP_OR_LATE)} / ({self.time_in(COUNTED)} > 0)"

    def uptimes(self) -> str:
        """Of the windows that the exporter knows, exact. All replicas report the same, except for a minute."""
        return f"min by ({MONITOR}, window) ({self.select('heartbeat_uptime_ratio')})"

    def fleet_uptime(self) -> str:
        """The same of all chosen monitors together."""
        return f"sum({self.chosen(self.time_in(UP_OR_LATE))}) / (sum({self.chosen(self.time_in(COUNTED))}) > 0)"

    def per_minute(self, counter: str) -> str:
        return f"60 * max by ({MONITOR}) (rate({self.select(counter)}[{STEP}]))"

    def in_range(self, counter: str) -> str:
        """By how much a counter grew."""
        return f"max by ({MONITOR}) (increase({self.select(counter)}[{RANGE}]))"


assert {*COUNTED, *EXEMPT} == set(Status)
FLEET = Monitors('tag=~"$tag"', grouped=True)
"""Of the overview."""
ONE = Monitors('tag="$tag"', grouped=False)
"""Of the detail: its tag is one and is no regular expression."""
