"""Alert rules: conditions, the monitors that they hold for, and the notifiers."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from exporter.core.clock import MINUTE
from exporter.core.monitor import Monitor
from exporter.core.status import Status
from exporter.core.status_attributes import statuses_where

FROZEN = frozenset(statuses_where(lambda attributes: attributes.freezes_alerts))
"""While a monitor has one of these, nothing is counted for or against it."""
WATCHABLE = statuses_where(lambda attributes: attributes.alerts)
"""What a rule may watch for."""


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which monitors a rule watches: those that fit everything given. Globs are `*`, `?` and `[…]`, case-sensitive."""

    tags: tuple[str, ...] = ()
    """Globs, of which one has to fit; empty is every tag."""
    groups: tuple[str, ...] = ()
    """Globs, of which one has to fit; empty is every group."""
    labels: tuple[tuple[str, str], ...] = ()
    """(key, glob) pairs, all of which have to fit a label of the monitor."""

    def matches(self, monitor: Monitor) -> bool:
        if self.tags and not any(fnmatchcase(monitor.tag, glob) for glob in self.tags):
            return False
        if self.groups and not any(fnmatchcase(monitor.group, glob) for glob in self.groups):
            return False
        labels = dict(monitor.labels)
        return all(key in labels and fnmatchcase(labels[key], glob) for key, glob in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One rule. Durations in milliseconds."""

    name: str
    when: tuple[Status, ...] = (Status.DOWN,)
    failure_threshold: int = 1
    """Consecutive evaluations in `when` that trigger; of a monitor evaluated continuously one a minute is counted."""
    success_threshold: int = 1
    """Consecutive evaluations that are UP, which resolve."""
    trigger_after: int | None = None
    """`for`: time in `when` that triggers, instead of a count."""
    resolve_after: int | None = None
    """Time being UP that resolves, instead of a count."""
    severity: Severity = Severity.CRITICAL
    description: str = ""
    create_incident: bool = False
    notify: tuple[str, ...] = ()
    """Names of notifiers."""
    repeat_every: int | None = None
    """How often an alert that fires and is not acknowledged is repeated."""
    selector: Selector = Selector()

    @property
    def trigger_time(self) -> int:
        """Unbroken time that triggers for a monitor that is evaluated continuously."""
        return self.trigger_after if self.trigger_after is not None else (self.failure_threshold - 1) * MINUTE

    @property
    def resolve_time(self) -> int:
        return self.resolve_after if self.resolve_after is not None else (self.success_threshold - 1) * MINUTE
