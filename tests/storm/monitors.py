"""The monitors of a storm, kind by kind, and the configuration that names them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.monitor import Monitor
from tests.live.conftest import SECRET

SECOND = 1000
ENDLESS = 3600 * SECOND
RULE = AlertRule(name="down", notify=("ops",))
"""Watches every monitor of a storm."""
EXTRAS = 3
"""Monitors that reloads take away and bring back."""


def _monitors(kind: str, count: int, degraded: int, down: int, max_runtime: int | None = None) -> list[Monitor]:
    return [
        Monitor(tag=f"{kind}-{number}", degraded_after=degraded, down_after=down, max_runtime=max_runtime)
        for number in range(count)
    ]


@dataclass(frozen=True)
class Plan:
    """How many monitors there are of each kind."""

    bulk: int = 32
    """Log entries, as many as the service takes; they have no outcome, so their monitors stay NO_DATA."""
    steady: int = 8
    """Beaten about once a second by a client that tries again."""
    quick: int = 4
    """Beaten five times a second, with thresholds that are shorter than a pause of a replica."""
    runs: int = 4
    """Start and end with a run id; a sixth of the runs fails."""
    flapping: int = 4
    """Fail and recover, at moments that the client chooses."""
    contested: int = 2
    """Two clients at two replicas report successes and failures of the same monitor."""
    dead: int = 12
    """Send one heartbeat each, at a moment of their own, and die."""
    ordered: int = 6
    """Used by the blow in which the replica that received a failure commits it after a later success."""
    strict: bool = True
    """`after_outage: strict`: our own outages are no excuse."""
    spool: bool = False
    clocks: bool = False
    """The wall clock of the processes is moved, so moments are not those of the clients."""

    def monitors(self) -> list[Monitor]:
        return [
            *_monitors("bulk", self.bulk, ENDLESS, 2 * ENDLESS),
            *_monitors("steady", self.steady, 6 * SECOND, 12 * SECOND),
            *_monitors("quick", self.quick, 3 * SECOND, 4 * SECOND),
            *_monitors("run", self.runs, ENDLESS, 2 * ENDLESS, max_runtime=40 * SECOND),
            *_monitors("flapping", self.flapping, ENDLESS, 2 * ENDLESS),
            *_monitors("contested", self.contested, ENDLESS, 2 * ENDLESS),
            *_monitors("dead", self.dead, 5 * SECOND, 8 * SECOND),
            *_monitors("ordered", self.ordered, ENDLESS, 2 * ENDLESS),
            *_monitors("hold", 1, ENDLESS, 2 * ENDLESS),
        ]

    def without_load(self) -> "Plan":
        return replace(self, bulk=0)

    def configuration(self, webhook: str, spool: Path, extras: Iterable[int] = range(EXTRAS)) -> str:
        """`extras` are the numbers of the monitors that reloads play with."""
        lines = [
            f"after_outage: {'strict' if self.strict else 'forgive'}",
            f"storage: {{heartbeats_kept: 10000{f', spool: {spool}' if self.spool else ''}}}",
            "ingest_guard: off",  # monitors die together here, and each alarm has its moment
            f"alerts: [{{name: {RULE.name}, notify: [ops]}}]",
            f'notifiers: [{{name: ops, type: webhook, group_wait: 0s, timeout: 2s, url: "{webhook}/hook"}}]',
            "monitors:",
        ]
        lines += [f"  - {{tag: extra-{number}, secret: {SECRET}}}" for number in extras]
        for one in self.monitors():
            runtime = f", max_runtime: {one.max_runtime}ms" if one.max_runtime is not None else ""
            lines.append(
                f"  - {{tag: {one.tag}, secret: {SECRET}, degraded_after: {one.degraded_after}ms, "
                f"down_after: {one.down_after}ms{runtime}}}"
            )
        return "\n".join(lines) + "\n"
