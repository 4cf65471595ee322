"""What a monitor depends on and what depends on it, for its page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.status import Status
from exporter.presentation.statuses import LABELS
from exporter.presentation.text import enumerate_tags

MAX_SHOWN = 20
"""Monitors of each list."""


@dataclass(frozen=True, slots=True)
class RelatedMonitor:
    """Another monitor, with a link to its page."""

    tag: str
    name: str
    status: Status


@dataclass(frozen=True, slots=True)
class DependencyCard:
    """All that the page says about dependencies."""

    parents: Sequence[RelatedMonitor]
    more_parents: int
    children: Sequence[RelatedMonitor]
    more_children: int
    held: str
    """Why the monitor's alerts are held; empty when they are not."""


def dependency_card(fleet: Fleet, watched: FleetMonitor) -> DependencyCard | None:
    """None for a monitor that neither depends on another one nor is needed by one."""
    graph, tag = fleet.dependencies, watched.monitor.tag
    parents, children = graph.parents(tag), graph.children(tag)
    if not parents and not children:
        return None
    return DependencyCard(
        _related(fleet, parents),
        max(0, len(parents) - MAX_SHOWN),
        _related(fleet, children),
        max(0, len(children) - MAX_SHOWN),
        _held(fleet, tag),
    )


def _related(fleet: Fleet, tags: Sequence[str]) -> Sequence[RelatedMonitor]:
    return [RelatedMonitor(tag, other.monitor.name or tag, other.shown.status) for tag, other in _members(fleet, tags)]


def _held(fleet: Fleet, tag: str) -> str:
    suppressed_by = fleet.suppressed_by(tag)
    if not suppressed_by:
        return ""
    members = list(_members(fleet, suppressed_by))
    if len(members) == 1:
        ((_, cause),) = members
        return f"{cause.monitor.name or cause.monitor.tag} is {LABELS[cause.shown.status]}"
    names = enumerate_tags([cause.monitor.name or other for other, cause in members])
    return f"of {names}"


def _members(fleet: Fleet, tags: Sequence[str]) -> Iterable[tuple[str, FleetMonitor]]:
    return [(tag, other) for tag in tags[:MAX_SHOWN] if (other := fleet.get(tag)) is not None]
