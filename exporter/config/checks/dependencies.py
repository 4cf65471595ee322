"""Checks what monitors of a configuration depend on: each parent is known, and no monitor depends on itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from exporter.config.include import IncludedFiles
from exporter.config.monitor_models import itself_message
from exporter.config.yaml.lines import Path_
from exporter.core.dependencies.graph import DependencyGraph, describe_cycle
from exporter.core.dependencies.patterns import check_pattern
from exporter.core.errors import InvalidValue, Problem
from exporter.core.monitor import MAX_PARENTS, Monitor

MAX_HINTS = 10
"""Unknown parents for which a similar tag is looked for, among at most MAX_CANDIDATES tags."""
MAX_CANDIDATES = 5_000
MAX_WARNINGS = 10


@dataclass(slots=True)
class DependencyCheck:
    """What is wrong with `depends_on` of a configuration's monitors."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unresolved: tuple[tuple[str, Problem], ...] = ()
    """Parents that are no monitors of the configuration, and the problem if they are not in the database either."""


NO_CHECK = DependencyCheck()


def crowded_message(count: int) -> str:
    return f"matches {count:,} monitors: a monitor depends on at most {MAX_PARENTS} directly"


def check_dependencies(document: IncludedFiles) -> DependencyCheck:
    """Reads the raw entries, so that it finds its problems whatever else is wrong; what is itself invalid is left out,
    because the models report it.
    """
    listed = document.values.get("monitors")
    entries: list[Any] = listed if isinstance(listed, list) else []
    if not any(isinstance(entry, dict) and entry.get("depends_on") for entry in entries):
        return NO_CHECK
    check = DependencyCheck()
    monitors: dict[str, Monitor] = {}
    places: dict[str, int] = {}
    for index, entry in enumerate(entries):
        tag = entry.get("tag") if isinstance(entry, dict) else None
        if not isinstance(tag, str) or tag in monitors:
            continue
        parents = tuple(dict.fromkeys(pattern for _, pattern in _patterns(entry)))
        if tag in parents:
            check.problems.append(document.problem(_place(entry, index, tag), itself_message(tag)))
        monitors[tag], places[tag] = Monitor(tag=tag, depends_on=parents), index
    graph = DependencyGraph(monitors.values())

    def problem(tag: str, message: str, pattern: str | None = None) -> Problem:
        index = places[tag]
        return document.problem(_place(entries[index], index, pattern), message)

    for path in graph.cycles:
        check.problems.append(problem(path[0], f"is a cycle of dependencies: {describe_cycle(path)}"))
    for tag, count in graph.crowded.items():
        check.problems.append(problem(tag, crowded_message(count)))
    for tag, globs in list(graph.unmatched.items())[:MAX_WARNINGS]:
        check.warnings += [
            problem(tag, f"{glob!r} matches no other monitor of this configuration", glob) for glob in globs
        ]
    unresolved: list[tuple[str, Problem]] = []
    for tag, literals in graph.unknown.items():
        for literal in literals:
            hint = _hint(literal, monitors) if len(unresolved) < MAX_HINTS else ""
            unresolved.append((literal, problem(tag, f"there is no monitor {literal!r}{hint}", literal)))
    check.unresolved = tuple(unresolved)
    check.warnings += [found for _, found in unresolved]
    return check


def _hint(tag: str, monitors: Mapping[str, Monitor]) -> str:
    if len(monitors) > MAX_CANDIDATES:
        return ""
    near = get_close_matches(tag, monitors, n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def _patterns(entry: Mapping[str, Any]) -> Iterator[tuple[int | None, str]]:
    """The valid ones, each with its place in the list."""
    given = entry.get("depends_on")
    for place, pattern in enumerate(given) if isinstance(given, list) else ((None, given),):
        try:
            if isinstance(pattern, str):
                yield place, check_pattern(pattern)
        except InvalidValue:
            continue


def _place(entry: Mapping[str, Any], index: int, pattern: str | None) -> Path_:
    """Where `pattern` stands, or else the whole setting."""
    at = next((place for place, written in _patterns(entry) if written == pattern), None)
    return ("monitors", index, "depends_on") if at is None else ("monitors", index, "depends_on", at)
