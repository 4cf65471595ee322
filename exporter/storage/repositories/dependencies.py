"""What the database knows of dependencies between monitors, for checks of what is about to be written."""

from collections.abc import Iterable

from exporter.core.dependencies.graph import DependencyGraph, describe_cycle
from exporter.core.errors import Conflict, InvalidValue
from exporter.core.monitor import MAX_PARENTS, Monitor
from exporter.storage.database import Database
from exporter.storage.rows import CHUNK, parents_of


def unknown_parents(database: Database, tags: Iterable[str]) -> set[str]:
    """Those of `tags` that no monitor has which is here beside those of the configuration file. Raises
    StorageUnavailable.
    """
    monitors, missing = database.tables.monitors, set(tags)
    with database.read("read parents"):
        named = sorted(missing)
        for start in range(0, len(named), CHUNK):
            by_hand = (monitors.provisioned == False) & monitors.removed_at.is_null()  # noqa: E712 - SQL
            query = monitors.select(monitors.tag).where(monitors.tag.in_(named[start : start + CHUNK]) & by_hand)
            missing -= {str(row[0]) for row in query.tuples()}
    return missing


def check_dependencies(database: Database, monitor: Monitor) -> None:
    """Inside a transaction: whether the monitors are there that `monitor`, which is about to be added, names, and none
    of them depends on it. Raises InvalidValue.
    """
    if not monitor.depends_on:
        return
    monitors = database.tables.monitors
    query = monitors.select(monitors.tag, monitors.depends_on).where(monitors.removed_at.is_null())
    present = [Monitor(tag=tag, depends_on=parents_of(text)) for tag, text in query.tuples() if tag != monitor.tag]
    graph = DependencyGraph([*present, monitor])
    unknown = graph.unknown.get(monitor.tag)
    if unknown:
        raise InvalidValue(f"depends_on: there is no monitor {unknown[0]!r}")
    if monitor.tag in graph.crowded:
        raise InvalidValue(
            f"depends_on: matches {graph.crowded[monitor.tag]:,} monitors: a monitor depends on at most {MAX_PARENTS} "
            "directly"
        )
    for path in graph.cycles:
        if monitor.tag in path:
            raise InvalidValue(f"depends_on: is a cycle of dependencies: {describe_cycle(path)}")


def check_not_needed(database: Database, tag: str) -> None:
    """Inside a transaction: whether the configuration file would be in error without the monitor `tag`. Raises
    Conflict.
    """
    monitors = database.tables.monitors
    provisioned = (monitors.provisioned == True) & monitors.removed_at.is_null()  # noqa: E712 - SQL
    query = monitors.select(monitors.tag, monitors.depends_on).where(provisioned & (monitors.depends_on != ""))
    needing = sorted(other for other, text in query.tuples() if tag in parents_of(text))
    if needing:
        more = f" and {len(needing) - 1:,} more" if len(needing) > 1 else ""
        raise Conflict(
            f"{needing[0]!r}{more} of the configuration file depends on {tag!r}: change depends_on there and reload"
        )
